"""The choice that several commands give: read PATH, or a file of `flashwasm index build`."""

from __future__ import annotations

from pathlib import Path
from typing import Any, NamedTuple, Protocol

import click

from flashwasm.cli.output import note
from flashwasm.qe.index_files.stored_index import is_index

__all__ = ["Source", "changed_json", "note_changes", "path_or_index"]


class Source(NamedTuple):
    """The file or folder that a command reads, and whether it is an index file."""

    path: Path
    is_index: bool


class Indexed(Protocol):
    """Anything that knows which of the files that it was made from have changed since."""

    def changes(self) -> list[str]:
        """Return the paths of those files."""


def path_or_index(path: Path | None, index_file: Path | None) -> Source:
    """Return what PATH or --index names; exactly one is given, and PATH may be an index too."""
    if index_file is not None:
        if path is not None:
            raise click.UsageError("give PATH or --index, not both")
        return Source(index_file, is_index=True)
    if path is None:
        raise click.UsageError("give PATH or --index")
    return Source(path, is_index=is_index(path))


def changed_json(indexed: Indexed, source: Source) -> dict[str, Any]:
    """Say on stderr if an index is stale, and return the part of the JSON that says so, too."""
    if not source.is_index:
        return {}
    changes = indexed.changes()
    note_changes(changes, source.path)
    return {"changed": changes}


def note_changes(changes: list[str], index_file: Path) -> None:
    """Say on stderr that an index is stale, if files have changed since it was made."""
    if changes:
        more = f" and {len(changes) - 1} more" if len(changes) > 1 else ""
        note(f"note: {index_file} is stale: {changes[0]}{more} changed since; build it again")
