"""A log of people's verdicts on the tests that they were shown. It only grows."""

from __future__ import annotations

import getpass
import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, fields
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

from flashwasm.errors import CorruptFileError, DTypeError, ShapeError
from flashwasm.storage.foreign_database import one_line
from flashwasm.storage.user_folders import data_folder
from flashwasm.validation import finite_float, positive_int

__all__ = ["FeedbackLog", "Judgement", "Shown"]

# Seconds to wait for another process that writes.
_PATIENCE = 30.0

# `judgement` holds verdicts; `shown` holds the tests that a search showed, with the probability of
# each. Triggers refuse every change of a row. SQLite's REPLACE deletes a row without the trigger
# for deletions, so a trigger for insertions refuses an id that exists.
_TABLES = {
    "judgement": (
        "accepted INTEGER NOT NULL, query TEXT NOT NULL, test TEXT NOT NULL, asked TEXT NOT NULL, "
        "rank INTEGER, propensity REAL, source TEXT NOT NULL"
    ),
    "shown": (
        "query TEXT NOT NULL, test TEXT NOT NULL, asked TEXT NOT NULL, "
        "rank INTEGER NOT NULL, propensity REAL NOT NULL"
    ),
}
_SCHEMA = "".join(
    f"""
CREATE TABLE IF NOT EXISTS {table} (id INTEGER PRIMARY KEY AUTOINCREMENT, time TEXT NOT NULL,
    user TEXT NOT NULL, suite TEXT NOT NULL, {columns});
CREATE INDEX IF NOT EXISTS {table}_suite ON {table} (suite, query, test);
CREATE TRIGGER IF NOT EXISTS {table}_update BEFORE UPDATE ON {table}
    BEGIN SELECT RAISE(ABORT, 'the feedback log only grows'); END;
CREATE TRIGGER IF NOT EXISTS {table}_delete BEFORE DELETE ON {table}
    BEGIN SELECT RAISE(ABORT, 'the feedback log only grows'); END;
CREATE TRIGGER IF NOT EXISTS {table}_insert BEFORE INSERT ON {table}
    WHEN EXISTS (SELECT 1 FROM {table} WHERE id = NEW.id)
    BEGIN SELECT RAISE(ABORT, 'the feedback log only grows'); END;
"""  # noqa: S608 - the names of tables and columns are those above, never a user's.
    for table, columns in _TABLES.items()
)


@dataclass(frozen=True)
class Judgement:
    """A person's verdict on one test that was shown for another.

    Parameters
    ----------
    query, test : str
        Node ids of the test that was asked about and of the test that was judged.
    accepted : bool
        True if the test was a good answer.
    asked : str
        The query as a person typed it; "" stands for ``query``.
    rank : int or None
        Place of the test among the results, from 1; None if it is not known.
    propensity : float or None
        Probability with which the test was shown, in (0, 1]; None if it is not known.
    source : str
        Name of the program that recorded the verdict.
    time, user : str
        Time in UTC, and name of the user. `FeedbackLog.add` fills in both.
    """

    query: str
    test: str
    accepted: bool
    asked: str = ""
    rank: int | None = None
    propensity: float | None = None
    source: str = "python"
    time: str = ""
    user: str = ""

    def __post_init__(self) -> None:
        if not isinstance(self.accepted, bool):
            raise DTypeError(f"accepted: expected True or False, got {self.accepted!r}")
        for name in ("query", "test", "source"):
            value = getattr(self, name)
            if not isinstance(value, str) or not value.strip():
                raise ShapeError(f"{name}: expected a text that is not empty, got {value!r}")
        if self.query == self.test:
            raise ShapeError(f"test: expected another test than the query, got {self.test!r} twice")
        if self.rank is not None:
            positive_int(self.rank, "rank")
        if self.propensity is not None and not 0 < finite_float(self.propensity, "propensity") <= 1:
            raise ShapeError(f"propensity: expected 0 < propensity <= 1, got {self.propensity}")

    def as_dict(self) -> dict[str, Any]:
        """Return the fields by name, for JSON."""
        return asdict(self)


@dataclass(frozen=True)
class Shown:
    """A test that a search showed.

    Attributes
    ----------
    test : str
        Node id.
    rank : int
        Place among the results, from 1.
    propensity : float
        Probability with which it was shown, in (0, 1].
    """

    test: str
    rank: int
    propensity: float


