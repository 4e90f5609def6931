"""Two sources side by side, with their common lines marked."""

from __future__ import annotations

from difflib import SequenceMatcher
from typing import NamedTuple

__all__ = ["LinePair", "pair_lines"]


class LinePair(NamedTuple):
    """A line of the left source beside a line of the right one; None if a source has no line.

    ``equal`` is True if both lines are the same apart from indentation.
    """

    left: str | None
    right: str | None
    equal: bool


def pair_lines(left: str, right: str) -> list[LinePair]:
    """Return the lines of two sources in order, with equal lines side by side.

    Parameters
    ----------
    left, right : str
        The sources.
    """
    ours, theirs = left.splitlines(), right.splitlines()
    stripped = [line.strip() for line in ours], [line.strip() for line in theirs]
    pairs = []
    for kind, i, i_end, j, j_end in SequenceMatcher(None, *stripped, autojunk=False).get_opcodes():
        for step in range(max(i_end - i, j_end - j)):
            pair = LinePair(
                ours[i + step] if i + step < i_end else None,
                theirs[j + step] if j + step < j_end else None,
                kind == "equal",
            )
            # An empty line in common is nothing to point at.
            pairs.append(pair if pair.left or pair.right else pair._replace(equal=False))
    return pairs
