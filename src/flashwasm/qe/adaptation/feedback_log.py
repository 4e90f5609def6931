"""An append-only log of people's verdicts on search results."""

from __future__ import annotations

import getpass
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

from flashwasm.errors import ShapeError
from flashwasm.html_tables import html_table
from flashwasm.object_checks import checked_text, instance_of
from flashwasm.qe.adaptation.feedback_file import insert, last_row, read_rows, transaction
from flashwasm.storage.file_paths import checked_path
from flashwasm.storage.user_folders import data_folder
from flashwasm.validation import finite_float, flag, positive_int

__all__ = ["FeedbackLog", "Judgement", "Shown"]


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
        Rank of the test among the results, from 1; None if unknown.
    propensity : float or None
        Probability with which the test was shown, in (0, 1]; None if unknown.
    source : str
        Name of the program that recorded the verdict.
    time, user : str
        Time in UTC, and name of the user. `FeedbackLog.add` fills in both.

    Raises
    ------
    ShapeError, DTypeError
        If a value is not valid for its field.
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

    _repr_html_ = html_table

    def __post_init__(self) -> None:
        object.__setattr__(self, "accepted", flag(self.accepted, "accepted"))
        for name in ("query", "test", "source"):
            value = getattr(self, name)
            if not checked_text(value, name).strip():
                raise ShapeError(f"{name}: expected a text that is not empty, got {value!r}")
        for name in ("asked", "time", "user"):
            checked_text(getattr(self, name), name)
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
        Rank among the results, from 1.
    propensity : float
        Probability with which it was shown, in (0, 1].
    """

    test: str
    rank: int
    propensity: float


class FeedbackLog:
    """Judgements and the tests that were shown, in an append-only SQLite file.

    Several processes may write to the file. An added row survives a crash of the process and a loss
    of power. If the file is damaged, the undamaged rows are read, and a warning names the others.

    Parameters
    ----------
    path : pathlib.Path, optional
        Path of the file, which is created when a row is added. None is the file in the user's data
        folder.

    Raises
    ------
    DTypeError, ShapeError
        By every method, if an argument is out of range or of the wrong type.
    CorruptFileError
        By every method, if the file is not a feedback log, or is too damaged to read any row.

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
        self.path = data_folder() / "feedback.sqlite" if path is None else checked_path(path)

    def add(self, suite: str | Path, judgement: Judgement) -> Judgement:
        """Add a judgement, and return it as it was written.

        If the judgement has neither a rank nor a propensity, both are copied from the last time
        that the test was shown for this query. A missing typed query is copied, too.

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
        instance_of(judgement, Judgement, "judgement")
        suite = _suite(suite)
        asked_about = {"suite": suite, "query": judgement.query, "test": judgement.test}
        with transaction(self.path) as connection:
            seen = last_row(connection, "shown", asked_about) or {}
            row = judgement.as_dict() | {"time": _now(), "user": _user()}
            if judgement.rank is None and judgement.propensity is None:
                row |= {name: seen.get(name) for name in ("rank", "propensity")}
            row["asked"] = judgement.asked or seen.get("asked") or judgement.query
            insert(connection, "judgement", row | {"suite": suite})
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
        for name, value in (("query", query), ("asked", asked)):
            checked_text(value, name)
        for one in shown:
            instance_of(one, Shown, "shown")
        common = {"time": _now(), "user": _user(), "suite": _suite(suite)}
        with transaction(self.path) as connection:
            for one in shown:
                insert(connection, "shown", common | {"query": query, "asked": asked} | asdict(one))

    def judgements(self, suite: str | Path) -> list[Judgement]:
        """Return the last judgement of each pair of tests, the oldest first.

        Parameters
        ----------
        suite : str or pathlib.Path
            Root folder of the suite.

        Returns
        -------
        list of Judgement
            If some are damaged or lost, a RuntimeWarning reports them.
        """
        wanted = _suite(suite)
        last: dict[tuple[str, str], Judgement] = {}
        for suite_of, judgement in read_rows(self.path, "judgement", _judgement):
            if suite_of == wanted:
                pair = judgement.query, judgement.test
                # The last verdict moves to the end, so that the order is that of time.
                last.pop(pair, None)
                last[pair] = judgement
        return list(last.values())


def _judgement(row: dict[str, Any]) -> tuple[str, Judgement]:
    """Return the suite and the judgement of a row, or raise ShapeError or DTypeError."""
    suite = row.pop("suite")
    return suite, Judgement(**row | {"accepted": bool(row["accepted"])})


def _suite(suite: str | Path) -> str:
    """Return a suite's folder as text. Bytes that are not UTF-8 are escaped."""
    checked_path(suite, "suite")
    return str(suite).encode("utf-8", "backslashreplace").decode()


def _now() -> str:
    """Return the time in UTC."""
    return datetime.now(timezone.utc).isoformat(timespec="milliseconds")


def _user() -> str:
    """Return the name of the user; "unknown" if there is none."""
    try:
        return getpass.getuser()
    except (KeyError, OSError, ImportError):
        # In a container, a process may run as a user without a name.
        return "unknown"
