"""Durations of tests, read from the report of an earlier run."""

from __future__ import annotations

from pathlib import Path

from flashwasm.qe.defects.junit_xml import case_nodeid, case_seconds, read_junit_cases
from flashwasm.qe.defects.pytest_report_log import is_report_log, read_report_log, start_of

__all__ = ["read_times"]


def read_times(path: str | Path) -> dict[str, float]:
    """Return the seconds that each test took, by node id without parameters.

    The cases of a parametrized test are added up.

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
        If it is neither of the two, or is cut short.
    """
    times: dict[str, float] = {}
    file = Path(path)
    if file.is_file() and is_report_log(start_of(file)):
        for report in read_report_log(file):
            test = report["nodeid"].partition("[")[0]
            # A report of collecting a file has no test.
            if "::" in test:
                times[test] = times.get(test, 0.0) + report["duration"]
        return times
    for case in read_junit_cases(file):
        seconds = case_seconds(case)
        if seconds is not None:
            nodeid = case_nodeid(case)
            times[nodeid] = times.get(nodeid, 0.0) + seconds
    return times
