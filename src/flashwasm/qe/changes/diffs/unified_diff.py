"""Unified diffs: the lines that a change removes and adds in each file."""

from __future__ import annotations

import re
from dataclasses import dataclass, field

from flashwasm.errors import DTypeError
from flashwasm.html_tables import html_table
from flashwasm.object_checks import checked_text
from flashwasm.qe.changes.diffs.file_names import HEADER_LINE, names_of

__all__ = ["ChangedFile", "read_diff"]

_DEFINITION = re.compile(r"\s*(async def|def|class)\s")
# "@@ -4,5 +4,6 @@ def f():". The diff of a merge has one more "@" and one more range for each
# further parent.
_HUNK = re.compile(r"(@@+)((?: -\d{1,9}(?:,\d{1,9})?)+) \+(\d{1,9})(?:,(\d{1,9}))? \1 ?(.*)")
_HEADING = re.compile(r"@@+ -\d")
_RANGE = re.compile(r"-(\d+)(?:,(\d+))?")
_COLOUR = re.compile(r"\x1b\[[0-9;]*[mK]")
# Lines of files begin with a space, "+" or "-". So a colour at the start of a line was added by the
# tool that printed the diff.
_COLOURED = re.compile(rf"^{_COLOUR.pattern}", re.MULTILINE)
# First line of a patch as `git format-patch` writes it, and what stands between the message and the
# diff: three dashes, notes, and the number of changed lines by file; or the head of an attachment.
_PATCH = re.compile(r"^(?=From [0-9a-f]{40,64} Mon Sep 17 00:00:00 2001$)", re.MULTILINE)
_END_OF_MESSAGE = re.compile(
    r"^(?:---|Content-Disposition: .*)\n(?:(?: .*|Notes.*)?\n)*\n(?=diff --)", re.MULTILINE
)


@dataclass
class ChangedFile:
    """A file that a diff changes.

    Parameters
    ----------
    path : str
        Path after the change, or before it if the file is deleted.
    old_path : str
        Path before the change, or after it if the file is new.
    old_lines : set of int
        Numbers before the change of removed or changed lines, and of the lines on both sides of an
        insertion.
    new_lines : set of int
        Numbers after the change of added or changed lines.
    text : str
        Removed and added lines. Each block is below the heading of its function or class.
    lines : list of (int or None, int or None, str)
        All lines in the diff, including context lines: the number before the change or None for an
        added line, the number after the change or None for a removed line, and the text.
    untracked : bool, default False
        True for a new file that git neither tracks nor ignores.
    """

    path: str
    old_path: str
    old_lines: set[int] = field(default_factory=set)
    new_lines: set[int] = field(default_factory=set)
    text: str = ""
    lines: list[tuple[int | None, int | None, str]] = field(default_factory=list, repr=False)
    untracked: bool = field(default=False, repr=False, compare=False)

    _repr_html_ = html_table

    @property
    def removed(self) -> dict[int, str]:
        """Text of each removed or changed line, by its number before the change."""
        return {old: text for old, new, text in self.lines if old is not None and new is None}

    @property
    def added(self) -> dict[int, str]:
        """Text of each added or changed line, by its number after the change."""
        return {new: text for old, new, text in self.lines if old is None and new is not None}


def read_diff(text: str) -> list[ChangedFile]:
    """Read a unified diff, such as ``git diff`` prints.

    The text may contain colours, and commit messages as in ``git log -p`` and ``git format-patch``.
    It may be the diff of a merge. Then the lines before the change are those of the first parent.

    Parameters
    ----------
    text : str
        Text of the diff.

    Returns
    -------
    list of ChangedFile
        Changed files, in the order of the diff; empty if it changes nothing.

    Raises
    ------
    DTypeError
        If the text is not a unified diff.
    """
    checked_text(text, "text")
    try:
        files = [_changed_file(section) for section in _sections(_lines(text))]
    except ValueError as error:
        raise DTypeError(f"diff: not a unified diff: {error}; `git diff` makes one") from error
    if not files and text.strip():
        raise DTypeError("diff: not a unified diff: it names no file; `git diff` makes one")
    return files


@dataclass
class _Hunk:
    """A hunk: neighbouring changed lines.

    Parameters
    ----------
    heading : str
        Function or class above the lines, as git found it.
    old, new : int
        Number of the last line before the hunk, in the file before and after the change.
    empty : bool
        True if the file has no lines before the change.
    lines : list of (str, str)
        Each line's marks and its text. There is one mark for each parent: " ", "-" or "+".
    """

    heading: str
    old: int
    new: int
    empty: bool
    lines: list[tuple[str, str]] = field(default_factory=list)


@dataclass
class _Section:
    """The part of a diff for one file: header lines with its names, and hunks."""

    header: dict[str, str]
    hunks: list[_Hunk] = field(default_factory=list)

    def is_open(self) -> bool:
        """Return True if more names may follow: git wrote the first, and no hunk came yet."""
        return not self.hunks and any(key.startswith("diff") for key in self.header)


