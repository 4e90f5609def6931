"""A reader of tracebacks: Python's, and pytest's in all its styles.

Formats: https://docs.python.org/3/library/traceback.html, exception groups by PEP 654, and pytest's
``--tb=long|short|line|native``.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field, replace

from flashwasm.html_tables import html_table
from flashwasm.object_checks import checked_text

__all__ = ["Failure", "Frame", "count_tracebacks", "plain", "read_failure"]

# Number of characters to keep from the end of a text. An endless recursion repeats its frames
# thousands of times, and the end of the text names the exception.
_KEPT = 1 << 16
_ANSI = re.compile(r"\x1b\[[0-9;?]*[ -/]*[@-~]|\x1b\][^\x07\x1b]*(?:\x07|\x1b\\)")
_LONG_LINE = re.compile(r"^(.{4000}).+", re.MULTILINE)
# Python draws these margins before each line of an exception group, and between its members.
_GROUP_MARGIN = re.compile(r"^(?:E  )?\s*(?:[|+] ?)+(?:-[+-]*)?")
_GROUP_MEMBER = re.compile(r"\+-+ (?:\d+|\.\.\.) -+|^E?\s*\|?\s*\+?-*\+-{4,} \d+ -+")
_CHAIN = (
    "During handling of the above exception, another exception occurred:",
    "The above exception was the direct cause of the following exception:",
)
_PYTHON_FRAME = re.compile(r'^\s*File "(?P<path>[^"]+)", line (?P<line>\d+)(?:, in (?P<name>.+))?')
_FILE = r"(?P<path>(?:[A-Za-z]:[\\/])?[^\s:][^:]*\.pyx?)"
_SHORT_FRAME = re.compile(rf"^{_FILE}:(?P<line>\d+): in (?P<name>\S+)\s*$")
_LONG_FRAME = re.compile(rf"^{_FILE}:(?P<line>\d+): ?(?P<error>[\w.]*)\s*$")
_LINE_STYLE = re.compile(
    rf"^{_FILE}:(?P<line>\d+): "
    r"(?:(?P<error>[\w.]+)(?:: (?P<message>.*))?|(?P<assertion>assert .+))$"
)
_DOCTEST = re.compile(r"^(?P<path>[^\s:][^:]*\.\w+):(?P<line>\d+): (?P<error>DocTestFailure)$")
_DEFINITION = re.compile(r"^[> ]?\s*(?:async )?def (\w+)\(")
_EXCEPTION = re.compile(
    r"^(?P<error>(?:[A-Za-z_][\w.]*\.)?[A-Z_]\w*|[A-Za-z_]\w*(?:Error|Exception|Warning|Exit|Failed))"
    r"(?::(?: (?P<message>.*))?)?$"
)
_SURELY = re.compile(r"(Error|Exception|Exit|Interrupt|Iteration|ExceptionGroup)$")
_TEST_FILE = re.compile(
    r"(^|/)(test_[^/]*\.py|[^/]*_test\.py|conftest\.py)$|(^|/)tests?/"
    # Other languages: CartTest.java, cart.test.js, cart_test.go, cart_spec.rb, __tests__/cart.js.
    r"|(^|/)[^/]*(Tests?|Spec|IT)\.(java|kt|scala|groovy|cs|php)$|[._](test|spec)\.\w+$"
    r"|(^|/)(__tests__|spec)/"
)
_FOREIGN = re.compile(
    r"(^|/)(site-packages|dist-packages|node_modules)/|/lib/python\d[\d.]*/|^<|^node:|^internal/"
    r"|^(java|javax|jdk|sun|kotlin|scala|groovy|org/junit|org/testng|org/gradle|org/apache/maven"
    r"|org/hamcrest|org/assertj)/|(^|/)(testing|runtime)/\w+\.(go|s)$|(^|/)gems/"
)


@dataclass(frozen=True)
class Frame:
    """A place on the stack.

    Attributes
    ----------
    path : str
        File.
    line : int
        Line number, from 1.
    function : str
        Name of the function; "" if the text names none.
    source : str, default ""
        Source of the line; "" if the text does not show it. " (2)" follows the source of the second
        of equal lines of a function, if the text shows both. Not compared with other frames.
    """

    path: str
    line: int
    function: str
    source: str = field(default="", compare=False)

    @property
    def is_product(self) -> bool:
        """True if the file is neither a test, nor part of an installed package or of Python."""
        return not (self.is_foreign or _TEST_FILE.search(self.path.replace("\\", "/")))

    @property
    def is_foreign(self) -> bool:
        """True if the file is part of an installed package or of the language itself."""
        return bool(_FOREIGN.search(self.path.replace("\\", "/")))


@dataclass(frozen=True)
class Failure:
    """An exception with its stack, read from a text.

    Parameters
    ----------
    exception : str
        Type of the exception, without its module; "" if the text names none.
    message : str
        First line of its message.
    frames : tuple of Frame
        The stack, the innermost frame last.
    text : str
        The text without colours, at most its last 65,536 characters.
    causes : tuple of str
        Types of the exceptions that caused this one, and of the other members of a group.
    """

    exception: str
    message: str
    frames: tuple[Frame, ...]
    text: str = field(repr=False)
    causes: tuple[str, ...] = ()

    _repr_html_ = html_table

    @property
    def place(self) -> Frame | None:
        """Innermost frame of the product, else of the tests, else of any file; None without one."""
        product = [frame for frame in self.frames if frame.is_product]
        own = [frame for frame in self.frames if not frame.is_foreign]
        found = product or own or self.frames
        return found[-1] if found else None

    @property
    def signature(self) -> tuple[str, str, str]:
        """Exception, file and function, which are usually equal for failures of one defect.

        If no frame is in the product, the file is that of the test and the function is empty,
        because the tests of one file usually fail for one common reason.
        """
        place = self.place
        if place is None:
            return (self.exception, "", "")
        return (self.exception, place.path, place.function if place.is_product else "")


@dataclass
class _Part:
    """One exception of a chain or of a group, while its lines are read."""

    frames: list[Frame]
    exception: str = ""
    message: str = ""
    headed: bool = False  # True if the last line names a frame whose source follows.
    above: list[str] = field(default_factory=list)  # Source above a frame's place in long style.
    source: str = ""  # Source of the line that fails, in long style.
    named_at: int = -1  # Number of frames above the line that names the exception.


def plain(text: str) -> str:
    """Return a text without colours and other terminal escapes, with lines ended by newlines.

    Lines are cut at 4,000 characters, because the time for matching the patterns is quadratic in
    the length of a line.
    """
    clean = _ANSI.sub("", text).replace("\r\n", "\n")
    return _LONG_LINE.sub(r"\1", clean)


def count_tracebacks(text: str) -> int:
    """Return the number of tracebacks in a text; a chain or a group of exceptions counts as one."""
    begun, ended = 0, 0
    chained = False
    for line in text.split("\n"):
        if any(sentence in line for sentence in _CHAIN):
            chained = True
        elif line.startswith("Traceback (most recent call last):"):
            begun += not chained
            chained = False
        elif _ends_a_traceback(line):
            ended += not chained
            chained = False
    return max(begun, ended)


def _ends_a_traceback(line: str) -> bool:
    """Return True if a line is the last of a traceback in pytest's long or line style."""
    found = _LONG_FRAME.match(line) or _LINE_STYLE.match(line)
    error = found["error"] if found else None
    return bool(found) and error != "" and not (error or "").endswith("Warning")


