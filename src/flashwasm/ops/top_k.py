"""Exact nearest rows by cosine, dot product or distance."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from flashwasm.errors import OutOfMemoryError, ShapeError
from flashwasm.kernel_table import COSINE_TOP_K, METRICS, TOP_K_MAX_DIM
from flashwasm.runtime.launch import Launch, deadline
from flashwasm.runtime.runtime import checked_runtime
from flashwasm.validation import choice, floats, positive_int

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

    from flashwasm.runtime.runtime import Runtime

    Array = NDArray[Any]

# A call of more multiplications than this would keep a deadline or a signal waiting.
_MOST_PRODUCTS = 1 << 26
# A call of fewer costs more to hand to a worker than to make.
_FEWEST_PRODUCTS = 1 << 20
# Queries that share one packing of the corpus, at least.
_QUERIES = 256


def cosine_top_k(
    queries: ArrayLike,
    corpus: ArrayLike,
    k: int,
    *,
    metric: str = "cosine",
    runtime: Runtime | None = None,
    timeout: float | None = None,
) -> tuple[Array, Array]:
    """Find the k rows of a corpus that score highest with each query.

    Parameters
    ----------
    queries : array_like of float, shape (n, D)
        What to search for.
    corpus : array_like of float, shape (N, D)
        What to search.
    k : int
        Rows to return for each query, at most N.
    metric : {"cosine", "dot", "l2"}, default "cosine"
        The cosine, in [-1, 1] and 0 for a zero vector; the dot product; or minus the squared
        Euclidean distance.
    runtime : Runtime, optional
        Where to run.
    timeout : float, optional
        Seconds.

    Returns
    -------
    scores : numpy.ndarray of float32, shape (n, k)
        Highest first. NaN ranks below every number.
    indices : numpy.ndarray of int64, shape (n, k)
        Rows of the corpus; the lowest first where scores are equal.

    Raises
    ------
    ShapeError, DTypeError, OutOfMemoryError, DeadlineExceeded, ClosedError

    Examples
    --------
    >>> import numpy as np
    >>> import flashwasm as fw
    >>> corpus = np.float32([[0, 1], [1, 0], [1, 1]])
    >>> fw.cosine_top_k(np.float32([[2, 0]]), corpus, 2)[1].tolist()
    [[1, 2]]
    """
    rt = checked_runtime(runtime)
    wanted, rows = floats(queries, "queries", ndim=2), floats(corpus, "corpus", ndim=2)
    choice(metric, "metric", tuple(METRICS))
    count = positive_int(k, "k")
    if wanted.shape[1] != rows.shape[1]:
        message = f"queries: expected {rows.shape[1]} columns, as corpus has, got {wanted.shape}"
        raise ShapeError(message)
    if rows.shape[1] > TOP_K_MAX_DIM:
        message = f"corpus: expected at most {TOP_K_MAX_DIM} columns, got {rows.shape}"
        raise ShapeError(message)
    if count > rows.shape[0]:
        message = f"k: expected at most the {rows.shape[0]} rows of corpus, got {k}"
        raise ShapeError(message)
    return _search(rt, wanted, rows, count, METRICS[metric], 0, deadline(rt, timeout))


def _search(
    rt: Runtime,
    queries: Array,
    corpus: Array,
    k: int,
    metric: int,
    first: int,
    timeout: float | None,
) -> tuple[Array, Array]:
    """Search the corpus whole, or where linear memory is too small in halves that are merged."""
    try:
        return _search_whole(rt, queries, corpus, k, metric, first, timeout)
    except OutOfMemoryError:
        if len(queries) > len(corpus):
            middle = len(queries) // 2
            halves = [
                _search(rt, part, corpus, k, metric, first, timeout)
                for part in (queries[:middle], queries[middle:])
            ]
            return np.vstack([s for s, _ in halves]), np.vstack([i for _, i in halves])
        middle = len(corpus) // 2
        if middle == 0:
            raise
    parts = [(corpus[:middle], first), (corpus[middle:], first + middle)]
    found = [
        _search(rt, queries, part, min(k, len(part)), metric, at, timeout) for part, at in parts
    ]
    return _merge(np.hstack([s for s, _ in found]), np.hstack([i for _, i in found]), k)


def _search_whole(
    rt: Runtime,
    queries: Array,
    corpus: Array,
    k: int,
    metric: int,
    first: int,
    timeout: float | None,
) -> tuple[Array, Array]:
    """Search pieces of the corpus on all workers, each for its own best, and merge those."""
    n, dim = queries.shape
    with Launch(rt, timeout) as op:
        q, c = op.place(queries), op.place(corpus)
        query_step, step = _steps(n, len(corpus), max(dim, 1), k, op.threads)
        starts = range(0, len(corpus), step)
        sizes = [min(step, len(corpus) - i) for i in starts]
        kept = [min(k, size) for size in sizes]
        scores_at, scores = op.scratch((n * sum(kept),))
        indices_at, indices = op.scratch((n * sum(kept),), np.int32)
        tasks, at = [], 0
        for start, size, best in zip(starts, sizes, kept, strict=True):
            rows = c + 4 * start * dim
            for i in range(0, n, query_step):
                to = 4 * (at + i * best)
                count = min(query_step, n - i)
                tasks.append(
                    [
                        (
                            *(q + 4 * i * dim, rows, scores_at + to, indices_at + to),
                            *(count, size, dim, best, start, metric),
                        )
                    ]
                )
            at += n * best
        op.run_tasks(COSINE_TOP_K, tasks)
        ends = np.cumsum([n * best for best in kept])[:-1]
        all_scores, all_indices = (
            np.hstack([p.reshape(n, best) for p, best in zip(np.split(x, ends), kept, strict=True)])
            for x in (scores, indices)
        )
        return _merge(all_scores, all_indices.astype(np.int64) + first, k)


def _steps(queries: int, rows: int, dim: int, k: int, threads: int) -> tuple[int, int]:
    """Return queries and rows of one call: enough calls for all workers, none of them long."""
    products = queries * rows * dim
    pieces = max(min(threads, products // _FEWEST_PRODUCTS), -(-products // _MOST_PRODUCTS), 1)
    # Each call packs its rows anew, so the queries are cut only into blocks that outweigh that.
    query_step = max(-(-queries // pieces), min(_QUERIES, queries), 1)
    pieces = -(-pieces // -(-queries // query_step)) if queries else 1
    # A piece of few rows would hand on most of them: no better than storing all scores.
    return query_step, max(-(-rows // pieces), min(4 * k, rows), 1)


def _merge(scores: Array, indices: Array, k: int) -> tuple[Array, Array]:
    """Return the best k of each row's candidates, in copies."""
    # NaN sorts last, which is where it ranks.
    order = np.lexsort((indices, -scores), axis=-1)[:, :k]
    return np.take_along_axis(scores, order, -1), np.take_along_axis(indices, order, -1)
