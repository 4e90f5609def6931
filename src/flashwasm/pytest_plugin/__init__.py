"""A pytest plugin that does nothing unless one of its options is given.

With ``--fw-known DB``, pytest's summary names the known defect that each failure belongs to. With
``--fw-diff REV|FILE``, the tests that a change may reach run first. ``--fw-select safe`` then runs
only these, and ``--fw-select N|TIME`` only as many tests as fit. ``--fw-record DB`` records which
lines each test runs. An error in the plugin becomes a line of the summary and never fails the run.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from flashwasm.pytest_plugin.summary import Summary
    from flashwasm.qe.changes.selected_tests import SelectedTest
    from flashwasm.qe.changes.unified_diff import ChangedFile

__all__ = ["Plugin"]

# Largest number of tests that a list in the summary names. The rest are counted.
_SHOWN = 10
# Key in pytest's cache under which the seconds of each test are kept, by node id.
_CACHE_KEY = "flashwasm/seconds"
# Value of --fw-select that stands for all tests that the change may reach.
_SAFE = "safe"
# Seconds assumed for a test whose time is not known.
_UNKNOWN_SECONDS = 0.1
# The recording that ``--fw-record`` began, in pytest's configuration.
_RECORDING = pytest.StashKey[Any]()


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the plugin's options to pytest."""
    group = parser.getgroup("flashwasm")
    group.addoption(
        "--fw-known",
        metavar="DB",
        help="Name the known defect that each failure belongs to, with the evidence.",
    )
    group.addoption(
        "--fw-diff",
        metavar="REV|FILE",
        help="Run the tests most relevant to a change first: a diff, or all since a git revision.",
    )
    group.addoption(
        "--fw-select",
        metavar="safe|N|TIME",
        help="With --fw-diff, run only the tests that the change may reach (safe), the first N "
        "tests, or those that fit into a time: 60s, 2m.",
    )
    group.addoption(
        "--fw-coverage",
        metavar="DB",
        help="With --fw-diff, a coverage.py database with test contexts, made before the change.",
    )
    group.addoption(
        "--fw-record",
        metavar="DB",
        help="Record which lines each test runs in a coverage.py database, for --fw-coverage.",
    )


@pytest.hookimpl(tryfirst=True)
def pytest_load_initial_conftests(early_config: pytest.Config) -> None:
    """Begin to record before any file of the project is imported, if --fw-record asks for it."""
    _begin_recording(early_config, early_config.known_args_namespace.fw_record)


def _begin_recording(config: pytest.Config, database: str | None) -> None:
    """Begin to record, unless the session does already or records nothing."""
    if database and _RECORDING not in config.stash:
        from flashwasm.pytest_plugin.recording import Recording

        config.stash[_RECORDING] = Recording(config, database)


def pytest_configure(config: pytest.Config) -> None:
    """Register the plugin for the session if one of its options was given."""
    known, diff = config.getoption("--fw-known"), config.getoption("--fw-diff")
    select = config.getoption("--fw-select")
    if select and diff is None:
        raise pytest.UsageError("--fw-select needs --fw-diff, which says what to select for")
    coverage = config.getoption("--fw-coverage")
    if coverage and diff is None:
        raise pytest.UsageError("--fw-coverage needs --fw-diff, which says what to select for")
    # pytest reads the files conftest.py first if one of them loads this plugin.
    _begin_recording(config, config.getoption("--fw-record"))
    if known or diff is not None or _RECORDING in config.stash:
        from flashwasm.pytest_plugin.summary import Summary

        summary = Summary(config)
        budget = _budget(select) if select else None
        change = None if diff is None else _change(config, diff)
        plugin = Plugin(config, summary, known, change, budget, coverage)
        config.pluginmanager.register(plugin, "flashwasm-session")
        config.pluginmanager.register(summary, "flashwasm-summary")
        if _RECORDING in config.stash:
            config.stash[_RECORDING].join(summary)


