"""Digests and states of files, to detect later changes."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from stat import S_ISREG
from typing import NamedTuple

from flashwasm.storage.digests import sha256_of

__all__ = ["LARGEST_SOURCE_BYTES", "FileState", "changed_files", "file_digest", "file_state"]

# Modules written by people are well under a megabyte. A file larger than this is generated, and its
# syntax tree would take a hundred times its size in memory.
LARGEST_SOURCE_BYTES = 8 << 20


class FileState(NamedTuple):
    """The state of a file, which differs between two versions of it.

    Attributes
    ----------
    changed : int
        Time of the last change, in nanoseconds. Two changes within milliseconds can have the same.
    size : int
        Size in bytes.
    """

    changed: int
    size: int


def file_state(path: Path) -> FileState | None:
    """Return the state of a regular file; None if there is none.

    The system is asked once. Between two questions, another process may remove the file.

    Examples
    --------
    >>> file_state(Path("there is no such file")) is None
    True
    """
    try:
        status = path.stat()
    except OSError:
        return None
    return FileState(status.st_mtime_ns, status.st_size) if S_ISREG(status.st_mode) else None


def file_digest(path: Path) -> str:
    """Return a digest of a file's content; "" if the file cannot be read.

    The digest is the SHA-256 of the content. For a file that is too large to read, it is the size.

    Examples
    --------
    >>> file_digest(Path("there is no such file"))
    ''
    """
    try:
        # Opening a named pipe would block until another process writes to it.
        if not path.is_file():
            return ""
        if (size := path.stat().st_size) > LARGEST_SOURCE_BYTES:
            return f"{size} bytes"
        return sha256_of(path)
    except OSError:
        return ""


def changed_files(digests: Mapping[Path, str], present: Iterable[Path]) -> list[str]:
    """Return the files that were changed, removed or added, sorted.

    Parameters
    ----------
    digests : mapping of pathlib.Path to str
        `file_digest` of each file when it was read.
    present : iterable of pathlib.Path
        Files that exist now.
    """
    changed = {path for path, digest in digests.items() if file_digest(path) != digest}
    return sorted(str(path) for path in changed | (set(present) - digests.keys()))
