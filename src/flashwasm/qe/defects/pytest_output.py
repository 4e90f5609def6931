"""A reader of pytest's output: it finds the failures among everything else that pytest prints.

Tests print what they like, such as a heading, or the whole output of another pytest. So headings
alone do not decide. The reader starts from the end of the text: pytest's last line counts the
failures, and the short summary above it lists them. Their headings are then looked up by name.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from flashwasm.qe.defects.log_prefixes import without_prefix
from flashwasm.qe.defects.pytest_lines import (
    ABOVE_HEADINGS,
    CAPTURED,
    OTHER_SECTIONS,
    Counts,
    Entry,
    crash_places,
    final_counts,
    heading_of,
    is_end_of_traceback,
    read_entry,
    rerun_test,
    test_of_heading,
    title_of,
)
from flashwasm.qe.defects.tracebacks import plain, read_failure

__all__ = ["PytestOutput", "read_output", "split_output"]

_SUMMARY = "short test summary info"
_RERUN_SUMMARY = "rerun test summary info"
_START = "test session starts"
_INTERNAL_ERROR = "INTERNALERROR> "


@dataclass
class PytestOutput:
    """Failures of one or several runs of pytest, in the order of the text.

    Attributes
    ----------
    parts : list of tuple of str
        Name of the test and text of the failure.
    flaky : list of str
        Tests that failed and passed at a later attempt.
    counted : int or None
        Number of failures and errors by pytest's own count; None if the text has no such line.
    notes : list of str
        A sentence for each thing that could not be read.
    begin, end : int
        Positions in the text of the first and of the last line that pytest wrote.
    """

    parts: list[tuple[str, str]] = field(default_factory=list)
    flaky: list[str] = field(default_factory=list)
    counted: int | None = None
    notes: list[str] = field(default_factory=list)
    begin: int = 0
    end: int = 0


@dataclass
class _Run:
    """The lines of one run of pytest.

    Attributes
    ----------
    begin, end, stop : int
        First line, the line after the last one that may belong to a failure, and the line after the
        short summary.
    counts : Counts or None
        What pytest's last line counts; None if there is no such line.
    entries : list of Entry
        Failures of the short summary, in the order in which pytest prints their tracebacks.
    """

    begin: int
    end: int
    stop: int
    counts: Counts | None
    entries: list[Entry]


def split_output(text: str) -> list[tuple[str, str]]:
    """Return the name of the test and the text, for each failure in pytest's output.

    A text that is not pytest's output counts as one failure of a test without a name.
    """
    clean = plain(text)
    text = without_prefix(clean) or clean
    output = read_output(text)
    return [("", text)] if output is None else output.parts


def read_output(text: str) -> PytestOutput | None:
    """Read every run of pytest whose output a text holds.

    Parameters
    ----------
    text : str
        The text, without colours.

    Returns
    -------
    PytestOutput or None
        None if the text is not pytest's output.
    """
    raw = text.split("\n")
    lines = [line.rstrip() for line in raw]
    output, end, found = PytestOutput(), len(lines), False
    while (run := _last_run(lines, end)) is not None:
        if not found:
            output.end = sum(len(line) + 1 for line in raw[: run.stop])
        found = True
        end = _read_run(lines, run, output)
        output.begin = sum(len(line) + 1 for line in raw[:end])
    if any(line.startswith(_INTERNAL_ERROR) for line in lines):
        found = True
        output.notes.append("pytest itself failed (INTERNALERROR): its output is not whole")
    return output if found else None


def _last_run(lines: list[str], end: int) -> _Run | None:
    """Return the last run of pytest above the line ``end``; None if there is none."""
    finals = (i for i in range(end - 1, -1, -1) if final_counts(lines[i]))
    final = next((i for i in finals if not _is_captured(lines, i)), None)
    if final is not None and any(map(heading_of, lines[final + 1 : end])):
        final = None  # No heading follows pytest's last line, so a test printed this one.
    below = 0 if final is None else final + 1
    titles = {title_of(line) for line in lines[below:end]}
    if titles & {_SUMMARY, *ABOVE_HEADINGS}:
        # No line with counts follows: pytest -qq prints none, and a run that is killed neither.
        begin, counts, stop = below, None, end
    elif final is None:
        return None
    else:
        begin, counts, stop = _begin(lines, final), final_counts(lines[final]), final
    summary = _summary(lines, begin, stop)
    entries = [entry for line in lines[summary:stop] if (entry := read_entry(line))]
    # The summary lists failures before errors, and the tracebacks stand in the other order.
    entries.sort(key=lambda entry: not entry.is_error)
    return _Run(begin, summary, stop, counts, entries)


def _begin(lines: list[str], final: int) -> int:
    """Return the line at which the run starts that ends with the line ``final``; 0 if none says."""
    depth = 0
    for i in range(final - 1, -1, -1):
        if final_counts(lines[i]):
            depth += 1
        elif title_of(lines[i]) == _START:
            if depth == 0:
                return i
            depth -= 1
    return 0


def _is_captured(lines: list[str], final: int) -> bool:
    """Return True if the run that ends with the line ``final`` begins in captured output."""
    begin = _begin(lines, final)
    for line in reversed(lines[:begin]):
        if CAPTURED.match(line):
            return True
        if title_of(line) or heading_of(line) or final_counts(line):
            return False
    return False


def _summary(lines: list[str], begin: int, stop: int) -> int:
    """Return the line that heads the short summary of the run that ends at the line ``stop``."""
    for i in range(stop - 1, begin - 1, -1):
        if title_of(lines[i]) == _SUMMARY:
            return i
        if final_counts(lines[i]) or title_of(lines[i]) in {_START, *ABOVE_HEADINGS}:
            break  # Any summary above belongs to a run inside captured output.
    return stop


def _read_run(lines: list[str], run: _Run, output: PytestOutput) -> int:
    """Add the failures of a run to the output, before those of later runs.

    Returns
    -------
    int
        First line that was taken as part of the run.
    """
    hidden = _nested(lines, run)
    named = _by_name(lines, run, hidden)
    if None in named and hidden:
        again = _by_name(lines, run, set())
        named = min(named, again, key=lambda places: places.count(None))
    strict = _by_listing(lines, run, hidden, strict=True)
    loose = _by_listing(lines, run, hidden, strict=False)
    if None in named and len(named) == len(strict):
        named = list(strict)  # Headings of a plugin's own, in the order of the summary.
    ways: list[tuple[list[tuple[str, str]], Sequence[int | None]]] = [
        (_named_parts(lines, run, named), named),
        (_listed_parts(lines, run, strict), strict),
        (_listed_parts(lines, run, loose), loose),
        (_crash_parts(lines, run), []),
    ]
    # The way that finds as many as pytest counts is right. Without a count, headings that tests may
    # have printed are left out.
    bad = None if run.counts is None else run.counts.bad
    longest = max(ways[:2], key=lambda way: len(way[0]))
    longest = longest if longest[0] else ways[-1]
    parts, used = next((way for way in ways if len(way[0]) == bad), longest)
    places = [place for place in used if place is not None]
    _note(lines, run, parts, output)
    output.parts[:0] = parts
    if run.counts is None or title_of(lines[run.begin]) == _START:
        return run.begin
    # Without a line that starts the run, it begins where its first section does.
    top = min(places, default=run.end)
    for i in range(top - 1, run.begin - 1, -1):
        if title_of(lines[i]) in ABOVE_HEADINGS:
            top = i
        elif final_counts(lines[i]):
            break
    return top


def _nested(lines: list[str], run: _Run) -> set[int]:
    """Return the lines of runs of pytest that a test of this run started, and printed."""
    hidden: set[int] = set()
    i = run.end - 1
    while i > run.begin:
        if final_counts(lines[i]):
            inner = _begin(lines, i)
            if inner <= run.begin:
                # pytest -q prints no first line. Then the captured output is hidden from its top.
                above = range(i - 1, run.begin, -1)
                inner = next((k + 1 for k in above if CAPTURED.match(lines[k])), i)
            hidden.update(range(inner, i + 1))
            i = inner
        i -= 1
    return hidden


def _by_name(lines: list[str], run: _Run, hidden: set[int]) -> list[int | None]:
    """Return the line of the heading of each entry of the summary; None for one without heading."""
    headings = [
        (i, title)
        for i in range(run.begin, run.end)
        if i not in hidden and (title := heading_of(lines[i]))
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


def _by_listing(lines: list[str], run: _Run, hidden: set[int], *, strict: bool) -> list[int]:
    """Return the lines of all headings in the sections of failures and errors.

    If ``strict``, a heading below captured output counts only if it is as long as pytest makes it.
    """
    places: list[int] = []
    width, inside, captured = 0, False, False
    for i in range(run.begin, run.end):
        line = lines[i]
        if i in hidden:
            continue
        if title := title_of(line):
            if title in ABOVE_HEADINGS:
                inside, captured, width = True, False, len(line)
            elif not captured or title in OTHER_SECTIONS:
                inside = False
        elif CAPTURED.match(line):
            captured = True
        elif inside and heading_of(line):
            if strict and captured and len(line) != width and not line.startswith("_ "):
                continue
            places.append(i)
            captured = False
    return places


def _named_parts(lines: list[str], run: _Run, places: list[int | None]) -> list[tuple[str, str]]:
    """Return the node id and the text of each entry of the summary.

    An entry without a traceback has the place of the crash if ``--tb=line`` names it, and the
    summary's message.
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


