"""A library of named defects: it says if a failure is new, known, or of a resolved defect."""

from __future__ import annotations

import sqlite3
from collections.abc import Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Literal, NamedTuple

import numpy as np

from flashwasm.errors import CapabilityError, CorruptFileError, ShapeError
from flashwasm.qe.defects.failure_clusters import signature_in_words
from flashwasm.qe.defects.tracebacks import Failure, read_failure
from flashwasm.qe.scoring.tfidf_matrix import TfIdfMatrix

__all__ = ["TEXT_END", "DefectMatch", "FailureLibrary"]

_SCHEMA = """
create table defect (
    id integer primary key, name text not null unique,
    resolved integer not null, note text not null
);
create table occurrence (
    id integer primary key, defect integer not null references defect (id),
    exception text not null, path text not null, function text not null, text text not null,
    unique (defect, text)
);
"""
# Number of characters that are compared. The end of a traceback shows the failure, its beginning
# only how the test was run.
TEXT_END = 2000
# A failure with the same exception and at least this cosine counts as the same defect, even if its
# frame differs. In a measurement, 1,361 failures were compared with libraries that lacked their own
# defect: 13 % of them reach this cosine with another defect, which is then named wrongly.
_SAME_TEXT = 0.85


@dataclass(frozen=True)
class DefectMatch:
    """A failure compared with the defects of a library.

    Parameters
    ----------
    status : {"new", "known", "regressed"}
        "new" if no defect fits, "known" if the defect is open, "regressed" if it was resolved.
    defect : str or None
        Name of the defect; for a new failure, of the nearest one.
    evidence : str
        Sentence that says why.
    score : float or None
        Cosine of the ends of both texts; None without scikit-learn.
    note : str
        Note of the library about the defect.
    components : mapping of str to float
        Comparison with one failure in the library. ``exception`` and ``frame`` are 1 if both
        failures have the same one, else 0. ``text`` is the score.
    example : str
        End of that failure's text.
    """

    status: Literal["new", "known", "regressed"]
    defect: str | None
    evidence: str
    score: float | None
    note: str = ""
    components: Mapping[str, float] = field(default_factory=dict)
    example: str = ""


class _Defect(NamedTuple):
    """A row of the table of defects."""

    key: int
    name: str
    resolved: bool
    note: str


class _Occurrence(NamedTuple):
    """A failure in the library: the position of its defect, its signature, the end of its text."""

    defect: int
    signature: tuple[str, str, str]
    text: str


