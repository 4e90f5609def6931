"""A reader of pytest's output, which finds the failures in it.

Tests may print any text, such as a heading or the whole output of another pytest. So headings alone
are not reliable. The reader starts at the end of the text: pytest's last line counts the failures,
and the short summary above it lists them. Then the reader looks up their headings by name.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import accumulate

from flashwasm.qe.defects.log_prefixes import without_prefix
from flashwasm.qe.defects.pytest_lines import (
    ABOVE_HEADINGS,
    OTHER_SECTIONS,
    Entry,
    crash_places,
    is_end_of_traceback,
    read_entry,
    rerun_test,
    test_of_heading,
)
from flashwasm.qe.defects.pytest_runs import PytestRun, PytestText
from flashwasm.qe.defects.tracebacks import plain, read_failure

__all__ = ["PytestOutput", "read_output", "split_output"]

_RERUN_SUMMARY = "rerun test summary info"
# Names and texts of failures, with the lines of their headings, or None without a heading.
_Way = tuple[list[tuple[str, str]], Sequence[int | None]]
_INTERNAL_ERROR = "INTERNALERROR> "


@dataclass
class PytestOutput:
    """Failures of one or several runs of pytest, in the order of the text.

    Attributes
    ----------
    parts : list of tuple of str
        Name of the test and text of the failure.
    flaky : list of str
        Tests that failed and passed in a later attempt.
    counted : int or None
        Number of failures and errors that pytest reports; None if the text has no such line.
    notes : list of str
        A sentence for each part that could not be read.
    begin, end : int
        Positions in the text of the first and of the last line that pytest wrote.
    """

    parts: list[tuple[str, str]] = field(default_factory=list)
    flaky: list[str] = field(default_factory=list)
    counted: int | None = None
    notes: list[str] = field(default_factory=list)
    begin: int = 0
    end: int = 0


def split_output(text: str) -> list[tuple[str, str]]:
    """Return the name of the test and the text of each failure in pytest's output.

    A text that is not pytest's output counts as one failure of an unnamed test.
    """
    clean = plain(text)
    text = without_prefix(clean) or clean
    output = read_output(text)
    return [("", text)] if output is None else output.parts


def read_output(text: str) -> PytestOutput | None:
    """Read every pytest run in a text.

    Parameters
    ----------
    text : str
        The text, without colours.

    Returns
    -------
    PytestOutput or None
        None if the text is not pytest's output.
    """
    whole = PytestText(text)
    output, end, found = PytestOutput(), len(whole.lines), False
    lengths = [0, *accumulate(len(line) + 1 for line in text.split("\n"))]
    while (run := whole.last_run(end)) is not None:
        if not found:
            output.end = lengths[run.stop]
        found = True
        end = _read_run(whole, run, output)
        output.begin = lengths[end]
    if any(line.startswith(_INTERNAL_ERROR) for line in whole.lines):
        found = True
        output.notes.append("pytest itself failed (INTERNALERROR): its output is not whole")
    return output if found else None


def _read_run(text: PytestText, run: PytestRun, output: PytestOutput) -> int:
    """Add the failures of a run to the output, before those of later runs.

    Returns
    -------
    int
        First line of the run.
    """
    ways = _ways(text, run)
    if not run.starts:
        ways += _ways(text, text.narrowed(run))
    # The attempt that finds as many failures as pytest counts is right. Without a count, headings
    # that tests may have printed are left out.
    bad = None if run.counts is None else run.counts.bad
    fitting = next((way for way in ways if len(way[0]) == bad), None)
    parts, used = fitting or max(ways[:2], key=lambda way: len(way[0]))
    if not fitting:
        crashes = _crash_parts(text.lines, run)
        if len(crashes) == bad or not parts:
            parts, used = crashes, []
    _note(text, run, parts, output)
    output.parts[:0] = parts
    return text.top_of(run, min((i for i in used if i is not None), default=run.end))


def _ways(text: PytestText, run: PytestRun) -> list[_Way]:
    """Try to read the failures of a run in three ways.

    Returns
    -------
    list of tuple
        Failures and the lines of their headings for each way: by the names in the summary, by all
        headings that look like pytest's, and by all headings.
    """
    hidden = {i for lines in text.nested(run) for i in text.marks(lines.start, lines.stop)}
    named = _by_name(text, run, hidden)
    if None in named and hidden:
        again = _by_name(text, run, set())
        named = min(named, again, key=lambda places: places.count(None))
    strict = _by_listing(text, run, hidden, strict=True)
    loose = _by_listing(text, run, hidden, strict=False)
    if None in named and len(named) == len(strict):
        named = list(strict)  # Headings of a plugin's own, in the order of the summary.
    return [
        (_named_parts(text.lines, run, named), named),
        (_listed_parts(text.lines, run, strict), strict),
        (_listed_parts(text.lines, run, loose), loose),
    ]


def _by_name(text: PytestText, run: PytestRun, hidden: set[int]) -> list[int | None]:
    """Return the line of the heading for each entry in the summary; None without a heading."""
    headings = [
        (i, text.headings[i])
        for i in text.marks(run.begin, run.end)
        if i in text.headings and i not in hidden
    ]
    found: list[int | None] = []
    for entry in reversed(run.entries):
        fitting = (k for k in reversed(range(len(headings))) if entry.is_headed(headings[k][1]))
        nearest = next(fitting, None)
        if nearest is None:
            found.append(None)
        else:
            found.append(headings[nearest][0])
            del headings[nearest:]
    return found[::-1]


def _by_listing(text: PytestText, run: PytestRun, hidden: set[int], *, strict: bool) -> list[int]:
    """Return the lines of all headings in the sections of failures and errors.

    If ``strict``, a heading below captured output must have the length of pytest's headings.
    """
    places: list[int] = []
    width, inside, captured = 0, False, False
    for i in text.marks(run.begin, run.end):
        line = text.lines[i]
        if i in hidden:
            continue
        if title := text.titles.get(i):
            if title in ABOVE_HEADINGS:
                inside, captured, width = True, False, len(line)
            elif not captured or title in OTHER_SECTIONS:
                inside = False
        elif i not in text.headings:
            captured = captured or i not in text.finals
        elif inside:
            if strict and captured and len(line) != width and not line.startswith("_ "):
                continue
            places.append(i)
            captured = False
    return places


def _named_parts(
    lines: list[str], run: PytestRun, places: list[int | None]
) -> list[tuple[str, str]]:
    """Return the node id and the text of each entry of the summary.

    The text of an entry without a traceback is its line of ``--tb=line``, if there is one, and the
    message in the summary.
    """
    crashes = crash_places(lines[run.begin : run.end])
    parts = []
    for position, (entry, place) in enumerate(zip(run.entries, places, strict=True)):
        if place is None:
            text = entry.text
            for i, crash in enumerate(crashes):
                if entry.is_crash(crash):
                    text = crashes.pop(i)
                    break
        else:
            later = (p for p in places[position + 1 :] if p is not None)
            text = _traceback(lines, place, next(later, run.end))
            if not read_failure(text).exception:  # Only the summary names it.
                text = f"{text}\n{entry.text}".rstrip()
        parts.append((entry.test, text))
    return parts


def _listed_parts(lines: list[str], run: PytestRun, places: list[int]) -> list[tuple[str, str]]:
    """Return the title of each heading and the text below it."""
    stops = [*places[1:], run.end]
    return [
        (test_of_heading(lines[place]), _traceback(lines, place, stop))
        for place, stop in zip(places, stops, strict=False)
    ]


def _crash_parts(lines: list[str], run: PytestRun) -> list[tuple[str, str]]:
    """Return the lines of ``--tb=line``, with the test's name if the summary has the message."""
    entries, parts = list(run.entries), []
    for crash in crash_places(lines[run.begin : run.end]):
        entry = next((entry for entry in entries if entry.is_crash(crash)), None)
        parts.append((entry.test if entry else "", crash))
        if entry:
            entries.remove(entry)
    return parts


