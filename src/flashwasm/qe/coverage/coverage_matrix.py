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
# pytest-cov names three phases of a test: "run" is the test itself, these two are its fixtures.
_FIXTURE_PHASES = ("setup", "teardown")


@dataclass(frozen=True)
class CoverageMatrix:
    """Columns of each row. Line n of file f is column ``starts[f] + n``.

    Attributes
    ----------
    tests : list of str
        Node id of each row.
    starts : numpy.ndarray of int64, shape (files + 1,)
        First column of each file, and at the end the number of columns.
    own : list of numpy.ndarray
        For each test, the columns of the lines that the test itself runs, ascending.
    fixtures : list of numpy.ndarray
        For each test, the columns of the lines that its fixtures run, ascending.
    """

    tests: list[str]
    starts: Array
    own: list[Array]
    fixtures: list[Array]

    @classmethod
    def of(cls, data: CoverageData) -> CoverageMatrix:
        """Return the matrix of coverage that was recorded with a context for each test."""
        named = [_test_and_phase(context) for context in data.contexts]
        tests = sorted({test for test, _ in named if test})
        at = {test: i for i, test in enumerate(tests)}
        lengths = [0] * len(data.files)
        for (file, _), lines in data.lines.items():
            if len(lines):
                lengths[file] = max(lengths[file], int(lines[-1]) + 1)
        starts = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64)
        own: list[list[Array]] = [[] for _ in tests]
        fixtures: list[list[Array]] = [[] for _ in tests]
        for (file, context), lines in data.lines.items():
            test, phase = named[context]
            if test:
                rows = fixtures if phase in _FIXTURE_PHASES else own
                rows[at[test]].append(starts[file] + lines)
        return cls(tests, starts, [union(parts) for parts in own], [union(p) for p in fixtures])

    @property
    def width(self) -> int:
        """Number of columns."""
        return int(self.starts[-1])

    def columns_of(self, file: int) -> slice:
        """Return the columns of a file."""
        return slice(int(self.starts[file]), int(self.starts[file + 1]))

    def column(self, file: int, line: int) -> int | None:
        """Return the column of a line; None if no line as far down in the file ever ran."""
        column = int(self.starts[file]) + line
        return column if line > 0 and column < self.starts[file + 1] else None


def union(parts: list[Array]) -> Array:
    """Return the numbers that are in any of the parts, ascending."""
    return np.unique(np.concatenate(parts)) if parts else np.zeros(0, np.int64)


def _test_and_phase(context: str) -> tuple[str, str]:
    """Split pytest-cov's ``nodeid|run`` at the last separator, as parameters may hold one too."""
    test, separator, phase = context.rpartition("|")
    return (test, phase) if separator and phase in {"run", *_FIXTURE_PHASES} else (context, "run")
