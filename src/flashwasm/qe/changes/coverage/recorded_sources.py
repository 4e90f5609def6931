"""Detection of sources that changed between the recording of a database and a change.

The database must be recorded from the state before the change. If a source was different then, its
lines may have had other numbers, so that tests which run the changed lines may be left out.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from flashwasm.qe.changes.diffs.file_versions import file_versions
from flashwasm.qe.changes.imports.project_root import project_root
from flashwasm.qe.coverage.recording_folder import recording_folder
from flashwasm.qe.coverage.source_digests import read_digests
from flashwasm.storage.digests import digest_of

if TYPE_CHECKING:
    from flashwasm.qe.changes.diffs.git_changes import GitRepository
    from flashwasm.qe.changes.diffs.unified_diff import ChangedFile

__all__ = ["differing_sources"]


def differing_sources(
    database: Path,
    files: Sequence[str],
    root: Path,
    changes: Sequence[ChangedFile],
    before: tuple[GitRepository, str] | None = None,
) -> list[str]:
    """Return the sources that differ between the recording of a database and before a change.

    A database from ``--fw-record`` contains digests of the sources. For other databases, the times
    of the files and of git's commits are compared.

    Parameters
    ----------
    database : pathlib.Path
        Path of the database.
    files : sequence of str
        Paths of the sources in the database.
    root : pathlib.Path
        pytest's rootdir.
    changes : sequence of ChangedFile
        Changed files.
    before : tuple of (GitRepository, str), optional
        Repository and revision before the change. Without them, the diff and the current files show
        the changed files before the change.

    Returns
    -------
    list of str
        Paths. If the database has digests, they are relative to the rootdir of the recording.
    """
    digests = read_digests(database)
    paths = {path for one in changes for path in (one.path, one.old_path)}
    top = project_root(root, sorted(paths)) if before is None else before[0].root
    changed = {_normal(top / path) for path in paths}
    edits: dict[Path, list[ChangedFile]] = {}
    for one in changes:
        if one.path == one.old_path:
            edits.setdefault(_normal(top / one.path), []).append(one)
    if digests is None:
        return _by_time(database.stat().st_mtime, files, root, changed, before)
    folder = recording_folder(digests, root)
    return [
        name
        for name, digest in digests.items()
        if _differs(_normal(folder / name), digest, changed, before)
        or (before is None and _differs_from_diff(_normal(folder / name), digest, edits))
    ]


def _normal(path: Path) -> Path:
    """Return an absolute path without links and dots, to compare paths."""
    return Path(os.path.realpath(path))


def _differs(
    path: Path, digest: str, changed: set[Path], before: tuple[GitRepository, str] | None
) -> bool:
    """Return True if the digest of a file differs from the file before the change."""
    if path not in changed:
        # A missing file was created by a test, or is from another machine.
        return digest_of(path) not in {None, digest}
    if before is None:
        return digest_of(path) == digest
    repository, revision = before
    content = repository.content_at(revision, path)
    return content is not None and hashlib.sha256(content).hexdigest() != digest


def _differs_from_diff(path: Path, digest: str, edits: Mapping[Path, list[ChangedFile]]) -> bool:
    """Return True if the digest of a file differs from the file before the diff that changes it.

    A file that is not as the diff leaves it is not compared, since its lines count as unknown.
    """
    own = edits.get(path, [])
    versions = file_versions(path, own[0]) if len(own) == 1 and own[0].lines else None
    if versions is None:
        return False
    # The diff shows neither the ends of lines nor, in all cases, that of the last line.
    texts = (versions.before, f"{versions.before}\n", versions.before.removesuffix("\n"))
    both = (end.encode() for text in texts for end in (text, text.replace("\n", "\r\n")))
    return digest not in {hashlib.sha256(data).hexdigest() for data in both}


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
        # A changed file must be newer than the recording, and any other file must be older.
        if time is not None and (path in changed) != (time > made):
            differing.append(name)
        elif path in changed and before is not None:
            repository, revision = before
            if repository.last_commit(revision, path) > made:
                differing.append(name)
    return differing


def _time_of(path: Path) -> float | None:
    """Return the modification time of a file in seconds since the epoch; None without a file."""
    try:
        return path.stat().st_mtime
    except OSError:
        return None
