"""Connections to a library of defects, for processes that write to it at the same time.

SQLite locks the file during a transaction. A merge writes a new file and renames it over the old
one. So it locks the old one until then, and a process that waited for that lock opens the new one.
"""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager, suppress
from pathlib import Path

from flashwasm.errors import CorruptFileError

__all__ = ["connect", "damaged", "reserved", "transaction"]


def connect(path: Path) -> sqlite3.Connection:
    """Open the file, waiting up to 30 seconds for another process that writes."""
    return sqlite3.connect(path, timeout=30, isolation_level=None)


@contextmanager
def transaction(path: Path) -> Iterator[sqlite3.Connection]:
    """Open the file in a transaction, which writes all changes or, after an error, none.

    SQLite flushes the changes to the disk before the block ends, so they survive a loss of power.

    Raises
    ------
    CorruptFileError
        If the file is damaged, or is not a library.
    OSError
        If it cannot be written.
    """
    try:
        while True:
            before = _identity(path)
            with closing(connect(path)) as database:
                database.execute("begin immediate")
                # If a merge replaced the file while this process waited, the new file is opened.
                if _identity(path) == before:
                    yield database
                    # Without a commit, as after an error, closing rolls back.
                    database.execute("commit")
                    return
    except sqlite3.OperationalError as error:
        raise OSError(f"{path}: {error}") from error
    except (sqlite3.DatabaseError, UnicodeDecodeError) as error:
        raise damaged(path, error) from error


def _identity(path: Path) -> tuple[int, int] | None:
    """Return the numbers that identify a file whatever its name; None if there is no file."""
    try:
        status = path.stat()
    except FileNotFoundError:
        return None
    return status.st_dev, status.st_ino


def damaged(path: Path, reason: object) -> CorruptFileError:
    """Return the error for a damaged library, with the advice to restore a copy."""
    return CorruptFileError(f"{path} is not a whole library: {reason}; restore a copy of it")


@contextmanager
def reserved(path: Path) -> Iterator[None]:
    """Let no other process write a library while a block runs, which may replace the file.

    If there is no file, an empty one is created. A file that is not a library is not locked. On
    Windows, where an open file cannot be replaced, none is.

    Raises
    ------
    OSError
        If the file cannot be written.
    """
    with ExitStack() as stack:
        if os.name != "nt":
            with suppress(CorruptFileError):
                stack.enter_context(transaction(path))
        yield