def _listed_parts(lines: list[str], run: _Run, places: list[int]) -> list[tuple[str, str]]:
    """Return the title and the text below each of some headings."""
    stops = [*places[1:], run.end]
    return [
        (test_of_heading(lines[place]), _traceback(lines, place, stop))
        for place, stop in zip(places, stops, strict=False)
    ]


def _crash_parts(lines: list[str], run: _Run) -> list[tuple[str, str]]:
    """Return the lines of ``--tb=line``, with the test's name where the summary has the message."""
    entries, parts = list(run.entries), []
    for crash in crash_places(lines[run.begin : run.end]):
        entry = next((entry for entry in entries if entry.is_crash(crash)), None)
        parts.append((entry.test if entry else "", crash))
        if entry:
            entries.remove(entry)
    return parts


def _traceback(lines: list[str], heading: int, stop: int) -> str:
    """Return what stands between a heading and the output that pytest captured."""
    body = lines[heading + 1 : stop]
    ends = (i for i, line in enumerate(body) if is_end_of_traceback(line))
    return "\n".join(body[: next(ends, len(body))])


def _note(lines: list[str], run: _Run, parts: list[tuple[str, str]], output: PytestOutput) -> None:
    """Add to the output the flaky tests of a run, its counts, and what could not be read."""
    # Tests are named while pytest runs them, and at the end by -rR. Tracebacks stand between.
    titles = {i: title for i in range(run.begin, run.stop) if (title := title_of(lines[i]))}
    above = min((i for i, title in titles.items() if title in ABOVE_HEADINGS), default=run.end)
    below = max((i for i, title in titles.items() if title == _RERUN_SUMMARY), default=run.end)
    shown = [*lines[run.begin : above], *lines[below : run.stop]]
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
