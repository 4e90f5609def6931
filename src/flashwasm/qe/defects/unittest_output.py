"""A reader of the output of ``python -m unittest``."""

from __future__ import annotations

import re
from bisect import bisect_right
from dataclasses import dataclass

__all__ = ["UnittestOutput", "read_unittest"]

# A rule of "=", the test, an optional line of its docstring, and a rule of "-".
_HEADING = re.compile(
    r"^={70}\n(?P<kind>ERROR|FAIL|UNEXPECTED SUCCESS): (?P<test>.+)\n(?:(?:.*\n){0,3}?-{70}\n)?",
    re.MULTILINE,
)
_COUNTS = re.compile(
    r"^-{70}\nRan \d+ tests? in \d.*\n+(?P<result>OK|FAILED|NO TESTS RAN)(?P<counts>.*)$",
    re.MULTILINE,
)
# Since Python 3.11, the method follows the class a second time: test_a (tests.TestB.test_a).
_NAME = re.compile(r"^(?P<name>\w+) \((?P<owner>[\w.]+)\)(?P<subtest>.*)$")
# With --buffer, the captured output of the test follows the traceback.
_CAPTURED = re.compile(r"^(?:Stdout|Stderr):$", re.MULTILINE)


@dataclass(frozen=True)
class UnittestOutput:
    """Failures of one or several runs of unittest, in the order of the text.

    Attributes
    ----------
    parts : list of tuple of str
        Name of the test and text of the failure.
    counted : int or None
        Number of failures that unittest reports; None if the text has no such line.
    begin, end : int
        Positions of the first and of the last line that unittest wrote.
    """

    parts: list[tuple[str, str]]
    counted: int | None
    begin: int
    end: int

    @property
    def notes(self) -> list[str]:
        """Sentence with the number of missing failures; empty if none is missing."""
        if self.counted in {None, len(self.parts)}:
            return []
        return [f"unittest counts {self.counted}, but the text shows {len(self.parts)}"]


def read_unittest(text: str) -> UnittestOutput | None:
    """Read the failures and errors of one or several runs of unittest.

    Parameters
    ----------
    text : str
        The text, without colours.

    Returns
    -------
    UnittestOutput or None
        None if the text is not unittest's output.
    """
    ends = list(_COUNTS.finditer(text))
    headings = list(_HEADING.finditer(text))
    if not ends and not headings:
        return None
    stops = sorted({found.start() for found in [*ends, *headings]} | {len(text)})
    parts = []
    for heading in headings:
        stop = stops[bisect_right(stops, heading.start())]
        body = text[heading.end() : stop]
        if printed := _CAPTURED.search(body):
            body = body[: printed.start()]
        if heading["kind"] == "UNEXPECTED SUCCESS":
            body = "E   the test is expected to fail, but passes"
        parts.append((_test(heading["test"]), body.strip("\n")))
    counted = sum(_counted(end["counts"]) for end in ends) if ends else None
    places = [found.start() for found in [*headings, *ends]]
    return UnittestOutput(parts, counted, min(places), max(places))


def _counted(counts: str) -> int:
    """Return the sum of failures and errors, as in " (failures=1, errors=2, skipped=1)"."""
    bad = re.findall(
        r"(?:failures|errors|unexpected successes)=(\d+)", counts.replace("expected failures", "")
    )
    return sum(map(int, bad))


def _test(title: str) -> str:
    """Return the test of a heading as class and name: ``tests.TestB::test_a``."""
    found = _NAME.match(title)
    if not found:
        return title
    owner = found["owner"].removesuffix(f".{found['name']}")
    return f"{owner}::{found['name']}{found['subtest']}"