class FailureLibrary:
    """Defects with the failures they caused, in a SQLite file.

    Parameters
    ----------
    path : str or pathlib.Path
        Path of the file.
    create : bool, default False
        True to make the file if there is none.

    Raises
    ------
    ShapeError
        If there is no such file.
    CorruptFileError
        If the file is damaged, or not such a library.
    """

    # SQLite writes this number, "FWDL" in ASCII, into the file's header, to mark the file's type.
    APPLICATION_ID = 0x4657444C
    VERSION = 1

    def __init__(self, path: str | Path, *, create: bool = False) -> None:
        self.path = Path(path)
        if not self.path.is_file():
            if self.path.exists() or not create:
                raise ShapeError(f"library {str(self.path)!r} does not exist or is not a file")
            self.path.parent.mkdir(parents=True, exist_ok=True)
            with closing(sqlite3.connect(self.path)) as database, database:
                database.executescript(
                    f"{_SCHEMA} pragma application_id = {self.APPLICATION_ID};"
                    f"pragma user_version = {self.VERSION};"
                )
        self._defects: list[_Defect] = []
        self._occurrences: list[_Occurrence] = []
        # Positions of the occurrences with a signature.
        self._by_signature: dict[tuple[str, str, str], list[int]] = {}
        self._terms: TfIdfMatrix | None = None
        self.missing: list[str] = []
        self._read()

    def __len__(self) -> int:
        return len(self._defects)

    @property
    def occurrences(self) -> int:
        """Number of failures in the library."""
        return len(self._occurrences)

    @property
    def texts(self) -> list[str]:
        """Ends of the failures' texts."""
        return [occurrence.text for occurrence in self._occurrences]

    @property
    def defects(self) -> dict[str, bool]:
        """Names of the defects, each with True if it is resolved."""
        return {defect.name: defect.resolved for defect in self._defects}

    def learn(
        self, name: str, failures: Sequence[Failure], *, resolved: bool = False, note: str = ""
    ) -> int:
        """Add failures to a defect, which is created if the library has none of this name.

        Parameters
        ----------
        name : str
            Name of the defect.
        failures : sequence of Failure
            Failures that it caused. Failures that the library already has are not added again.
        resolved : bool, default False
            True to mark the defect as resolved, False to mark it as open, even if it was resolved.
        note : str, optional
            Text that replaces the defect's note; "" leaves it.

        Returns
        -------
        int
            Number of failures that were added.
        """
        if not name.strip():
            raise ShapeError("name is empty; expected a defect's name")
        with closing(self._connect()) as database, database:
            added = _learn(database, name, failures, resolved=resolved, note=note)
        self._read()
        return added

    def learn_all(self, defects: Mapping[str, Sequence[Failure]]) -> None:
        """Add the failures of many open defects at once.

        Parameters
        ----------
        defects : mapping of str to sequence of Failure
            Failures by the name of their defect.
        """
        with closing(self._connect()) as database, database:
            for name, failures in defects.items():
                _learn(database, name, failures, resolved=False, note="")
        self._read()

    def match(self, failure: Failure | str) -> DefectMatch:
        """Compare a failure with the library: it is new, known, or of a resolved defect.

        Parameters
        ----------
        failure : Failure or str
            The failure, or its text.

        Returns
        -------
        DefectMatch
        """
        if isinstance(failure, str):
            failure = read_failure(failure)
        if not self._occurrences:
            return DefectMatch("new", None, "the library is empty", None)
        scores = self._scores(failure)
        same = self._by_signature.get(failure.signature, [])
        nearest = max(range(len(scores)), key=scores.__getitem__) if scores else None
        if same:
            best = max(same, key=lambda i: scores[i] if scores else 0)
            evidence = f"the same {signature_in_words(failure)}"
            return self._match_with(best, failure, evidence, scores)
        new = f"no defect with {signature_in_words(failure)}"
        if nearest is None:
            return DefectMatch("new", None, new, None)
        exception, score = self._occurrences[nearest].signature[0], scores[nearest]
        if exception == failure.exception and score >= _SAME_TEXT:
            evidence = f"the same {exception} with a similar text"
            return self._match_with(nearest, failure, evidence, scores)
        found = self._match_with(nearest, failure, "", scores)
        evidence = f"{new}; the most similar text is of {found.defect} ({score:.2f})"
        return replace(found, status="new", evidence=evidence, note="")

    def _match_with(
        self, position: int, failure: Failure, evidence: str, scores: list[float]
    ) -> DefectMatch:
        """Return the match of a failure with the occurrence at a position."""
        occurrence = self._occurrences[position]
        defect = self._defects[occurrence.defect]
        components = {
            "exception": float(occurrence.signature[0] == failure.exception),
            "frame": float(occurrence.signature[1:] == failure.signature[1:]),
        }
        score = scores[position] if scores else None
        if score is not None:
            components["text"] = score
        return DefectMatch(
            status="regressed" if defect.resolved else "known",
            defect=defect.name,
            evidence=evidence,
            score=score,
            note=defect.note,
            components=components,
            example=occurrence.text,
        )

    def _scores(self, failure: Failure) -> list[float]:
        """Return the cosines with all occurrences; an empty list without scikit-learn."""
        if self._terms is None and not self.missing:
            try:
                self._terms = TfIdfMatrix("characters", self.texts)
            except CapabilityError as error:
                self.missing = [str(error)]
        if self._terms is None:
            return []
        # Rounding may lift the cosine of equal texts above one.
        scores = np.minimum(self._terms.scores(failure.text[-TEXT_END:]), 1)
        return list(scores.tolist())

    def _connect(self) -> sqlite3.Connection:
        """Open the file, and wait up to 30 seconds for another process that writes."""
        return sqlite3.connect(self.path, timeout=30)

    def _read(self) -> None:
        """Read the whole file into memory."""
        try:
            with closing(self._connect()) as database:
                (application,) = database.execute("pragma application_id").fetchone()
                (version,) = database.execute("pragma user_version").fetchone()
                if application != self.APPLICATION_ID:
                    raise CorruptFileError(f"{self.path} is not a library of defects")
                if version != self.VERSION:
                    raise CorruptFileError(
                        f"{self.path} is a library of version {version}; "
                        f"this release reads version {self.VERSION}"
                    )
                defects = database.execute(
                    "select id, name, resolved, note from defect order by id"
                ).fetchall()
                rows = database.execute(
                    "select defect, exception, path, function, text from occurrence order by id"
                ).fetchall()
        except sqlite3.Error as error:
            raise CorruptFileError(f"{self.path} is not a whole library: {error}") from error
        self._defects = [_Defect(key, name, bool(done), note) for key, name, done, note in defects]
        at = {defect.key: i for i, defect in enumerate(self._defects)}
        if any(key not in at for key, *_ in rows):
            raise CorruptFileError(f"{self.path} is not a whole library: a failure has no defect")
        self._occurrences = [
            _Occurrence(at[key], (exception, path, function), text)
            for key, exception, path, function, text in rows
        ]
        self._by_signature = {}
        for i, occurrence in enumerate(self._occurrences):
            self._by_signature.setdefault(occurrence.signature, []).append(i)
        self._terms = None


def _learn(
    database: sqlite3.Connection,
    name: str,
    failures: Sequence[Failure],
    *,
    resolved: bool,
    note: str,
) -> int:
    """Add failures to a defect, and return how many are new."""
    database.execute("insert or ignore into defect values (null, ?, 0, '')", (name,))
    database.execute("update defect set resolved = ? where name = ?", (resolved, name))
    if note:
        database.execute("update defect set note = ? where name = ?", (note, name))
    (defect,) = database.execute("select id from defect where name = ?", (name,)).fetchone()
    before = database.total_changes
    database.executemany(
        "insert or ignore into occurrence values (null, ?, ?, ?, ?, ?)",
        [(defect, *failure.signature, failure.text[-TEXT_END:]) for failure in failures],
    )
    return database.total_changes - before
