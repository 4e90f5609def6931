"""Rows of columns, such as tests and the lines they run, by an exact inverted index."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

__all__ = ["Likeness", "Postings"]

Array = npt.NDArray[Any]


class Likeness:
    """Cosines of rows of columns.

    Parameters
    ----------
    rows : list of numpy.ndarray
        Columns of each row, ascending.
    width : int
        How many columns there are.
    """

    def __init__(self, rows: list[Array], width: int) -> None:
        self.rows = rows
        self.width = width
        self._postings = Postings(rows, width)

    def scores(self, test: int) -> Array:
        """Return the cosine of each row with the one at a position."""
        row = self.rows[test]
        own = float(max(len(row), 1))
        cosines: Array = self._postings.counts(row) / np.sqrt(self._postings.lengths * own)
        return cosines


class Postings:
    """For each column, the rows that have it. Rows that are alike are counted once."""

    def __init__(self, rows: list[Array], width: int) -> None:
        distinct: dict[bytes, int] = {}
        self._distinct_of = np.array(
            [distinct.setdefault(row.tobytes(), len(distinct)) for row in rows], np.int64
        )
        kept = [np.frombuffer(key, np.int64) for key in distinct]
        owners = np.repeat(np.arange(len(kept)), [len(row) for row in kept])
        columns = np.concatenate(kept) if kept else np.zeros(0, np.int64)
        order = np.argsort(columns, kind="stable")
        self._owners = owners[order]
        self._starts = np.searchsorted(columns[order], np.arange(width + 1))
        self._count = len(kept)
        self.lengths = np.array([max(len(row), 1) for row in rows], np.float64)
        self.seen = np.diff(self._starts) > 0

    def of(self, column: int) -> Array:
        """Return the rows that have a column."""
        owners = self._owners[self._starts[column] : self._starts[column + 1]]
        return np.flatnonzero(np.isin(self._distinct_of, owners))

    def counts(self, columns: Array) -> Array:
        """Return how many of some columns each row has."""
        if not len(columns) or not self._count:
            return np.zeros(len(self._distinct_of), np.int64)
        starts, ends = self._starts[columns].tolist(), self._starts[columns + 1].tolist()
        spans = [self._owners[start:end] for start, end in zip(starts, ends, strict=True)]
        counts = np.bincount(np.concatenate(spans), minlength=self._count)
        result: Array = counts[self._distinct_of]
        return result
