"""Durations of tests from the report of an earlier run."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from flashwasm.qe.defects.junit_xml import case_nodeid, case_seconds, read_junit_cases
from flashwasm.qe.defects.pytest_report_log import is_report_log, read_report_log, start_of

__all__ = ["read_times", "read_times_and_cases"]


def read_times(path: str | Path) -> dict[str, float]:
    """Return the duration of each test in seconds, by node id without parameters.

    The duration of a parametrised test is the sum over its cases.

    Parameters
    ----------
    path : str or pathlib.Path
        Report of a run: JUnit XML that pytest wrote, or the log that pytest-reportlog wrote.

    Returns
    -------
    dict of str to float

    Raises
    ------
    ShapeError
        If there is no such file.
    CorruptFileError
        If it is neither of the two, or is truncated.
    """
    return read_times_and_cases(path)[0]


def read_times_and_cases(path: str | Path) -> tuple[dict[str, float], dict[str, int]]:
    """Return the duration in seconds and the number of cases of each test, by node id.

    Parameters
    ----------
    path : str or pathlib.Path
        Report of a run, as for `read_times`, which raises the same errors.
    """
    times: dict[str, float] = {}
    cases: dict[str, set[str]] = {}
    for nodeid, case, seconds in _durations(Path(path)):
        times[nodeid] = times.get(nodeid, 0.0) + seconds
        # A case that is rerun after a failure counts as one case.
        cases.setdefault(nodeid, set()).add(case)
    return times, {nodeid: len(names) for nodeid, names in cases.items()}


def _durations(file: Path) -> Iterator[tuple[str, str, float]]:
    """Yield the node id without parameters, the case and the duration of each result."""
    if file.is_file() and is_report_log(start_of(file)):
        for report in read_report_log(file):
            test, _, case = report["nodeid"].partition("[")
            # A report of the collection of a file has no test.
            if "::" in test:
                yield test, case, report["duration"]
        return
    for element in read_junit_cases(file):
        seconds = case_seconds(element)
        if seconds is not None:
            yield case_nodeid(element), element.get("name", "").partition("[")[2], seconds
