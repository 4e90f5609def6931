"""Failures from files: JUnit XML, pytest-reportlog's JSON, test output, or one traceback."""

from __future__ import annotations

import re
import warnings
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

from flashwasm.errors import CorruptFileError, ShapeError
from flashwasm.qe.defects.junit_xml import read_junit_results
from flashwasm.qe.defects.log_prefixes import without_prefix
from flashwasm.qe.defects.pytest_output import PytestOutput, read_output
from flashwasm.qe.defects.pytest_report_log import is_report_log, read_log_results, start_of
from flashwasm.qe.defects.tracebacks import Failure, count_tracebacks, plain, read_failure
from flashwasm.qe.defects.unittest_output import read_unittest
from flashwasm.storage.file_paths import checked_path

__all__ = ["FailureFile", "TestFailure", "read_failure_file", "read_failures"]

# Maximum size of a text in bytes. A larger text is a whole log, from which the user must extract
# the failure.
_MOST_TEXT = 64 << 20
# Lines that python -m doctest prints above each failure.
_DOCTEST = re.compile(r"^\*{70}\nFile .+\nFailed example:$", re.MULTILINE)
# The progress line of a run. pytest -qq prints nothing else if no test fails.
_PROGRESS_ENDS = re.compile(r"^(?:\S+ )?[.sxXRy,-]+ *\[100%\]$", re.MULTILINE)
_PROGRESS_FAILS = re.compile(
    r"^(?:\S+ )?[.sxXRy,FEu-]*[FEu][.sxXRy,FEu-]*(?: *\[ *\d+%\])?$", re.MULTILINE
)
# PowerShell redirects the output of a command to a file in UTF-16.
_UTF16_MARKS = (b"\xff\xfe", b"\xfe\xff")


@dataclass(frozen=True)
class TestFailure:
    """A failure, with the test that failed.

    Attributes
    ----------
    test : str
        Name of the test; "" if the file does not name it.
    failure : Failure
        The failure.
    """

    __test__ = False  # Without this, pytest would collect the class as a test.

    test: str
    failure: Failure


@dataclass(frozen=True)
class FailureFile:
    """The failures in a file, and related findings.

    Attributes
    ----------
    failures : list of TestFailure
        Tests that failed at their last attempt.
    flaky : list of str
        Tests that first failed and then passed in a later attempt.
    counted : int or None
        Number of failures and errors that the test program reports; None if there is no count.
    notes : list of str
        A sentence for each part that could not be read.
    """

    failures: list[TestFailure]
    flaky: list[str] = field(default_factory=list)
    counted: int | None = None
    notes: list[str] = field(default_factory=list)


def read_failures(path: str | Path) -> list[TestFailure]:
    """Read every failure of a file.

    Parameters
    ----------
    path : str or pathlib.Path
        JUnit XML or a log of pytest-reportlog, both of any size; or a text: the output of pytest or
        unittest, or a single traceback.

    Returns
    -------
    list of TestFailure
        Empty if nothing failed. A test with both a failure and an error appears twice. A test that
        passed in a later attempt does not appear. A warning names the parts that could not be read.

    Raises
    ------
    DTypeError
        If ``path`` is not a path.
    ShapeError
        If there is no such file, or it is a text that is too large for a single failure.
    CorruptFileError
        If it is damaged XML or a damaged report log, XML of another kind, not text, or a text that
        is neither such an output nor a single traceback. Also if the text counts failures but shows
        none of them.
    """
    found = read_failure_file(path)
    for note in found.notes:
        warnings.warn(f"{path}: {note}", RuntimeWarning, stacklevel=2)
    return found.failures


def read_failure_file(path: str | Path) -> FailureFile:
    """Read every failure of a file, its flaky tests, and notes on unreadable parts.

    Parameters
    ----------
    path : str or pathlib.Path
        The file, as in ``read_failures``, which raises the same errors.

    Returns
    -------
    FailureFile
    """
    file = checked_path(path)
    if not file.is_file():
        raise ShapeError(
            f"{str(file)!r} does not exist or is not a file; expected a report or a traceback"
        )
    start = start_of(file)
    wide = start.startswith(_UTF16_MARKS)
    shown = start.decode("utf-16" if wide else "utf-8-sig", errors="ignore")
    if shown.lstrip().startswith("<"):
        failures, flaky = read_junit_results(file)
        return FailureFile([TestFailure(*one) for one in failures], flaky)
    if is_report_log(start):
        texts, flaky = read_log_results(file)
        return FailureFile(_failures(texts), flaky)
    return _read_text(file, plain(_text_of(file, start)))


def _read_text(file: Path, whole: str) -> FailureFile:
    """Read a text: the output of pytest or unittest, or a single traceback."""
    text = without_prefix(whole)
    if text is None:
        raise CorruptFileError(
            f"{file} cannot be read: the lines of the report have different prefixes; "
            "give the report without the prefixes"
        )
    if (output := _read_output(text)) is not None:
        if not output.parts and output.notes and (output.counted or output.counted is None):
            raise CorruptFileError(
                f"{file} shows no failure that can be read: {'; '.join(output.notes)}"
            )
        return FailureFile(_failures(output.parts), output.flaky, output.counted, output.notes)
    if _DOCTEST.search(text):
        raise CorruptFileError(f"{file} is the output of doctest: run pytest --doctest-modules")
    if (tracebacks := count_tracebacks(text)) > 1:
        raise CorruptFileError(
            f"{file} contains {tracebacks} tracebacks, but is not output of pytest or unittest: "
            "expected one traceback"
        )
    failure = read_failure(text)
    if failure.exception or failure.frames:
        return FailureFile([TestFailure("", failure)])
    passed = _PROGRESS_ENDS.search(text) and not _PROGRESS_FAILS.search(text)
    if passed or not text.strip():
        return FailureFile([])
    raise CorruptFileError(
        f"{file} is not a report, not output of pytest or unittest, and not a traceback; "
        "`pytest --junitxml FILE` writes a report"
    )


def _read_output(text: str) -> PytestOutput | None:
    """Read the output of pytest or unittest, the one that ends last; None if there is neither."""
    output, other = read_output(text), read_unittest(text)
    if other is None:
        return output
    if output is None or other.end > output.end:
        notes = list(other.notes)
        if output is not None and output.parts:
            notes.append("it also contains failures of a pytest run, which are not read")
        return PytestOutput(other.parts, counted=other.counted, notes=notes)
    # Tests of pytest may print the output of unittest, but only below pytest's first line.
    if other.parts and other.begin < output.begin:
        output.notes.append("it also contains failures of a unittest run, which are not read")
    return output


def _failures(texts: Iterable[tuple[str, str]]) -> list[TestFailure]:
    """Return the failures from the texts of tests."""
    return [TestFailure(test, read_failure(text)) for test, text in texts]


def _text_of(file: Path, start: bytes) -> str:
    """Return the content of a text file of at most 64 MB; ``start`` is its first bytes."""
    size = file.stat().st_size
    if size > _MOST_TEXT:
        raise ShapeError(f"{file} has {size} bytes; expected a traceback of at most {_MOST_TEXT}")
    wide = start.startswith(_UTF16_MARKS)
    if b"\0" in start and not wide:
        raise CorruptFileError(f"{file} is not text: expected a report or a traceback")
    return file.read_text(encoding="utf-16" if wide else "utf-8", errors="replace")