def read_failure(text: str) -> Failure:
    r"""Read the last exception of a traceback, or the first member of an exception group.

    Parameters
    ----------
    text : str
        A traceback in any of the styles, with colours or without.

    Returns
    -------
    Failure
        Without exception and frames if the text is not a traceback.

    Raises
    ------
    DTypeError
        If ``text`` is not text.

    Examples
    --------
    >>> read_failure("lib.py:7: in add\n    x.y\nE   AttributeError: no y").signature
    ('AttributeError', 'lib.py', 'add')
    """
    clean = plain(checked_text(text, "text"))[-_KEPT:]
    parts, members = [_Part([])], False
    function = ""
    for line in clean.split("\n"):
        if _GROUP_MEMBER.search(line):
            members = True
            parts.append(_Part([]))
            continue
        bare = _GROUP_MARGIN.sub("", line) if "|" in line or "+" in line[:8] else line
        if any(sentence in bare for sentence in _CHAIN):
            if not members:
                parts.append(_Part([]))
            continue
        _read_source(bare, parts[-1])
        function = _read_line(bare, parts[-1], function)
    known = [part for part in parts if part.exception]
    if not known:
        return Failure("", "", tuple(f for part in parts for f in part.frames), clean)
    # The message of a group only counts its members, so the first member is used. In a chain, the
    # last exception ended the test.
    leaves = [part for part in known if not part.exception.endswith("ExceptionGroup")]
    chosen = (leaves or known)[0 if members else -1]
    frames = chosen.frames or next((p.frames for p in reversed(known) if p.frames), [])
    causes = tuple(part.exception for part in known if part is not chosen)
    return Failure(chosen.exception, chosen.message, tuple(frames), clean, causes)


