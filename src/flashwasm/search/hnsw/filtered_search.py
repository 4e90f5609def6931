"""Search of the graph for vectors that a filter has chosen."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from flashwasm.kernel_table import INDEX_MAX_EF
from flashwasm.search.result_keys import NO_KEY, NO_POSITION, best
from flashwasm.search.search_report import plan

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from flashwasm.runtime.launch import Launch
    from flashwasm.search.hnsw.graph_search import VectorGraph

    Array = NDArray[Any]

__all__ = ["nearest_chosen"]


def nearest_chosen(
    store: VectorGraph,
    launch: Launch,
    queries: Array,
    k: int,
    chosen: Array,
    *,
    kept: int,
    exact: bool | None,
) -> Array:
    """Return the keys (n, k) of the nearest chosen vectors to each query.

    If a share s of all vectors is chosen, the search of the graph keeps ``kept / s`` candidates.
    About ``kept`` of them are chosen, and the best k of those are the results. If a query finds
    fewer, as if all chosen vectors are far from it, it is compared with all chosen vectors.

    Parameters
    ----------
    store : VectorGraph
        The vectors and their graph.
    launch : Launch
        The launch to run in.
    queries : numpy.ndarray of float32, shape (n, dim)
        Vectors to search for.
    k : int
        Number of vectors to find for each query, at most the number that are not removed.
    chosen : numpy.ndarray of int, shape (m,)
        Positions of the chosen vectors.
    kept : int
        Number of candidates that a search without a filter would keep.
    exact : bool or None
        True to compare each query with all chosen vectors, False to search the graph. None does
        what takes no longer.
    """
    vectors = int(np.count_nonzero(store.graph.live.all[: store.graph.nodes]))
    width = -(-kept * vectors // max(len(chosen), 1))
    by_scan, _ = plan(len(chosen), width, exact=exact)
    if by_scan or not k or not len(queries):
        return store.nearest(launch, queries, k, None, chosen)
    width = min(width, vectors, INDEX_MAX_EF)
    keys = store.search(launch, queries, width, width)
    # The place of a missing result is greater than every other, so it gets the last mark.
    marks = np.zeros(store.graph.nodes + 1, np.bool_)
    marks[chosen] = True
    places = np.minimum(keys & np.uint64(NO_POSITION), np.uint64(store.graph.nodes))
    keys[~marks[places.astype(np.int64)]] = NO_KEY
    found = np.full((len(queries), k), NO_KEY, np.uint64)
    found[:, :width] = best(keys[:, None], k, launch.check)
    few = (found != NO_KEY).sum(axis=1) < min(k, len(chosen))
    if few.any():
        found[few] = store.nearest(launch, queries[few], k, None, chosen)
    return found
