"""The SQLite file of a library of defects, and functions to read and write it.

A file of version 1 can be read, and the first transaction that adds to it converts it.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Mapping, Sequence
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING

from flashwasm.errors import CorruptFileError
from flashwasm.qe.defects.failure_fingerprint import fingerprint
from flashwasm.qe.defects.known_failures import TEXT_END, Defect, Occurrence
from flashwasm.qe.defects.library_connection import connect, damaged, transaction
from flashwasm.qe.defects.library_seal import is_sealed, write_seal
from flashwasm.qe.defects.occurrence_table import (
    CREATE_OCCURRENCES,
    add_occurrence,
    checked_row,
    convert_version_1,
    read_occurrences,
)
from flashwasm.storage.foreign_database import check_database, one_line

if TYPE_CHECKING:
    from flashwasm.qe.defects.tracebacks import Failure

__all__ = [
    "APPLICATION_ID",
    "VERSION",
    "add_failures",
    "create_library",
    "is_empty",
    "read_library",
    "rewrite_library",
]

# The defects, and the failures with the number of their defect.
Content = tuple[list[Defect], list[Occurrence]]
# SQLite stores this number, "FWDL" in ASCII, in the file's header to mark the type of the file.
APPLICATION_ID = 0x4657444C
VERSION = 2

_DEFECTS = """
create table defect (
    id integer primary key, name text not null unique,
    resolved integer not null, note text not null
)
"""


def create_library(path: Path) -> None:
    """Write an empty library.

    Raises
    ------
    CorruptFileError
        If the path is a file of another kind.
    OSError
        If it cannot be written.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    with transaction(path) as database:
        # Another process may have created it in the meantime.
        if _version(database, path, application=0) == 0:
            _create_tables(database)
            write_seal(database)


def is_empty(path: Path) -> bool:
    """Return True if a file has no tables, because its creator was killed too early."""
    try:
        with closing(connect(path)) as database:
            return not database.execute("select 1 from sqlite_master").fetchall()
    except (sqlite3.Error, UnicodeDecodeError):
        return False


def read_library(path: Path) -> Content:
    """Return the defects and the failures of a library.

    Raises
    ------
    CorruptFileError
        If any byte of its content was changed, if it is not a library, or if a later release wrote
        it.
    """
    try:
        with closing(connect(path)) as database:
            # All statements below read the same snapshot of the file.
            database.execute("begin")
            return _content(database, path)
    except (sqlite3.Error, UnicodeDecodeError) as error:
        # The message of SQLite's own error may quote damaged bytes, which are not UTF-8.
        raise damaged(path, one_line(error)) from error


def add_failures(
    path: Path,
    defects: Mapping[str, Sequence[tuple[str, Failure]]],
    *,
    resolved: bool = False,
    note: str = "",
) -> int:
    """Add failures to defects, which are created if they do not exist.

    Parameters
    ----------
    path : pathlib.Path
        Path of the library.
    defects : mapping of str to sequence of (str, Failure)
        Node ids and failures by the name of the defect.
    resolved : bool, default False
        True to mark these defects as resolved, False to mark them as open.
    note : str, optional
        Text that replaces the note of these defects; "" keeps the notes.

    Returns
    -------
    int
        Number of failures that were not in the library.
    """
    added = 0
    with transaction(path) as database:
        if _version(database, path, application=APPLICATION_ID) < VERSION:
            convert_version_1(database)
            database.execute(f"pragma user_version = {VERSION}")
        for name, failures in defects.items():
            database.execute("insert or ignore into defect values (null, ?, 0, '')", (name,))
            database.execute("update defect set resolved = ? where name = ?", (resolved, name))
            if note:
                database.execute("update defect set note = ? where name = ?", (note, name))
            row = database.execute("select id from defect where name = ?", (name,))
            (key,) = row.fetchone()
            for test, failure in failures:
                added += add_occurrence(
                    database, key, fingerprint(failure, test), failure.text[-TEXT_END:]
                )
        write_seal(database)
    return added


def rewrite_library(path: Path, change: Callable[[Content], Content]) -> None:
    """Change the whole content of a library, in a transaction; create the file if there is none.

    Parameters
    ----------
    path : pathlib.Path
        Path of the library.
    change : callable
        Function that receives the defects and the failures, and returns new ones.

    Raises
    ------
    CorruptFileError, OSError
        As `create_library`, or if the library is damaged. Then it stays unchanged.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    with transaction(path) as database:
        tables = database.execute("select 1 from sqlite_master").fetchall()
        before = _content(database, path) if tables else ([], [])
        defects, occurrences = change(before)
        if tables and (defects, occurrences) == before:
            return
        for name in ("occurrence", "defect", "seal"):
            database.execute(f"drop table if exists {name}")
        _create_tables(database)
        for key, defect in enumerate(defects, 1):
            database.execute("insert into defect values (?, ?, ?, ?)", (key, *defect))
        for at, parts, text in occurrences:
            add_occurrence(database, at + 1, parts, text)
        write_seal(database)


def _create_tables(database: sqlite3.Connection) -> None:
    """Create the tables of a library, and mark the file as one."""
    database.execute(_DEFECTS)
    database.execute(CREATE_OCCURRENCES)
    database.execute(f"pragma application_id = {APPLICATION_ID}")
    database.execute(f"pragma user_version = {VERSION}")


def _content(database: sqlite3.Connection, path: Path) -> Content:
    """Read the whole content of a library in the current transaction, and check it."""
    version = _version(database, path, application=APPLICATION_ID)
    check_database(database)
    if not is_sealed(database):
        raise damaged(path, "its checksum differs")
    query = "select id, resolved, name, note from defect order by id"
    defects = [checked_row(row, 2) for row in database.execute(query)]
    rows = read_occurrences(database, version)
    at = {key: i for i, (key, *_) in enumerate(defects)}
    if any(key not in at for key, *_ in rows):
        raise damaged(path, "a failure has no defect")
    return (
        [Defect(name, bool(resolved), note) for _, resolved, name, note in defects],
        [Occurrence(at[key], parts, text) for key, parts, text in rows],
    )


def _version(database: sqlite3.Connection, path: Path, *, application: int) -> int:
    """Return the version of a library; reject a file of another kind or of a later version."""
    (found,) = database.execute("pragma application_id").fetchone()
    (version,) = database.execute("pragma user_version").fetchone()
    if found not in {application, APPLICATION_ID}:
        raise CorruptFileError(f"{path} is not a library of `flashwasm defects learn`")
    if version > VERSION or (found and version < 1):
        reads = f"this release reads versions 1 to {VERSION}"
        raise CorruptFileError(f"{path} is a library of version {version}; {reads}")
    return int(version)