def _read_line(line: str, part: _Part, function: str) -> str:
    """Read one line into a part. Return the function whose source the long style shows."""
    if found := _PYTHON_FRAME.match(line):
        part.frames.append(Frame(found["path"], int(found["line"]), found["name"] or ""))
        part.headed = True
    elif found := _SHORT_FRAME.match(line):
        part.frames.append(Frame(found["path"], int(found["line"]), found["name"]))
        part.headed = True
    elif found := _LONG_FRAME.match(line):
        part.frames.append(Frame(found["path"], int(found["line"]), function, part.source))
        part.above, part.source = [], ""
        if found["error"] and not part.exception:
            part.exception = found["error"].rpartition(".")[2]
        return ""
    elif found := _LINE_STYLE.match(line):
        part.frames.append(Frame(found["path"], int(found["line"]), ""))
        error = found["error"] or "AssertionError"
        _name(part, error, found["assertion"] or found["message"])
    elif found := _DOCTEST.match(line):
        part.frames.append(Frame(found["path"], int(found["line"]), function))
        _name(part, found["error"], "")
    elif found := _DEFINITION.match(line):
        # The source of a frame begins with its own function, and may contain inner functions.
        return function or found[1]
    elif line.startswith("E  "):
        _read_error(line[1:].strip(), part)
    elif not line.startswith((" ", ">")) and (found := _EXCEPTION.match(line)):
        _name(part, found["error"], found["message"])
    return function


def _read_source(line: str, part: _Part) -> None:
    """Read the source of a frame: below its place, or in the long style above it, after ">"."""
    source = line.lstrip("> ").strip()
    if part.headed and line.startswith(" "):
        part.frames[-1] = replace(part.frames[-1], source=source)
    elif line.startswith("> "):
        times = part.above.count(source) + 1
        part.source = source if times == 1 else f"{source} ({times})"
    elif line.startswith("    "):
        part.above.append(source)
    part.headed = False


def _read_error(text: str, part: _Part) -> None:
    """Read a line of pytest that starts with E. The first such line names the exception."""
    if part.exception or not text:
        return
    if found := _EXCEPTION.match(text):
        _name(part, found["error"], found["message"])
    elif text.startswith("assert ") or text == "assert":
        _name(part, "AssertionError", text)


def _name(part: _Part, error: str, message: str | None) -> None:
    """Set the exception of a part, unless there is no frame since the last name.

    Without a frame, the line belongs to the message of the exception that was named.
    """
    # There may be log lines before the first frame. A name in them is used only if it has the
    # ending of an exception's name.
    sure = part.frames or _SURELY.search(error)
    if sure and len(part.frames) > part.named_at:
        part.named_at = len(part.frames)
        part.exception = error.rpartition(".")[2]
        part.message = message or ""