def _lines(text: str) -> list[str]:
    """Return the lines of a diff without colours and without the messages of patches."""
    text = text.replace("\r\n", "\n")
    if _COLOURED.search(text):
        text = _COLOUR.sub("", text)
    parts = []
    for patch in _PATCH.split(text):
        # A message may contain the same three dashes, but a diff cannot: there, each line of a file
        # has a mark in front. So the last ones end the message.
        ends = [end.end() for end in _END_OF_MESSAGE.finditer(patch)]
        parts.append(patch[ends[-1] :] if ends and _PATCH.match(patch) else patch)
    lines = "".join(parts).split("\n")
    return lines[:-1] if lines[-1] == "" else lines


def _sections(lines: list[str]) -> list[_Section]:
    """Split a diff into its files.

    The heading of a hunk gives its number of lines. So a removed line "-- a/x", which looks like a
    line with a file name ("--- a/x"), is not mistaken for one. Lines between the files without a
    name, such as "index 83db48f..bf2c3ea", are ignored.
    """
    sections: list[_Section] = []
    at, expects_hunk = 0, False
    while at < len(lines):
        line = lines[at]
        following = lines[at + 1] if at + 1 < len(lines) else ""
        named = HEADER_LINE.fullmatch(line)
        if _HEADING.match(line):
            if not expects_hunk:
                raise ValueError("a hunk has no name of a file above it")
            hunk, at = _read_hunk(lines, at)
            sections[-1].hunks.append(hunk)
            continue
        if line.startswith("--- ") and following.startswith("+++ "):
            if not sections or sections[-1].hunks or "---" in sections[-1].header:
                sections.append(_Section({}))
            sections[-1].header.update({"---": line[4:], "+++": following[4:]})
            expects_hunk = True
            at += 1
        elif named and named["key"].startswith("diff"):
            sections.append(_Section({named["key"]: named["names"]}))
            expects_hunk = False
        elif named and sections and sections[-1].is_open():
            sections[-1].header.setdefault(named["key"], named["names"])
        elif named and line.startswith("Binary"):
            sections.append(_Section({named["key"]: named["names"]}))
            expects_hunk = False
        elif line and not line.startswith("\\"):
            # Hunks of one file may be apart by empty lines only.
            expects_hunk = False
        at += 1
    return sections


def _read_hunk(lines: list[str], at: int) -> tuple[_Hunk, int]:
    """Return the hunk whose heading is line ``at``, and the position of the line below it."""
    found = _HUNK.fullmatch(lines[at])
    old = _RANGE.findall(found[2]) if found else []
    if not found or len(old) != len(found[1]) - 1:
        raise ValueError(f"the heading of a hunk is damaged: {lines[at][:80]!r}")
    # Lines that are still to come of each parent and of the result.
    left = [int(count or 1) for _, count in old] + [int(found[4] or 1)]
    # The heading gives the first line; for an empty range, the line before it.
    hunk = _Hunk(
        heading=found[5],
        old=int(old[0][0]) - (left[0] > 0),
        new=int(found[3]) - (left[-1] > 0),
        empty=old[0] == ("0", "0"),
    )
    at += 1
    while any(left):
        if at == len(lines):
            raise ValueError("a hunk is shorter than its heading says")
        line = lines[at]
        at += 1
        if line.startswith("\\"):
            continue  # "\ No newline at end of file" is about the line above, and no line itself.
        # Some editors strip the blank that is the mark of an empty line.
        marks = line[: len(old)].ljust(len(old))
        if marks.strip(" +-"):
            raise ValueError(f"a line of a hunk has no mark: {line[:80]!r}")
        left = [count - there for count, there in zip(left, _where(marks), strict=True)]
        if min(left) < 0:
            raise ValueError("a hunk is longer than its heading says")
        hunk.lines.append((marks, line[len(old) :]))
    if not any(marks.strip() for marks, _ in hunk.lines):
        # Indented lines of `git diff --word-diff` look like lines that did not change.
        raise ValueError("a hunk changes no line; a diff of words cannot be read")
    return hunk, at


def _where(marks: str) -> list[bool]:
    """Return for each parent, and at last for the result, True if it has the line."""
    if "-" in marks:
        return [mark == "-" for mark in marks] + [False]
    return [mark != "+" for mark in marks] + [True]


def _changed_file(section: _Section) -> ChangedFile:
    """Return the changes to one file."""
    path, old_path = names_of(section.header)
    changed = ChangedFile(path, old_path)
    lines: list[str] = []
    for hunk in section.hunks:
        old, new, replaces = hunk.old, hunk.new, False
        # A changed line belongs to the definition above it. The definition above the whole hunk
        # stands in the hunk's header.
        heading = hunk.heading
        for marks, value in hunk.lines:
            in_old, *_, in_new = _where(marks)
            old, new = old + in_old, new + in_new
            if in_old:
                replaces = not in_new
                if replaces:
                    changed.old_lines.add(old)
            elif in_new and not replaces and not hunk.empty:
                # An insertion replaces no old line, so it counts as a change of both neighbours.
                changed.old_lines.update({old, old + 1} - {0})
            if in_old or in_new:
                changed.lines.append((old if in_old else None, new if in_new else None, value))
            if "+" in marks:
                changed.new_lines.add(new)
            if marks.strip():
                lines += [heading, value]
                heading = ""
            elif _DEFINITION.match(value):
                heading = value.strip()
    changed.text = "\n".join(line for line in lines if line)
    return changed
