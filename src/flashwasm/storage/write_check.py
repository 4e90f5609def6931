"""A check that a file can be written, for commands that work for minutes before they write."""

from __future__ import annotations

import errno
import os
import stat
from pathlib import Path

__all__ = ["check_writable"]


def check_writable(path: Path) -> None:
    """Raise the error that writing a file would raise, if it is known to fail.

    Nothing is written. A full disk, for example, is not noticed.

    Parameters
    ----------
    path : pathlib.Path
        Path of the file. Its folder need not exist, because `write_atomically` creates it.

    Raises
    ------
    OSError
        If a folder in the path is a file, or if the user may not write there.
    """
    number = _obstacle(Path(os.path.realpath(path)))
    if number is not None:
        raise OSError(number, os.strerror(number), str(path))


def _obstacle(target: Path) -> int | None:
    """Return the number of the error that writing raises, or None if none is known."""
    folder = target.parent
    while not folder.exists() and folder != folder.parent:
        folder = folder.parent
    if not folder.is_dir():
        return errno.ENOTDIR
    # A device or a pipe is written to directly; any other file is replaced by a new one.
    place = target if _is_special(target) else folder
    if os.access(place, os.W_OK):
        return None
    read_only = hasattr(os, "statvfs") and os.statvfs(place).f_flag & os.ST_RDONLY
    return errno.EROFS if read_only else errno.EACCES


def _is_special(path: Path) -> bool:
    """Return True if a path exists and is not a regular file."""
    # Asked once: with two questions, a file that is removed between them would be special.
    try:
        return not stat.S_ISREG(path.stat().st_mode)
    except OSError:
        return False
