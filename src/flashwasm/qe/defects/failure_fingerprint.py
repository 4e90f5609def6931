"""The parts of a failure that distinguish one defect from another."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from flashwasm.qe.defects.tracebacks import Failure, Frame

__all__ = ["Fingerprint", "Function", "fingerprint", "masked", "same_test_name"]

# Maximum number of characters of a message.
_KEPT = 4000
# pytest and unittest print the captured output of a test below the traceback.
_CAPTURED = re.compile(r"^-+ Captured .* -+$|^(?:Stdout|Stderr):$", re.MULTILINE)
# The line above a frame's source, in pytest's short style and in Python's own.
_HEADER = re.compile(r'^\S.*\.pyx?:\d+: in \S|^\s*File ".+", line \d+')
# pytest's hints about its options depend on the options, not on the failure.
_ADVICE = re.compile(r"^(?:Use -v+ to get|\.\.\.Full output truncated|Omitting \d+ identical).*")
_ADDRESS = re.compile(r"0x[0-9a-fA-F]{4,}")
_FOLDERS = re.compile(r"(?<![\w/:.])(?:[A-Za-z]:)?(?:[\\/][\w.\-+@]+)+(?=[\\/])")
_LONG_FLOAT = re.compile(r"\d+\.\d{7,}(?:[eE][+-]?\d+)?")
# What pytest puts before a line of a message instead of the mark "E".
_INDENT = " " * 4
_NUMBER = re.compile(r"\d+(?:\.\d+)?(?:[eE][+-]?\d+)?")
_SEPARATOR = re.compile(r"::|[/\\.]")


class Function(NamedTuple):
    """A function and its file; both are empty if there is none."""

    path: str
    name: str

    def __bool__(self) -> bool:
        """Return True if a function is named."""
        return bool(self.name)

    def __str__(self) -> str:
        """Return a phrase with the function and its file."""
        return f"{self.name} in {self.path}"


_NOWHERE = Function("", "")


@dataclass(frozen=True)
class Fingerprint:
    """The parts of a failure that are compared with another failure.

    Attributes
    ----------
    exception : str
        Type of the exception; "" if the text names none.
    raiser : Function
        Function of the product that raised the exception, directly or in an installed package that
        it called. Empty if a test raised it, even if the product had called that test's function.
    caller : Function
        Function of the product or of the tests that called the raiser, skipping recursion.
    statement : str
        Source of the innermost line of the stack; "" if the text does not show it.
    test : str
        Node id of the test; "" if the file names none.
    test_function : Function
        Outermost function of a test file on the stack: the test, or a fixture.
    test_file : str
        File of that function, or of a frame in a test file whose function is not named.
    message : str
        Message of the exception with its numbers, without addresses, folders and pytest's hints.
    """

    exception: str
    raiser: Function
    caller: Function
    statement: str
    test: str
    test_function: Function
    test_file: str
    message: str

    @property
    def test_name(self) -> str:
        """Name of the test function, without file, class and parameters."""
        return (_parts(self.test) or [self.test_function.name])[-1]

    @property
    def raises_on_purpose(self) -> bool:
        """True if the statement checks a condition and raises, or if it is not shown.

        Then the defect is often elsewhere, because many defects lead to one check.
        """
        return not self.statement or self.statement.startswith(("raise", "assert", "throw"))


def fingerprint(failure: Failure, test: str = "") -> Fingerprint:
    """Return the fingerprint of a failure.

    Parameters
    ----------
    failure : Failure
        The failure.
    test : str, optional
        Node id of the test, or its name in a report without node ids.

    Returns
    -------
    Fingerprint
    """
    own = [frame for frame in failure.frames if not frame.is_foreign]
    tests = [frame for frame in own if not frame.is_product]
    raiser = _function(own[-1]) if own and own[-1].is_product else _NOWHERE
    callers = [called for frame in reversed(own[:-1]) if (called := _function(frame)) != raiser]
    captured = _CAPTURED.search(failure.text)
    text = failure.text[: captured.start()] if captured else failure.text
    return Fingerprint(
        exception=failure.exception,
        raiser=raiser or _NOWHERE,
        caller=callers[0] if raiser and callers else _NOWHERE,
        statement=_statement(text),
        test=test,
        test_function=_function(tests[0]) if tests and tests[0].function else _NOWHERE,
        test_file=_path(tests[0]) if tests else "",
        message=_message(text, failure),
    )


def masked(message: str) -> str:
    """Return a message with each number replaced by 0."""
    return _NUMBER.sub("0", message)


def same_test_name(one: str, other: str) -> bool:
    """Return True if two names from different reports are of the same test function.

    ``tests/test_a.py::TestB::test_c[1]`` matches ``tests.test_a.TestB::test_c[2]`` and
    ``TestB.test_c``. A name without a class and a file matches nothing.
    """
    first, second = _parts(one), _parts(other)
    common = min(len(first), len(second))
    return common >= 2 and first[-common:] == second[-common:]


def _parts(test: str) -> list[str]:
    """Return the folders, file, classes and function in a test's name."""
    return [part for part in _SEPARATOR.split(test.partition("[")[0]) if part not in {"", "py"}]


def _function(frame: Frame) -> Function:
    """Return the function of a frame."""
    return Function(_path(frame), frame.function)


def _path(frame: Frame) -> str:
    """Return a frame's path with slashes and without leading ``../``."""
    path = frame.path.replace("\\", "/")
    while path.startswith(("./", "../")):
        path = path.partition("/")[2]
    return path


def _statement(text: str) -> str:
    """Return the source of the innermost line of a stack, in any of pytest's styles."""
    statement, below_header = "", False
    for line in text.split("\n"):
        if line.startswith("E  "):
            continue
        if line.startswith("> ") or (below_header and line.startswith(" ")):
            statement = line.lstrip("> ").strip()
        below_header = bool(_HEADER.match(line))
    return "" if statement == "???" else statement


def _message(text: str, failure: Failure) -> str:
    """Return the message of a failure without the parts that differ between runs."""
    lines = _marked_lines(text) or _plain_message(text, failure)
    kept = "\n".join(line for line in lines if line and not _ADVICE.match(line))
    kept = re.sub(rf"^[\w.]*{re.escape(failure.exception)}: ", "", kept)[:_KEPT]
    kept = _FOLDERS.sub("", _ADDRESS.sub("0x", kept))
    return _LONG_FLOAT.sub(lambda found: f"{float(found[0]):.6g}", kept)


def _marked_lines(text: str) -> list[str]:
    """Return the lines of a message that pytest marks with "E", without the mark.

    With ``--tb=no`` and ``--tb=line``, it marks the first of them only and indents the others.
    """
    lines, inside = [], False
    for line in text.split("\n"):
        marked = line.startswith("E  ")
        inside = marked or (inside and line.startswith(_INDENT))
        if inside:
            lines.append(line[marked:].strip())
    return lines


def _plain_message(text: str, failure: Failure) -> list[str]:
    """Return the lines of a message that pytest did not mark, from the exception's name on.

    For a failed doctest example, the text is the message.
    """
    lines = [line.strip() for line in text.split("\n")]
    if failure.message:
        ends = [i for i, line in enumerate(lines) if line.endswith(failure.message)]
        return [failure.message, *lines[ends[-1] + 1 :]] if ends else [failure.message]
    return lines if failure.exception in {"", "DocTestFailure"} else [failure.exception]
