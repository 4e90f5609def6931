"""Single lines of pytest's output: titled rules, headings, the short summary and the counts."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cached_property

__all__ = [
    "ABOVE_HEADINGS",
    "CAPTURED",
    "OTHER_SECTIONS",
    "Counts",
    "Entry",
    "crash_places",
    "final_counts",
    "heading_of",
    "is_end_of_traceback",
    "read_entry",
    "rerun_test",
    "test_of_heading",
    "title_of",
]

# Titles of the two sections in which each failure has a heading.
ABOVE_HEADINGS = frozenset({"FAILURES", "ERRORS"})
OTHER_SECTIONS = frozenset(
    {"XFAILURES", "PASSES", "XPASSES", "warnings summary", "short test summary info"}
)
# pytest extends a rule to the width of the terminal, with at least one character on each side.
_RULE = re.compile(r"^(=+) (.+) \1=?$")
_HEADING = re.compile(r"^(_+) (.*\S) \1_?$")
# The line between two frames in the long style looks like a heading.
_BETWEEN_FRAMES = re.compile(r"^(?:_ )+_?$")
CAPTURED = re.compile(r"^-+ Captured .+ -+$")
_END_OF_TRACEBACK = re.compile(r"^(?:-+ .+ -+|=+ .+ =+)$")
_FINAL = re.compile(
    r"^(?:=+ )?(?P<counts>(?:no tests (?:ran|collected)|\d+(?:/\d+)? (?:passed|failed|errors?"
    r"|skipped|xfailed|xpassed|warnings?|deselected|rerun|subtests|tests? collected)\b)[^=]*?)"
    r" in \d+\.\d+s(?: \([^)]*\d:\d\d:\d\d\))?(?: =+)?$"
)
_ERROR_HEADING = re.compile(r"^ERROR (?:at \w+ of|collecting) ")
_SUBTEST = r"(?P<subtest>(?:\[.*?\])?(?: ?\(.*?\))?)"
_ENTRY = re.compile(r"^(?P<word>FAILED|ERROR) (?P<rest>\S.*)$")
_SUBTEST_ENTRY = re.compile(rf"^SUBFAIL(?:ED)?{_SUBTEST} (?P<rest>\S+::.+)$")
_OLD_SUBTEST_ENTRY = re.compile(rf"^{_SUBTEST} SUBFAIL(?:ED)? (?P<rest>\S+::.+)$")
_WORKER = r"^(?:\[gw\d+\] (?:\[ *\d+%\] )?)?"
_RERUN = re.compile(_WORKER + r"(?:RERUN (?P<first>\S+::.+)|(?P<last>\S+::.+?) RERUN\b.*)$")
_CRASH = re.compile(r"^(?:[A-Za-z]:[\\/])?[^\s:][^:]*:\d+: (?P<message>.+)$")


@dataclass(frozen=True)
class Counts:
    """Numbers of pytest's last line, such as "2 failed, 5 passed, 1 error in 0.12s"."""

    failed: int
    errors: int
    rerun: int

    @property
    def bad(self) -> int:
        """Number of failures and errors."""
        return self.failed + self.errors

    def __str__(self) -> str:
        """Return the numbers in pytest's format."""
        errors = f"{self.errors} error{'' if self.errors == 1 else 's'}"
        parts = [f"{self.failed} failed"] if self.failed or not self.errors else []
        return ", ".join([*parts, errors] if self.errors else parts)


