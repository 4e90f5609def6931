"""Atomic writes: after a crash, a file has either its old content or the complete new content.

A write is *acknowledged* when the writing function returns. The new content then stays even if the
process is killed. It also survives a power failure if the disk keeps everything that it reports as
flushed, because the content is flushed before the rename, and the folder after it.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path

from flashwasm.storage.scratch_files import remove_stale, scratch_path

__all__ = ["flush", "replace_with", "write_atomically"]


def write_atomically(path: Path, parts: Iterable[bytes | memoryview]) -> None:
    """Write a file; at any moment, readers see either the old content or the new content.

    The content is written to a scratch file in the same folder, flushed to the disk, and then
    renamed to the path. If the path is a symbolic link, its target is replaced. The new file gets
    the permissions of the old one. A device or a pipe is written to directly.

    Parameters
    ----------
    path : pathlib.Path
        Path of the file. Its folder is created if necessary.
    parts : iterable of bytes
        Content, in order.

    Raises
    ------
    OSError
        If the file cannot be written. The old content stays, and the error names ``path``.

    Examples
    --------
    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     write_atomically(Path(folder, "greeting"), [b"hello ", b"world"])
    ...     Path(folder, "greeting").read_text()
    'hello world'
    """
    try:
        target = Path(os.path.realpath(path))
        mode = _mode(target)
        if mode is not None and not stat.S_ISREG(mode) and not stat.S_ISDIR(mode):
            with target.open("wb") as stream:
                stream.writelines(parts)
            return
        target.parent.mkdir(parents=True, exist_ok=True)
        scratch = scratch_path(target.parent)
        try:
            with scratch.open("xb") as file:
                file.writelines(parts)
                file.flush()
                os.fsync(file.fileno())
            if mode is not None:
                with suppress(OSError):  # A file system may not support permissions.
                    scratch.chmod(stat.S_IMODE(mode))
            _rename(scratch, target)
        except BaseException:
            scratch.unlink(missing_ok=True)
            raise
    except OSError as error:
        # The error for a full disk names no file, and other errors name the scratch file.
        raise OSError(error.errno, error.strerror, str(path)) from error


def replace_with(scratch: Path, target: Path) -> None:
    """Move a finished file or folder to its final path, and flush it against a power failure.

    The files in a folder must already be flushed. Scratch files that killed processes left beside
    the new file are removed.

    Parameters
    ----------
    scratch : pathlib.Path
        The finished file or folder, on the same file system.
    target : pathlib.Path
        Path of the file to replace, which need not exist. For a folder, the path must not exist.

    Raises
    ------
    OSError
        If the file or folder cannot be moved.
    """
    flush(scratch)
    _rename(scratch, target)


def flush(path: Path) -> None:
    """Wait until the content of a file, or the names in a folder, are on the disk.

    Parameters
    ----------
    path : pathlib.Path
        The file, or a folder if the system can open folders.

    Raises
    ------
    OSError
        If the disk reports an error.
    """
    # Windows flushes only files that are open for writing, and cannot open folders.
    writable = os.O_RDWR if os.name == "nt" else os.O_RDONLY
    number = os.open(path, writable)
    try:
        os.fsync(number)
    finally:
        os.close(number)


def _rename(scratch: Path, target: Path) -> None:
    """Rename a flushed file, flush the folder, and remove scratch files of killed processes."""
    scratch.replace(target)
    with suppress(OSError):  # Some file systems cannot flush a folder.
        flush(target.parent)
    remove_stale(target.parent)


def _mode(path: Path) -> int | None:
    """Return the type and the permissions of a file, or None if it does not exist."""
    try:
        return path.stat().st_mode
    except FileNotFoundError:
        return None
