"""Atomic writes: after a crash, a file has either its old content or the whole new one.

A write is *acknowledged* when the function that writes returns. From then on the new content stays
there if the process is killed. It also survives a loss of power, as far as the disk keeps what it
reports as flushed: the content is flushed before the rename, and the folder after it.
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
    """Write a file, so that a reader sees either the old content or the new at any moment.

    The content goes to a scratch file in the same folder, is flushed to the disk, and takes the
    place of the old file by a rename. A symbolic link stays, and the file that it leads to is
    replaced. The permissions of the old file stay. A device or a pipe is written to as it is.

    Parameters
    ----------
    path : pathlib.Path
        Path of the file. Its folder is made if need be.
    parts : iterable of bytes
        Content, in order.

    Raises
    ------
    OSError
        If the file cannot be written; the old content stays. The error names ``path``.

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
                with suppress(OSError):  # A file system may have no permissions.
                    scratch.chmod(stat.S_IMODE(mode))
            _rename(scratch, target)
        except BaseException:
            scratch.unlink(missing_ok=True)
            raise
    except OSError as error:
        # A full disk's error names no file, and others name the scratch file.
        raise OSError(error.errno, error.strerror, str(path)) from error


def replace_with(scratch: Path, target: Path) -> None:
    """Move a finished file or folder to its place, where it survives a loss of power.

    The files in a folder have to be flushed already. Scratch that killed processes left beside the
    new file is removed.

    Parameters
    ----------
    scratch : pathlib.Path
        The finished file or folder, on the same file system.
    target : pathlib.Path
        Path of the file to replace, which need not exist; for a folder, a path that is free.

    Raises
    ------
    OSError
        If it cannot be moved.
    """
    flush(scratch)
    _rename(scratch, target)


def flush(path: Path) -> None:
    """Wait until the content of a file is on the disk, or the names in a folder.

    Parameters
    ----------
    path : pathlib.Path
        The file, or a folder where the system can open one.

    Raises
    ------
    OSError
        If the disk reports an error.
    """
    # Windows flushes only what is open for writing, and opens no folders.
    writable = os.O_RDWR if os.name == "nt" else os.O_RDONLY
    number = os.open(path, writable)
    try:
        os.fsync(number)
    finally:
        os.close(number)


def _rename(scratch: Path, target: Path) -> None:
    """Give a flushed file its name, flush that too, and remove what killed processes left."""
    scratch.replace(target)
    with suppress(OSError):  # Some file systems cannot flush a folder.
        flush(target.parent)
    remove_stale(target.parent)


def _mode(path: Path) -> int | None:
    """Return the type and the permissions of a file; None if there is none."""
    try:
        return path.stat().st_mode
    except FileNotFoundError:
        return None
