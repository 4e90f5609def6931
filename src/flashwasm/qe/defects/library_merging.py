"""The union of libraries of defects that several runs wrote, such as the jobs of a CI run."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

from flashwasm.errors import CorruptFileError
from flashwasm.qe.defects.known_failures import Defect, Occurrence
from flashwasm.qe.defects.library_file import Content, read_library, rewrite_library
from flashwasm.storage.atomic_files import replace_with
from flashwasm.storage.scratch_files import scratch_path

__all__ = ["merge_libraries"]


def merge_libraries(target: Path, paths: Sequence[Path]) -> None:
    """Write the union of libraries to one file, atomically.

    Defects with the same name are merged. A merged defect is open if it is open in any library. Its
    note is the first note in the libraries. The defects with the most failures come first, as
    ``flashwasm index build failures`` writes them.

    Parameters
    ----------
    target : pathlib.Path
        File to write. It may be one of the libraries.
    paths : sequence of pathlib.Path
        The libraries.

    Raises
    ------
    CorruptFileError, OSError
        If a file cannot be read or written.
    """
    # If the target is a symbolic link, the file that it names is written.
    target = Path(os.path.realpath(target))
    others = {path: read_library(path) for path in paths if not _same(path, target)}

    def union(own: Content) -> Content:
        return _union([others.get(path, own) for path in paths])

    try:
        rewrite_library(target, union)
    except CorruptFileError:
        if any(path not in others for path in paths):
            raise
        # A file of another kind, or a damaged library that is no part of the union, is replaced.
        scratch = scratch_path(target.parent)
        try:
            rewrite_library(scratch, union)
            replace_with(scratch, target)
        except BaseException:
            scratch.unlink(missing_ok=True)
            raise


def _same(path: Path, other: Path) -> bool:
    """Return True if both paths name the same file, which exists."""
    try:
        return path.samefile(other)
    except FileNotFoundError:
        return False


def _union(libraries: Sequence[Content]) -> Content:
    """Return the defects and the failures of all libraries."""
    merged: dict[str, Defect] = {}
    failures: dict[str, dict[tuple[str, str], Occurrence]] = {}
    for defects, occurrences in libraries:
        for name, resolved, note in defects:
            known = merged.get(name, Defect(name, resolved=True))
            merged[name] = Defect(name, known.resolved and resolved, known.note or note)
            failures.setdefault(name, {})
        for one in occurrences:
            own = failures[defects[one.defect].name]
            own.setdefault((one.fingerprint.test, one.text), one)
    names = sorted(merged, key=lambda name: -len(failures[name]))
    return (
        [merged[name] for name in names],
        [
            Occurrence(at, one.fingerprint, one.text)
            for at, name in enumerate(names)
            for one in failures[name].values()
        ],
    )
