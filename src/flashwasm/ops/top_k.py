"""Exact search for the nearest rows, by cosine, dot product or distance: `cosine_top_k`."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from flashwasm.errors import ShapeError
from flashwasm.kernel_table import COSINE_TOP_K, METRICS, TOP_K_MAX_DIM
from flashwasm.peer_names import TOP_K, knows_peers
from flashwasm.runtime.deadline import deadline
from flashwasm.runtime.default_runtime import checked_runtime
from flashwasm.runtime.launch import Launch
from flashwasm.runtime.splitting import in_halves
from flashwasm.runtime.tasks import wanted_calls
from flashwasm.validation import choice, floats, positive_int

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

    from flashwasm.kernel_table import Metric
    from flashwasm.runtime.runtime import Runtime
    from flashwasm.runtime.splitting import Halves

    Array = NDArray[Any]

# A call packs its rows of the corpus once for all of its queries. With at least this many queries,
# the packing costs little.
_QUERIES = 256


@knows_peers(TOP_K)
def cosine_top_k(
    queries: ArrayLike,
    corpus: ArrayLike,
    k: int,
    *,
    metric: Metric = "cosine",
    runtime: Runtime | None = None,
    timeout: float | None = None,
) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    """Find the k rows of a corpus that score highest with each query.

    Parameters
    ----------
    queries : array_like of float, shape (n, D)
        Vectors to search for.
    corpus : array_like of float, shape (N, D)
        Vectors to search among.
    k : int
        Number of rows to return for each query, at most N.
    metric : {"cosine", "dot", "l2"}, default "cosine"
        Score to rank by: the cosine, in [-1, 1] and 0 for a zero vector; the dot product; or minus
        the squared Euclidean distance.
    runtime : Runtime, optional
        Runtime to use. None means the process's own.
    timeout : float, optional
        Seconds that the call may take. None means the runtime's own timeout.

    Returns
    -------
    scores : numpy.ndarray of float32, shape (n, k)
        Scores of the rows found, highest first. NaN ranks below every number.
    indices : numpy.ndarray of int64, shape (n, k)
        Numbers of those rows in the corpus. If scores are equal, the lowest number comes first.

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
        message = (
            f"queries: expected {rows.shape[1]} columns, the number of columns of corpus, "
            f"got shape {wanted.shape}"
        )
        raise ShapeError(message)
    if rows.shape[1] > TOP_K_MAX_DIM:
        message = f"corpus: expected at most {TOP_K_MAX_DIM} columns, got shape {rows.shape}"
        raise ShapeError(message)
    if count > rows.shape[0]:
        message = f"k: expected at most the {rows.shape[0]} rows of corpus, got {k}"
        raise ShapeError(message)
    until = deadline(rt, timeout)
    return in_halves(
        _Search(wanted, rows, count, METRICS[metric]),
        partial(_search, rt, until),
        _halves,
    )


class _Search(NamedTuple):
    """Checked queries, and the rows to search among."""

    queries: Array
    corpus: Array
    k: int
    metric: int
    # Number that the first of these rows has in the whole corpus.
    first: int = 0


def _halves(
    search: _Search,
) -> Halves[_Search, tuple[Array, Array]] | None:
    """Split the queries or the corpus, whichever has more rows; a single row cannot be split."""
    queries, corpus, k, first = search.queries, search.corpus, search.k, search.first
    if len(queries) > len(corpus):
        middle = len(queries) // 2
        parts = [search._replace(queries=x) for x in (queries[:middle], queries[middle:])]
        return parts, lambda found: (
            np.vstack([scores for scores, _ in found]),
            np.vstack([indices for _, indices in found]),
        )
    middle = len(corpus) // 2
    if middle == 0:
        return None
    parts = [
        search._replace(corpus=x, k=min(k, len(x)), first=at)
        for x, at in ((corpus[:middle], first), (corpus[middle:], first + middle))
    ]
    return parts, lambda found: _merged(found, k)


def _search(rt: Runtime, timeout: float | None, search: _Search) -> tuple[Array, Array]:
    """Search pieces of the corpus on all threads, then merge the best of each piece."""
    queries, corpus, k, metric, first = search
    n, dim = queries.shape
    launch = Launch(rt, timeout)
    with launch.lock, launch:
        q, c = launch.place(queries), launch.place(corpus)
        query_step, step = _steps(n, len(corpus), max(dim, 1), k, rt.threads)
        found, tasks = [], []
        for start in range(0, len(corpus), step):
            size = min(step, len(corpus) - start)
            best = min(k, size)
            scores_at, scores = launch.scratch((n, best))
            indices_at, indices = launch.scratch((n, best), np.int32)
            found.append((scores, indices))
            for i in range(0, n, query_step):
                to = 4 * i * best
                addresses = (q + 4 * i * dim, c + 4 * start * dim, scores_at + to, indices_at + to)
                count = min(query_step, n - i)
                tasks.append([(*addresses, count, size, dim, best, start, metric)])
        launch.run_tasks(COSINE_TOP_K, tasks)
        # The results of a single piece are in order already. They are copied, because temporary
        # memory is given back when the launch ends.
        scores, indices = _merged(found, k) if len(found) > 1 else (found[0][0].copy(), found[0][1])
        return scores, indices.astype(np.int64) + first


def _steps(queries: int, rows: int, dim: int, k: int, threads: int) -> tuple[int, int]:
    """Return the numbers of queries and of rows of one call."""
    calls = wanted_calls(queries * rows * dim, threads)
    query_step = max(-(-queries // calls), min(_QUERIES, queries), 1)
    pieces = -(-calls // -(-queries // query_step)) if queries else 1
    # Each piece of the corpus finds up to k rows. A piece of fewer than 4 k rows would save little
    # over storing all scores.
    return query_step, max(-(-rows // pieces), min(4 * k, rows), 1)


def _merged(found: list[tuple[Array, Array]], k: int) -> tuple[Array, Array]:
    """Return the k best results for each query out of those found in several pieces."""
    scores = np.hstack([scores for scores, _ in found])
    indices = np.hstack([indices for _, indices in found])
    # NaN sorts last, which is where it ranks.
    order = np.lexsort((indices, -scores), axis=-1)[:, :k]
    return np.take_along_axis(scores, order, -1), np.take_along_axis(indices, order, -1)