@dataclass(frozen=True)
class Entry:
    """A failure in the short summary, such as "FAILED test_a.py::test_b - KeyError: 1".

    Parameters
    ----------
    is_error : bool
        True if the test could not be collected, set up or torn down.
    rest : str
        Node id and message.
    subtest : str
        Description of a subtest, such as "[message] (i=1)"; "" if the test has none.
    """

    is_error: bool
    rest: str
    subtest: str = ""

    @property
    def test(self) -> str:
        """Node id of the test."""
        return self._nodeid + (f" {self.subtest}" if self.subtest else "")

    @property
    def text(self) -> str:
        """Message in the form that pytest prints below a traceback; "" if there is none."""
        return f"E   {self._message}" if self._message else ""

    @cached_property
    def _nodeid(self) -> str:
        """Node id without the description of a subtest."""
        return _split(self.rest)[0]

    @cached_property
    def _message(self) -> str:
        """Message in the summary, which may be truncated to "..."; "" if there is none."""
        return _split(self.rest)[1]

    def is_headed(self, title: str) -> bool:
        """Return True if a heading with this title belongs to this entry."""
        error = _ERROR_HEADING.match(title)
        if bool(error) != self.is_error:
            return False
        path, _, names = self._nodeid.partition("::")
        if title.startswith("ERROR collecting "):
            collected = title.removeprefix("ERROR collecting ")
            return path.endswith(collected) or collected.endswith(path)
        name = title[error.end() :] if error else title
        # pytest joins classes and function by dots, but does not change the parameters.
        function, bracket, parameters = names.partition("[")
        expected = function.replace("::", ".") + bracket + parameters
        if self.subtest:
            expected += f" {self.subtest}"
        return name in {expected, f"[doctest] {names}", names, self._nodeid, path}

    def is_crash(self, line: str) -> bool:
        """Return True if a line of ``--tb=line`` contains the message of this entry."""
        start = self._message.removesuffix("...")
        if not start or start not in line:
            return False
        found = _CRASH.match(line)
        return bool(found and found["message"].startswith(start))


def title_of(line: str) -> str:
    """Return the title of a rule, such as "FAILURES"; "" if the line is not a rule."""
    found = _RULE.match(line) if line.startswith("=") else None
    return found[2] if found else ""


def heading_of(line: str) -> str:
    """Return the title of a failure's heading; "" if the line is not a heading."""
    if not line.startswith("_") or _BETWEEN_FRAMES.match(line):
        return ""
    found = _HEADING.match(line)
    return found[2] if found else ""


def test_of_heading(line: str) -> str:
    """Return the name of the test in a heading, without "ERROR at setup of"."""
    return _ERROR_HEADING.sub("", heading_of(line))


def is_end_of_traceback(line: str) -> bool:
    """Return True if a line is the heading of captured output or of the next section."""
    return line.startswith(("-", "=")) and bool(_END_OF_TRACEBACK.match(line))


def final_counts(line: str) -> Counts | None:
    """Return the numbers in pytest's last line; None if the line is not pytest's last line."""
    found = _FINAL.match(line) if line.endswith(("s", "=", ")")) else None
    if not found:
        return None
    numbers = {word: int(number) for number, word in re.findall(r"(\d+) (\w+)", found["counts"])}
    errors = numbers.get("error", 0) + numbers.get("errors", 0)
    return Counts(numbers.get("failed", 0), errors, numbers.get("rerun", 0))


def read_entry(line: str) -> Entry | None:
    """Return the failure in a line of the short summary; None if there is none."""
    if found := _ENTRY.match(line):
        return Entry(found["word"] == "ERROR", found["rest"])
    if found := _SUBTEST_ENTRY.match(line) or _OLD_SUBTEST_ENTRY.match(line):
        return Entry(is_error=False, rest=found["rest"], subtest=found["subtest"])
    return None


def rerun_test(line: str) -> str:
    """Return the node id of a test that was rerun according to a line; "" if there is none."""
    found = _RERUN.match(line) if "RERUN" in line else None
    return _split(found["first"] or found["last"])[0] if found else ""


def crash_places(lines: list[str]) -> list[str]:
    """Return the lines that ``--tb=line`` prints for failures, such as "a.py:3: KeyError: 1"."""
    start = next((i for i, line in enumerate(lines) if title_of(line) in ABOVE_HEADINGS), None)
    return [] if start is None else [line for line in lines[start:] if _CRASH.match(line)]


def _split(rest: str) -> tuple[str, str]:
    """Return the node id and the message of an entry.

    Parameters may contain " - ", as in ``test_a[x - y] - KeyError: 1``. So a node id with an
    opening bracket ends with the closing one.
    """
    at = rest.find(" - ")
    while at >= 0:
        nodeid = rest[:at]
        if "[" not in nodeid or nodeid.endswith("]"):
            return nodeid, rest[at + 3 :]
        at = rest.find(" - ", at + 1)
    return rest, ""
