"""The check of a SQLite file of another program, before anything is read from it.

A query names a table, but the file decides what stands behind that name. A view may have endless
rows, a computed column may be of any size, and a trigger runs with the first row that is added. Two
pages of a damaged file may share their content any number of times.
"""

from __future__ import annotations

import sqlite3

__all__ = ["check_database", "one_line"]


def check_database(database: sqlite3.Connection) -> None:
    """Raise unless a database holds nothing besides plain tables and their indexes.

    After this check, the rows of all tables take no more bytes than the file has.

    Parameters
    ----------
    database : sqlite3.Connection
        The database. Nothing is written to it.

    Raises
    ------
    sqlite3.Error
        If it holds a view, a trigger, a virtual table or a computed column, is damaged, or cannot
        be read. The message does not name the file.
    """
    rows = database.execute("select type, name, rootpage from sqlite_master").fetchall()
    for kind, name, page in rows:
        # A virtual table has no page: a module of SQLite makes up its rows.
        if kind not in {"table", "index"} or not page:
            what = kind if page or kind != "table" else "virtual table"
            raise sqlite3.DatabaseError(f"it holds the {what} {name!r}; expected plain tables")
        hidden = "select count(*) from pragma_table_xinfo(?) where hidden != 0"
        if kind == "table" and database.execute(hidden, (name,)).fetchone() != (0,):
            raise sqlite3.DatabaseError(f"table {name!r} computes a column; expected plain tables")
    # The constraints of the file's author may take any time.
    database.execute("pragma ignore_check_constraints = on")
    (found,) = database.execute("pragma quick_check(1)").fetchone() or ("ok",)
    database.execute("pragma ignore_check_constraints = off")
    if found != "ok":
        raise sqlite3.DatabaseError(f"it is damaged: {found}")


def one_line(error: Exception) -> str:
    """Return the message of an error in one line of at most 200 characters.

    SQLite quotes what it cannot read, and names the damage of a page in several lines.
    """
    return " ".join(str(error).split())[:200]
