"""The source of a gap: the lines of the function from its first untested one to its last."""

from __future__ import annotations

import tokenize
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from flashwasm.qe.coverage.gaps import Gap

__all__ = ["NumberedLine", "gap_source"]


class NumberedLine(NamedTuple):
    """A line of a file; ``missed`` is True if a statement begins on it that no test runs."""

    number: int
    text: str
    missed: bool


def gap_source(gap: Gap, root: Path) -> list[NumberedLine]:
    """Return the lines from the first untested statement of a function to the end of the last.

    Parameters
    ----------
    gap : Gap
        The gap.
    root : pathlib.Path
        Folder that the path of the gap is relative to.

    Returns
    -------
    list of NumberedLine
        Empty if the file cannot be read any more.
    """
    try:
        with tokenize.open(root / gap.path) as file:
            source = file.read().split("\n")
    except (OSError, SyntaxError, ValueError):
        return []
    missed = set(gap.lines)
    first = gap.lines[0]
    shown = enumerate(source[first - 1 : gap.last_line], first)
    return [NumberedLine(number, text, number in missed) for number, text in shown]
