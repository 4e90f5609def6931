"""The table of failures in a library of defects.

Version 1 of the table had fewer columns. It can be read, and be converted to this version.
"""

from __future__ import annotations

import sqlite3
from dataclasses import replace
from typing import Any

from flashwasm.qe.defects.failure_fingerprint import Fingerprint, Function, fingerprint
from flashwasm.qe.defects.tracebacks import read_failure

__all__ = [
    "CREATE_OCCURRENCES",
    "add_occurrence",
    "checked_row",
    "convert_version_1",
    "read_occurrences",
]

# All columns between "defect" and "text" are the failure's fingerprint.
CREATE_OCCURRENCES = """
create table occurrence (
    id integer primary key, defect integer not null references defect (id),
    exception text not null, raiser_path text not null, raiser text not null,
    caller_path text not null, caller text not null, statement text not null, test text not null,
    test_path text not null, test_function text not null, test_file text not null,
    message text not null, text text not null, unique (defect, test, text)
)
"""
_COLUMNS = (
    "exception, raiser_path, raiser, caller_path, caller, statement, test, test_path, "
    "test_function, test_file, message"
)
_SELECT = f"select defect, text, {_COLUMNS} from occurrence order by id"  # noqa: S608 - own names.
_INSERT = (
    f"insert or ignore into occurrence (id, defect, {_COLUMNS}, text) "  # noqa: S608 - own names.
    f"values ({'?, ' * 13}?)"
)


def add_occurrence(database: sqlite3.Connection, defect: int, parts: Fingerprint, text: str) -> int:
    """Add a failure to a defect. Return 1, or 0 if the defect already has the failure."""
    # If the failure was added before without its test, add the test to it.
    if parts.test:
        known = database.execute(
            "update or ignore occurrence set test = ? where defect = ? and test = '' and text = ?",
            (parts.test, defect, text),
        )
        if known.rowcount:
            return 0
    return database.execute(_INSERT, (None, defect, *_row(parts), text)).rowcount


def read_occurrences(
    database: sqlite3.Connection, version: int
) -> list[tuple[int, Fingerprint, str]]:
    """Return the key of the defect, the fingerprint and the text of each failure."""
    if version == 1:
        rows = database.execute(
            "select defect, text, exception, path, function from occurrence order by id"
        )
        checked = (checked_row(row, 1) for row in rows)
        return [(key, _from_version_1(text, *old), text) for key, text, *old in checked]
    checked = (checked_row(row, 1) for row in database.execute(_SELECT))
    return [(key, _parts(*columns), text) for key, text, *columns in checked]


def checked_row(row: tuple[Any, ...], numbers: int) -> tuple[Any, ...]:
    """Return a row after a check that it has ``numbers`` integers, followed by texts.

    SQLite stores the type of each value, which may differ from the type of the column.
    """
    wanted = [int] * numbers + [str] * (len(row) - numbers)
    if list(map(type, row)) != wanted:
        raise sqlite3.DatabaseError("a value in a row is of another type than its column")
    return row


def convert_version_1(database: sqlite3.Connection) -> None:
    """Convert the table of version 1 to the columns of this version."""
    keys = [key for (key,) in database.execute("select id from occurrence order by id")]
    rows = read_occurrences(database, 1)
    database.execute("alter table occurrence rename to version_1")
    database.execute(CREATE_OCCURRENCES)
    database.executemany(
        _INSERT,
        [
            (key, defect, *_row(parts), text)
            for key, (defect, parts, text) in zip(keys, rows, strict=True)
        ],
    )
    database.execute("drop table version_1")


def _from_version_1(text: str, exception: str, path: str, function: str) -> Fingerprint:
    """Return the fingerprint of a failure of version 1, which stored the end of the text.

    The columns of version 1 were read from the whole text. So they take precedence where the end of
    the text shows less: the name of a function is at the beginning of its source.
    """
    parts = fingerprint(read_failure(text))
    if function and not parts.raiser and not parts.test_file:
        parts = replace(parts, raiser=Function(path, function))
    if not function:
        parts = replace(parts, test_file=parts.test_file or path)
    return replace(parts, exception=exception)


def _row(parts: Fingerprint) -> tuple[str, ...]:
    """Return the columns of a fingerprint."""
    return (
        parts.exception,
        *parts.raiser,
        *parts.caller,
        parts.statement,
        parts.test,
        *parts.test_function,
        parts.test_file,
        parts.message,
    )


def _parts(*columns: str) -> Fingerprint:
    """Return the fingerprint in some columns."""
    exception, path, name, caller_path, caller, statement, test, *rest = columns
    test_path, function, file, message = rest
    return Fingerprint(
        exception=exception,
        raiser=Function(path, name),
        caller=Function(caller_path, caller),
        statement=statement,
        test=test,
        test_function=Function(test_path, function),
        test_file=file,
        message=message,
    )
