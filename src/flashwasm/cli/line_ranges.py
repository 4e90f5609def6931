"""Conversion of line numbers from and to text such as lib.py:10-20,31."""

from __future__ import annotations

from collections.abc import Sequence

from flashwasm.errors import ShapeError

__all__ = ["format_lines", "parse_place"]

# No source file has more lines. The limit keeps a range such as 1-999999999999 from filling memory.
_MOST_LINES = 1_000_000


def format_lines(lines: Sequence[int]) -> str:
    """Return ascending line numbers as ranges: ``[3, 4, 5, 9]`` becomes ``"3-5, 9"``."""
    spans: list[list[int]] = []
    for line in lines:
        if spans and line == spans[-1][1] + 1:
            spans[-1][1] = line
        else:
            spans.append([line, line])
    return ", ".join(str(a) if a == b else f"{a}-{b}" for a, b in spans)


def parse_place(place: str) -> tuple[str, list[int]]:
    """Split ``FILE:LINES`` into the file and its line numbers.

    Raises
    ------
    ShapeError
        If the text is not in that format.
    """
    file, _, spans = place.rpartition(":")
    lines: list[int] = []
    try:
        for span in spans.split(","):
            first, _, last = span.partition("-")
            begin, end = int(first), int(last or first)
            lines += range(begin, min(end, begin + _MOST_LINES) + 1)
    except ValueError:
        lines = []
    if not file or not lines:
        raise ShapeError(f"{place!r} is not FILE:LINES, for example lib.py:10-20,31")
    return file, lines