class FeedbackLog:
    """Judgements and the tests that were shown, in a SQLite file whose rows cannot be changed.

    Several processes may write to it.

    Parameters
    ----------
    path : pathlib.Path, optional
        Path of the file, which is made when something is added. None is the file in the user's data
        folder.

    Raises
    ------
    CorruptFileError
        By every method, if the file is not a feedback log.

    Examples
    --------
    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     log = FeedbackLog(Path(folder, "log"))
    ...     _ = log.add("suite", Judgement("test_a.py::test_1", "test_a.py::test_2", True))
    ...     [judgement.accepted for judgement in log.judgements("suite")]
    [True]
    """

    def __init__(self, path: Path | None = None) -> None:
        self.path = data_folder() / "feedback.sqlite" if path is None else path

    def add(self, suite: str | Path, judgement: Judgement) -> Judgement:
        """Add a judgement, and return it as it was written.

        If the judgement has neither rank nor propensity, both are taken from the last time that
        the test was shown for this query. If it lacks the typed query, so is that.

        Parameters
        ----------
        suite : str or pathlib.Path
            Root folder of the suite.
        judgement : Judgement
            The verdict.

        Returns
        -------
        Judgement
        """
        with self._open() as connection:
            seen = connection.execute(
                "SELECT rank, propensity, asked FROM shown WHERE suite = ? AND query = ? "
                "AND test = ? ORDER BY id DESC",
                (str(suite), judgement.query, judgement.test),
            ).fetchone()
            rank, propensity, asked = seen or (None, None, judgement.query)
            if judgement.rank is not None or judgement.propensity is not None:
                rank, propensity = judgement.rank, judgement.propensity
            row = judgement.as_dict() | {"time": _now(), "user": _user()}
            row |= {"rank": rank, "propensity": propensity, "asked": judgement.asked or asked}
            connection.execute(*_insertion("judgement", row | {"suite": str(suite)}))
        return Judgement(**row)

    def add_shown(self, suite: str | Path, query: str, asked: str, shown: Sequence[Shown]) -> None:
        """Add the tests that a search showed for a query.

        Parameters
        ----------
        suite : str or pathlib.Path
            Root folder of the suite.
        query : str
            Node id of the test that was asked about.
        asked : str
            The query as a person typed it.
        shown : sequence of Shown
            The tests.
        """
        common = {"time": _now(), "user": _user(), "suite": str(suite)}
        with self._open() as connection:
            for one in shown:
                row = common | {"query": query, "asked": asked} | asdict(one)
                connection.execute(*_insertion("shown", row))

    def judgements(self, suite: str | Path) -> list[Judgement]:
        """Return the last judgement of each pair of tests, the oldest first.

        Parameters
        ----------
        suite : str or pathlib.Path
            Root folder of the suite.

        Returns
        -------
        list of Judgement
        """
        if not self.path.exists():
            return []
        names = [field.name for field in fields(Judgement)]
        with self._open() as connection:
            rows = connection.execute(
                f"SELECT {', '.join(names)} FROM judgement "  # noqa: S608 - names of fields.
                "WHERE id IN (SELECT max(id) FROM judgement WHERE suite = ? GROUP BY query, test) "
                "ORDER BY id",
                (str(suite),),
            ).fetchall()
        try:
            return [
                Judgement(**dict(zip(names, row, strict=True)) | {"accepted": bool(row[2])})
                for row in rows
            ]
        except (ShapeError, DTypeError) as error:
            raise CorruptFileError(
                f"{self.path}: this is no feedback log: {one_line(error)}"
            ) from error

    @contextmanager
    def _open(self) -> Iterator[sqlite3.Connection]:
        """Yield a connection in a transaction, of which all changes are written or none."""
        self.path.parent.mkdir(parents=True, exist_ok=True)
        try:
            connection = sqlite3.connect(self.path, timeout=_PATIENCE, isolation_level=None)
        except sqlite3.Error as error:
            raise OSError(f"{self.path}: {one_line(error)}") from error
        try:
            connection.executescript(_SCHEMA)
            connection.execute("BEGIN IMMEDIATE")
            yield connection
            connection.execute("COMMIT")
        except sqlite3.OperationalError as error:
            raise OSError(f"{self.path}: {one_line(error)}") from error
        except (sqlite3.DatabaseError, UnicodeDecodeError) as error:
            raise CorruptFileError(
                f"{self.path}: this is no feedback log: {one_line(error)}"
            ) from error
        finally:
            connection.close()


def _insertion(table: str, row: dict[str, Any]) -> tuple[str, list[Any]]:
    """Return an INSERT statement and its values."""
    marks = ", ".join("?" * len(row))
    return f"INSERT INTO {table} ({', '.join(row)}) VALUES ({marks})", list(row.values())  # noqa: S608 - names of fields.


def _now() -> str:
    """Return the time in UTC."""
    return datetime.now(timezone.utc).isoformat(timespec="milliseconds")


def _user() -> str:
    """Return the name of the user; "unknown" if the system has none."""
    try:
        return getpass.getuser()
    except (KeyError, OSError, ImportError):
        # In a container, a process may run as a user without a name.
        return "unknown"
