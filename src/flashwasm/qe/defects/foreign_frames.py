"""Stack frames of languages other than Python, from the reports of their test frameworks."""

from __future__ import annotations

import re

from flashwasm.qe.defects.tracebacks import Frame

__all__ = ["foreign_frames"]

# at com.x.Foo.bar(Foo.java:7), or after the name of a module: at app//com.x.Foo.bar(Foo.java:7)
_JVM = re.compile(
    r"^\s*at (?:[\w.@$-]*/)*(?P<owner>[\w.$]+)\.(?P<name>[\w$<>]+)"
    r"\((?P<file>[\w$-]+\.(?:java|kt|scala|groovy|clj)):(?P<line>\d+)\)"
)
# at f (src/a.js:9:20), and without a function: at src/a.js:9:20
_JAVASCRIPT = re.compile(
    r"^\s*at (?:(?P<name>\S.*?) \()?(?:file://)?(?P<path>[^\s()][^()]*?):(?P<line>\d+):\d+\)?$"
)
# at Shop.Cart.Total() in /src/Cart.cs:line 7
_DOTNET = re.compile(r"^\s*at (?P<name>[^(]+)\(.*\) in (?P<path>.+):line (?P<line>\d+)$")
# cart_test.go:12: a message, and src/lib.rs:10:5; Ruby adds the function: cart.rb:5:in `total'
_PLACE = re.compile(
    r"(?:^|[\s(])(?P<path>(?:[A-Za-z]:[\\/])?[\w@./\\+-]*\w"
    r"\.(?:go|rs|rb|php|c|cc|cpp|cxx|h|hpp|swift|dart|ex|exs|[cm]?[jt]sx?))"
    r":(?P<line>\d+)(?!\w)(?::in [`'](?P<name>[^']+)')?"
)


def foreign_frames(text: str) -> tuple[Frame, ...]:
    """Return the stack in a failure's text, the innermost frame last.

    These languages print the innermost frame first. In a chain of Java exceptions, the first one is
    used, since it ended the test.

    Parameters
    ----------
    text : str
        The failure, as printed by the test framework.

    Returns
    -------
    tuple of Frame
        Empty if the text contains no such frames.
    """
    frames: list[Frame] = []
    for line in text.split("\n"):
        if frames and line.startswith("Caused by: "):
            break
        if frame := _frame(line.rstrip()):
            frames.append(frame)
    return tuple(reversed(frames))


def _frame(line: str) -> Frame | None:
    """Return the frame in a line; None if there is none."""
    if found := _JVM.match(line):
        # The folder is that of the package, by the convention of the compilers.
        package = [part for part in found["owner"].split(".")[:-1] if part[:1].islower()]
        return Frame("/".join([*package, found["file"]]), int(found["line"]), found["name"])
    if found := _DOTNET.match(line):
        return Frame(found["path"], int(found["line"]), found["name"].rpartition(".")[2])
    if found := _JAVASCRIPT.match(line):
        name = (found["name"] or "").removeprefix("async ").rpartition(".")[2]
        return Frame(found["path"], int(found["line"]), name)
    if found := _PLACE.search(line):
        return Frame(found["path"], int(found["line"]), found["name"] or "")
    return None
