"""Exact search of vectors in panels: by the vectors alone, or by their codes first."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from flashwasm.kernel_table import FLAT_SEARCH, FLAT_SEARCH_I8
from flashwasm.runtime.work_limits import FEWEST_PRODUCTS
from flashwasm.search.kernel_arguments import PanelSearchArguments
from flashwasm.search.result_keys import NO_KEY, NO_POSITION, best, distances
from flashwasm.search.row_scan import search_rows
from flashwasm.search.stored_vectors import PANEL

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from flashwasm.runtime.launch import Launch
    from flashwasm.search.stored_vectors import StoredVectors

    Array = NDArray[Any]

# A search by codes keeps 2 k + 16 candidates for each query. If these do not prove the result of a
# query, that query is searched once more with eight times as many candidates, at most 4096.
_TIMES_K, _MORE = 2, 16
_WIDER, _MOST = 8, 4096
# With fewer rows per candidate than this, ranking the candidates takes as long as reading codes
# saves.
_ROWS_TO_PAY = 128

# The upper 32 bits of a key are a distance, the lower 32 bits a position.
_DISTANCE_SHIFT = np.uint64(32)
_POSITION_BITS = np.uint64(NO_POSITION)


@dataclass(frozen=True)
class PanelSearch:
    """A search for the k nearest vectors to each query.

    Parameters
    ----------
    launch : Launch
        The launch to run in.
    vectors : StoredVectors
        Vectors that lie in panels.
    rows : int
        Number of vectors.
    k : int
        Number of vectors to find for each query, at most ``rows``.
    mask : int
        Address of one byte per vector, which is 0 to leave the vector out. Address 0 means all
        vectors.
    """

    launch: Launch
    vectors: StoredVectors
    rows: int
    k: int
    mask: int

    def by_vectors(self, queries: Array) -> Array:
        """Return the keys (n, k) of the nearest vectors to each query (n, dim), in order."""
        panels = self.vectors.panels.address
        return search_rows(self.launch, FLAT_SEARCH, self._arguments(queries, panels, self.k))

    def _arguments(self, queries: Array, panels: int, k: int) -> PanelSearchArguments:
        """Return the arguments of a search of all rows, without codes and candidates."""
        return PanelSearchArguments(
            queries=self.launch.place(queries),
            panels=panels,
            scales=0,
            squares=0,
            errors=0,
            mask=self.mask,
            candidates=0,
            keys=0,
            query_count=len(queries),
            begin=0,
            end=self.rows,
            dim=self.vectors.dim,
            k=k,
            metric=self.vectors.metric,
        )

    def by_codes(self, queries: Array) -> Array:
        """Return the same keys as `by_vectors`, but read the codes first, to read fewer bytes.

        The codes have a quarter of the bytes. The code of a vector gives a lower bound of its
        distance. The vectors with the least bounds are the candidates, and only their distances are
        computed exactly. If the greatest bound among the candidates exceeds the k-th distance
        found, every other vector is farther away than that, and the result is proved. The other
        queries are searched again with more candidates. Those that remain unproved are compared
        with all vectors.
        """
        few = _TIMES_K * self.k + _MORE
        if not self._pays(few):
            return self.by_vectors(queries)
        keys, bounds = self._by_bounds(queries, few, NO_KEY)
        left = np.flatnonzero(_is_open(keys, bounds))
        many = min(_WIDER * few, _MOST)
        if many > few and self._pays(many):
            again = left[_within_reach(keys[left], bounds[left])]
            if len(again):
                # A candidate whose bound is above the k-th distance found cannot be in the result.
                next_distance = (keys[again, -1:] >> _DISTANCE_SHIFT) + np.uint64(1)
                least = next_distance << _DISTANCE_SHIFT | _POSITION_BITS
                keys[again], bounds[again] = self._by_bounds(queries[again], many, least)
                left = left[_is_open(keys[left], bounds[left])]
        if len(left):
            keys[left] = self.by_vectors(queries[left])
        return keys

    def _pays(self, candidates: int) -> bool:
        """Return True if there are enough rows for a search by codes to save time."""
        return candidates * _ROWS_TO_PAY <= self.rows

    def _by_bounds(self, queries: Array, wanted: int, least: Array | int) -> tuple[Array, Array]:
        """Return the keys of the nearest candidates, and those of the least and greatest bound."""
        candidates = self.candidates(queries, wanted, least)
        return self._ranked(queries, candidates), candidates[:, [0, -1]]

    def candidates(self, queries: Array, wanted: int, least: Array | int) -> Array:
        """Return the ``wanted`` least keys of bounds for each query, in order.

        Only keys below ``least`` are returned.
        """
        store = self.vectors
        whole = self._arguments(queries, store.code_panels.address, wanted)._replace(
            scales=store.scales.address,
            squares=store.squares.address,
            errors=store.errors.address,
        )
        return search_rows(self.launch, FLAT_SEARCH_I8, whole, least)

    def _ranked(self, queries: Array, candidates: Array) -> Array:
        """Return the keys (n, k) of the nearest of each query's candidates (n, c), in order."""
        count, each = candidates.shape
        whole = self._arguments(queries, self.vectors.panels.address, self.k)
        # The mask has already been applied in the choice of the candidates.
        whole = whole._replace(mask=0, end=each)
        bounds_at, bounds = self.launch.scratch(candidates.shape, np.uint64)
        bounds[...] = candidates
        heaps_at, heaps = self.launch.scratch((count, self.k), np.uint64)
        heaps[...] = NO_KEY
        step = max(1, FEWEST_PRODUCTS // (each * whole.dim * PANEL))
        tasks = [
            [
                whole._replace(
                    queries=whole.queries + 4 * i * whole.dim,
                    candidates=bounds_at + 8 * i * each,
                    keys=heaps_at + 8 * i * self.k,
                    query_count=min(step, count - i),
                )
            ]
            for i in range(0, count, step)
        ]
        self.launch.run_tasks(FLAT_SEARCH, tasks)
        return best(heaps[:, None], self.k, self.launch.check)


def _is_open(keys: Array, bounds: Array) -> Array:
    """Return True for each query whose result may lack a vector.

    A result may lack a vector if the last candidate's bound is no greater than the k-th distance
    found. If there are fewer candidates than wanted, every vector is a candidate, so none is
    missing.
    """
    last = bounds[:, 1]
    reaches = last >> _DISTANCE_SHIFT <= keys[:, -1] >> _DISTANCE_SHIFT
    is_open: Array = reaches & (last & _POSITION_BITS != _POSITION_BITS)
    return is_open


def _within_reach(keys: Array, bounds: Array) -> Array:
    """Return True for each query whose result more candidates will probably prove.

    This is the case if the k-th distance found exceeds the last bound by no more than the last
    bound exceeds the first.
    """
    first, last = distances(bounds).T
    near: Array = distances(keys[:, -1]) - last <= last - first
    return near
