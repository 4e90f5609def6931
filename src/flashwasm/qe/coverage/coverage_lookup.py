"""Look-ups in coverage: the tests that run a line, and tests with similar lines."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import cached_property, reduce
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from flashwasm.errors import ShapeError
from flashwasm.object_checks import checked_integers, checked_text, instance_of
from flashwasm.qe.coverage.coverage_match import CoverageMatch
from flashwasm.qe.coverage.coverage_matrix import CoverageMatrix, union
from flashwasm.qe.coverage.names_by_end import position_of_file, value_by_end
from flashwasm.qe.scoring.inverted_index import InvertedIndex, RowSimilarity
from flashwasm.qe.suites.node_id_lookup import nearest_node_ids, node_ids_named
from flashwasm.summaries import counted, summary
from flashwasm.validation import flag, positive_int

if TYPE_CHECKING:
    from flashwasm.qe.coverage.coverage_database import CoverageData

__all__ = ["CoverageLookup"]

Array = npt.NDArray[Any]


class CoverageLookup:
    """Methods for look-ups in coverage, which `CoverageIndex` inherits.

    Parameters
    ----------
    data : CoverageData
        Coverage with a context for each test.
    """

    def __init__(self, data: CoverageData) -> None:
        self._data = data
        self.files = data.files
        self._matrix = CoverageMatrix.of(data)
        self.tests = self._matrix.tests
        self._places = {nodeid: at for at, nodeid in enumerate(self.tests)}
        self._own = InvertedIndex(self._matrix.own, self._matrix.width)
        self._fixtures = InvertedIndex(self._matrix.fixtures, self._matrix.width)

    def __repr__(self) -> str:
        return summary(self, counted(len(self.tests), "tests"), counted(len(self.files), "files"))

    def find_file(self, path: str, root: Path | None = None) -> int:
        """Return the position of the file with a path, or with an unambiguous end of a path.

        Parameters
        ----------
        path : str
            Path of the file, or the end of it. If several files match, the one directly in the
            common folder of all files is used.
        root : pathlib.Path, optional
            Folder that relative paths in the database are relative to. Give it if ``path`` is from
            a diff: such a path is relative to this folder or to a folder above it. A file deeper in
            the tree does not match, even if its path has the same end.

        Raises
        ------
        ShapeError
            If no file matches, or several match.
        """
        return position_of_file(path, self.files, root)

    def who(
        self, file: str, lines: Iterable[int], *, fixtures: bool = True
    ) -> dict[str, list[int]]:
        """Return the tests that run at least one of the given lines, each with these lines.

        Parameters
        ----------
        file : str
            Path of the file, or the end of it.
        lines : iterable of int
            Line numbers, from 1.
        fixtures : bool, default True
            True to count the lines that a fixture runs for each test that uses the fixture, False
            to leave them out.

        Returns
        -------
        dict of str to list of int
            Lines by node id, the test with the most lines first.
        """
        indexes = (self._own, self._fixtures) if flag(fixtures, "fixtures") else (self._own,)
        at = self.find_file(file)
        hits: dict[int, set[int]] = {}
        for line in checked_integers(lines, "lines"):
            column = self._matrix.column(at, line)
            if column is not None:
                for index in indexes:
                    for test in index.rows_with(column):
                        hits.setdefault(int(test), set()).add(line)
        order = sorted(hits, key=lambda test: (-len(hits[test]), self.tests[test]))
        return {self.tests[test]: sorted(hits[test]) for test in order}

    def tested(self, file: str) -> set[int]:
        """Return the lines of a file, found by `find_file`, that any test or its fixtures run."""
        columns = self._matrix.columns_of(self.find_file(file))
        seen = self._own.seen[columns] | self._fixtures.seen[columns]
        return set(self._matrix.lines[columns][seen].tolist())

    def lines_outside_tests(self, file: str) -> tuple[set[int], set[int]]:
        """Return the lines of a file that ran outside of tests, and those that fixtures ran."""
        at = self.find_file(file)
        columns = self._matrix.columns_of(at)
        fixtures = self._matrix.lines[columns][self._fixtures.seen[columns]]
        return set(self._outside.get(at, ())), set(fixtures.tolist())

    @cached_property
    def _outside(self) -> dict[int, set[int]]:
        """Lines that ran outside of tests, by the position of their file."""
        found: dict[int, set[int]] = {}
        for (file, context), lines in self._data.lines.items():
            if not self._data.contexts[context]:
                found.setdefault(file, set()).update(lines.tolist())
        return found

    def lines_of(self, nodeid: str) -> list[tuple[str, int]]:
        """Return (file, line) of each line that a test runs, without its fixtures.

        Parameters
        ----------
        nodeid : str
            Node id of the test, or an unambiguous end of it.
        """
        return [(file, line) for file, lines in self.shared_lines(nodeid).items() for line in lines]

    def shared_lines(self, *nodeids: str) -> dict[str, list[int]]:
        """Return the lines, by file, that each of the given tests runs, without their fixtures.

        Parameters
        ----------
        *nodeids : str
            Node ids, or unambiguous ends of node ids.
        """
        rows = [self._row_of_all_cases(nodeid) for nodeid in nodeids]
        return self._by_file(reduce(np.intersect1d, rows) if rows else np.empty(0, np.int64))

    def lines_shared_with(self, nodeid: str, others: Sequence[str]) -> list[dict[str, list[int]]]:
        """Return for each of several tests the lines, by file, that it and one test both run.

        Parameters
        ----------
        nodeid : str
            Node id of the one test, or an unambiguous end of it.
        others : sequence of str
            Node ids of the several tests, or unambiguous ends of them.
        """
        instance_of(others, (list, tuple), "others")
        row = self._row_of_all_cases(nodeid)
        rows = map(self._row_of_all_cases, others)
        return [self._by_file(np.intersect1d(row, other)) for other in rows]

    def _row_of_all_cases(self, nodeid: str) -> Array:
        """Return the columns of the lines that any case of a test runs, without its fixtures."""
        return union([self.row(at) for at in self.positions(nodeid)])

    def _by_file(self, columns: Array) -> dict[str, list[int]]:
        """Return the lines of some columns, by file."""
        files = np.searchsorted(self._matrix.starts, columns, side="right") - 1
        return {
            self.files[file]: self._matrix.lines[columns[files == file]].tolist()
            for file in np.unique(files)
        }

    def find(self, nodeid: str) -> int:
        """Return the position of the test that a node id names. The case must be unambiguous.

        Parameters
        ----------
        nodeid : str
            Node id, as for `positions`, which raises the same errors.
        """
        if len(found := self.positions(nodeid)) > 1:
            raise ShapeError(f"{nodeid!r} has {len(found)} cases; name one of them")
        return found[0]

    def positions(self, nodeid: str) -> list[int]:
        """Return the positions of the test that a node id names, or of all its cases.

        Parameters
        ----------
        nodeid : str
            Node id in any form that `SuiteIndex.similar` accepts. Without parameters, it names all
            cases.

        Raises
        ------
        ShapeError
            If no test matches, or several match.
        """
        checked_text(nodeid, "nodeid")
        if nodeid in self._places:
            return [self._places[nodeid]]
        if not (named := node_ids_named(nodeid, self._places, self._data.source.parent)):
            raise ShapeError(
                f"no test {nodeid!r} in the coverage database; "
                f"{nearest_node_ids(nodeid, self._places)}"
                "correct the node id, or record the database again with: pytest --fw-record DB"
            )
        return [self._places[name] for name in named]

    def nearest(self, nodeid: str, k: int = 10) -> list[CoverageMatch]:
        """Return the tests that run the most similar lines, by cosine, nearest first.

        Parameters
        ----------
        nodeid : str
            Node id of a test, or an end that only this one has.
        k : int, default 10
            Maximum number of tests. Tests without a common line are never returned.

        Returns
        -------
        list of CoverageMatch
        """
        positive_int(k, "k")
        own = self.positions(nodeid)
        row = union([self.row(at) for at in own])
        shared = self._own.counts(row)
        shared[own] = 0
        # Most tests share no line with this one. The others are filtered by the k-th best score
        # before sorting, because that is faster than sorting all of them.
        near = np.flatnonzero(shared > 0)
        scores = shared[near] / np.sqrt(self._own.lengths[near] * float(max(len(row), 1)))
        if k < len(near):
            # The scores are negated, because NumPy's selection is ten times slower near the high
            # end of an array.
            reached = scores >= -np.partition(-scores, k - 1)[k - 1]
            near, scores = near[reached], scores[reached]
        return [
            CoverageMatch(self.tests[near[i]], float(scores[i]), int(shared[near[i]]))
            for i in np.argsort(-scores, kind="stable")[:k]
        ]

    def row(self, test: int) -> Array:
        """Return the columns of the lines that a test runs, without its fixtures.

        Parameters
        ----------
        test : int
            Position of the test.
        """
        return self._matrix.own[test]

    def likeness(self, names: Sequence[Sequence[str]]) -> RowSimilarity:
        """Return a scorer that compares tests by the lines that they run, with all cases merged.

        Parameters
        ----------
        names : sequence of sequence of str
            For each test, its node ids without parameters. The paths in the database may be shorter
            if it was recorded in a folder below the suite's root.
        """
        cases: dict[str, list[Array]] = {}
        for test, row in zip(self.tests, self._matrix.own, strict=True):
            cases.setdefault(test.partition("[")[0], []).append(row)
        rows = [
            union([part for name in own for part in value_by_end(name, cases) or []])
            for own in names
        ]
        return RowSimilarity(rows)

    def identical(self, *, without: Sequence[str] = ()) -> list[list[str]]:
        """Return groups of tests that run the same lines. Tests that run no line are left out.

        A test is in no group if its fixtures run a line that no other test and no other test's
        fixtures run. If branches were measured, the jumps between the lines must be the same, too.

        Parameters
        ----------
        without : sequence of str
            Paths, or ends of paths, of files to ignore, such as the test files.

        Returns
        -------
        list of list of str
            Node ids of the tests in each group, at least two. The group with the most lines is
            first.
        """
        instance_of(without, (list, tuple, set, frozenset), "without")
        names = [checked_text(name, "without").replace("\\", "/") for name in without]
        ends = tuple(f"/{name.lstrip('/')}" for name in names)
        left_out = np.zeros(self._matrix.width, np.bool_)
        for i, name in enumerate(self.files):
            if f"/{name}".replace("\\", "/").endswith(ends):
                left_out[self._matrix.columns_of(i)] = True
        jumps = self._matrix.jumps(self._data, ends)
        alone = self._matrix.has_lines_alone_by_fixtures()
        groups: dict[tuple[bytes, bytes], list[int]] = {}
        for i, row in enumerate(self._matrix.own):
            kept = row[~left_out[row]]
            if len(kept) and not alone[i]:
                groups.setdefault((kept.tobytes(), jumps[i]), []).append(i)
        alike = [(len(key[0]), tests) for key, tests in groups.items() if len(tests) > 1]
        return [[self.tests[i] for i in tests] for _, tests in sorted(alike, key=lambda g: -g[0])]
