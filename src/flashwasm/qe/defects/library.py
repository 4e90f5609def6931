"""A library of named defects, and what it says about a failure."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import numpy as np

from flashwasm.errors import CapabilityError, CorruptFileError, ShapeError
from flashwasm.qe.defects.tracebacks import Failure, read_failure
from flashwasm.qe.scoring.tfidf_matrix import TfIdfMatrix

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

__all__ = ["TEXT_END", "DefectMatch", "FailureCluster", "FailureLibrary", "cluster_failures"]

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
# The end of a traceback says what failed; its beginning is how the test was run.
TEXT_END = 2000
# From here on a failure of the same exception is the same defect although its frame is another.
# Of 1,361 failures whose own defect was left out of the library, 13 % reach it with another.
_SAME_TEXT = 0.85


@dataclass(frozen=True)
class DefectMatch:
    """What the library says about a failure.

    Parameters
    ----------
    status : {"new", "known", "regressed"}
        Whether no defect fits, one that is open, or one that was resolved.
    defect : str or None
        The defect's name; for a new one the nearest.
    evidence : str
        Why.
    score : float or None
        Cosine of the texts' ends, None without scikit-learn.
    note : str
        What the library notes about the defect.
    components : mapping of str to float
        What was compared with one failure in the library: ``exception`` and ``frame``, each 1 where
        they are the same, and ``text``, the score.
    example : str
        The end of that failure's text.
    """

    status: Literal["new", "known", "regressed"]
    defect: str | None
    evidence: str
    score: float | None
    note: str = ""
    components: Mapping[str, float] = field(default_factory=dict)
    example: str = ""


@dataclass(frozen=True)
class FailureCluster:
    """Failures with one signature: their positions, and why they are together."""

    signature: tuple[str, str, str]
    members: list[int]
    reason: str


def cluster_failures(failures: Sequence[Failure]) -> list[FailureCluster]:
    """Group failures by exception and innermost frame of the product, the largest group first."""
    groups: dict[tuple[str, str, str], list[int]] = {}
    for i, failure in enumerate(failures):
        groups.setdefault(failure.signature, []).append(i)
    return [
        FailureCluster(signature, members, _why(failures[members[0]]))
        for signature, members in sorted(groups.items(), key=lambda group: -len(group[1]))
    ]


def _why(failure: Failure) -> str:
    """Say what a failure's signature means."""
    exception, path, function = failure.signature
    raised = exception or "no exception that is named"
    if not path:
        return f"{raised}, without a stack"
    if function:
        return f"{raised}, and the innermost frame outside tests is {path} in {function}"
    return f"{raised}, and no frame outside tests: {path}"


def _learn(
    database: sqlite3.Connection,
    name: str,
    failures: Sequence[Failure],
    *,
    resolved: bool,
    note: str,
) -> int:
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


