"""The input of several commands: PATH, or an index file made by `flashwasm index build`."""

from __future__ import annotations

from pathlib import Path
from typing import Any, NamedTuple, Protocol

import click
from click.core import ParameterSource

from flashwasm.cli.output import note
from flashwasm.qe.index_files.stored_index import is_index

__all__ = ["Source", "changed_json", "note_changes", "path_or_index"]


class Source(NamedTuple):
    """The file or folder that a command reads; ``is_index`` is True for an index file."""

    path: Path
    is_index: bool


class Indexed(Protocol):
    """An index that knows which of its source files have changed since it was made."""

    def changes(self) -> list[str]:
        """Return the paths of the files that have changed."""


def path_or_index(path: Path | None, index_file: Path | None) -> Source:
    """Return the source that PATH or --index names.

    The user must give exactly one of them. PATH may also be an index file. PATH on the command line
    overrides an index file in the project's settings.
    """
    source = click.get_current_context().get_parameter_source("index_file")
    if index_file is not None and not (path and source is ParameterSource.DEFAULT_MAP):
        if path is not None:
            raise click.UsageError("give PATH or --index, not both")
        return Source(index_file, is_index=True)
    if path is None:
        raise click.UsageError("give PATH or --index")
    return Source(path, is_index=is_index(path))


def changed_json(indexed: Indexed, source: Source) -> dict[str, Any]:
    """Print a note on stderr if an index is stale; return the changed files as a JSON entry."""
    if not source.is_index:
        return {}
    changes = indexed.changes()
    note_changes(changes, source.path)
    return {"changed": changes}


def note_changes(changes: list[str], index_file: Path) -> None:
    """Print a note on stderr that an index is stale if its source files have changed."""
    if changes:
        more = f" and {len(changes) - 1:,} more" if len(changes) > 1 else ""
        note(f"note: {index_file} is stale: {changes[0]}{more} changed since; build it again")
