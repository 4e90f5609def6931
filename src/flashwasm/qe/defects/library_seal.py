"""The checksum of a library of defects, in a separate table.

SQLite has no checksums, so it does not detect a flipped bit in a row.
"""

from __future__ import annotations

import sqlite3
import zlib

__all__ = ["is_sealed", "write_seal"]


def write_seal(database: sqlite3.Connection) -> None:
    """Write the checksum of all rows, at the end of a transaction."""
    database.execute("create table if not exists seal (checksum integer not null)")
    database.execute("delete from seal")
    database.execute("insert into seal values (?)", (_checksum(database),))


def is_sealed(database: sqlite3.Connection) -> bool:
    """Return True if the checksum in the file matches the rows, or if there is none."""
    if not database.execute("select 1 from sqlite_master where name = 'seal'").fetchall():
        return True
    return database.execute("select checksum from seal").fetchall() == [(_checksum(database),)]


def _checksum(database: sqlite3.Connection) -> int:
    """Return the CRC-32 of all rows."""
    checksum = 0
    for query in ("select * from defect order by id", "select * from occurrence order by id"):
        for row in database.execute(query):
            checksum = zlib.crc32(repr(row).encode("utf-8", "backslashreplace"), checksum)
    return checksum
