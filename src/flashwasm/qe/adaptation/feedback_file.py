"""The SQLite file of the feedback log: append-only rows, each with a checksum.

A row is *acknowledged* when the transaction that adds it has ended. By then, SQLite has flushed the
row to the disk, so the row survives a crash of the process and a loss of power.

Reading tolerates damage. If the checksum of a row differs, or a number in the sequence of rows is
missing, the row counts as lost. A warning names the lost rows, and the others are returned.
"""

from __future__ import annotations

import json
import sqlite3
import warnings
import zlib
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any, TypeVar

from flashwasm.errors import CorruptFileError, FlashWasmError
from flashwasm.storage.write_check import check_writable
from flashwasm.summaries import counted

__all__ = ["insert", "last_row", "read_rows", "transaction"]

T = TypeVar("T")
Row = dict[str, Any]

# Seconds to wait for another process that writes.
_PATIENCE = 30.0
# Advice at the end of an error message about a damaged log.
_REMEDY = "restore a copy, or move it away, and a new one begins"
# The table `judgement` contains verdicts. The table `shown` contains tests that a search showed,
# each with its probability. Both tables begin with the first columns.
_COMMON = dict.fromkeys(("time", "user", "suite"), "TEXT NOT NULL")
_TABLES = {
    "judgement": _COMMON
    | {
        "accepted": "INTEGER NOT NULL",
        "query": "TEXT NOT NULL",
        "test": "TEXT NOT NULL",
        "asked": "TEXT NOT NULL",
        "rank": "INTEGER",
        "propensity": "REAL",
        "source": "TEXT NOT NULL",
    },
    "shown": _COMMON
    | {
        "query": "TEXT NOT NULL",
        "test": "TEXT NOT NULL",
        "asked": "TEXT NOT NULL",
        "rank": "INTEGER NOT NULL",
        "propensity": "REAL NOT NULL",
    },
}
# Triggers reject every change of a row. SQLite's REPLACE deletes a row without firing the trigger
# for deletions, so the trigger for insertions rejects an existing id.
_TRIGGERS = {
    "update": "BEFORE UPDATE ON {table}",
    "delete": "BEFORE DELETE ON {table}",
    "insert": "BEFORE INSERT ON {table} WHEN EXISTS (SELECT 1 FROM {table} WHERE id = NEW.id)",
}
_REFUSAL = "BEGIN SELECT RAISE(ABORT, 'the feedback log only grows'); END"
# Minimum size of a row in bytes. It bounds the number of rows, which a damaged file may overstate.
_LEAST_ROW_BYTES = 16
_NUMBERS_NAMED = 5
# UnicodeDecodeError: sqlite3 decodes SQLite's message as UTF-8, and it may quote damaged bytes.
_DAMAGE = (sqlite3.DatabaseError, UnicodeDecodeError)


