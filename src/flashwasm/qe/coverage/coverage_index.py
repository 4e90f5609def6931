"""Which test runs which line, and which tests run the same ones: an exact inverted index."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import reduce
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from flashwasm.errors import ShapeError
from flashwasm.qe.coverage.coverage_file import load_coverage, write_coverage_file
from flashwasm.qe.scoring.inverted_index import InvertedIndex, RowSimilarity
from flashwasm.validation import positive_int

if TYPE_CHECKING:
    from flashwasm.qe.coverage.coverage_database import CoverageData

__all__ = ["CoverageIndex", "CoverageMatch"]

Array = npt.NDArray[Any]
# The part of a test that pytest-cov calls "run" is the test itself; the others are its fixtures'.
_FIXTURE_PHASES = ("setup", "teardown")


@dataclass(frozen=True)
class CoverageMatch:
    """A test near another: its node id, the cosine of what they run, and lines in both."""

    nodeid: str
    score: float
    shared: int


class CoverageIndex:
    """Tests by the lines they run. Made by `CoverageIndex.load`.

    Parameters
    ----------
    data : CoverageData
        What was recorded, with a context for each test.

    Attributes
    ----------
    tests : list of str
        Node ids that ran at least one line, setup and teardown included.
    files : list of str
        Paths as recorded.
    """

    def __init__(self, data: CoverageData) -> None:
        self._data = data
        self.files = data.files
        named = [_test_and_phase(context) for context in data.contexts]
        self.tests = sorted({test for test, _ in named if test})
        at = {test: i for i, test in enumerate(self.tests)}
        lengths = [0] * len(data.files)
        for (file, _), lines in data.lines.items():
            if len(lines):
                lengths[file] = max(lengths[file], int(lines[-1]) + 1)
        # Line n of file f is column starts[f] + n.
        self._starts = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64)
        run: list[list[Array]] = [[] for _ in self.tests]
        around: list[list[Array]] = [[] for _ in self.tests]
        width = int(self._starts[-1])
        for (file, context), lines in data.lines.items():
            test, phase = named[context]
            columns = self._starts[file] + lines
            if test:
                (around if phase in _FIXTURE_PHASES else run)[at[test]].append(columns)
        self._rows = [_union(parts) for parts in run]
        self._around = [_union(parts) for parts in around]
        self._postings = InvertedIndex(self._rows, width)
        self._around_postings = InvertedIndex(self._around, width)

    @classmethod
    def load(cls, path: str | Path) -> CoverageIndex:
        """Read a database that coverage.py recorded with contexts, or what `save` wrote.

        Parameters
        ----------
        path : str or pathlib.Path
            Usually ``.coverage``, made by ``pytest --cov=PKG --cov-context=test``.

        Raises
        ------
        ShapeError
            If there is no such file, or it holds no test contexts.
        CorruptFileError
            If it is damaged, or neither of the two.
        """
        index = cls(load_coverage(Path(path)))
        if not index.tests:
            raise ShapeError(
                f"{path} has no test contexts; record it with: pytest --cov=PKG --cov-context=test"
            )
        return index

    def save(self, path: str | Path) -> None:
        """Write the coverage to one file with checksums, whole or not at all."""
        write_coverage_file(Path(path), self._data)

    def changes(self) -> list[str]:
        """Return the database's path where it was changed or removed since it was read."""
        return self._data.changes()

    def find_file(self, path: str) -> int:
        """Position of the file that a path, or the end of one, means."""
        wanted = path.replace("\\", "/").removeprefix("./")
        names = [name.replace("\\", "/") for name in self.files]
        if wanted in names:
            return names.index(wanted)
        found = [
            i
            for i, name in enumerate(names)
            if name.endswith(f"/{wanted}") or wanted.endswith(f"/{name}")
        ]
        if len(found) == 1:
            return found[0]
        if found:
            raise ShapeError(f"{path!r} may be {', '.join(names[i] for i in found[:10])}")
        raise ShapeError(f"no file {path!r} in the coverage database")

    def who(self, file: str, lines: Iterable[int]) -> dict[str, list[int]]:
        """Return the tests that run at least one of some lines, with those they run.

        Parameters
        ----------
        file : str
            The file's path, or the end of it.
        lines : iterable of int
            Line numbers, from 1.

        Returns
        -------
        dict of str to list of int
            Most lines first; fixtures count for the tests that they run for.
        """
        at = self.find_file(file)
        hits: dict[int, set[int]] = {}
        for line in set(lines):
            column = self._column(at, line)
            if column is not None:
                for postings in (self._postings, self._around_postings):
                    for test in postings.of(column):
                        hits.setdefault(int(test), set()).add(line)
        order = sorted(hits, key=lambda test: (-len(hits[test]), self.tests[test]))
        return {self.tests[test]: sorted(hits[test]) for test in order}

    def tested(self, file: str) -> set[int]:
        """Return the lines of a file that ran inside a test, its fixtures included."""
        at = self.find_file(file)
        span = slice(int(self._starts[at]), int(self._starts[at + 1]))
        seen = self._postings.seen[span] | self._around_postings.seen[span]
        return set(np.flatnonzero(seen).tolist())

    def lines_of(self, nodeid: str) -> list[tuple[str, int]]:
        """Return (file, line) of each line that a test's own run reaches."""
        return [(file, line) for file, lines in self.shared_lines(nodeid).items() for line in lines]

    def shared_lines(self, *nodeids: str) -> dict[str, list[int]]:
        """Return the lines, by file, that the own run of each of some tests reaches."""
        columns = reduce(np.intersect1d, [self._rows[self.find(nodeid)] for nodeid in nodeids])
        files = np.searchsorted(self._starts, columns, side="right") - 1
        return {
            self.files[file]: (columns[files == file] - self._starts[file]).tolist()
            for file in np.unique(files)
        }

    def find(self, nodeid: str) -> int:
        """Position of the test that a node id, or its end, means."""
        if nodeid in self.tests:
            return self.tests.index(nodeid)
        ends = ("::" + nodeid, "/" + nodeid)
        found = [
            i
            for i, test in enumerate(self.tests)
            if test.endswith(ends) or nodeid.endswith("/" + test)
        ]
        if len(found) == 1:
            return found[0]
        if found:
            raise ShapeError(
                f"{nodeid!r} may be {', '.join(self.tests[i] for i in found[:10])}; give more of it"
            )
        raise ShapeError(f"no test {nodeid!r} in the coverage database")

    def nearest(self, nodeid: str, k: int = 10) -> list[CoverageMatch]:
        """Return the tests whose runs reach the most alike lines, by cosine.

        Parameters
        ----------
        nodeid : str
            A test, or the end of one that only one has.
        k : int, default 10
            How many, at most. Tests that share no line are never among them.
        """
        positive_int(k, "k")
        own = self.find(nodeid)
        row = self._rows[own]
        shared = self._postings.counts(row)
        shared[own] = 0
        # Most tests share nothing with this one, and sorting the few that reach the k-th best is
        # quicker than sorting all.
        near = np.flatnonzero(shared > 0)
        scores = shared[near] / np.sqrt(self._postings.lengths[near] * float(max(len(row), 1)))
        if k < len(near):
            # From the low end: NumPy's selection takes ten times as long at the high one.
            reached = scores >= -np.partition(-scores, k - 1)[k - 1]
            near, scores = near[reached], scores[reached]
        return [
            CoverageMatch(self.tests[near[i]], float(scores[i]), int(shared[near[i]]))
            for i in np.argsort(-scores, kind="stable")[:k]
        ]

    def row(self, test: int) -> Array:
        """Return the columns that a test's own run reaches."""
        return self._rows[test]

    def likeness(self, names: Sequence[Sequence[str]]) -> RowSimilarity:
        """Return the likeness of tests that each have some node ids, all cases of one together.

        Parameters
        ----------
        names : sequence of sequence of str
            Node ids without cases; the database may call them by a part of their paths.
        """
        cases: dict[str, list[Array]] = {}
        for test, row in zip(self.tests, self._rows, strict=True):
            cases.setdefault(test.partition("[")[0], []).append(row)
        rows = [_union([part for name in own for part in _cases_of(name, cases)]) for own in names]
        return RowSimilarity(rows, int(self._starts[-1]))

    def identical(self, *, without: Sequence[str] = ()) -> list[list[str]]:
        """Return groups of tests whose runs reach the same lines, at least one.

        Parameters
        ----------
        without : sequence of str
            Ends of paths of files that do not count, such as the tests' own.

        Returns
        -------
        list of list of str
            Groups of two and more, the one with the most lines first.
        """
        ends = tuple(name.replace("\\", "/") for name in without)
        left_out = np.zeros(int(self._starts[-1]), np.bool_)
        for i, name in enumerate(self.files):
            if ends and name.replace("\\", "/").endswith(ends):
                left_out[self._starts[i] : self._starts[i + 1]] = True
        groups: dict[bytes, list[int]] = {}
        for i, row in enumerate(self._rows):
            kept = row[~left_out[row]]
            if len(kept):
                groups.setdefault(kept.tobytes(), []).append(i)
        alike = [(len(key), tests) for key, tests in groups.items() if len(tests) > 1]
        return [[self.tests[i] for i in tests] for _, tests in sorted(alike, key=lambda g: -g[0])]

    def _column(self, file: int, line: int) -> int | None:
        column = int(self._starts[file]) + line
        return column if line > 0 and column < self._starts[file + 1] else None


def _test_and_phase(context: str) -> tuple[str, str]:
    """Split pytest-cov's ``nodeid|run``; a parameter may hold the separator itself."""
    test, separator, phase = context.rpartition("|")
    return (test, phase) if separator and phase in {"run", *_FIXTURE_PHASES} else (context, "run")


def _cases_of(nodeid: str, cases: dict[str, list[Array]]) -> list[Array]:
    """Look a node id up, or its end: a database may have been made in a folder below."""
    parts = nodeid.split("/")
    for start in range(len(parts)):
        if found := cases.get("/".join(parts[start:])):
            return found
    return []


def _union(parts: list[Array]) -> Array:
    return np.unique(np.concatenate(parts)) if parts else np.zeros(0, np.int64)
