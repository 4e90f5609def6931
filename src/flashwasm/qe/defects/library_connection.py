"""Connections to a library of defects, with SQLite's locks and its errors.

A library must never be replaced by a rename: SQLite finds its journal by name. A process that has
the old file open could take the journal of the new one for its own, and roll it back.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

from flashwasm.errors import CorruptFileError

__all__ = ["connect", "damaged", "transaction"]


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
        with closing(connect(path)) as database:
            database.execute("begin immediate")
            yield database
            # Without a commit, as after an error, closing rolls back.
            database.execute("commit")
    except sqlite3.OperationalError as error:
        raise OSError(f"{path}: {error}") from error
    except (sqlite3.DatabaseError, UnicodeDecodeError) as error:
        raise damaged(path, error) from error


def damaged(path: Path, reason: object) -> CorruptFileError:
    """Return the error for a damaged library, with the advice to restore a copy."""
    return CorruptFileError(f"{path} is not a whole library: {reason}; restore a copy of it")
