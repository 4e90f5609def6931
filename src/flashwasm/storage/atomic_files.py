"""Atomic writes: after a crash, a file has either its old content or the whole new one."""

from __future__ import annotations

import os
import re
import time
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path

__all__ = ["is_stale", "write_atomically"]

# Seconds after which a temporary file belongs to no process that still writes it.
_STALE_SECONDS = 24 * 3600


def write_atomically(path: Path, parts: Iterable[bytes | memoryview]) -> None:
    """Write a file, so that a reader sees either the old content or the new at any moment.

    The content goes to a temporary file in the same folder, is flushed to the disk, and takes the
    place of the old file by a rename.

    Parameters
    ----------
    path : pathlib.Path
        Path of the file. Its folder is made if need be.
    parts : iterable of bytes
        Content, in order.

    Raises
    ------
    OSError
        If the file cannot be written; the old content stays.

    Examples
    --------
    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     write_atomically(Path(folder, "greeting"), [b"hello ", b"world"])
    ...     Path(folder, "greeting").read_text()
    'hello world'
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    scratch = path.with_name(f".{path.name}-{os.urandom(8).hex()}")
    try:
        with scratch.open("xb") as file:
            for part in parts:
                file.write(part)
            file.flush()
            os.fsync(file.fileno())
        scratch.replace(path)
        _remove_stale(path)
    except BaseException:
        scratch.unlink(missing_ok=True)
        raise


def is_stale(path: Path) -> bool:
    """Return True if a file was last written more than a day ago."""
    try:
        return time.time() - path.stat().st_mtime > _STALE_SECONDS
    except OSError:
        return False


def _remove_stale(path: Path) -> None:
    """Remove temporary files for a path that processes left which were killed while writing."""
    names = re.compile(re.escape(f".{path.name}-") + "[0-9a-f]{16}")
    with suppress(OSError):
        for file in path.parent.iterdir():
            if names.fullmatch(file.name) and is_stale(file):
                file.unlink(missing_ok=True)
