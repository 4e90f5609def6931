"""The workload "coverage-analysis": the rows of a coverage matrix that are nearest to one row."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from flashwasm.array_room import check_room
from flashwasm.errors import OutOfMemoryError, ShapeError
from flashwasm.kernel_table import INDEX_MAX_DIM
from flashwasm.qe.workloads.similarity import VectorMatch, rank_rows
from flashwasm.search import HNSWIndex
from flashwasm.search.search_report import plan
from flashwasm.validation import as_array, floats, shaped

if TYPE_CHECKING:
    from numpy.typing import ArrayLike

    from flashwasm.runtime.runtime import Runtime

__all__ = ["CoverageRows", "search_rows"]

Array = npt.NDArray[Any]
# Number of candidates in a graph search (`ef`). It gives a recall near 0.99, as docs/performance.md
# shows.
_EF = 100


class CoverageRows:
    """Coverage rows in linear memory, created by `QEFlashAttention.index_coverage`.

    Equal rows share one node of the graph, because a graph search would find only a few of many
    equal nodes. For example, 60 rows of which 11 are equal make a graph of 50 nodes.

    Parameters
    ----------
    coverage_rows : array_like, shape (N, D)
        Counts, booleans or weights; all finite.
    runtime : Runtime
        Runtime whose linear memory holds the rows.

    Attributes
    ----------
    exact : bool
        True if a search compares every row, False if it searches a graph.
    reason : str
        Reason for the choice.
    """

    def __init__(self, coverage_rows: ArrayLike, runtime: Runtime) -> None:
        rows = _checked_rows(coverage_rows)
        size, arena = 4 * rows.size, runtime.arena
        if arena.own + size > arena.limit:
            # Fail before the slow loop over the rows, not when they are copied into linear memory.
            raise OutOfMemoryError(size, arena.own + arena.in_use, arena.limit)
        self.dim = rows.shape[1]
        self._runtime = runtime
        positions: dict[bytes, list[int]] = {}
        for i, row in enumerate(np.ascontiguousarray(rows)):
            positions.setdefault(row.tobytes(), []).append(i)
        # For each node of the graph, the positions of the rows that share it.
        self._members = list(positions.values())
        # With few rows, an exact search is faster than a graph search. The limit was measured:
        # docs/decisions/0008-when-a-graph-is-searched.md.
        self.exact, self.reason = plan(len(self._members), _EF, exact=None)
        if self.dim > INDEX_MAX_DIM:
            self.exact, self.reason = True, f"{self.dim} columns, too many for a graph"
        if self.exact:
            self._rows = runtime.asarray(rows, np.float32)
        else:
            self._graph = HNSWIndex(self.dim, runtime=runtime)
            self._graph.add(rows[[members[0] for members in self._members]])

    def __len__(self) -> int:
        return sum(len(members) for members in self._members)

    def search(self, query: Array, count: int) -> list[VectorMatch]:
        """Return the rows nearest to a query, the highest cosine first.

        Parameters
        ----------
        query : numpy.ndarray of float, shape (D,)
            The query.
        count : int
            Maximum number of rows.

        Returns
        -------
        list of VectorMatch
        """
        if self.exact:
            return rank_rows(query, self._rows, count, self._runtime)
        wanted = min(count, len(self._members))
        scores, nodes = self._graph.search(query[None], wanted, ef=max(_EF, wanted))
        found = [
            VectorMatch(i, score, None)
            for score, node in zip(scores[0].clip(-1, 1).tolist(), nodes[0].tolist(), strict=True)
            for i in self._members[node]
        ]
        return sorted(found, key=lambda match: (-match.score, match.index))[:count]


def search_rows(
    query_coverage: ArrayLike, rows: ArrayLike | CoverageRows, count: int, runtime: Runtime
) -> tuple[list[VectorMatch], str]:
    """Return the rows nearest to one row, and a description of the search with its reason."""
    query = _counts_as_floats(query_coverage, "query_coverage")
    meaning = "as coverage_rows has columns"
    if isinstance(rows, CoverageRows):
        query = shaped(query, "query_coverage", (rows.dim,), meaning)
        return rows.search(query, count), f"{'exact' if rows.exact else 'graph'}: {rows.reason}"
    array = _checked_rows(rows)
    query = shaped(query, "query_coverage", (array.shape[1],), meaning)
    return rank_rows(query, array, count, runtime), "exact: an array, not an index"


def _checked_rows(rows: ArrayLike) -> Array:
    """Return coverage rows as an array ``(N, D)`` of floats."""
    array = floats(_counts_as_floats(rows, "coverage_rows"), "coverage_rows", ndim=2)
    if not array.shape[1]:
        raise ShapeError(f"coverage_rows: expected at least one column, got shape {array.shape}")
    return array


def _counts_as_floats(values: ArrayLike, name: str) -> Array:
    """Return integers and booleans as float32. Other dtypes stay, for `floats` to check."""
    array = as_array(values, name)
    check_room(array.shape)
    return array.astype(np.float32) if array.dtype.kind in "biu" else array