class FailureLibrary:
    """Defects with the failures they caused, in a SQLite file.

    Parameters
    ----------
    path : str or pathlib.Path
        The file.
    create : bool, default False
        Whether to make it where there is none.

    Raises
    ------
    ShapeError
        If there is no such file.
    CorruptFileError
        If the file is damaged, or not such a library.
    """

    # Marks a file as such a library in SQLite's own header: "FWDL".
    APPLICATION_ID = 0x4657444C
    VERSION = 1

    def __init__(self, path: str | Path, *, create: bool = False) -> None:
        self.path = Path(path)
        if not self.path.is_file():
            if self.path.exists() or not create:
                raise ShapeError(f"library {str(self.path)!r} does not exist or is no file")
            self.path.parent.mkdir(parents=True, exist_ok=True)
            with closing(sqlite3.connect(self.path)) as database, database:
                database.executescript(
                    f"{_SCHEMA} pragma application_id = {self.APPLICATION_ID};"
                    f"pragma user_version = {self.VERSION};"
                )
        self._defects: list[tuple[int, str, bool, str]] = []
        self._occurrences: list[tuple[int, tuple[str, str, str], str]] = []
        self._by_signature: dict[tuple[str, str, str], list[int]] = {}
        self._terms: TfIdfMatrix | None = None
        self.missing: list[str] = []
        self._read()

    def __len__(self) -> int:
        return len(self._defects)

    @property
    def occurrences(self) -> int:
        """How many failures the library holds."""
        return len(self._occurrences)

    @property
    def texts(self) -> list[str]:
        """The ends of the failures' texts."""
        return [text for _, _, text in self._occurrences]

    @property
    def defects(self) -> dict[str, bool]:
        """Names of the defects, and whether each is resolved."""
        return {name: resolved for _, name, resolved, _ in self._defects}

    def learn(
        self, name: str, failures: Sequence[Failure], *, resolved: bool = False, note: str = ""
    ) -> int:
        """Add failures to a defect, which is made where there is none of this name.

        Parameters
        ----------
        name : str
            The defect.
        failures : sequence of Failure
            What it caused; those that it has already are not added again.
        resolved : bool, default False
            Whether it counts as resolved from now on.
        note : str, optional
            Replaces its note.

        Returns
        -------
        int
            Failures that were added.
        """
        if not name.strip():
            raise ShapeError("name is empty; expected a defect's name")
        with closing(self._connect()) as database, database:
            added = _learn(database, name, failures, resolved=resolved, note=note)
        self._read()
        return added

    def learn_all(self, defects: Mapping[str, Sequence[Failure]]) -> None:
        """Add the failures of many open defects at once."""
        with closing(self._connect()) as database, database:
            for name, failures in defects.items():
                _learn(database, name, failures, resolved=False, note="")
        self._read()

    def match(self, failure: Failure | str) -> DefectMatch:
        """Say whether a failure is new, known, or of a defect that was resolved.

        Parameters
        ----------
        failure : Failure or str
            The failure, or its text.
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
            return self._found(failure, best, f"the same {_why(failure)}", scores)
        if nearest is None:
            return DefectMatch("new", None, f"no defect with {_why(failure)}", None)
        _, (exception, _, _), _ = self._occurrences[nearest]
        score = scores[nearest]
        if exception == failure.exception and score >= _SAME_TEXT:
            evidence = f"the same {exception} with a text alike"
            return self._found(failure, nearest, evidence, scores)
        found = self._found(failure, nearest, "", scores)
        evidence = f"no defect with {_why(failure)}; the nearest text is {found.defect}'s"
        return replace(found, status="new", evidence=f"{evidence} ({score:.2f})", note="")

    def _found(
        self, failure: Failure, occurrence: int, evidence: str, scores: list[float]
    ) -> DefectMatch:
        defect, (exception, *frame), text = self._occurrences[occurrence]
        _, name, resolved, note = self._defects[defect]
        components = {
            "exception": float(exception == failure.exception),
            "frame": float(tuple(frame) == failure.signature[1:]),
        }
        score = scores[occurrence] if scores else None
        if score is not None:
            components["text"] = score
        status: Literal["known", "regressed"] = "regressed" if resolved else "known"
        return DefectMatch(status, name, evidence, score, note, components, text)

    def _scores(self, failure: Failure) -> list[float]:
        """Return the cosine with each occurrence; nothing without scikit-learn."""
        if self._terms is None and not self.missing:
            try:
                self._terms = TfIdfMatrix("characters", self.texts)
            except CapabilityError as error:
                self.missing = [str(error)]
        if self._terms is None:
            return []
        # Rounding may leave the cosine of equal texts past one.
        scores = np.minimum(self._terms.scores(failure.text[-TEXT_END:]), 1)
        return list(scores.tolist())

    def _connect(self) -> sqlite3.Connection:
        return sqlite3.connect(self.path, timeout=30)

    def _read(self) -> None:
        try:
            with closing(self._connect()) as database:
                (application,) = database.execute("pragma application_id").fetchone()
                (version,) = database.execute("pragma user_version").fetchone()
                if application != self.APPLICATION_ID:
                    raise CorruptFileError(f"{self.path} is no library of defects")
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
            raise CorruptFileError(f"{self.path} is no whole library: {error}") from error
        self._defects = [(key, name, bool(resolved), note) for key, name, resolved, note in defects]
        at = {key: i for i, (key, *_) in enumerate(self._defects)}
        if any(key not in at for key, *_ in rows):
            raise CorruptFileError(f"{self.path} is no whole library: a failure has no defect")
        self._occurrences = [(at[key], (e, p, f), text) for key, e, p, f, text in rows]
        self._by_signature = {}
        for i, (_, signature, _) in enumerate(self._occurrences):
            self._by_signature.setdefault(signature, []).append(i)
        self._terms = None
