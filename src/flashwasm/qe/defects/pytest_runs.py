"""Runs of pytest in a text: where each begins and ends, what it counts, and what its tests printed.

Line numbers begin at 0, and a range of lines does not include its end.
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
        First line; the line after the last one that may belong to a failure; and the line after the
        short summary.
    counts : Counts or None
        What pytest's last line counts; None if there is no such line.
    entries : list of Entry
        Failures of the short summary, in the order in which pytest prints their tracebacks.
    starts : bool
        True if the first line is pytest's own first line.
    """

    begin: int
    end: int
    stop: int
    counts: Counts | None
    entries: list[Entry]
    starts: bool


class PytestText:
    """A text, with the positions of all lines that look like pytest's.

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
        """Return the marked lines of a range: rules with a title, headings and pytest's last."""
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
            # No line with counts follows: pytest -qq prints none, and a run that is killed neither.
            begin, counts, stop = below, None, end
        elif final is None:
            return None
        else:
            begin, counts, stop = self._begin(final), self.finals[final], final
        summary = self._summary(begin, stop)
        entries = [entry for line in self.lines[summary:stop] if (entry := read_entry(line))]
        # The summary lists failures before errors, and the tracebacks stand in the other order.
        entries.sort(key=lambda entry: not entry.is_error)
        starts = self.titles.get(begin) == _START
        return PytestRun(begin, summary, stop, counts, entries, starts)

    def top_of(self, run: PytestRun, first: int) -> int:
        """Return the first line of a run whose first failure stands at the line ``first``.

        A run without a line that starts it begins where its first section does.
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

        ``pytest -q`` prints no first line. So two of its runs in one text look like one run, one of
        whose tests printed the output of the other.
        """
        marks = self.marks(run.begin, run.end)
        for above, below in zip(reversed(marks[:-1]), reversed(marks[1:]), strict=True):
            if above in self.finals and self.titles.get(below) in ABOVE_HEADINGS:
                return replace(run, begin=below)
        return run

    def nested(self, run: PytestRun) -> list[range]:
        """Return the lines of runs of pytest that a test of this run started, and printed."""
        hidden: list[range] = []
        i = run.end
        for final in self._finals_above(run.end):
            if final >= i:
                continue  # It lies in a run that is hidden already.
            if final <= run.begin:
                break
            i = self._begin(final)
            if i <= run.begin:
                # pytest -q prints no first line. Then the captured output is hidden from its top.
                above = bisect_left(self.captured, final)
                captured = self.captured[above - 1] if above else -1
                i = captured + 1 if captured > run.begin else final
            hidden.append(range(i, final + 1))
        return hidden

    def _finals_above(self, end: int) -> Iterator[int]:
        """Yield the lines above ``end`` that count like pytest's last, the last one first."""
        return (i for i in reversed(self.finals) if i < end)

    def _begin(self, final: int) -> int:
        """Return the line where the run starts that ends with the line ``final``; else 0."""
        return self._begins[final]

    def _is_captured(self, final: int) -> bool:
        """Return True if the run that ends with the line ``final`` begins in captured output."""
        begin = bisect_left(self._marks, self._begin(final))
        if begin > 0:
            return self.lines[self._marks[begin - 1]].startswith("-")
        # One failure may have been cut out of a text, with the output that was captured.
        above = self.marks(0, final)
        return bool(above) and all(self.lines[i].startswith("-") for i in above)

    def _summary(self, begin: int, stop: int) -> int:
        """Return the line that heads the short summary of the run that ends at ``stop``."""
        for i in reversed(self.marks(begin, stop)):
            title = self.titles.get(i)
            if title == _SUMMARY:
                return i
            if i in self.finals or title == _START or title in ABOVE_HEADINGS:
                break  # Any summary above belongs to a run inside captured output.
        return stop


def _matched(bounds: Sequence[int], ends: Collection[int]) -> dict[int, int]:
    """Return for each end the start that it closes, as brackets do; 0 where all are closed."""
    begins: dict[int, int] = {}
    opened: list[int] = []
    for i in bounds:
        if i in ends:
            begins[i] = opened.pop() if opened else 0
        else:
            opened.append(i)
    return begins
