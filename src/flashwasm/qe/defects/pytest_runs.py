"""pytest runs in a text: first and last line, counts, and the lines printed by tests.

Line numbers start at 0, and a range of lines does not include its end.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, replace

from flashwasm.qe.defects.pytest_lines import (
    ABOVE_HEADINGS,
    CAPTURED,
    Counts,
    Entry,
    final_counts,
    heading_of,
    read_entry,
    title_of,
)

__all__ = ["PytestRun", "PytestText"]

_SUMMARY = "short test summary info"
_START = "test session starts"


@dataclass(frozen=True)
class PytestRun:
    """The lines of one run of pytest.

    Attributes
    ----------
    begin, end, stop : int
        First line; line after the last line that may belong to a failure; and line after the short
        summary.
    counts : Counts or None
        Counts in pytest's last line; None if there is no such line.
    entries : list of Entry
        Failures in the short summary, in the order of their tracebacks.
    starts : bool
        True if the first line is the first line that pytest prints.
    """

    begin: int
    end: int
    stop: int
    counts: Counts | None
    entries: list[Entry]
    starts: bool


class PytestText:
    """A text, with the positions of all lines that look like lines of pytest.

    Parameters
    ----------
    text : str
        The text, without colours.
    """

    def __init__(self, text: str) -> None:
        self.lines = [line.rstrip() for line in text.split("\n")]
        self.titles: dict[int, str] = {}
        self.headings: dict[int, str] = {}
        self.finals: dict[int, Counts] = {}
        self.captured: list[int] = []
        for i, line in enumerate(self.lines):
            if counts := final_counts(line):
                self.finals[i] = counts
            elif title := title_of(line):
                self.titles[i] = title
            elif heading := heading_of(line):
                self.headings[i] = heading
            elif line.startswith("-") and CAPTURED.match(line):
                self.captured.append(i)
        starts = [i for i, title in self.titles.items() if title == _START]
        self._begins = _matched(sorted([*starts, *self.finals]), self.finals)
        self._marks = sorted([*self.titles, *self.headings, *self.finals, *self.captured])

    def marks(self, begin: int, end: int) -> list[int]:
        """Return the marked lines in a range: titled rules, headings and pytest's last lines."""
        return self._marks[bisect_left(self._marks, begin) : bisect_left(self._marks, end)]

    def last_run(self, end: int) -> PytestRun | None:
        """Return the last run of pytest above the line ``end``; None if there is none."""
        above = (i for i in reversed(self.finals) if i < end)
        final = next((i for i in above if not self._is_captured(i)), None)
        if final is not None and any(i in self.headings for i in self.marks(final, end)):
            final = None  # No heading follows pytest's last line, so a test printed this one.
        below = 0 if final is None else final + 1
        titles = {self.titles.get(i, "") for i in self.marks(below, end)}
        if titles & {_SUMMARY, *ABOVE_HEADINGS}:
            # No line with counts follows, as with pytest -qq or a killed run.
            begin, counts, stop = below, None, end
        elif final is None:
            return None
        else:
            begin, counts, stop = self._begin(final), self.finals[final], final
        summary = self._summary(begin, stop)
        entries = [entry for line in self.lines[summary:stop] if (entry := read_entry(line))]
        # The summary lists failures before errors, but the tracebacks are in the opposite order.
        entries.sort(key=lambda entry: not entry.is_error)
        starts = self.titles.get(begin) == _START
        return PytestRun(begin, summary, stop, counts, entries, starts)

    def top_of(self, run: PytestRun, first: int) -> int:
        """Return the first line of a run whose first failure is at the line ``first``.

        If the run has no starting line, it begins at its first section.
        """
        if run.counts is None or run.starts:
            return run.begin
        for i in reversed(self.marks(run.begin, first)):
            if self.titles.get(i) in ABOVE_HEADINGS:
                first = i
            elif i in self.finals:
                break
        return first

    def narrowed(self, run: PytestRun) -> PytestRun:
        """Return the part of a run below the last run that seems to end above it.

        ``pytest -q`` prints no first line. So two such runs in one text look like one run in which
        a test printed the output of the other run.
        """
        marks = self.marks(run.begin, run.end)
        for above, below in zip(reversed(marks[:-1]), reversed(marks[1:]), strict=True):
            if above in self.finals and self.titles.get(below) in ABOVE_HEADINGS:
                return replace(run, begin=below)
        return run

    def nested(self, run: PytestRun) -> list[range]:
        """Return the lines of pytest runs that a test of this run started and printed."""
        hidden: list[range] = []
        i = run.end
        for final in self._finals_above(run.end):
            if final >= i:
                continue  # It is inside a run that is already hidden.
            if final <= run.begin:
                break
            i = self._begin(final)
            if i <= run.begin:
                # pytest -q prints no first line. Then the captured output is hidden from its start.
                above = bisect_left(self.captured, final)
                captured = self.captured[above - 1] if above else -1
                i = captured + 1 if captured > run.begin else final
            hidden.append(range(i, final + 1))
        return hidden

    def _finals_above(self, end: int) -> Iterator[int]:
        """Yield the lines above ``end`` that look like pytest's last line, the last one first."""
        return (i for i in reversed(self.finals) if i < end)

    def _begin(self, final: int) -> int:
        """Return the first line of the run that ends with the line ``final``, or else 0."""
        return self._begins[final]

    def _is_captured(self, final: int) -> bool:
        """Return True if the run that ends with the line ``final`` begins in captured output."""
        begin = bisect_left(self._marks, self._begin(final))
        if begin > 0:
            return self.lines[self._marks[begin - 1]].startswith("-")
        # The text may be an excerpt with a single failure and its captured output.
        above = self.marks(0, final)
        return bool(above) and all(self.lines[i].startswith("-") for i in above)

    def _summary(self, begin: int, stop: int) -> int:
        """Return the heading line of the short summary of the run that ends at ``stop``."""
        for i in reversed(self.marks(begin, stop)):
            title = self.titles.get(i)
            if title == _SUMMARY:
                return i
            if i in self.finals or title == _START or title in ABOVE_HEADINGS:
                break  # Any summary above belongs to a run inside captured output.
        return stop


def _matched(bounds: Sequence[int], ends: Collection[int]) -> dict[int, int]:
    """Match ends with starts like brackets: return the start for each end, or 0 without one."""
    begins: dict[int, int] = {}
    opened: list[int] = []
    for i in bounds:
        if i in ends:
            begins[i] = opened.pop() if opened else 0
        else:
            opened.append(i)
    return begins
