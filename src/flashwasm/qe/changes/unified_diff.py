"""Unified diffs: the lines that a change removes and adds in each file."""

from __future__ import annotations

import io
import re
from dataclasses import dataclass, field
from typing import Any

from flashwasm.errors import DTypeError
from flashwasm.optional_packages import optional_module

__all__ = ["ChangedFile", "read_diff"]

_DEFINITION = re.compile(r"\s*(async def|def|class)\s")
_NO_FILE = "/dev/null"
# Prefixes that git puts before the two names of a file, by default and with diff.mnemonicPrefix.
_PREFIX = re.compile(r"[abciow12]/")
# unidiff cannot read the contents of binary files, or names that git writes in quotation marks.
_BINARY = re.compile(r"^GIT binary patch\n(?:(?:literal|delta) \d+\n(?:.+\n)+\n?)+", re.MULTILINE)
_QUOTING = re.compile(r'^(?:diff --git|---|\+\+\+) .*"$', re.MULTILINE)
_QUOTED = re.compile(r'"((?:[^"\\]|\\.)*)"')
_ESCAPE = re.compile(rb'\\([2-3][0-7]{2}|["\\])')


@dataclass
class ChangedFile:
    """A file that a diff changes.

    Parameters
    ----------
    path : str
        Path after the change; that before it if the file is deleted.
    old_path : str
        Path before the change; that after it if the file is new.
    old_lines : set of int
        Lines that are removed or changed, and the lines on both sides of an insertion, by their
        numbers before the change.
    new_lines : set of int
        Lines that are added or changed, by their numbers after the change.
    text : str
        Removed and added lines, each run of them below the heading of its function or class.
    """

    path: str
    old_path: str
    old_lines: set[int] = field(default_factory=set)
    new_lines: set[int] = field(default_factory=set)
    text: str = ""


def read_diff(text: str) -> list[ChangedFile]:
    """Read a unified diff, such as ``git diff`` prints.

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
    CapabilityError
        If unidiff is not installed.
    DTypeError
        If the text is not a unified diff.
    """
    unidiff = optional_module("unidiff")
    try:
        patch = unidiff.PatchSet(io.StringIO(_simplified(text)))
    except unidiff.UnidiffParseError as error:
        raise DTypeError(f"diff: not a unified diff: {error}") from error
    except (UnboundLocalError, ValueError) as error:
        # unidiff raises these if a file has only one of its two names, or a line number is invalid.
        raise DTypeError("diff: not a unified diff: a heading is damaged") from error
    if not patch and text.strip():
        raise DTypeError("diff: not a unified diff: it names no file")
    return [_read_file(file) for file in patch]


def _names(file: Any) -> tuple[str, str]:
    """Return a file's path after and before the change. If one is missing, both are the other."""
    # Some tools name only one side of a binary file.
    names = [name or _NO_FILE for name in (file.target_file, file.source_file)]
    there = [name for name in names if name != _NO_FILE]
    # Prefixes differ between the two sides. Equal beginnings, as in a/x and a/y, are a folder.
    if len(set(names)) > 1 and all(_PREFIX.match(name) for name in there):
        prefixes = {name[0] for name in there}
        if len(prefixes) == len(there):
            names = [name if name == _NO_FILE else name[2:] for name in names]
    new, old = names
    return (old if new == _NO_FILE else new), (new if old == _NO_FILE else old)


def _simplified(text: str) -> str:
    """Return a diff without contents of binary files and quotation marks, which unidiff rejects."""

    def unquoted(name: re.Match[str]) -> str:
        data = _ESCAPE.sub(_byte, name[1].encode("utf-8", "replace"))
        return data.decode("utf-8", "replace")

    text = _BINARY.sub("", text.replace("\r\n", "\n"))
    return _QUOTING.sub(lambda line: _QUOTED.sub(unquoted, line[0]), text)


def _byte(escape: re.Match[bytes]) -> bytes:
    r"""Return the byte that an escape in a quoted name, such as ``\303``, stands for."""
    code = escape[1]
    return code if len(code) == 1 else bytes([int(code, 8)])


def _read_file(file: Any) -> ChangedFile:
    """Return the changes to one file of a patch that unidiff has read."""
    changed = ChangedFile(*_names(file))
    lines: list[str] = []
    for hunk in file:
        before, replaces = hunk.source_start, False
        # A changed line belongs to the definition above it. The definition above the whole hunk
        # stands in the hunk's header.
        heading = hunk.section_header
        for line in hunk:
            if not line.is_added:
                before, replaces = line.source_line_no, line.is_removed
            if line.is_removed:
                changed.old_lines.add(before)
            elif line.is_added:
                changed.new_lines.add(line.target_line_no)
                # An insertion replaces no old line, so it counts as a change of both neighbours.
                if not replaces:
                    changed.old_lines.update((before, before + 1))
            elif _DEFINITION.match(line.value):
                heading = line.value.strip()
            if not line.is_context:
                lines += [heading, line.value.rstrip("\n")]
                heading = ""
    changed.text = "\n".join(line for line in lines if line)
    return changed
