"""Sources whose lines in a coverage database are not those before a change.

The database has to be of the state before the change. If a source was another one when its tests
ran, its lines may have had other numbers, so tests that run them may be left out.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from flashwasm.qe.changes.import_graph import project_root
from flashwasm.qe.coverage.source_digests import digest_of, read_digests

if TYPE_CHECKING:
    from flashwasm.qe.changes.git_changes import GitRepository
    from flashwasm.qe.changes.unified_diff import ChangedFile

__all__ = ["differing_sources"]


def differing_sources(
    database: Path,
    files: Sequence[str],
    root: Path,
    changes: Sequence[ChangedFile],
    before: tuple[GitRepository, str] | None = None,
) -> list[str]:
    """Return the sources that were others when a database was recorded than before a change.

    A database that ``--fw-record`` made has digests of the sources. For another one the times of
    the files decide, and those of git's commits.

    Parameters
    ----------
    database : pathlib.Path
        Path of the database.
    files : sequence of str
        Paths of the sources, as the database has them.
    root : pathlib.Path
        pytest's rootdir.
    changes : sequence of ChangedFile
        Changed files.
    before : tuple of (GitRepository, str), optional
        Repository and revision that the change begins at. Without them it is only known that a
        changed file must not have been recorded as it is now.

    Returns
    -------
    list of str
        Paths, relative to the rootdir if the database has digests.
    """
    digests = read_digests(database)
    paths = {path for one in changes for path in (one.path, one.old_path)}
    top = project_root(root, sorted(paths)) if before is None else before[0].root
    changed = {_normal(top / path) for path in paths}
    if digests is None:
        return _by_time(database.stat().st_mtime, files, root, changed, before)
    return [
        name
        for name, digest in digests.items()
        if _differs(_normal(root / name), digest, changed, before)
    ]


def _normal(path: Path) -> Path:
    """Return an absolute path without links and dots, to be compared with others."""
    return Path(os.path.realpath(path))


def _differs(
    path: Path, digest: str, changed: set[Path], before: tuple[GitRepository, str] | None
) -> bool:
    """Return True if a file was another one, by its digest, than it was before the change."""
    if path not in changed:
        # A file that is gone was made by a test, or is one of another machine.
        return digest_of(path) not in {None, digest}
    if before is None:
        return digest_of(path) == digest
    repository, revision = before
    content = repository.content_at(revision, path)
    return content is not None and hashlib.sha256(content).hexdigest() != digest


def _by_time(
    made: float,
    files: Sequence[str],
    root: Path,
    changed: set[Path],
    before: tuple[GitRepository, str] | None,
) -> list[str]:
    """Return the sources that differ by the times of files and of commits."""
    differing = []
    for name in files:
        path = _normal(root / name)
        time = _time_of(path)
        # A changed file has to be newer than the recording, and any other one older.
        if time is not None and (path in changed) != (time > made):
            differing.append(name)
        elif path in changed and before is not None:
            repository, revision = before
            if repository.last_commit(revision, path) > made:
                differing.append(name)
    return differing


def _time_of(path: Path) -> float | None:
    """Return when a file was changed last, in seconds since the epoch; None if it is not there."""
    try:
        return path.stat().st_mtime
    except OSError:
        return None
