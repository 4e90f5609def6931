"""Failures from files: JUnit XML, pytest-reportlog's JSON, pytest's output, or one traceback."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from flashwasm.errors import CorruptFileError, ShapeError
from flashwasm.qe.defects.junit_xml import read_junit_failures
from flashwasm.qe.defects.pytest_output import split_output
from flashwasm.qe.defects.pytest_report_log import is_report_log, read_report_log, start_of
from flashwasm.qe.defects.tracebacks import Failure, read_failure

__all__ = ["TestFailure", "read_failures"]

# Largest text in bytes. A larger one is a whole log, of which the user has to cut out the failure.
_MOST_TEXT = 64 << 20
_UTF8_MARK = b"\xef\xbb\xbf"
# PowerShell writes the output of a command in UTF-16.
_UTF16_MARKS = (b"\xff\xfe", b"\xfe\xff")


@dataclass(frozen=True)
class TestFailure:
    """A failure with the test that failed.

    Attributes
    ----------
    test : str
        Name of the test; "" if the file does not say.
    failure : Failure
        The failure.
    """

    __test__ = False  # pytest would otherwise take this class for a test.

    test: str
    failure: Failure


def read_failures(path: str | Path) -> list[TestFailure]:
    """Read every failure of a file.

    Parameters
    ----------
    path : str or pathlib.Path
        JUnit XML or the log of pytest-reportlog, both of any size; or a text: pytest's output, or
        one traceback.

    Returns
    -------
    list of TestFailure
        Empty if nothing failed. A test with both a failure and an error appears twice.

    Raises
    ------
    ShapeError
        If there is no such file, or it is a text too large to be one failure.
    CorruptFileError
        If it is XML or a report log, but broken or of another kind, or if it is no text at all.
    """
    file = Path(path)
    if not file.is_file():
        raise ShapeError(f"{str(file)!r} does not exist or is not a file")
    start = start_of(file)
    if start.removeprefix(_UTF8_MARK).lstrip().startswith(b"<"):
        return [TestFailure(test, failure) for test, failure in read_junit_failures(file)]
    if is_report_log(start):
        return [
            TestFailure(report["nodeid"], read_failure(report["text"]))
            for report in read_report_log(file)
            if report["outcome"] == "failed"
        ]
    return [
        TestFailure(test, failure)
        for test, part in split_output(_text_of(file, start))
        for failure in [read_failure(part)]
        if failure.exception or failure.frames
    ]


def _text_of(file: Path, start: bytes) -> str:
    """Return the content of a text file of at most 64 MB that begins with ``start``."""
    size = file.stat().st_size
    if size > _MOST_TEXT:
        raise ShapeError(f"{file} has {size} bytes; expected a traceback of at most {_MOST_TEXT}")
    wide = start.startswith(_UTF16_MARKS)
    if b"\0" in start and not wide:
        raise CorruptFileError(f"{file} is not text: expected a report or a traceback")
    return file.read_text(encoding="utf-16" if wide else "utf-8", errors="replace")
