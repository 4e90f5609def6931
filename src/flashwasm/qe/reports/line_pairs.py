"""Two pieces of source side by side, with the lines marked that both have."""

from __future__ import annotations

from difflib import SequenceMatcher
from typing import NamedTuple

__all__ = ["LinePair", "pair_lines"]


class LinePair(NamedTuple):
    """A line of the left side beside one of the right; None where a side has no line.

    ``equal`` is True if both are the same line, but for indentation.
    """

    left: str | None
    right: str | None
    equal: bool


def pair_lines(left: str, right: str) -> list[LinePair]:
    """Return the lines of two sources in their order, equal lines beside each other.

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
