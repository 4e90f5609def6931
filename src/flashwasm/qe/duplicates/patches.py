"""Edits of files, and their conversion to a patch."""

from __future__ import annotations

import difflib
import os
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

from flashwasm.qe.suites.syntax_trees import compiles

__all__ = ["Edit", "patch_of"]


class Edit(NamedTuple):
    """New lines that replace lines of a file.

    Parameters
    ----------
    path : pathlib.Path
        File.
    first, last : int
        First and last line to remove, counted from 1. If ``last`` is less than ``first``, the new
        lines are inserted before the line ``first``.
    lines : tuple of str
        New lines.
    """

    path: Path
    first: int
    last: int
    lines: tuple[str, ...]


def patch_of(edits: Iterable[Edit], root: Path) -> str:
    """Return a unified diff for ``git apply``.

    Parameters
    ----------
    edits : iterable of Edit
        Edits of different lines. Repeated edits are applied once.
    root : pathlib.Path
        Folder that the paths in the diff are relative to.

    Returns
    -------
    str
        The diff. A file is left out if its edits do not result in valid Python.
    """
    by_file: dict[Path, set[Edit]] = {}
    for edit in edits:
        by_file.setdefault(edit.path, set()).add(edit)
    parts: list[str] = []
    for path, own in sorted(by_file.items()):
        old = path.read_bytes().decode().split("\n")
        ending = "\r" if old[0].endswith("\r") else ""
        new = list(old)
        for edit in sorted(own, key=lambda edit: (edit.first, edit.last), reverse=True):
            new[edit.first - 1 : edit.last] = [line + ending for line in edit.lines]
        if compiles("\n".join(new).encode()):
            parts += _diff(old, new, Path(os.path.relpath(path, root)).as_posix())
    return "".join(parts)


def _diff(old: list[str], new: list[str], name: str) -> list[str]:
    """Return the lines of a diff; the last entry of each list follows the last line end."""
    before, after = ([f"{t}\n" for t in ts[:-1]] + [ts[-1]] * bool(ts[-1]) for ts in (old, new))
    shown = difflib.unified_diff(before, after, _quoted(f"a/{name}"), _quoted(f"b/{name}"))
    return [
        line if line.endswith("\n") else f"{line}\n\\ No newline at end of file\n" for line in shown
    ]


def _quoted(name: str) -> str:
    """Return a file's name as written in the header of a git diff."""
    data = os.fsencode(name)
    if all(0x20 < byte < 0x7F and byte not in b'"\\' for byte in data):
        return name
    # git ends an unquoted name at a tab, but not at a space.
    escaped = "".join(
        chr(byte) if 0x20 <= byte < 0x7F and byte not in b'"\\' else f"\\{byte:03o}"
        for byte in data
    )
    return f'"{escaped}"'
