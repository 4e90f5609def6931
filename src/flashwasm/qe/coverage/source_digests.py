"""Digests of the sources in a coverage database, to detect sources that have changed since.

coverage.py records no digests. They are in a separate table, which coverage.py ignores.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Mapping
from contextlib import closing
from pathlib import Path

from flashwasm.qe.coverage.recording_folder import recording_folder
from flashwasm.storage.digests import digest_of

__all__ = ["changed_sources", "read_digests", "write_digests"]

_TABLE = "flashwasm_sources"


def write_digests(database: Path, digests: Mapping[str, str]) -> None:
    """Add digests to a database.

    Parameters
    ----------
    database : pathlib.Path
        Path of a database of coverage.py.
    digests : mapping of str to str
        SHA-256 of each source while the tests ran, by its path relative to pytest's rootdir, with
        slashes; "" for a source that changed during the run.
    """
    with closing(sqlite3.connect(database)) as connection, connection:
        connection.execute(f"create table {_TABLE} (path text primary key, digest text)")
        insert = f"insert into {_TABLE} values (?, ?)"  # noqa: S608 - the table's name is fixed.
        connection.executemany(insert, digests.items())


def read_digests(database: Path) -> dict[str, str] | None:
    """Return the digests that `write_digests` wrote to a database; None if there are none.

    Parameters
    ----------
    database : pathlib.Path
        Path of a database of coverage.py, or of another file with coverage.
    """
    try:
        uri = f"{database.resolve().as_uri()}?mode=ro"
        with closing(sqlite3.connect(uri, uri=True)) as connection:
            return dict(connection.execute(f"select path, digest from {_TABLE}"))  # noqa: S608 - as above.
    except (sqlite3.Error, UnicodeDecodeError):
        return None


def changed_sources(database: Path, root: Path) -> list[str]:
    """Return the sources that have changed since a database with digests was recorded.

    Parameters
    ----------
    database : pathlib.Path
        Path of a database. Without digests, the list is empty.
    root : pathlib.Path
        Folder that the paths in the database are relative to, or one below it.

    Returns
    -------
    list of str
        Paths as in the database. Files that cannot be read are left out.
    """
    digests = read_digests(database) or {}
    folder = recording_folder(digests, root)
    return [name for name, old in digests.items() if digest_of(folder / name) not in {None, old}]
