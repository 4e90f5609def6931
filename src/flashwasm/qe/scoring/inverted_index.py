"""An exact inverted index over rows of columns, such as tests and the lines that they run."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

__all__ = ["InvertedIndex", "RowSimilarity"]

Array = npt.NDArray[Any]


class InvertedIndex:
    """Posting lists: for each column, the rows that contain it.

    Equal rows share one entry in the posting lists, which shortens the lists.

    Parameters
    ----------
    rows : list of numpy.ndarray of int64
        Columns of each row, ascending.
    width : int
        Number of columns.

    Attributes
    ----------
    lengths : numpy.ndarray of float64, shape (rows,)
        Number of columns of each row, at least 1 to avoid a division by zero.
    seen : numpy.ndarray of bool, shape (width,)
        True for the columns that at least one row contains.
    """

    def __init__(self, rows: list[Array], width: int) -> None:
        distinct: dict[bytes, int] = {}
        self._distinct_of = np.array(
            [distinct.setdefault(row.tobytes(), len(distinct)) for row in rows], np.int64
        )
        kept = [np.frombuffer(key, np.int64) for key in distinct]
        owners = np.repeat(np.arange(len(kept)), [len(row) for row in kept])
        columns = np.concatenate(kept) if kept else np.zeros(0, np.int64)
        order = np.argsort(columns, kind="stable")
        # The posting list of column c is _owners[_starts[c] : _starts[c + 1]].
        self._owners = owners[order]
        self._starts = np.searchsorted(columns[order], np.arange(width + 1))
        self._count = len(kept)
        self.lengths = np.array([max(len(row), 1) for row in rows], np.float64)
        self.seen = np.diff(self._starts) > 0

    def rows_with(self, column: int) -> Array:
        """Return the positions of the rows that contain a column."""
        owners = self._owners[self._starts[column] : self._starts[column + 1]]
        return np.flatnonzero(np.isin(self._distinct_of, owners))

    def counts(self, columns: Array) -> Array:
        """Return for each row the number of the given columns that it contains."""
        if not len(columns) or not self._count:
            return np.zeros(len(self._distinct_of), np.int64)
        starts, ends = self._starts[columns].tolist(), self._starts[columns + 1].tolist()
        postings = [self._owners[start:end] for start, end in zip(starts, ends, strict=True)]
        counts = np.bincount(np.concatenate(postings), minlength=self._count)
        result: Array = counts[self._distinct_of]
        return result


class RowSimilarity:
    """Cosine similarity of rows, which are vectors of zeros and ones.

    Parameters
    ----------
    rows : list of numpy.ndarray of int64
        Columns of each row, ascending.

    Attributes
    ----------
    rows : list of numpy.ndarray of int64
        The rows, with columns renumbered to leave out those that no row contains.
    width : int
        Number of columns that at least one row contains.
    """

    def __init__(self, rows: list[Array]) -> None:
        columns = np.unique(np.concatenate(rows)) if rows else np.zeros(0, np.int64)
        self.rows = [np.searchsorted(columns, row) for row in rows]
        self.width = len(columns)
        self._index = InvertedIndex(self.rows, self.width)

    def scores(self, position: int) -> Array:
        """Return the cosine of each row with the row at a position."""
        row = self.rows[position]
        length = float(max(len(row), 1))
        cosines: Array = self._index.counts(row) / np.sqrt(self._index.lengths * length)
        return cosines
