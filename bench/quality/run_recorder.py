"""A pytest plugin that logs the tests that ran and those that failed.

`bench.quality.project_copy` loads it into the suite of another project, so it imports nothing of
this one. Environment variables configure it: the log file, the maximum seconds of a test, and
whether coverage.py has a context for each test.
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
    """Log the start of a test."""
    _write("start", nodeid)


def pytest_runtest_logfinish(nodeid: str) -> None:
    """Log the end of a test."""
    _write("end", nodeid)


def pytest_runtest_logreport(report: pytest.TestReport) -> None:
    """Log the result of a test's setup, call or teardown."""
    _write("failed" if report.failed else "passed", report.nodeid, report.duration)


def pytest_collectreport(report: pytest.CollectReport) -> None:
    """Log a file or folder that could not be collected."""
    if report.failed:
        _write("not collected", report.nodeid)


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_protocol() -> Iterator[None]:
    """Fail a test that takes too long, for example because of an endless loop."""
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
    """Record the lines of a test's setup in the test's context."""
    _switch(item, "setup")


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_call(item: pytest.Item) -> None:
    """Record the lines of a test in its context."""
    _switch(item, "run")


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_teardown(item: pytest.Item) -> None:
    """Record the lines of a test's teardown in the test's context."""
    _switch(item, "teardown")
