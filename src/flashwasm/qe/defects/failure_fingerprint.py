"""The parts of a failure that distinguish one defect from another."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from flashwasm.qe.defects.tracebacks import Failure, Frame

__all__ = ["Fingerprint", "Function", "case_of", "fingerprint", "masked", "same_test_name"]

# Maximum number of characters of a message.
_KEPT = 4000
# pytest and unittest print the captured output of a test below the traceback.
_CAPTURED = re.compile(r"^-+ Captured .* -+$|^(?:Stdout|Stderr):$", re.MULTILINE)
# A call that hands on its caller's arguments, as a decorator does: function(*args, **kwargs).
_HANDS_ON = re.compile(r"[(,]\s*\*{1,2}\w+\s*[,)]")
# pytest's hints about its options depend on the options, not on the failure.
_ADVICE = re.compile(r"^(?:Use -v+ to get|\.\.\.Full output truncated|Omitting \d+ identical).*")
_ADDRESS = re.compile(r"0x[0-9a-fA-F]{4,}")
# Folders of a file on a disk, by their first folder. A path of a URL has other first parts, and
# /api/users/1 is not /api/orders/1.
_FOLDERS = re.compile(
    r"(?<![\w/:.])(?:[A-Za-z]:|/(?:tmp|var|home|Users|private|root|mnt|opt|usr|srv|builds?"
    r"|github|__w|workspaces?|runner)(?=/))(?:[\\/][\w.\-+@]+)*(?=[\\/])"
)
_LONG_FLOAT = re.compile(r"\d+\.\d{7,}(?:[eE][+-]?\d+)?")
# What pytest puts before a line of a message instead of the mark "E".
_INDENT = " " * 4
_NUMBER = re.compile(r"\d+(?:\.\d+)?(?:[eE][+-]?\d+)?")
# A statement, and the types of the other exceptions that `_statement` puts after it.
_STATEMENT = re.compile(r"(.*?)(?: \(with ([\w., ]+)\))?", re.DOTALL)
# All that follows the name of a function in a node id.
_CASE = re.compile(r" ?\[.*$| \(.*$", re.DOTALL)
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
        Function of the product or of the tests that called the raiser, skipping recursion and
        functions that only hand on arguments, which call many others.
    statement : str
        Source of the innermost line of the stack; "" if the text does not show it. The types of
        the other exceptions of a chain or a group follow.
    test : str
        Node id of the test; "" if the file names none.
    test_function : Function
        Outermost function of a test file on the stack: the test, or a fixture.
    test_file : str
        File of that function, or of a frame in a test file whose function is not named.
    message : str
        Message of the exception with its numbers, without addresses, folders and pytest's hints;
        then those of the other exceptions.
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
        return _name_of(self.test) or self.test_function.name

    @property
    def names_its_test(self) -> bool:
        """True if the node id has a class or a file, so that it names one test function."""
        return len(_parts(self.test)) > 1

    @property
    def test_without_case(self) -> str:
        """Node id without parameters and without the description of a subtest."""
        return self.test.removesuffix(self.case)

    @property
    def case(self) -> str:
        """Parameters or description of a subtest in the node id, such as "[1]" or " (i=1)"."""
        return case_of(self.test)

    @property
    def quoted_statement(self) -> str:
        """The statement in backticks, since it may end with a comma, and the other exceptions."""
        found = _STATEMENT.fullmatch(self.statement)
        source, others = found.groups() if found else (self.statement, None)
        return f"`{source}` with {others}" if others else f"`{source}`"

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
    callers = [
        called
        for frame in reversed(own[:-1])
        if (called := _function(frame)) != raiser and not _HANDS_ON.search(frame.source)
    ]
    # A decorator of the test or a setup function may be further out on the stack than the test.
    name = _name_of(test)
    first = next((frame for frame in tests if frame.function == name), tests[0] if tests else None)
    captured = _CAPTURED.search(failure.text)
    text = failure.text[: captured.start()] if captured else failure.text
    return Fingerprint(
        exception=failure.exception,
        raiser=raiser or _NOWHERE,
        caller=callers[0] if raiser and callers else _NOWHERE,
        statement=_statement(failure),
        test=test,
        test_function=_function(first) if first and first.function else _NOWHERE,
        test_file=_path(first) if first else "",
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
    name = test.removesuffix(case_of(test))
    return [part for part in _SEPARATOR.split(name) if part not in {"", "py"}]


def case_of(test: str) -> str:
    """Return what follows the function in a test's name, such as "[1]"; "" if nothing does."""
    found = _CASE.search(test.partition("::")[2] or test)
    return found[0] if found else ""


def _name_of(test: str) -> str:
    """Return the name of the function in a test's name; "" if there is none."""
    return (_parts(test) or [""])[-1]


def _function(frame: Frame) -> Function:
    """Return the function of a frame."""
    return Function(_path(frame), frame.function)


def _path(frame: Frame) -> str:
    """Return a frame's path with slashes and without leading ``../``."""
    path = frame.path.replace("\\", "/")
    while path.startswith(("./", "../")):
        path = path.partition("/")[2]
    return path


def _statement(failure: Failure) -> str:
    """Return the source of the innermost line of the stack, with the other exceptions' types."""
    source = failure.frames[-1].source if failure.frames else ""
    if source in {"", "???"}:
        return ""
    return f"{source} (with {', '.join(failure.causes)})" if failure.causes else source


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
    causes = [line for line in lines if _exception_in(line) in failure.causes]
    if failure.message:
        ends = [i for i, line in enumerate(lines) if line.endswith(failure.message)]
        below = lines[ends[-1] + 1 :] if ends else []
        return [failure.message, *below, *causes]
    return lines if failure.exception in {"", "DocTestFailure"} else [failure.exception, *causes]


def _exception_in(line: str) -> str:
    """Return the type of the exception that a line of a Python traceback may name."""
    return line.lstrip("|+- ").partition(":")[0].rpartition(".")[2]
