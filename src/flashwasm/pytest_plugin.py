"""A pytest plugin, silent unless one of its options is given.

``--fw-known DB`` names in the summary the known defect behind each failure. ``--fw-diff REV|FILE``
runs the tests that a change calls for first; with ``--fw-select N|TIME`` only those that fit.
Whatever goes wrong in here becomes a line in the summary and never fails the run.
"""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

__all__ = ["Plugin"]

# Lists in the summary are cut here; what is cut is counted.
_SHOWN = 10
_CACHE_KEY = "flashwasm/seconds"
_UNKNOWN_SECONDS = 0.1


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the options."""
    group = parser.getgroup("flashwasm")
    group.addoption(
        "--fw-known", metavar="DB", help="Name the known defect behind each failure, and why."
    )
    group.addoption(
        "--fw-diff",
        metavar="REV|FILE",
        help="Run the tests first that the difference from a git revision, or a diff, calls for.",
    )
    group.addoption(
        "--fw-select",
        metavar="N|TIME",
        help="With --fw-diff: run only the first N tests, or what runs in so long (60s, 2m).",
    )


def pytest_configure(config: pytest.Config) -> None:
    """Register the plugin where it was asked for."""
    known, diff = config.getoption("--fw-known"), config.getoption("--fw-diff")
    select = config.getoption("--fw-select")
    if select and not diff:
        raise pytest.UsageError("--fw-select needs --fw-diff, which says what to select for")
    if known or diff:
        config.pluginmanager.register(
            Plugin(config, known, diff, _budget(select) if select else None), "flashwasm-session"
        )


def _budget(select: str) -> float | int:
    from flashwasm.errors import ShapeError  # noqa: PLC0415 - nothing is imported unless asked for.
    from flashwasm.qe.changes.run_budget import parse_budget  # noqa: PLC0415

    try:
        return parse_budget(select)
    except ShapeError as error:
        raise pytest.UsageError(f"--fw-select: {error}") from error


class Plugin:
    """What one session does.

    Parameters
    ----------
    config : pytest.Config
        The session's.
    known : str or None
        Path of a library of defects.
    diff : str or None
        A diff's path, or a git revision.
    budget : int, float or None
        Tests, or seconds, to select.
    """

    def __init__(
        self, config: pytest.Config, known: str | None, diff: str | None, budget: float | None
    ) -> None:
        self._config = config
        self._known = known
        self._diff = diff
        self._budget = budget
        self._lines: list[str] = []
        self._seconds: dict[str, float] = {}

    @pytest.hookimpl(trylast=True)
    def pytest_collection_modifyitems(self, items: list[pytest.Item]) -> None:
        """Put the tests in order, and leave out what does not fit."""
        if self._diff is not None:
            self._guarded("order the tests", lambda: self._order(items))

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Remember how long each test took, for a selection by time."""
        if self._diff is not None:
            seconds = self._seconds.get(report.nodeid, 0.0)
            self._seconds[report.nodeid] = seconds + report.duration

    def pytest_sessionfinish(self) -> None:
        """Hand what is to be said from a worker of xdist to its controller; keep the times."""
        output = getattr(self._config, "workeroutput", None)
        if output is not None:
            output["flashwasm"] = self._lines
        elif self._seconds:
            self._guarded("keep the times", self._keep_times)

    @pytest.hookimpl(optionalhook=True)
    def pytest_testnodedown(self, node: Any) -> None:
        """Take over what a worker has to say: all of them order the same tests alike."""
        for line in getattr(node, "workeroutput", {}).get("flashwasm", []):
            if line not in self._lines:
                self._lines.append(line)

    def pytest_terminal_summary(self, terminalreporter: Any) -> None:
        """Say what was left out, what failed for a known reason, and what went wrong here."""
        if self._known is not None:
            self._guarded("match the failures", lambda: self._match(terminalreporter.stats))
        if self._lines:
            terminalreporter.section("flashwasm")
            for line in self._lines:
                terminalreporter.line(line)

    def _guarded(self, what: str, work: Callable[[], None]) -> None:
        """Do something; an error becomes a line of the summary."""
        try:
            work()
        except Exception as error:  # noqa: BLE001 - no fault of this plugin may fail the run.
            reason = " ".join(str(error).split()) or type(error).__name__
            self._lines.append(f"could not {what}: {reason}")

    def _order(self, items: list[pytest.Item]) -> None:
        from flashwasm.qe.changes.selected_tests import rank_tests  # noqa: PLC0415
        from flashwasm.qe.changes.unified_diff import read_diff  # noqa: PLC0415 - heavy, and only for this.
        from flashwasm.qe.similarity.suite_index import SuiteIndex  # noqa: PLC0415

        changes = read_diff(self._diff_text())
        if not items or not changes:
            self._lines.append("the diff changes nothing: the order is pytest's")
            return
        folder = Path(os.path.commonpath([str(item.path.parent) for item in items]))
        # Embedding a suite may take minutes, which nobody expects before their tests run.
        index = SuiteIndex.build(folder, scorers=["characters"])
        place = {
            (selected.test.path, name.partition("::")[2]): i
            for i, selected in enumerate(rank_tests(index, changes))
            for name in (selected.test.nodeid, *selected.test.also)
        }
        # What is no function in a file, as a doctest is, comes last, in pytest's order.
        order = sorted(items, key=lambda item: place.get(_key(item), len(place)))
        kept = order if self._budget is None else self._fitting(order)
        # Assigned only now: up to here an error leaves the run as it was.
        items[:] = kept
        left_out = order[len(kept) :]
        if left_out:
            self._config.hook.pytest_deselected(items=left_out)
            self._lines.append(f"{len(left_out)} of {len(order)} tests were left out:")
            self._lines += [f"    {item.nodeid}" for item in left_out[:_SHOWN]]
            if len(left_out) > _SHOWN:
                self._lines.append(f"    and {len(left_out) - _SHOWN} more")

    def _diff_text(self) -> str:
        path = self._config.invocation_params.dir / str(self._diff)
        if path.is_file():
            return path.read_text("utf-8", "replace")
        # The two dashes keep a revision from being taken for a path or an option.
        command = ["git", "diff", "--no-color", "--no-ext-diff", "--end-of-options"]
        done = subprocess.run(  # noqa: S603 - git's own arguments, and one that cannot be an option.
            [*command, str(self._diff), "--"],
            cwd=self._config.rootpath,
            capture_output=True,
            check=False,
            timeout=60,
        )
        if done.returncode:
            reason = done.stderr.decode("utf-8", "replace").strip().partition("\n")[0]
            raise ValueError(f"{self._diff} is no file, and git says: {reason}")
        return done.stdout.decode("utf-8", "replace")

    def _fitting(self, order: list[pytest.Item]) -> list[pytest.Item]:
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
        cache = getattr(self._config, "cache", None)
        if cache is not None:
            cache.set(_CACHE_KEY, {**cache.get(_CACHE_KEY, {}), **self._seconds})

    def _match(self, stats: dict[str, list[Any]]) -> None:
        from flashwasm.qe.defects.library import FailureLibrary  # noqa: PLC0415 - as above.

        failed = [*stats.get("failed", []), *stats.get("error", [])]
        if not failed:
            return
        library = FailureLibrary(str(self._known))
        new = 0
        for report in failed:
            found = library.match(report.longreprtext)
            new += found.status == "new"
            if found.status != "new":
                note = f" [{found.note}]" if found.note else ""
                self._lines.append(f"{found.status}: {report.nodeid} is {found.defect}{note}")
                self._lines.append(f"    {found.evidence}")
        if new:
            self._lines.append(f"new: {new} of {len(failed)} failures are of no known defect")


def _key(item: pytest.Item) -> tuple[Path, str]:
    """Return the file and the name inside it, without the case of a parametrised test."""
    return item.path, item.nodeid.partition("::")[2].partition("[")[0]
