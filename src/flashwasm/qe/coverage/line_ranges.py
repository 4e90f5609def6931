"""Line numbers as text, such as "lines 3-5, 9"."""

from __future__ import annotations

from collections.abc import Sequence

__all__ = ["format_lines", "lines_in_words"]

# Ranges that a sentence shows: about two lines of a terminal.
_MOST_RANGES = 12


def format_lines(lines: Sequence[int]) -> str:
    """Return ascending line numbers as ranges: ``[3, 4, 5, 9]`` becomes ``"3-5, 9"``."""
    spans: list[list[int]] = []
    for line in lines:
        if spans and line == spans[-1][1] + 1:
            spans[-1][1] = line
        else:
            spans.append([line, line])
    return ", ".join(str(a) if a == b else f"{a}-{b}" for a, b in spans)


def lines_in_words(lines: Sequence[int]) -> str:
    """Return ascending line numbers after the word "line" or "lines", such as "line 3".

    Of many ranges, the first ones are shown with the number of the other lines.
    """
    ranges = format_lines(lines).split(", ")
    shown = ", ".join(ranges[:_MOST_RANGES])
    if len(ranges) > _MOST_RANGES:
        last = int(ranges[_MOST_RANGES - 1].rpartition("-")[2])
        others = sum(line > last for line in lines)
        shown = f"{shown} and {others:,} more up to {lines[-1]}"
    return f"{'line' if len(lines) == 1 else 'lines'} {shown}"
