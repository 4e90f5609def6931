"""What the commands share that take a file of `flashwasm index` in the place of a folder."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import click

from flashwasm.cli.output import note
from flashwasm.qe.index_files.index_file import is_index

__all__ = ["chosen", "index_option", "note_changes"]

F = TypeVar("F", bound=Callable[..., Any])


def index_option(command: F) -> F:
    """Add ``--index``."""
    return click.option(
        "--index",
        "index_file",
        metavar="F",
        type=click.Path(exists=True, dir_okay=False, path_type=Path),
        help="A file of `flashwasm index build`, in the place of PATH.",
    )(command)


def chosen(path: Path | None, index_file: Path | None) -> tuple[Path, bool]:
    """Return what was given, and whether it is an index: PATH may be one too."""
    if index_file is not None:
        if path is not None:
            raise click.UsageError("give PATH or --index, not both")
        return index_file, True
    if path is None:
        raise click.UsageError("give PATH or --index")
    return path, is_index(path)


def note_changes(changes: list[str], index_file: Path) -> None:
    """Say on stderr that an index is stale."""
    if changes:
        more = f" and {len(changes) - 1} more" if len(changes) > 1 else ""
        note(f"note: {index_file} is stale: {changes[0]}{more} changed since; build it again")
