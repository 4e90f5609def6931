"""A plugin of pytest that writes down what ran and what failed, for `bench.quality.project_copy`.

It is loaded by the suite of another project, so it imports nothing of this one. Environment
variables say what it does: the file to write to, the seconds that a test may take, and if
coverage.py shall have a context for each test.
"""

from __future__ import annotations

import json
import os
import signal
import sys
from collections.abc import Iterator

import pytest

_LOG = os.environ.get("FAULTS_LOG", "")
_SECONDS = float(os.environ.get("FAULTS_SECONDS", "0"))
_CONTEXTS = "FAULTS_CONTEXTS" in os.environ


def _write(*row: object) -> None:
    """Append a line to the log."""
    if _LOG:
        with open(_LOG, "a", encoding="utf-8") as file:  # noqa: PTH123 - a suite may patch Path.
            file.write(json.dumps(row) + "\n")


def pytest_runtest_logstart(nodeid: str) -> None:
    """Write down that a test starts."""
    _write("start", nodeid)


def pytest_runtest_logfinish(nodeid: str) -> None:
    """Write down that a test ended."""
    _write("end", nodeid)


def pytest_runtest_logreport(report: pytest.TestReport) -> None:
    """Write down how a test's setup, call or teardown went."""
    _write("failed" if report.failed else "passed", report.nodeid, report.duration)


def pytest_collectreport(report: pytest.CollectReport) -> None:
    """Write down that a file or folder could not be collected."""
    if report.failed:
        _write("not collected", report.nodeid)


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_protocol() -> Iterator[None]:
    """Fail a test that takes too long, such as by a loop that does not end any more."""
    if not _SECONDS or sys.platform == "win32":
        yield
        return

    def end(*_: object) -> None:
        pytest.fail(f"it took more than {_SECONDS:g} s")

    before = signal.signal(signal.SIGALRM, end)
    signal.setitimer(signal.ITIMER_REAL, _SECONDS)
    yield
    signal.setitimer(signal.ITIMER_REAL, 0)
    signal.signal(signal.SIGALRM, before)


def _switch(item: pytest.Item, phase: str) -> None:
    """Switch coverage.py's context as pytest-cov does with ``--cov-context=test``."""
    if _CONTEXTS:
        import coverage  # noqa: PLC0415 - other runs need no coverage.py.

        current = coverage.Coverage.current()
        if current is not None:
            current.switch_context(f"{item.nodeid}|{phase}")


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup(item: pytest.Item) -> None:
    """Record the lines of a test's setup for it."""
    _switch(item, "setup")


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_call(item: pytest.Item) -> None:
    """Record the lines of a test for it."""
    _switch(item, "run")


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_teardown(item: pytest.Item) -> None:
    """Record the lines of a test's teardown for it."""
    _switch(item, "teardown")