@contextmanager
def transaction(path: Path) -> Iterator[sqlite3.Connection]:
    """Yield a connection in a transaction, which writes all changes or none.

    Parameters
    ----------
    path : pathlib.Path
        Path of the log, which is created if it does not exist.

    Raises
    ------
    CorruptFileError
        If the file is not a feedback log, or too damaged to be written to.
    OSError
        If it cannot be written.
    """
    # SQLite's own error does not say why a file cannot be opened.
    check_writable(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    with _opened(path) as connection:
        connection.execute("BEGIN IMMEDIATE")
        # The transaction creates the tables, too, so a killed process leaves all of them or none.
        for table, columns in _TABLES.items():
            _make(connection, table, columns)
        yield connection
        connection.execute("COMMIT")


def insert(connection: sqlite3.Connection, table: str, row: Row) -> None:
    """Add a row to a table.

    Parameters
    ----------
    connection : sqlite3.Connection
        Connection of a `transaction`.
    table : str
        "judgement" or "shown".
    row : dict
        Values by the names of all columns.
    """
    values = [_stored(row[name], kind) for name, kind in _TABLES[table].items()]
    marks = ", ".join("?" * (len(values) + 1))
    names = ", ".join(_TABLES[table])
    statement = f"INSERT INTO {table} ({names}, checksum) VALUES ({marks})"  # noqa: S608 - own names.
    connection.execute(statement, (*values, _checksum(values)))


def last_row(connection: sqlite3.Connection, table: str, values: Row) -> Row | None:
    """Return the last undamaged row with the given values; None if there is none."""
    where = " AND ".join(f"{name} = ?" for name in values)
    statement = f"{_selection(connection, table)} WHERE {where} ORDER BY id DESC"
    try:
        for number, checksum, *found in connection.execute(statement, tuple(values.values())):
            if number and checksum in {None, _checksum(found)}:
                return dict(zip(_TABLES[table], found, strict=True))
    except _DAMAGE:
        # That part of the file is damaged, but new rows can still be written.
        return None
    return None


def read_rows(path: Path, table: str, make: Callable[[Row], T]) -> list[T]:
    """Convert each row with ``make``, the oldest first, and return the results.

    A RuntimeWarning names damaged or lost rows, and gives the number of rows that were read.

    Parameters
    ----------
    path : pathlib.Path
        Path of the log, which need not exist.
    table : str
        "judgement" or "shown".
    make : callable
        Function that converts a row, given as a dictionary. If it raises a FlashWasmError, the row
        counts as damaged.

    Raises
    ------
    CorruptFileError
        If the file is not a feedback log, or its tables cannot be found.
    OSError
        If it cannot be read.
    """
    if not path.exists():
        return []
    with _opened(path) as connection:
        # A process that creates the log at this moment must not change it between two questions.
        connection.execute("BEGIN")
        tables = connection.execute("SELECT name FROM sqlite_master").fetchall()
        size = path.stat().st_size
        if not size:  # The process that created the file was killed before it wrote anything.
            return []
        if (table,) not in tables:
            raise CorruptFileError(
                f"{path}: this is not a feedback log, or its tables are damaged; {_REMEDY}"
            )
        expected, rows, intact = _rows(connection, table, size // _LEAST_ROW_BYTES)
    made = {}
    for number, (checksum, *values) in rows.items():
        if checksum is None or checksum == _checksum(values):
            try:
                made[number] = make(dict(zip(_TABLES[table], values, strict=True)))
            except FlashWasmError:
                continue
    if len(made) < expected or not intact:
        known = counted(expected, "rows") if intact else f"{expected:,} or more rows"
        lost = _listed([number for number in range(1, expected + 1) if number not in made])
        message = f"{path} is damaged: {len(made):,} of {known} could be read; lost: {lost}"
        warnings.warn(message, RuntimeWarning, stacklevel=3)
    return list(made.values())


def _listed(numbers: list[int]) -> str:
    """Return the first numbers of a list, and the number of the others, as text."""
    shown = ", ".join(map(str, numbers[:_NUMBERS_NAMED])) or "unknown"
    more = len(numbers) - _NUMBERS_NAMED
    return f"{shown} and {more:,} more" if more > 0 else shown


def _rows(
    connection: sqlite3.Connection, table: str, most: int
) -> tuple[int, dict[int, tuple[Any, ...]], bool]:
    """Return the number of rows written, at most ``most``, and the rows found, by number.

    The third value is False if SQLite found damage; more rows may have been written then.
    """
    selection = f"{_selection(connection, table)} NOT INDEXED"
    rows: dict[int, tuple[Any, ...]] = {}
    written, intact = 0, True
    try:
        # SQLite stores the largest number that it has ever assigned to a row.
        last = "SELECT max(seq) FROM sqlite_sequence WHERE name = ?"
        written = int(connection.execute(last, (table,)).fetchone()[0] or 0)
    except (*_DAMAGE, TypeError, ValueError):
        intact = False
    try:
        for number, *row in connection.execute(f"{selection} ORDER BY id"):
            rows[number] = tuple(row)
    except _DAMAGE:
        intact = False
    # Rows are never removed, so a missing number is a lost row, or one hidden by damage nearby.
    written = min(max([written, *rows]), most)
    for number in set(range(1, written + 1)).difference(rows):
        try:
            found = connection.execute(f"{selection} WHERE id = ?", (number,)).fetchone()
        except _DAMAGE:
            continue
        if found and found[0] == number:
            rows[number] = found[1:]
    found = {number: rows[number] for number in sorted(rows) if 0 < number <= written}
    return written, found, intact


def _selection(connection: sqlite3.Connection, table: str) -> str:
    """Return the SQL query for number, checksum and values of all rows.

    A log of an older release has no checksums.
    """
    checksum = "checksum" if _has_checksums(connection, table) else "NULL"
    return f"SELECT id, {checksum}, {', '.join(_TABLES[table])} FROM {table}"  # noqa: S608 - own names.


def _has_checksums(connection: sqlite3.Connection, table: str) -> bool:
    """Return True if a table has a column for checksums."""
    columns = connection.execute(f"PRAGMA table_info({table})").fetchall()
    return any(name == "checksum" for _, name, *_ in columns)


def _make(connection: sqlite3.Connection, table: str, columns: dict[str, str]) -> None:
    """Create a table, its index and its triggers, unless they exist."""
    names = ", ".join(f"{name} {kind}" for name, kind in columns.items())
    connection.execute(
        f"CREATE TABLE IF NOT EXISTS {table} (id INTEGER PRIMARY KEY AUTOINCREMENT, {names}, "
        "checksum INTEGER)"
    )
    if not _has_checksums(connection, table):
        connection.execute(f"ALTER TABLE {table} ADD COLUMN checksum INTEGER")
    index = f"CREATE INDEX IF NOT EXISTS {table}_suite ON {table} (suite, query, test)"
    connection.execute(index)
    for name, when in _TRIGGERS.items():
        trigger = f"{table}_{name} {when.format(table=table)}"
        connection.execute(f"CREATE TRIGGER IF NOT EXISTS {trigger} {_REFUSAL}")


@contextmanager
def _opened(path: Path) -> Iterator[sqlite3.Connection]:
    """Open a log; convert SQLite's errors to OSError and flashwasm's errors."""
    try:
        with closing(sqlite3.connect(path, timeout=_PATIENCE, isolation_level=None)) as connection:
            # A damaged text must not prevent reading the others.
            connection.text_factory = lambda raw: raw.decode("utf-8", "backslashreplace")
            yield connection
    except sqlite3.OperationalError as error:
        raise OSError(f"{path}: {error}") from error
    except _DAMAGE as error:
        message = f"{path}: this is not a feedback log, or it is damaged: {error}; {_REMEDY}"
        raise CorruptFileError(message) from error


def _stored(value: Any, kind: str) -> Any:
    """Return a value in the type in which SQLite returns it from a column of a kind."""
    if value is None or kind.startswith("TEXT"):
        return value
    return int(value) if kind.startswith("INTEGER") else float(value)


def _checksum(values: list[Any]) -> int:
    """Return the checksum of a row's values, in the order of the columns."""
    return zlib.crc32(json.dumps(values, default=repr).encode())
