"""The union of libraries of defects that several runs wrote, such as the jobs of a CI run."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

from flashwasm.qe.defects.known_failures import Defect, Occurrence
from flashwasm.qe.defects.library_connection import reserved
from flashwasm.qe.defects.library_file import read_library, write_library
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
    # If the target is a symbolic link, the file that it names is replaced.
    target = Path(os.path.realpath(target))
    target.parent.mkdir(parents=True, exist_ok=True)
    is_new = not target.exists()
    with reserved(target):
        try:
            _replace(target, paths)
        except BaseException:
            # Nobody else may write now, so the empty file is the one that `reserved` created.
            if is_new and target.exists() and not target.stat().st_size:
                target.unlink()
            raise


def _replace(target: Path, paths: Sequence[Path]) -> None:
    """Write the union of libraries to a scratch file, and move it to the target."""
    merged: dict[str, Defect] = {}
    failures: dict[str, dict[tuple[str, str], Occurrence]] = {}
    for path in paths:
        defects, occurrences = read_library(path)
        for name, resolved, note in defects:
            known = merged.get(name, Defect(name, resolved=True))
            merged[name] = Defect(name, known.resolved and resolved, known.note or note)
            failures.setdefault(name, {})
        for one in occurrences:
            own = failures[defects[one.defect].name]
            own.setdefault((one.fingerprint.test, one.text), one)
    names = sorted(merged, key=lambda name: -len(failures[name]))
    scratch = scratch_path(target.parent)
    try:
        write_library(
            scratch,
            [merged[name] for name in names],
            [
                Occurrence(at, one.fingerprint, one.text)
                for at, name in enumerate(names)
                for one in failures[name].values()
            ],
        )
        replace_with(scratch, target)
    except BaseException:
        scratch.unlink(missing_ok=True)
        raise
