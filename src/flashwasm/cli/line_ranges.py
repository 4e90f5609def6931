"""Line numbers from text such as lib.py:10-20,31."""

from __future__ import annotations

from flashwasm.errors import ShapeError

__all__ = ["parse_place"]

# No source file has more lines. The limit keeps a range such as 1-999999999999 from filling memory.
_MOST_LINES = 1_000_000


def parse_place(place: str) -> tuple[str, list[int]]:
    """Split ``FILE:LINES`` into the file and its line numbers.

    Raises
    ------
    ShapeError
        If the text is not in that format, or a range ends before it begins.
    """
    file, _, spans = place.rpartition(":")
    lines: list[int] = []
    for span in spans.split(","):
        first, _, last = span.partition("-")
        try:
            begin, end = int(first), int(last or first)
        except ValueError:
            file = ""
            break
        if begin > end:
            raise ShapeError(f"{place!r}: the range {span} ends before it begins")
        lines += range(begin, min(end, begin + _MOST_LINES) + 1)
    if not file:
        raise ShapeError(f"{place!r} is not FILE:LINES, for example lib.py:10-20,31")
    return file, lines
