"""Coverage as a sparse matrix: a row for each test, a column for each line of the source."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

if TYPE_CHECKING:
    from flashwasm.qe.coverage.coverage_database import CoverageData

__all__ = ["CoverageMatrix", "union"]

Array = npt.NDArray[Any]
# pytest-cov records three phases of a test: "run" is the test itself, these two are its fixtures.
_FIXTURE_PHASES = ("setup", "teardown")


@dataclass(frozen=True)
class CoverageMatrix:
    """The columns of each row. A column is a line that ran in any context.

    Attributes
    ----------
    tests : list of str
        Node id of each row.
    starts : numpy.ndarray of int64, shape (files + 1,)
        First column of each file, and at the end the number of columns.
    lines : numpy.ndarray of int64, shape (columns,)
        Number of the line of each column, ascending within a file.
    own : list of numpy.ndarray
        For each test, the columns of the lines that the test itself runs, ascending.
    fixtures : list of numpy.ndarray
        For each test, the columns of the lines that its fixtures run, ascending.
    """

    tests: list[str]
    starts: Array
    lines: Array
    own: list[Array]
    fixtures: list[Array]

    @classmethod
    def of(cls, data: CoverageData) -> CoverageMatrix:
        """Return the matrix of coverage data with a context for each test."""
        named = [_test_and_phase(context) for context in data.contexts]
        tests = sorted({test for test, _ in named if test})
        at = {test: i for i, test in enumerate(tests)}
        parts: list[list[Array]] = [[] for _ in data.files]
        for (file, _), lines in data.lines.items():
            parts[file].append(lines)
        of_file = [union(some) for some in parts]
        starts = np.concatenate([[0], np.cumsum([len(lines) for lines in of_file])])
        own: list[list[Array]] = [[] for _ in tests]
        fixtures: list[list[Array]] = [[] for _ in tests]
        for (file, context), lines in data.lines.items():
            test, phase = named[context]
            if test:
                rows = fixtures if phase in _FIXTURE_PHASES else own
                rows[at[test]].append(starts[file] + np.searchsorted(of_file[file], lines))
        return cls(
            tests,
            starts.astype(np.int64),
            np.concatenate([np.zeros(0, np.int64), *of_file]),
            [union(some) for some in own],
            [union(some) for some in fixtures],
        )

    def has_lines_alone_by_fixtures(self) -> list[bool]:
        """Return for each test True if only its fixtures run some line, and no other test does."""
        rows = list(zip(self.own, self.fixtures, strict=True))
        runs = np.zeros(self.width, np.int64)
        for own, fixtures in rows:
            runs[union([own, fixtures])] += 1
        return [bool((runs[np.setdiff1d(fixtures, own)] == 1).any()) for own, fixtures in rows]

    def jumps(self, data: CoverageData, without: tuple[str, ...]) -> list[bytes]:
        """Return for each test its jumps in the files of its data, as bytes that can be compared.

        Files with one of the ends ``without``, each of which begins with "/", are left out.
        """
        at = {test: i for i, test in enumerate(self.tests)}
        found: list[list[bytes]] = [[] for _ in self.tests]
        for file, context in sorted(data.jumps):
            test, phase = _test_and_phase(data.contexts[context])
            left_out = f"/{data.files[file]}".replace("\\", "/").endswith(without)
            if test and phase not in _FIXTURE_PHASES and not left_out:
                jumps = data.jumps[file, context]
                found[at[test]].append(np.array([file, len(jumps), *jumps], np.int64).tobytes())
        return [b"".join(parts) for parts in found]

    @property
    def width(self) -> int:
        """Number of columns."""
        return len(self.lines)

    def columns_of(self, file: int) -> slice:
        """Return the columns of a file."""
        return slice(int(self.starts[file]), int(self.starts[file + 1]))

    def column(self, file: int, line: int) -> int | None:
        """Return the column of a line; None if the line never ran."""
        lines = self.lines[self.columns_of(file)]
        at = int(np.searchsorted(lines, line))
        found = line > 0 and at < len(lines) and lines[at] == line
        return int(self.starts[file]) + at if found else None


def union(parts: list[Array]) -> Array:
    """Return the sorted union of the parts."""
    return np.unique(np.concatenate(parts)) if parts else np.zeros(0, np.int64)


def _test_and_phase(context: str) -> tuple[str, str]:
    """Split pytest-cov's ``nodeid|run`` at the last separator, as parameters may contain one."""
    test, separator, phase = context.rpartition("|")
    return (test, phase) if separator and phase in {"run", *_FIXTURE_PHASES} else (context, "run")
