"""Rows of a coverage matrix that are searched many times."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from flashwasm.kernel_table import INDEX_MAX_DIM
from flashwasm.qe.workloads.nearest import VectorMatch, counts, nearest
from flashwasm.search import HNSWIndex
from flashwasm.search.report import plan
from flashwasm.validation import floats, shaped

if TYPE_CHECKING:
    from numpy.typing import ArrayLike

    from flashwasm.runtime.runtime import Runtime

__all__ = ["CoverageRows", "search_rows"]

Array = npt.NDArray[Any]
# Rows that a search of the graph keeps: its recall is near .99 then: docs/performance.md.
_KEPT = 100


class CoverageRows:
    """Coverage rows in linear memory. Made by `QEFlashAttention.index_coverage`.

    Rows that are alike are one row of the graph: a graph finds few of many equals.

    Parameters
    ----------
    coverage_rows : array_like, shape (N, D)
        Counts, booleans or weights, finite.
    runtime : Runtime
        Where they lie.

    Attributes
    ----------
    exact : bool
        Whether every row is looked at, or a graph searched.
    reason : str
        Why.
    """

    def __init__(self, coverage_rows: ArrayLike, runtime: Runtime) -> None:
        rows = _floats(coverage_rows)
        self.dim = rows.shape[1]
        self._runtime = runtime
        distinct: dict[bytes, list[int]] = {}
        for i, row in enumerate(np.ascontiguousarray(rows)):
            distinct.setdefault(row.tobytes(), []).append(i)
        self._members = list(distinct.values())
        # The crossover is the graph's own, as measured: docs/decisions/0008.
        self.exact, self.reason = plan(len(distinct), _KEPT, exact=None)
        if self.dim > INDEX_MAX_DIM:
            self.exact, self.reason = True, f"{self.dim} columns, too many for a graph"
        if self.exact:
            self._rows = runtime.asarray(rows, np.float32)
        else:
            self._graph = HNSWIndex(self.dim, runtime=runtime)
            self._graph.add(rows[[own[0] for own in self._members]])

    def __len__(self) -> int:
        return sum(len(own) for own in self._members)

    def search(self, query: Array, count: int) -> list[VectorMatch]:
        """Return the rows nearest to a query, highest cosine first."""
        if self.exact:
            return nearest(query, self._rows, count, self._runtime)
        wanted = min(count, len(self._members))
        scores, places = self._graph.search(query[None], wanted, ef=max(_KEPT, wanted))
        found = [
            VectorMatch(i, score, None)
            for score, place in zip(scores[0].clip(-1, 1).tolist(), places[0].tolist(), strict=True)
            for i in self._members[place]
        ]
        return sorted(found, key=lambda match: (-match.score, match.index))[:count]


def search_rows(
    query_coverage: ArrayLike, rows: ArrayLike | CoverageRows, count: int, runtime: Runtime
) -> tuple[list[VectorMatch], str]:
    """Return the rows nearest to one, and how they were found."""
    query = counts(query_coverage, "query_coverage")
    meaning = "as coverage_rows has columns"
    if isinstance(rows, CoverageRows):
        query = shaped(query, "query_coverage", (rows.dim,), meaning)
        return rows.search(query, count), f"{'exact' if rows.exact else 'graph'}: {rows.reason}"
    array = _floats(rows)
    query = shaped(query, "query_coverage", (array.shape[1],), meaning)
    return nearest(query, array, count, runtime), "exact: an array, not an index"


def _floats(rows: ArrayLike) -> Array:
    return floats(counts(rows, "coverage_rows"), "coverage_rows", ndim=2)
