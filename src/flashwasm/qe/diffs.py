"""What a unified diff changes, line by line."""

from __future__ import annotations

import importlib
import io
import re
from dataclasses import dataclass, field
from typing import Any

from flashwasm.errors import CapabilityError, DTypeError

__all__ = ["ChangedFile", "read_diff"]


_DEFINITION = re.compile(r"\s*(async def|def|class)\s")


@dataclass
class ChangedFile:
    """One file of a diff.

    Parameters
    ----------
    path : str
        Its path after the change, or before it where the file is deleted.
    old_lines : set of int
        Lines that are changed or removed, and those on both sides of an insertion, by their numbers
        before the change.
    new_lines : set of int
        Lines that are added or changed, by their numbers after it.
    text : str
        What is removed and added, below the definitions that it belongs to.
    """

    path: str
    old_path: str
    old_lines: set[int] = field(default_factory=set)
    new_lines: set[int] = field(default_factory=set)
    text: str = ""


def read_diff(text: str) -> list[ChangedFile]:
    """Read a unified diff, as ``git diff`` prints it.

    Parameters
    ----------
    text : str
        The diff.

    Returns
    -------
    list of ChangedFile
        Empty where nothing is changed.

    Raises
    ------
    CapabilityError
        If unidiff is not installed.
    DTypeError
        If the text is no unified diff.
    """
    try:
        unidiff = importlib.import_module("unidiff")
    except ImportError as error:
        raise CapabilityError(
            'unidiff is not installed; get it with: pip install "flashwasm[diff]"'
        ) from error
    try:
        patch = unidiff.PatchSet(io.StringIO(text))
    except unidiff.UnidiffParseError as error:
        raise DTypeError(f"diff: not a unified diff: {error}") from error
    if not patch and text.strip():
        raise DTypeError("diff: not a unified diff: it names no file")
    return [_read_file(file) for file in patch]


def _read_file(file: Any) -> ChangedFile:
    old = file.source_file or ""
    changed = ChangedFile(file.path, old.removeprefix("a/") if old != "/dev/null" else file.path)
    lines: list[str] = []
    for hunk in file:
        before, replaces = hunk.source_start, False
        # What is changed belongs to the definition above it, which the heading names at first.
        heading = hunk.section_header
        for line in hunk:
            if not line.is_added:
                before, replaces = line.source_line_no, line.is_removed
            if line.is_removed:
                changed.old_lines.add(before)
            elif line.is_added:
                changed.new_lines.add(line.target_line_no)
                # What is only inserted changes what runs on both of its sides.
                if not replaces:
                    changed.old_lines.update((before, before + 1))
            elif _DEFINITION.match(line.value):
                heading = line.value.strip()
            if not line.is_context:
                lines += [heading, line.value.rstrip("\n")]
                heading = ""
    changed.text = "\n".join(line for line in lines if line)
    return changed
