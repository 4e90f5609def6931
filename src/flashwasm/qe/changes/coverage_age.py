"""Sources that have changed since a coverage database was made, apart from the change itself.

The database has to be of the state before the change. Lines of a source that was changed earlier
may be others today, so tests may be left out that run them.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from flashwasm.qe.coverage.source_digests import digest_of, read_digests

if TYPE_CHECKING:
    from flashwasm.qe.changes.git_changes import GitRepository
    from flashwasm.qe.changes.unified_diff import ChangedFile

__all__ = ["sources_changed_since"]


def sources_changed_since(
    database: Path,
    files: Sequence[str],
    root: Path,
    changes: Sequence[ChangedFile],
    before: tuple[GitRepository, str] | None = None,
) -> list[str]:
    """Return the sources that changed between the recording and the change.

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
        Changed files. They are looked at in their state before the change, if git knows it.
    before : tuple of (GitRepository, str), optional
        Repository and revision that the change begins at.

    Returns
    -------
    list of str
        Paths, relative to the rootdir where they lie below it.
    """
    digests = read_digests(database)
    ends = tuple(f"/{path}" for one in changes for path in (one.path, one.old_path))
    if digests is None:
        return _by_time(database.stat().st_mtime, files, root, changes, ends, before)
    changed = []
    for name, digest in digests.items():
        path = Path(os.path.normpath(root / name))
        in_change = path.as_posix().endswith(ends)
        found = _digest_before(path, before) if in_change else digest_of(path)
        if found is not None and found != digest:
            changed.append(name)
    return changed


def _digest_before(path: Path, before: tuple[GitRepository, str] | None) -> str | None:
    """Return the SHA-256 of a file at the revision that the change begins at, if git knows it."""
    if before is None:
        return None
    repository, revision = before
    content = repository.content_at(revision, path)
    return None if content is None else hashlib.sha256(content).hexdigest()


def _by_time(
    made: float,
    files: Sequence[str],
    root: Path,
    changes: Sequence[ChangedFile],
    ends: tuple[str, ...],
    before: tuple[GitRepository, str] | None,
) -> list[str]:
    """Return the sources that are newer than a database, by the times of files and of commits."""
    newer = [
        name
        for name in files
        if not Path(root, name).as_posix().endswith(ends) and _time_of(root / name) > made
    ]
    if before is not None:
        repository, revision = before
        paths = [one.old_path for one in changes if one.old_path.endswith(".py")]
        newer += [path for path in paths if repository.last_commit(revision, path) > made]
    return newer


def _time_of(path: Path) -> float:
    """Return when a file was changed last, in seconds since the epoch; 0 if it is not there."""
    try:
        return path.stat().st_mtime
    except OSError:
        return 0.0