def _traceback(lines: list[str], heading: int, stop: int) -> str:
    """Return the text between a heading and the captured output."""
    body = lines[heading + 1 : stop]
    ends = (i for i, line in enumerate(body) if is_end_of_traceback(line))
    return "\n".join(body[: next(ends, len(body))])


def _note(
    text: PytestText, run: PytestRun, parts: list[tuple[str, str]], output: PytestOutput
) -> None:
    """Add the flaky tests of a run, its counts, and notes on unreadable parts to the output."""
    # pytest names rerun tests while it runs them, and at the end with -rR. Tracebacks are between.
    titles = {i: text.titles.get(i, "") for i in text.marks(run.begin, run.stop)}
    above = min((i for i, title in titles.items() if title in ABOVE_HEADINGS), default=run.end)
    below = max((i for i, title in titles.items() if title == _RERUN_SUMMARY), default=run.end)
    shown = [*text.lines[run.begin : above], *text.lines[below : run.stop]]
    reruns = {test: None for line in shown if (test := rerun_test(line))}
    failed = {test for test, _ in parts} | {e.test for line in shown if (e := read_entry(line))}
    output.flaky[:0] = [
        test
        for test in reruns
        if test not in failed and not any(map(Entry(is_error=False, rest=test).is_headed, failed))
    ]
    if run.counts is None:
        if not parts:
            output.notes.insert(0, "it has a section of failures, of which none can be read")
        return
    output.counted = (output.counted or 0) + run.counts.bad
    if run.counts.bad != len(parts):
        output.notes.insert(0, f"pytest counts {run.counts}, but the text shows {len(parts)}")
    if run.counts.rerun and not reruns:
        output.notes.append(
            f"pytest ran tests again ({run.counts.rerun} rerun) but does not name them: -rR does"
        )
