"""The Python files of a project, as far as its tests may import them, and their texts."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

from flashwasm.qe.suites.source_files import Skipped, is_unsearched, walk_files

__all__ = ["project_files", "text_of"]


def project_files(root: Path) -> Iterator[Path]:
    """Yield the Python files below the root of a project.

    Folders with names such as ``build`` are left out, unless they are packages. A folder with
    several names, through links, is yielded by each name.

    Parameters
    ----------
    root : pathlib.Path
        Root of the project.
    """
    skipped: list[Skipped] = []
    files = list(walk_files(root, skipped, _is_no_part))
    yield from files
    real = {file: Path(os.path.realpath(file)) for file in files} if skipped else {}
    for folder in (one.path for one in skipped):
        target = Path(os.path.realpath(folder))
        inside = (one.relative_to(target) for one in real.values() if one.is_relative_to(target))
        yield from (folder / one for one in inside)


def text_of(file: Path) -> str:
    """Return the text of a file; "" if the change deletes it, so that it reads nothing."""
    try:
        return file.read_text("utf-8", "replace")
    except OSError:
        return ""


def _is_no_part(folder: Path) -> bool:
    """Return True if a folder contains no code of the project."""
    inside = any((one / "__init__.py").is_file() for one in (folder, folder.parent))
    package = inside and folder.name.isidentifier() and folder.name != "__pycache__"
    return is_unsearched(folder) and not package
