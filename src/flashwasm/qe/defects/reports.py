"""Failures from files: JUnit XML, pytest-reportlog's JSON, pytest's output, or one traceback."""

from __future__ import annotations

import re
import xml.etree.ElementTree as ET
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from flashwasm.errors import CorruptFileError, ShapeError
from flashwasm.qe.defects.report_log import is_report_log, read_report_log
from flashwasm.qe.defects.tracebacks import Failure, plain, read_failure

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["TestFailure", "read_failures", "read_times", "split_output"]

# A text of this size is a log, of which somebody has to choose the failing part.
_MOST_TEXT = 64 << 20
_HEADING = re.compile(r"^_{3,} (.+?) _{3,}$", re.MULTILINE)
_SECTION = re.compile(r"^=+ (?:FAILURES|ERRORS) =+$", re.MULTILINE)
_SECTION_END = re.compile(r"^=+ (?!FAILURES|ERRORS).* =+$", re.MULTILINE)


@dataclass(frozen=True)
class TestFailure:
    """A failure, and the test that had it: "" where the file does not say."""

    __test__ = False  # It is no test of pytest's.

    test: str
    failure: Failure


def read_failures(path: str | Path) -> list[TestFailure]:
    """Read every failure of a file.

    Parameters
    ----------
    path : str or pathlib.Path
        JUnit XML or what pytest-reportlog writes, both read as streams; or a text with one
        traceback, or what pytest prints.

    Returns
    -------
    list of TestFailure
        A test that has both a failure and an error is there twice. Empty where nothing failed.

    Raises
    ------
    ShapeError
        If there is no such file, or it is a text too large to be one failure.
    CorruptFileError
        If it is XML or a report log, but broken or of another kind, or no text at all.
    """
    file = Path(path)
    if not file.is_file():
        raise ShapeError(f"{str(file)!r} does not exist or is no file")
    start = _start(file)
    if start.removeprefix(b"\xef\xbb\xbf").lstrip().startswith(b"<"):
        return list(_read_junit(file))
    if is_report_log(start):
        return [
            TestFailure(report["nodeid"], read_failure(report["text"]))
            for report in read_report_log(file)
            if report["outcome"] == "failed"
        ]
    size = file.stat().st_size
    if size > _MOST_TEXT:
        raise ShapeError(f"{file} has {size} bytes; expected a traceback of at most {_MOST_TEXT}")
    # What PowerShell writes a command's output in.
    wide = start.startswith((b"\xff\xfe", b"\xfe\xff"))
    if b"\0" in start and not wide:
        raise CorruptFileError(f"{file} is no text: expected a report, or a traceback")
    text = file.read_text(encoding="utf-16" if wide else "utf-8", errors="replace")
    return [
        TestFailure(test, failure)
        for test, part in split_output(text)
        for failure in [read_failure(part)]
        if failure.exception or failure.frames
    ]


def read_times(path: str | Path) -> dict[str, float]:
    """Return the seconds that each test took, by node id without its case.

    Reads JUnit XML of pytest, where a class's name stands for its file, dots for slashes; or what
    pytest-reportlog writes. Cases of one test are added up.
    """
    times: dict[str, float] = {}
    file = Path(path)
    if file.is_file() and is_report_log(_start(file)):
        for report in read_report_log(file):
            test = report["nodeid"].partition("[")[0]
            if "::" in test:
                times[test] = times.get(test, 0.0) + report["duration"]
        return times
    for case in _cases(file):
        name = case.get("name", "").partition("[")[0]
        owner = case.get("classname", "").split(".")
        # Where the file's name ends and the class's begins is not written down: classes of tests
        # begin with a capital.
        classes = [part for part in owner if part[:1].isupper()]
        module = "/".join(part for part in owner if not part[:1].isupper()) + ".py"
        nodeid = "::".join([module, *classes, name])
        try:
            times[nodeid] = times.get(nodeid, 0.0) + float(case.get("time", "0"))
        except ValueError:
            continue
    return times


def _start(file: Path) -> bytes:
    with file.open("rb") as stream:
        return stream.read(256)


def split_output(text: str) -> list[tuple[str, str]]:
    """Return (test, text) of each failure in what pytest prints; any other text is one failure."""
    text = plain(text)
    sections = list(_SECTION.finditer(text))
    if not sections:
        return [("", text)]
    parts = []
    for section, after in zip(sections, [*sections[1:], None], strict=True):
        end = _SECTION_END.search(text, section.end())
        stops = [found.start() for found in (end, after) if found is not None]
        body = text[section.end() : min(stops, default=len(text))]
        headings = list(_HEADING.finditer(body))
        ends = [*(heading.start() for heading in headings[1:]), len(body)]
        for heading, stop in zip(headings, ends, strict=False):
            test = re.sub(r"^ERROR at \w+ of ", "", heading[1])
            parts.append((test, body[heading.end() : stop]))
    return parts


def _read_junit(path: Path) -> Iterator[TestFailure]:
    for case in _cases(path):
        yield from _failures_of(case)


def _cases(path: Path) -> Iterator[ET.Element]:
    """Read test cases as they come: a file of any size takes the memory of one case."""
    if not path.is_file():
        raise ShapeError(f"{str(path)!r} does not exist or is no file")
    root = ""
    try:
        # Expat refuses entities that grow without bound, and nothing here fetches any.
        for event, element in ET.iterparse(path, events=("start", "end")):  # noqa: S314
            name = element.tag.rpartition("}")[2]
            if event == "start":
                if not root and name not in {"testsuites", "testsuite", "testcase"}:
                    raise CorruptFileError(f"{path} is XML, but no JUnit report: <{name}>")
                root = root or name
            elif name == "testcase":
                yield element
                element.clear()
    except ET.ParseError as error:
        raise CorruptFileError(f"{path} is not a whole JUnit report: {error}") from error


def _failures_of(case: ET.Element) -> Iterator[TestFailure]:
    owner, name = case.get("classname", ""), case.get("name", "")
    test = f"{owner}::{name}" if owner else name
    for child in case:
        if child.tag.rpartition("}")[2] not in {"failure", "error"}:
            continue
        text = "".join(child.itertext())
        failure = read_failure(text)
        if not failure.exception:
            # Other writers put the exception into attributes, and pytest's message may be empty.
            message = child.get("message") or ""
            named = (child.get("type") or message.partition(":")[0]).rpartition(".")[2]
            head = message.partition("\n")[0]
            failure = Failure(named, head, failure.frames, text or message, failure.causes)
        yield TestFailure(test, failure)