def _budget(select: str) -> float | int | str:
    """Return a number of tests as an int, a time as seconds in a float, or "safe"."""
    from flashwasm.errors import ShapeError
    from flashwasm.qe.changes.run_budget import parse_budget

    if select == _SAFE:
        return select
    try:
        return parse_budget(select)
    except ShapeError as error:
        raise pytest.UsageError(f"--fw-select: {error}") from error


def _change(config: pytest.Config, diff: str) -> Path | list[ChangedFile]:
    """Return the path of a diff, or the changes since a git revision, which has to exist."""
    from flashwasm.errors import FlashWasmError
    from flashwasm.qe.changes.git_changes import GitRepository

    folder = config.invocation_params.dir
    if (folder / diff).is_file():
        return folder / diff
    given = (config.getoption(option) for option in ("--fw-coverage", "--fw-record", "--fw-known"))
    own = tuple(folder / path for path in given if path)
    try:
        return GitRepository(config.rootpath).changes_since(diff, without=own)
    except FlashWasmError as error:
        reason = " ".join(str(error).split())
        raise pytest.UsageError(f"--fw-diff: {diff!r} is no file, and {reason}") from error


class Plugin:
    """The hooks of one session.

    Parameters
    ----------
    config : pytest.Config
        Configuration of the session.
    summary : Summary
        Lines of the plugin in pytest's summary.
    known : str or None
        Path of a library of known defects. None matches no failure.
    change : pathlib.Path, list of ChangedFile or None
        Path of a diff, or changed files. None leaves the order of the tests as it is.
    budget : int, float, str or None
        Largest number of tests to run if it is an int, or of seconds if it is a float. "safe" runs
        the tests that the change may reach. None runs all tests.
    coverage : str or None, default None
        Path of a coverage database. None decides by imports.
    """

    def __init__(
        self,
        config: pytest.Config,
        summary: Summary,
        known: str | None,
        change: Path | list[ChangedFile] | None,
        budget: float | str | None,
        coverage: str | None = None,
    ) -> None:
        self._config = config
        self._known = known
        self._change = change
        self._budget = budget
        self._coverage = coverage
        self._lines = summary.lines
        self._guarded = summary.guarded
        self._seconds: dict[str, float] = {}

    @pytest.hookimpl(trylast=True)
    def pytest_collection_modifyitems(self, items: list[pytest.Item]) -> None:
        """Put the tests in the order of their relevance, and leave out those that do not fit."""
        if self._change is not None:
            self._guarded("order the tests", lambda: self._order(items))

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Add up the seconds that each test takes, for later selections by time."""
        if self._change is not None:
            seconds = self._seconds.get(report.nodeid, 0.0)
            self._seconds[report.nodeid] = seconds + report.duration

    def pytest_sessionfinish(self) -> None:
        """Keep the times of the tests, in the process that has them all."""
        if self._seconds and not hasattr(self._config, "workeroutput"):
            self._guarded("keep the times", self._keep_times)

    def pytest_terminal_summary(self, terminalreporter: Any) -> None:
        """Name the known defects behind the failures."""
        if self._known is not None:
            self._guarded("match the failures", lambda: self._match(terminalreporter.stats))

    def _order(self, items: list[pytest.Item]) -> None:
        """Order the session's tests in place by their relevance to the change."""
        from flashwasm.qe.changes.safe_selection import WITHOUT_EVIDENCE, safe_selection
        from flashwasm.qe.coverage.coverage_index import CoverageIndex
        from flashwasm.qe.similarity.suite_index import SuiteIndex

        changes = self._changes()
        if not items or not changes:
            self._lines.append("the diff changes nothing: the order is pytest's")
            return
        database = self._coverage and self._config.invocation_params.dir / self._coverage
        coverage = CoverageIndex.load(database) if database else None
        folder = Path(os.path.commonpath([str(item.path.parent) for item in items]))
        # The scorer by embeddings is left out, since embedding a suite may take minutes.
        index = SuiteIndex.build(folder, scorers=["characters"])
        selection = safe_selection(index, changes, coverage)
        sure, rest = (_places(tests, index.root) for tests in (selection.sure, selection.rest))
        # Items that are not test functions, such as doctests, may be reached as well. They come
        # after the tests that are known to be reached.
        reached = [item for item in items if _key(item) not in rest]
        order = sorted(reached, key=lambda item: sure.get(_key(item), len(sure)))
        others = [item for item in items if _key(item) in rest]
        order += sorted(others, key=lambda item: rest[_key(item)])
        if self._budget == _SAFE:
            kept = order[: len(reached) or WITHOUT_EVIDENCE]
        else:
            kept = order if self._budget is None else self._fitting(order)
        # The list is changed only here, so that an error above leaves the run as it was.
        items[:] = kept
        left_out = order[len(kept) :]
        if left_out:
            self._config.hook.pytest_deselected(items=left_out)
            missed = max(len(reached) - len(kept), 0)
            self._note_left_out(left_out, len(order), missed)

    def _note_left_out(self, left_out: list[pytest.Item], total: int, missed: int) -> None:
        """Add lines that name the tests that were left out, those first that may be reached."""
        self._lines.append(f"{len(left_out)} of {total} tests were left out:")
        self._lines += [f"    {item.nodeid}" for item in left_out[:_SHOWN]]
        if len(left_out) > _SHOWN:
            self._lines.append(f"    and {len(left_out) - _SHOWN} more")
        if missed:
            self._lines.append(f"the change may reach the first {missed} of them")

    def _changes(self) -> list[ChangedFile]:
        """Return the changed files; those of a diff are read now."""
        from flashwasm.qe.changes.unified_diff import read_diff

        if isinstance(self._change, Path):
            return read_diff(self._change.read_text("utf-8", "replace"))
        return self._change or []

    def _fitting(self, order: list[pytest.Item]) -> list[pytest.Item]:
        """Return the first tests that fit into the budget."""
        if isinstance(self._budget, int):
            return order[: self._budget]
        cache = getattr(self._config, "cache", None)
        known = {} if cache is None else cache.get(_CACHE_KEY, {})
        left = float(self._budget or 0)
        for count, item in enumerate(order):
            left -= float(known.get(item.nodeid, _UNKNOWN_SECONDS))
            if left < 0:
                return order[:count]
        return order

    def _keep_times(self) -> None:
        """Write the seconds of each test to pytest's cache, unless that is switched off."""
        cache = getattr(self._config, "cache", None)
        if cache is not None:
            cache.set(_CACHE_KEY, {**cache.get(_CACHE_KEY, {}), **self._seconds})

    def _match(self, stats: dict[str, list[Any]]) -> None:
        """Add a line for each failure of a known defect, and one that counts the new failures."""
        from flashwasm.qe.defects.failure_library import FailureLibrary

        failed = [*stats.get("failed", []), *stats.get("error", [])]
        if not failed:
            return
        library = FailureLibrary(str(self._known))
        new = 0
        for report in failed:
            found = library.match(report.longreprtext, test=report.nodeid)
            new += found.status == "new"
            if found.status != "new":
                note = f" [{found.note}]" if found.note else ""
                names = " or ".join([str(found.defect), *found.others])
                verb = "may be" if found.status == "perhaps" else "is"
                self._lines.append(f"{found.status}: {report.nodeid} {verb} {names}{note}")
                self._lines.append(f"    {found.evidence}")
        if new:
            self._lines.append(f"new: {new} of {len(failed)} failures are of no known defect")


def _places(tests: list[SelectedTest], root: Path) -> dict[tuple[Path, str], int]:
    """Return the place of each test in a list, by its file and its name in the file."""
    named = (
        (place, name.partition("::"))
        for place, selected in enumerate(tests)
        for name in (selected.test.nodeid, *selected.test.also)
    )
    return {(root / file, name): place for place, (file, _, name) in named}


def _key(item: pytest.Item) -> tuple[Path, str]:
    """Return a test's file, and its name in the file without the case of a parametrised test."""
    return item.path, item.nodeid.partition("::")[2].partition("[")[0]
