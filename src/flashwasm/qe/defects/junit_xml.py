"""A reader of JUnit XML: the test cases of a report, one at a time.

A report may be of any size and come from any program. So the reader keeps only one test case in
memory, and XML entities cannot grow: docs/decisions/0015-a-reader-of-junit-xml.md.
"""

from __future__ import annotations

import xml.etree.ElementTree as ET
from collections.abc import Iterator
from pathlib import Path

from flashwasm.errors import CorruptFileError, ShapeError
from flashwasm.qe.defects.tracebacks import Failure, read_failure

__all__ = ["case_nodeid", "case_seconds", "read_junit_cases", "read_junit_failures"]


def read_junit_failures(path: Path) -> Iterator[tuple[str, Failure]]:
    """Yield the name of the test and the failure, for each failure and error of a report."""
    for case in read_junit_cases(path):
        owner, name = case.get("classname", ""), case.get("name", "")
        test = f"{owner}::{name}" if owner else name
        for child in case:
            if _local_name(child) in {"failure", "error"}:
                yield test, _failure(child)


def read_junit_cases(path: Path) -> Iterator[ET.Element]:
    """Yield the ``testcase`` elements of a report. Each is emptied when the next is asked for.

    Raises
    ------
    ShapeError
        If there is no such file.
    CorruptFileError
        If the file is no XML, is cut short, or is XML of another kind.
    """
    if not path.is_file():
        raise ShapeError(f"{str(path)!r} does not exist or is not a file")
    opened: list[ET.Element] = []  # Elements that have begun but not ended, outermost first.
    inside_case = False
    try:
        # Expat limits the growth of entities, and ElementTree fetches no external ones. Tests check
        # both.
        events = ET.iterparse(path, events=("start", "end"))  # noqa: S314 - safe, as said above.
        for event, element in events:
            name = _local_name(element)
            if event == "start":
                if not opened and name not in {"testsuites", "testsuite", "testcase"}:
                    raise CorruptFileError(f"{path} is XML, but no JUnit report: <{name}>")
                opened.append(element)
                inside_case = inside_case or name == "testcase"
                continue
            opened.pop()
            if name == "testcase":
                yield element
                inside_case = False
            if opened and not inside_case:
                # Without this, the suite would keep all its cases until the end of the file.
                opened[-1].remove(element)
    except ET.ParseError as error:
        raise CorruptFileError(f"{path} is not a whole JUnit report: {error}") from error


def case_nodeid(case: ET.Element) -> str:
    """Return the node id, without its parameters, of a test case that pytest wrote.

    pytest writes the file and the classes as one dotted name, which does not show where the file's
    name ends. So a part that begins with a capital letter counts as a class:
    ``tests.test_a.TestB`` is ``tests/test_a.py::TestB``.
    """
    parts = case.get("classname", "").split(".")
    classes = [part for part in parts if part[:1].isupper()]
    module = "/".join(part for part in parts if not part[:1].isupper()) + ".py"
    return "::".join([module, *classes, case.get("name", "").partition("[")[0]])


def case_seconds(case: ET.Element) -> float | None:
    """Return the seconds that a test case took; None if the report holds no number."""
    try:
        return float(case.get("time", "0"))
    except ValueError:
        return None


def _failure(element: ET.Element) -> Failure:
    """Read a ``failure`` or ``error`` element."""
    text = "".join(element.itertext())
    failure = read_failure(text)
    if failure.exception:
        return failure
    # Other programs name the exception in attributes, and pytest's own message may be empty.
    message = element.get("message") or ""
    exception = (element.get("type") or message.partition(":")[0]).rpartition(".")[2]
    return Failure(
        exception=exception,
        message=message.partition("\n")[0],
        frames=failure.frames,
        text=text or message,
        causes=failure.causes,
    )


def _local_name(element: ET.Element) -> str:
    """Return an element's name without its namespace."""
    return element.tag.rpartition("}")[2]
