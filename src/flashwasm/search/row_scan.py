"""Exact search of all rows, which is split into calls whose results are merged."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from flashwasm.kernel_table import INDEX_SCORE
from flashwasm.runtime.tasks import score_products
from flashwasm.runtime.work_limits import FEWEST_PRODUCTS, MOST_PRODUCTS, MOST_READ
from flashwasm.search.kernel_arguments import RowSearchArguments
from flashwasm.search.result_keys import NO_KEY, best

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

    from flashwasm.kernel_table import Kernel
    from flashwasm.runtime.launch import Launch
    from flashwasm.search.kernel_arguments import PanelSearchArguments
    from flashwasm.search.stored_vectors import StoredVectors

    Array = NDArray[Any]

# Maximum number of queries in one call. Each row that is read from memory is compared with all of
# them.
_QUERIES = 256
# Ranges of rows begin at multiples of this. Panels of eight vectors require a multiple of 8.
_ROWS = 64


def search_rows(
    launch: Launch,
    kernel: Kernel,
    whole: RowSearchArguments | PanelSearchArguments,
    least: Array | int = NO_KEY,
) -> Array:
    """Search all rows on all threads, and return the k least keys of each query, in order.

    Parameters
    ----------
    launch : Launch
        The launch to run in.
    kernel : Kernel
        Kernel that searches a range of rows.
    whole : RowSearchArguments or PanelSearchArguments
        Arguments of a call that would search all rows for all queries. ``begin`` is 0, and ``keys``
        is ignored: the results lie in memory of the launch.
    least : numpy.ndarray of uint64, shape (n, 1), or int
        Initial key in the heaps of each query: only smaller keys are found. The default is greater
        than every key.
    """
    queries, rows, dim, k = whole.query_count, whole.end, whole.dim, whole.k
    block = min(_QUERIES, max(queries, 1), max(MOST_PRODUCTS // (_ROWS * dim), 1))
    pieces = max(1, min(launch.threads, block * rows * dim // FEWEST_PRODUCTS))
    piece = -(-rows // (pieces * _ROWS)) * _ROWS
    step = _rows_of_a_call(block, dim, k)
    parts = -(-rows // piece)
    at, heaps = launch.scratch((parts, queries, k), np.uint64)
    for some in heaps:
        launch.copy(some, np.broadcast_to(np.asarray(least, np.uint64), some.shape))

    def calls(number: int, first: int) -> Iterator[RowSearchArguments | PanelSearchArguments]:
        """Yield the calls of a task: one block of queries, and one piece of the rows."""
        end = min((number + 1) * piece, rows)
        for begin in range(number * piece, end, step):
            yield whole._replace(
                queries=whole.queries + 4 * first * dim,
                keys=at + 8 * k * (number * queries + first),
                query_count=min(block, queries - first),
                begin=begin,
                end=min(begin + step, end),
            )

    blocks = range(0, queries, block)
    tasks = (calls(number, first) for number in range(parts) for first in blocks)
    launch.run_tasks(kernel, tasks)
    return best(heaps.transpose(1, 0, 2), k, launch.check)


def _rows_of_a_call(queries: int, dim: int, k: int) -> int:
    """Return the number of rows in one call."""
    most = min(MOST_PRODUCTS // (queries * dim), MOST_READ // dim)
    # With fewer rows in a call, a greater share of them enters the heap, so compute it twice.
    for _ in range(2):
        most = min(most, MOST_PRODUCTS // (queries * score_products(dim, k, most)))
    return max(most // _ROWS, 1) * _ROWS


def scan(
    launch: Launch, vectors: StoredVectors, queries: Array, *, rows: int, k: int, mask: int
) -> Array:
    """Return the keys (n, k) of the nearest rows to each query (n, dim), comparing all rows.

    Parameters
    ----------
    launch : Launch
        The launch to run in.
    vectors : StoredVectors
        Vectors that lie in rows.
    queries : numpy.ndarray of float32, shape (n, dim)
        Vectors to search for.
    rows : int
        Number of rows to compare, from the first.
    k : int
        Number of vectors to find for each query.
    mask : int
        Address of one byte per row, which is 0 to leave the row out. Address 0 means all rows.
    """
    whole = RowSearchArguments(
        queries=launch.place(queries),
        rows=vectors.rows.address,
        mask=mask,
        keys=0,
        query_count=len(queries),
        begin=0,
        end=rows,
        dim=vectors.dim,
        k=k,
        metric=vectors.metric,
    )
    return search_rows(launch, INDEX_SCORE, whole)
