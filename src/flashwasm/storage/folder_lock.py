"""A lock on a folder, for processes that read a file, change it and write it again."""

from __future__ import annotations

import errno
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

try:
    import fcntl
except ImportError:  # Windows has different locks, and none for folders.
    fcntl = None  # type: ignore[assignment]

__all__ = ["locked"]

# Seconds between two attempts.
_PAUSE = 0.01
# Errors of a system that does not support locks for this folder.
_NO_LOCKS = {errno.EBADF, errno.EINVAL, errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP}


@contextmanager
def locked(folder: Path, patience: float = 30.0) -> Iterator[None]:
    """Lock a folder while a block runs, against other processes and threads that lock it.

    The lock ends with its process, so a killed process leaves no lock. On Windows, and on network
    drives without locks, the block runs unlocked.

    Parameters
    ----------
    folder : pathlib.Path
        Folder to lock. It is created if necessary.
    patience : float, default 30
        Seconds to wait for another process.

    Raises
    ------
    TimeoutError
        If another process holds the lock during all that time. It is an OSError.
    OSError
        If the folder cannot be created or opened.
    """
    folder.mkdir(parents=True, exist_ok=True)
    if fcntl is None:
        yield
        return
    number = os.open(folder, os.O_RDONLY | os.O_CLOEXEC)
    try:
        _lock(number, folder, time.monotonic() + patience)
        yield
    finally:
        # Closing the folder releases the lock.
        os.close(number)


def _lock(number: int, folder: Path, until: float) -> None:
    """Lock an open folder, or return without a lock if the system does not support locks."""
    while not _is_locked(number):
        if time.monotonic() > until:
            raise TimeoutError(
                errno.ETIMEDOUT, "another process is writing; try again later", str(folder)
            )
        time.sleep(_PAUSE)


def _is_locked(number: int) -> bool:
    """Try to lock an open folder; return False if another process holds the lock."""
    try:
        fcntl.flock(number, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError as error:
        if error.errno not in _NO_LOCKS:
            raise
    return True
