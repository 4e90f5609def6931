"""Order the tests of a session by their relevance to a change, and select those that run."""

from __future__ import annotations

import os
from contextlib import nullcontext
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from flashwasm.summaries import are, counted, them

if TYPE_CHECKING:
    from flashwasm.pytest_plugin.change_option import ChangeOption
    from flashwasm.pytest_plugin.summary import Summary
    from flashwasm.qe.changes.coverage.coverage_choice import CoverageChoice
    from flashwasm.qe.changes.ranking.selected_tests import SelectedTest
    from flashwasm.qe.changes.selection.safe_selection import SafeSelection

__all__ = ["SAFE", "ChangeOrder"]

# Value of --fw-select for all tests that the change may reach.
SAFE = "safe"
# Maximum number of tests that a list in the summary names. Further ones are only counted.
_SHOWN = 10
# Key in pytest's cache for the duration of each test in seconds, by node id.
_CACHE_KEY = "flashwasm/seconds"
# Duration in seconds that is assumed for a test without a recorded one.
_UNKNOWN_SECONDS = 0.1


class ChangeOrder:
    """Hooks that put the tests in the order of their relevance to a change.

    Parameters
    ----------
    config : pytest.Config
        Configuration of the session.
    summary : Summary
        Lines of the plugin in pytest's summary.
    change : ChangeOption
        The change.
    budget : int, float, str or None
        Maximum number of tests to run (int), or maximum time in seconds (float). "safe" runs the
        tests that the change may reach. None runs all tests.
    lookup : CoverageChoice
        The choice of a coverage database. Without one, imports alone select the tests.
    """

    def __init__(
        self,
        config: pytest.Config,
        summary: Summary,
        change: ChangeOption,
        budget: float | str | None,
        lookup: CoverageChoice,
    ) -> None:
        self._config = config
        self._summary = summary
        self._change = change
        self._budget = budget
        self._lookup = lookup
        self._seconds: dict[str, float] = {}

    @pytest.hookimpl(trylast=True)
    def pytest_collection_modifyitems(self, items: list[pytest.Item]) -> None:
        """Order the tests by relevance, and deselect those that do not fit into the budget."""
        capture = self._config.pluginmanager.getplugin("capturemanager")
        # The workers of pytest-xdist order the same tests at the same time, and show nothing.
        shown = not hasattr(self._config, "workerinput")
        with capture.global_and_fixture_disabled() if capture and shown else nullcontext():
            self._summary.guarded("order the tests", lambda: self._order(items, progress=shown))

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Sum up the duration of each test, for later selections by time."""
        seconds = self._seconds.get(report.nodeid, 0.0)
        self._seconds[report.nodeid] = seconds + report.duration

    def pytest_sessionfinish(self) -> None:
        """Store the durations of the tests, in the process that has all of them."""
        if self._seconds and not hasattr(self._config, "workeroutput"):
            self._summary.guarded("store the durations of the tests", self._keep_times)

    def _order(self, items: list[pytest.Item], *, progress: bool) -> None:
        """Order the session's tests in place by their relevance to the change."""
        from flashwasm.qe.changes.selection.safe_selection import WITHOUT_EVIDENCE, safe_selection
        from flashwasm.qe.similarity.suite_index import SuiteIndex

        changes = self._change.changes()
        if not items or not changes:
            self._summary.lines.append("the diff changes nothing: the order is pytest's")
            return
        found = self._lookup.load(
            self._config.rootpath,
            changes,
            self._change.before,
            self._summary.lines.append,
            progress=progress,
        )
        folder = Path(os.path.commonpath([str(item.path.parent) for item in items]))
        # The scorer by embeddings is left out, since embedding a suite may take minutes.
        index = SuiteIndex.build(folder, scorers=["characters"], progress=progress)
        coverage = None if found is None else found[1]
        selection = safe_selection(index, changes, coverage, progress=progress)
        self._summary.lines += [
            f"{path}: only comments or layout change" for path in selection.layout[:_SHOWN]
        ]
        if (text := selection.reach_of_everything) is not None:
            self._summary.lines.append(text)
        reached, others = _ordered(items, selection, index.root)
        order = [*reached, *others]
        if self._budget == SAFE:
            kept = order[: len(reached) or (0 if selection.only_layout else WITHOUT_EVIDENCE)]
        else:
            kept = order if self._budget is None else self._fitting(order)
        # The list is changed only here, so that an error above leaves the run unchanged.
        items[:] = kept
        chosen = set(map(id, kept))
        left_out = [item for item in order if id(item) not in chosen]
        if left_out:
            self._config.hook.pytest_deselected(items=left_out)
            missed = sum(id(item) not in chosen for item in reached)
            self._note_left_out(left_out, len(order), missed)
        elif self._budget is not None:
            self._summary.lines.append(f"0 of {counted(len(order), 'tests')} are left out")

    def _note_left_out(self, left_out: list[pytest.Item], total: int, missed: int) -> None:
        """Add a line with the number of tests left out, and name those that may be reached.

        They are the first ``missed`` of the tests left out.
        """
        number, all_of_them = len(left_out), them(len(left_out))
        start = f"{number:,} of {counted(total, 'tests')} {are(number)} left out"
        if not missed:
            reason = f"the change is not known to reach {all_of_them}"
            self._summary.lines.append(f"{start}, as {reason}")
            return
        reached = all_of_them if missed == number else f"{missed:,} of them"
        self._summary.lines.append(f"{start}; the change may reach {reached}:")
        self._summary.lines += [f"    {item.nodeid}" for item in left_out[: min(missed, _SHOWN)]]
        if missed > _SHOWN:
            self._summary.lines.append(f"    and {missed - _SHOWN:,} more")

    def _fitting(self, order: list[pytest.Item]) -> list[pytest.Item]:
        """Return the tests that fit into the budget; after one that does not, others still may."""
        if isinstance(self._budget, int):
            return order[: self._budget]
        cache = getattr(self._config, "cache", None)
        known = {} if cache is None else cache.get(_CACHE_KEY, {})
        left = float(self._budget or 0)
        kept = []
        for item in order:
            seconds = float(known.get(item.nodeid, _UNKNOWN_SECONDS))
            if seconds <= left:
                kept.append(item)
                left -= seconds
        return kept

    def _keep_times(self) -> None:
        """Write the duration of each test to pytest's cache, unless the cache is disabled."""
        cache = getattr(self._config, "cache", None)
        if cache is not None:
            cache.set(_CACHE_KEY, {**cache.get(_CACHE_KEY, {}), **self._seconds})


def _ordered(
    items: list[pytest.Item], selection: SafeSelection, root: Path
) -> tuple[list[pytest.Item], list[pytest.Item]]:
    """Return the tests that a change may reach, and the others, both in the order of relevance.

    A change may also reach items that are not test functions, such as doctests. They come after the
    tests that it is known to reach.
    """
    sure, rest = (_places(tests, root) for tests in (selection.sure, selection.rest))
    reached = [item for item in items if _key(item) not in rest]
    others = [item for item in items if _key(item) in rest]
    return (
        sorted(reached, key=lambda item: sure.get(_key(item), len(sure))),
        sorted(others, key=lambda item: rest[_key(item)]),
    )


def _places(tests: list[SelectedTest], root: Path) -> dict[tuple[Path, str], int]:
    """Return the position of each test in a list, by its file and its name in the file."""
    named = (
        (place, name.partition("::"))
        for place, selected in enumerate(tests)
        for name in (selected.test.nodeid, *selected.test.also)
    )
    return {(root / file, name): place for place, (file, _, name) in named}


def _key(item: pytest.Item) -> tuple[Path, str]:
    """Return a test's file, and its name in the file without parameters."""
    return item.path, item.nodeid.partition("::")[2].partition("[")[0]
