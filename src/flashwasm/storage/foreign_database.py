"""The check of another program's SQLite file, before anything is read from it.

A query names a table, but the file defines what the name means. A view can have endless rows, a
computed column can have any size, and a trigger runs when the first row is added. In a damaged
file, pages can refer to the same content any number of times.
"""

from __future__ import annotations

import sqlite3

__all__ = ["check_database", "one_line"]


def check_database(database: sqlite3.Connection) -> None:
    """Raise an error unless a database contains only plain tables and their indexes.

    After this check, the rows of all tables together are no larger than the file.

    Parameters
    ----------
    database : sqlite3.Connection
        The database, which is not changed.

    Raises
    ------
    sqlite3.Error
        If the database contains a view, a trigger, a virtual table or a computed column, is
        damaged, or cannot be read. The message does not name the file.
    """
    rows = database.execute("select type, name, rootpage from sqlite_master").fetchall()
    for kind, name, page in rows:
        # A virtual table has no page, because a module of SQLite generates its rows.
        if kind not in {"table", "index"} or not page:
            what = kind if page or kind != "table" else "virtual table"
            raise sqlite3.DatabaseError(f"it contains the {what} {name!r}; expected plain tables")
        hidden = "select count(*) from pragma_table_xinfo(?) where hidden != 0"
        if kind == "table" and database.execute(hidden, (name,)).fetchone() != (0,):
            raise sqlite3.DatabaseError(f"table {name!r} computes a column; expected plain tables")
    # Checking the file's own constraints could take any time.
    database.execute("pragma ignore_check_constraints = on")
    (found,) = database.execute("pragma quick_check(1)").fetchone() or ("ok",)
    database.execute("pragma ignore_check_constraints = off")
    if found != "ok":
        raise sqlite3.DatabaseError(f"it is damaged: {found}")


def one_line(error: Exception) -> str:
    """Return the message of an error in one line of at most 200 characters.

    SQLite's messages quote unreadable content, and describe a damaged page in several lines.
    """
    return " ".join(str(error).split())[:200]
