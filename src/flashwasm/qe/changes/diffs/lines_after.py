"""Line numbers after a change, for lines that are known by their numbers before it."""

from __future__ import annotations

from bisect import bisect_right
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from flashwasm.qe.changes.diffs.unified_diff import ChangedFile

__all__ = ["LinesAfter"]


class LinesAfter:
    """The number after a change of each line before it.

    A changed line has the number of the line that replaces it. A removed line has the number of the
    line that now is in its place. The lines of a deleted file keep their numbers.

    Parameters
    ----------
    change : ChangedFile
        The change of one file.
    """

    def __init__(self, change: ChangedFile) -> None:
        # From each of these lines on, unchanged lines have moved by the number beside it.
        self._begins, self._shifts = [0], [0]
        self._replaced: dict[int, int] = {}
        if not change.added and sorted(change.removed) == list(range(1, len(change.lines) + 1)):
            return  # The file is deleted.
        shift, waiting, place = 0, list[int](), 0
        for old, new, _ in change.lines:
            if new is None and old is not None:
                self._replaced[old] = old + shift
                if not waiting or old != waiting[-1] + 1:
                    waiting, place = [], old + shift
                waiting.append(old)
                shift -= 1
                self._move(old + 1, shift)
            elif old is None and new is not None:
                shift += 1
                self._move(new - shift + 1, shift)
                if new == place:
                    # All removed lines that are left belong to this line, unless more are added.
                    self._replaced.update(dict.fromkeys(waiting, new))
                    waiting, place = waiting[1:], place + 1
            else:
                waiting = []

    def __call__(self, line: int) -> int:
        """Return the number after the change of a line.

        Parameters
        ----------
        line : int
            Number of the line before the change.
        """
        moved = line + self._shifts[bisect_right(self._begins, line) - 1]
        return self._replaced.get(line, moved)

    def _move(self, begin: int, shift: int) -> None:
        """Store by how much the lines from ``begin`` on, as numbered before, have moved."""
        self._begins.append(begin)
        self._shifts.append(shift)
