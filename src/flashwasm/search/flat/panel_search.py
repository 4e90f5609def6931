"""Exact searches of panels: by vectors, or by codes with a proof that nothing was missed."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from flashwasm.kernel_table import FLAT_SEARCH, FLAT_SEARCH_I8
from flashwasm.runtime.work_limits import FEWEST_PRODUCTS
from flashwasm.search.result_keys import NO_KEY, NO_POSITION, best, distances
from flashwasm.search.row_scan import search_rows
from flashwasm.search.stored_vectors import PANEL

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from flashwasm.runtime.launch import Launch
    from flashwasm.search.stored_vectors import StoredVectors

    Array = NDArray[Any]

# Codes keep so many times k candidates for each query, and some more; where that is not enough so
# many times as many, up to a most.
_TIMES_K, _MORE = 2, 16
_WIDER, _MOST = 8, 4096
# With fewer rows than this for each candidate, candidates cost what reading codes saves.
_ROWS_TO_PAY = 128

_HIGH = np.uint64(32)
_LOW = np.uint64(NO_POSITION)


@dataclass(frozen=True)
class PanelSearch:
    """A search for the k nearest of some vectors in panels.

    Parameters
    ----------
    op : Launch
        Where to run.
    vectors : StoredVectors
        What to search.
    rows, k : int
        How many vectors there are, and are wanted; k is at most rows.
    mask : int
        The address of a byte for each row, 0 to leave it out; 0 where all are looked at.
    """

    op: Launch
    vectors: StoredVectors
    rows: int
    k: int
    mask: int

    def by_vectors(self, queries: Array) -> Array:
        """Return the keys of the k nearest to each query (n, dim), in order."""
        at, store = self.op.place(queries), self.vectors
        addresses = (store.panels.address, 0, 0, 0, self.mask, 0)

        def arguments(first: int, some: int, begin: int, end: int, heaps: int) -> tuple[int, ...]:
            address, sizes = at + 4 * first * store.dim, (store.dim, self.k, store.metric)
            return (address, *addresses, heaps, some, begin, end, *sizes)

        return search_rows(
            self.op, FLAT_SEARCH, arguments, (len(queries), self.rows, store.dim), self.k
        )

    def by_codes(self, queries: Array) -> Array:
        """Return the same, having read codes, and the vectors of what may be nearest.

        The codes give a lower bound of each distance. Where the least bound that was passed over is
        greater than the k-th distance that was found, no other vector is as near. Queries for which
        it is not are searched again with more candidates, or by all vectors.
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
                # Nothing that is farther than what was found is looked for again.
                start = ((keys[again, -1:] >> _HIGH) + np.uint64(1)) << _HIGH | _LOW
                keys[again], bounds[again] = self._by_bounds(queries[again], many, start)
                left = left[_is_open(keys[left], bounds[left])]
        if len(left):
            keys[left] = self.by_vectors(queries[left])
        return keys

    def _pays(self, candidates: int) -> bool:
        return candidates * _ROWS_TO_PAY <= self.rows

    def _by_bounds(self, queries: Array, wanted: int, start: Array | int) -> tuple[Array, Array]:
        """Return the nearest of so many candidates, and their least and greatest bounds."""
        candidates = self.candidates(queries, wanted, start)
        return self._ranked(queries, candidates), candidates[:, [0, -1]]

    def candidates(self, queries: Array, wanted: int, start: Array | int) -> Array:
        """Return keys (n, wanted) of the least bounds, in order; heaps begin with ``start``."""
        at, store = self.op.place(queries), self.vectors
        codes = (store.scales.address, store.squares.address, store.errors.address)
        addresses = (store.code_panels.address, *codes, self.mask, 0)

        def arguments(first: int, some: int, begin: int, end: int, heaps: int) -> tuple[int, ...]:
            address, sizes = at + 4 * first * store.dim, (store.dim, wanted, store.metric)
            return (address, *addresses, heaps, some, begin, end, *sizes)

        sizes = (len(queries), self.rows, store.dim)
        return search_rows(self.op, FLAT_SEARCH_I8, arguments, sizes, wanted, start)

    def _ranked(self, queries: Array, candidates: Array) -> Array:
        """Return the keys (n, k) of the nearest of each query's candidates (n, c), in order."""
        at, store, (count, each) = self.op.place(queries), self.vectors, candidates.shape
        where, bounds = self.op.scratch(candidates.shape, np.uint64)
        bounds[...] = candidates
        to, heaps = self.op.scratch((count, self.k), np.uint64)
        heaps[...] = NO_KEY
        step = max(1, FEWEST_PRODUCTS // (each * store.dim * PANEL))
        tasks = [
            [
                (
                    *(at + 4 * i * store.dim, store.panels.address, 0, 0, 0, 0),
                    *(where + 8 * i * each, to + 8 * i * self.k),
                    *(min(step, count - i), 0, each, store.dim, self.k, store.metric),
                )
            ]
            for i in range(0, count, step)
        ]
        self.op.run_tasks(FLAT_SEARCH, tasks)
        return best(heaps, self.k)


def _is_open(keys: Array, bounds: Array) -> Array:
    """Return for which queries what was no candidate may be as near as what was found."""
    greatest = bounds[:, 1]
    is_open: Array = (greatest >> _HIGH <= keys[:, -1] >> _HIGH) & (greatest & _LOW != _LOW)
    return is_open


def _within_reach(keys: Array, bounds: Array) -> Array:
    """Return for which queries more candidates may do: the bounds come near what was found."""
    least, greatest = distances(bounds).T
    near: Array = distances(keys[:, -1]) - greatest <= greatest - least
    return near
