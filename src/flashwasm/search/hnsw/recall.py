"""Recall of the search of a graph, measured with a sample of queries."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from flashwasm.search.result_keys import decoded

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from flashwasm.runtime.launch import Launch
    from flashwasm.search.hnsw.graph_search import VectorGraph

    Array = NDArray[Any]

# Maximum number of queries of a sample.
_SAMPLE = 64


def evenly_spaced(queries: Array) -> Array:
    """Return at most 64 of the queries, evenly spaced."""
    return queries[:: max(1, -(-len(queries) // _SAMPLE))]


def recall(graph: VectorGraph, launch: Launch, queries: Array, k: int, ef: int) -> float:
    """Return the share of the k nearest vectors that the search of the graph finds.

    A vector is one of the k nearest if it scores at least as high as the k-th nearest vector.

    Parameters
    ----------
    graph : VectorGraph
        Graph with at least k vectors.
    launch : Launch
        Launch that has begun.
    queries : numpy.ndarray of float32, shape (n, dim)
        Vectors to search for, at least one.
    k : int
        Number of vectors to find for each query, at least 1.
    ef : int
        Number of candidates that the search keeps.
    """
    found, _ = decoded(graph.nearest(launch, queries, k, ef), k)
    truth, _ = decoded(graph.nearest(launch, queries, k, None), k)
    return float((found >= truth[:, -1:]).mean())
