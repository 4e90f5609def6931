"""A reader of JUnit XML, which returns the test cases of a report one at a time.

A report may be of any size and from any program. So the reader keeps only one test case in memory,
and limits the expansion of XML entities: docs/decisions/0015-a-reader-of-junit-xml.md.
"""

from __future__ import annotations

import re
import xml.etree.ElementTree as ET
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import BinaryIO

from flashwasm.errors import CorruptFileError, ShapeError
from flashwasm.qe.defects.foreign_frames import foreign_frames
from flashwasm.qe.defects.tracebacks import Failure, read_failure

__all__ = ["case_nodeid", "case_seconds", "read_junit_cases", "read_junit_results"]

# Maven Surefire writes these for failed attempts before one that passed.
_FLAKY = {"flakyFailure", "flakyError"}
_TEST_MODULE = re.compile(r"test_\w+|[a-z0-9_]+_test")


def read_junit_results(path: Path) -> tuple[list[tuple[str, Failure]], list[str]]:
    """Read the failures and the flaky tests of a report.

    Several ``testcase`` elements for one test in one suite are attempts. Only the last one counts.

    Returns
    -------
    failures : list of tuple
        Name of the test and failure, for each failure and error of a last attempt.
    flaky : list of str
        Tests that failed and passed in a later attempt.
    """
    failed: dict[tuple[str, ...], list[Failure]] = {}
    flaky: dict[tuple[str, ...], None] = {}
    for suite, case in _cases_with_suites(path):
        test = (str(suite), *(case.get(key, "") for key in ("classname", "name", "file", "line")))
        kinds = [_local_name(child) for child in case]
        found = [
            _failure(child)
            for kind, child in zip(kinds, case, strict=True)
            if kind in {"failure", "error"}
        ]
        if found:
            # pytest writes a second element if both the test and its teardown fail.
            earlier = failed.pop(test, [])
            failed[test] = [*earlier, *found] if _is_teardown(case) else found
            flaky.pop(test, None)
        elif "skipped" not in kinds and (failed.pop(test, []) or _FLAKY.intersection(kinds)):
            flaky[test] = None
    failures = [
        (_name(test, found), failure) for test, found in failed.items() for failure in found
    ]
    return failures, [_name(test, []) for test in flaky]


def read_junit_cases(path: Path) -> Iterator[ET.Element]:
    """Yield the ``testcase`` elements of a report. Each is cleared when the next is requested.

    Raises
    ------
    ShapeError
        If there is no such file.
    CorruptFileError
        If the file is not XML, is truncated, or is XML of another kind.
    """
    return (case for _, case in _cases_with_suites(path))


def _cases_with_suites(path: Path) -> Iterator[tuple[int, ET.Element]]:
    """Yield the number of the suite and the element of each test case."""
    if not path.is_file():
        raise ShapeError(f"{str(path)!r} does not exist or is not a file; expected JUnit XML")
    try:
        # A file that ElementTree has opened itself stays open if the report is damaged.
        with path.open("rb") as file:
            yield from _cases_in(file, path)
    # ElementTree raises the last two for an unsupported or unknown encoding.
    except (ET.ParseError, ValueError, LookupError) as error:
        raise CorruptFileError(
            f"{path} is not a whole JUnit report: {error}; run the tests again"
        ) from error


def _cases_in(file: BinaryIO, path: Path) -> Iterator[tuple[int, ET.Element]]:
    """Yield the same as `_cases_with_suites` for an open file, whose errors it does not convert."""
    opened: list[ET.Element] = []  # Open elements, outermost first.
    inside_case, suites = False, 0
    # Expat limits the expansion of entities, and ElementTree fetches no external ones. Tests
    # check both.
    events = ET.iterparse(file, events=("start", "end"))  # noqa: S314 - safe, as said above.
    for event, element in events:
        name = _local_name(element)
        if event == "start":
            if not opened and name not in {"testsuites", "testsuite", "testcase"}:
                raise CorruptFileError(
                    f"{path} is XML, but not a JUnit report: <{name}>; "
                    "`pytest --junitxml FILE` writes one"
                )
            opened.append(element)
            suites += name == "testsuite"
            inside_case = inside_case or name == "testcase"
            continue
        opened.pop()
        if name == "testcase":
            yield suites, element
            inside_case = False
        if opened and not inside_case:
            # Without this, the suite would keep all its cases in memory until the end.
            opened[-1].remove(element)


def case_nodeid(case: ET.Element) -> str:
    """Return the node id, without parameters, of a test case that pytest wrote.

    pytest writes the file and the classes as one dotted name, without a mark at the end of the
    file's name. So a part that begins with a capital letter is assumed to be a class:
    ``tests.test_a.TestB`` is ``tests/test_a.py::TestB``.
    """
    parts = case.get("classname", "").split(".")
    classes = [part for part in parts if part[:1].isupper()]
    module = "/".join(part for part in parts if not part[:1].isupper()) + ".py"
    return "::".join([module, *classes, case.get("name", "").partition("[")[0]])


def case_seconds(case: ET.Element) -> float | None:
    """Return the duration of a test case in seconds; None if the report has no number."""
    try:
        return float(case.get("time", "0"))
    except ValueError:
        return None


def _name(test: tuple[str, ...], failures: Sequence[Failure]) -> str:
    """Return the name of a test, from the names of its suite, its class and itself.

    pytest writes the file and the classes as one dotted name. The file's name ends at a part with
    the name of a test module, or where a frame or the attribute for the file ends.
    """
    _, owner, name, file, _ = test
    paths = [file, *(frame.path for failure in failures for frame in failure.frames)]
    files = {"/" + path.replace("\\", "/") for path in paths}
    parts = owner.split(".")
    for count in range(len(parts), 0, -1):
        module, classes = "/".join(parts[:count]) + ".py", parts[count:]
        named_as_tests = _TEST_MODULE.fullmatch(parts[count - 1])
        certain = any(path.endswith("/" + module) for path in files)
        if certain or (named_as_tests and all(part[:1].isupper() for part in classes)):
            return "::".join([module, *classes, name])
    return f"{owner}::{name}" if owner else name


def _is_teardown(case: ET.Element) -> bool:
    """Return True if a test case contains only pytest's error for a teardown."""
    bad = [child for child in case if _local_name(child) in {"failure", "error"}]
    return all((child.get("message") or "").startswith("failed on teardown") for child in bad)


def _failure(element: ET.Element) -> Failure:
    """Read a ``failure`` or ``error`` element."""
    text = "".join(element.itertext())
    failure = read_failure(text)
    frames = failure.frames or foreign_frames(failure.text)
    if failure.exception:
        return replace(failure, frames=frames)
    # Other programs name the exception in attributes, and pytest's message may be empty.
    message = element.get("message") or ""
    exception = (element.get("type") or _exception_of(message)).rpartition(".")[2]
    return replace(
        failure,
        exception=exception,
        message=message.partition("\n")[0],
        frames=frames,
        text=text or message,
    )


def _exception_of(message: str) -> str:
    """Return the type of the exception at the start of a message; "" if there is none."""
    if message.startswith("assert "):
        return "AssertionError"
    name = message.partition(":")[0]
    return name if re.fullmatch(r"[\w.$]+", name) else ""


def _local_name(element: ET.Element) -> str:
    """Return an element's name without its namespace."""
    return element.tag.rpartition("}")[2]
