"""Exact searches: how they are cut into calls, and how the pieces' results come together."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from flashwasm.kernel_table import INDEX_SCORE
from flashwasm.runtime.work_limits import FEWEST_PRODUCTS, MOST_PRODUCTS
from flashwasm.search.result_keys import NO_KEY, best

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    from flashwasm.kernel_table import Kernel
    from flashwasm.runtime.launch import Launch
    from flashwasm.search.stored_vectors import StoredVectors

    Array = NDArray[Any]

# Queries of one call: each row that is read serves so many.
_QUERIES = 256
_ROWS = 64


def search_rows(
    op: Launch,
    kernel: Kernel,
    arguments: Callable[[int, int, int, int, int], tuple[int, ...]],
    sizes: tuple[int, int, int],
    k: int,
    start: Array | int = NO_KEY,
) -> Array:
    """Search all rows on all workers; return the k least keys of each query, in order.

    Parameters
    ----------
    op : Launch
        Where to run.
    kernel : Kernel
        What searches a range of rows.
    arguments : callable
        Returns the arguments of a call: given the first query, the number of queries, the range of
        rows, and the address of the heaps.
    sizes : (int, int, int)
        Queries, rows and dim.
    k : int
        Keys to keep for each query.
    start : numpy.ndarray of uint64, shape (n, 1), or int
        What the heaps hold before any row was looked at: greater keys are not found.
    """
    queries, rows, dim = sizes
    block = min(_QUERIES, max(queries, 1))
    pieces = max(1, min(op.threads, block * rows * dim // FEWEST_PRODUCTS))
    piece = -(-rows // (pieces * _ROWS)) * _ROWS
    step = max(MOST_PRODUCTS // (block * dim) // _ROWS, 1) * _ROWS
    starts = range(0, rows, piece)
    at, heaps = op.scratch((len(starts), queries, k), np.uint64)
    heaps[...] = start
    tasks = [
        [
            arguments(
                first,
                min(block, queries - first),
                begin,
                min(begin + step, start + piece, rows),
                at + 8 * k * (number * queries + first),
            )
            for begin in range(start, min(start + piece, rows), step)
        ]
        for number, start in enumerate(starts)
        for first in range(0, queries, block)
    ]
    op.run_tasks(kernel, tasks)
    return best(heaps.transpose(1, 0, 2).reshape(queries, -1), k)


def scan(
    op: Launch, vectors: StoredVectors, queries: tuple[int, int], rows: int, k: int, mask: int
) -> Array:
    """Compare queries, given by address and number, with every row that no mask leaves out."""
    address, count = queries

    def arguments(first: int, some: int, begin: int, end: int, heaps: int) -> tuple[int, ...]:
        at = address + 4 * first * vectors.dim
        addresses = (at, vectors.rows.address, mask, heaps)
        return (*addresses, some, begin, end, vectors.dim, k, vectors.metric)

    return search_rows(op, INDEX_SCORE, arguments, (count, rows, vectors.dim), k)
