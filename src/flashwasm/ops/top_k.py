"""Exact search for the nearest rows, by cosine, dot product or distance: `cosine_top_k`."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from flashwasm.array_room import check_room, new_array
from flashwasm.backends.choice import may_leave, other_backend
from flashwasm.errors import ShapeError
from flashwasm.kernel_table import COSINE_TOP_K, METRICS, TOP_K_MAX_DIM
from flashwasm.keyword_hints import TOP_K, knows_peers
from flashwasm.ops import elsewhere
from flashwasm.runtime.deadline import deadline
from flashwasm.runtime.default_runtime import checked_runtime
from flashwasm.runtime.launch import Launch
from flashwasm.runtime.splitting import in_halves
from flashwasm.runtime.tasks import score_products, wanted_calls
from flashwasm.runtime.work_limits import FEWEST_PRODUCTS, MOST_ELEMENTS, MOST_PRODUCTS, MOST_READ
from flashwasm.summaries import number_of
from flashwasm.validation import choice, floats, positive_int, shown

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import ArrayLike, NDArray

    from flashwasm.backends.registry import BackendName
    from flashwasm.kernel_table import Metric
    from flashwasm.runtime.runtime import Runtime
    from flashwasm.runtime.splitting import Halves

    Array = NDArray[Any]

# A call packs its rows of the corpus once for all its queries. With at least this many queries, the
# time for packing is negligible.
_QUERIES = 256
# Largest heap of one call. For a greater k, each piece of the corpus is sorted completely.
_LONGEST_HEAP = 1 << 12
# The kernel stores the number of a row in 31 bits.
_MOST_ROWS = (1 << 31) - 1
_SIGN = np.uint32(1 << 31)
# Maximum number of results of all pieces, for the queries that are searched together.
_MOST_RESULTS = 1 << 24


@knows_peers(TOP_K)
def cosine_top_k(
    queries: ArrayLike,
    corpus: ArrayLike,
    k: int,
    *,
    metric: Metric = "cosine",
    runtime: Runtime | None = None,
    timeout: float | None = None,
    backend: BackendName | None = None,
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
        Score to rank by. "cosine" is the cosine similarity, in [-1, 1] and 0 for a zero vector.
        "dot" is the dot product. "l2" is minus the squared Euclidean distance.
    runtime : Runtime, optional
        Runtime to use. None means the default runtime.
    timeout : float, optional
        Maximum duration of the call in seconds. None means the runtime's timeout.
    backend : {"wasm-simd", "native", "gpu", "hybrid"}, optional
        Backend to use. None means the runtime's backend.

    Returns
    -------
    scores : numpy.ndarray of float32, shape (n, k)
        Scores of the best rows, highest first. NaN ranks below every number. A zero is never -0.0.
    indices : numpy.ndarray of int64, shape (n, k)
        Numbers of those rows in the corpus. Rows with equal scores are in ascending order.

    Raises
    ------
    ShapeError, DTypeError, OutOfMemoryError, DeadlineExceeded, Cancelled, ClosedError,
    CapabilityError

    Examples
    --------
    >>> import numpy as np
    >>> import flashwasm as fw
    >>> corpus = np.array([[0, 1], [1, 0], [1, 1]], np.float32)
    >>> fw.cosine_top_k(np.array([[2, 0]], np.float32), corpus, 2)[1].tolist()
    [[1, 2]]
    """
    rt = checked_runtime(runtime)
    wanted, rows = floats(queries, "queries", ndim=2), floats(corpus, "corpus", ndim=2)
    choice(metric, "metric", tuple(METRICS))
    count = positive_int(k, "k")
    if wanted.shape[1] != rows.shape[1]:
        columns = number_of(rows.shape[1], "columns")
        message = (
            f"queries: expected {columns}, the number of columns of corpus, "
            f"got shape {wanted.shape}"
        )
        raise ShapeError(message)
    if rows.shape[1] > TOP_K_MAX_DIM:
        message = f"corpus: expected at most {TOP_K_MAX_DIM} columns, got shape {rows.shape}"
        raise ShapeError(message)
    if rows.shape[0] > _MOST_ROWS:
        message = f"corpus: expected at most {_MOST_ROWS} rows, got shape {rows.shape}"
        raise ShapeError(message)
    if count > rows.shape[0]:
        most = number_of(rows.shape[0], "rows")
        message = f"k: expected at most the {most} of corpus, got {shown(k)}"
        raise ShapeError(message)
    check_room((len(wanted), count), np.int64)
    other = None
    if (backend is not None or rt.other_backend is not None) and may_leave(
        rt, backend, (wanted, rows)
    ):
        kind, given = (wanted, rows, count, metric), (queries, corpus, k)
        same = {"metric": metric, "runtime": rt, "timeout": timeout}
        other = other_backend(rt, backend, "cosine_top_k", kind, cosine_top_k, given, same)
    if other is not None:
        scores, indices = elsewhere.search(other, rt, (wanted, rows), count, metric, timeout)
    else:
        search = _Search(wanted, rows, count, METRICS[metric])
        scores, indices = in_halves(search, partial(_search, rt, deadline(rt, timeout)), _halves)
    scores += np.float32(0)  # This turns -0.0 into 0.0.
    return scores, indices


class _Search(NamedTuple):
    """Checked queries, and the rows to search."""

    queries: Array
    corpus: Array
    k: int
    metric: int
    # Number of the first of these rows in the whole corpus.
    first: int = 0


def _halves(
    search: _Search,
) -> Halves[_Search, tuple[Array, Array]] | None:
    """Split the queries or the corpus, depending on which has more rows."""
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
    return parts, lambda found: merged(found, k)


def _search(rt: Runtime, timeout: float | None, search: _Search) -> tuple[Array, Array]:
    """Search pieces of the corpus on all threads, then merge the best of each piece."""
    queries, corpus, k, metric, first = search
    n, dim = queries.shape
    scores, indices = new_array((n, k)), new_array((n, k), np.int64)
    launch = Launch(rt, timeout)
    with launch.lock, launch:
        q, c = launch.place(queries), launch.place(corpus)
        query_step, piece, step = _steps(n, len(corpus), max(dim, 1), k, rt.threads)
        pieces = [(i, min(piece, len(corpus) - i)) for i in range(0, len(corpus), piece)]
        # Queries are searched in groups, to bound the memory for the results of all pieces.
        group = max(_MOST_RESULTS // max(sum(min(k, size) for _, size in pieces), 1), 1)
        group = min(-(-group // query_step) * query_step, n)
        kept = [launch.scratch((group, min(k, size))) for _, size in pieces]
        numbers = [launch.scratch((group, min(k, size)), np.int32) for _, size in pieces]
        for begin in range(0, n, max(group, 1)):
            count = min(group, n - begin)
            tasks = (
                [
                    (
                        q + 4 * (begin + i) * dim,
                        c + 4 * (start + seen) * dim,
                        scores_at + 4 * i * best.shape[1],
                        indices_at + 4 * i * best.shape[1],
                        min(query_step, count - i),
                        *(size, dim, best.shape[1], start + seen, metric, seen),
                    )
                    for seen, size in calls
                ]
                for (start, whole), (scores_at, best), (indices_at, _) in zip(
                    pieces, kept, numbers, strict=True
                )
                for calls in [_calls(whole, step, best.shape[1])]
                for i in range(0, count, query_step)
            )
            launch.run_tasks(COSINE_TOP_K, tasks)
            found = [(x[:count], y[:count]) for (_, x), (_, y) in zip(kept, numbers, strict=True)]
            some = slice(begin, begin + count)
            scores[some], indices[some] = merged(found, k, launch.check)
    indices += first
    return scores, indices


def _calls(rows: int, step: int, k: int) -> list[tuple[int, int]]:
    """Cut a piece of the corpus into calls (rows before the call, rows of the call).

    The first call has at least k rows, because each query must find k.
    """
    first = min(max(step, k), rows)
    return [(0, first), *((i, min(step, rows - i)) for i in range(first, rows, step))]


def _steps(queries: int, rows: int, dim: int, k: int, threads: int) -> tuple[int, int, int]:
    """Return the numbers of queries and of rows of one task, and of the rows of one call.

    Each call of a task continues with the results of the previous calls. If k is too large for a
    heap, each call is a task of its own.
    """
    # Each piece of the corpus yields up to k results. A piece of fewer than 4 k rows would save
    # little compared to storing all scores.
    most_rows = max(MOST_READ // dim, 1)
    fewest_rows = min(4 * min(k, _LONGEST_HEAP), rows, most_rows)
    pair = score_products(dim, min(k, fewest_rows), fewest_rows if 8 * k > rows else rows)
    products = queries * rows * pair
    calls = wanted_calls(products, threads)
    most_queries = max(MOST_PRODUCTS // max(fewest_rows * pair, 1), 1)
    query_step = max(-(-queries // calls), min(_QUERIES, queries, most_queries), 1)
    blocks = -(-queries // query_step) if queries else 1
    most_rows = min(most_rows, MOST_PRODUCTS // (query_step * pair))
    step = max(min(-(-rows // -(-calls // blocks)), most_rows), fewest_rows, 1)
    if k > _LONGEST_HEAP:
        return query_step, step, step
    pieces = max(min(-(-threads // blocks), products // FEWEST_PRODUCTS), 1)
    return query_step, max(-(-rows // pieces), fewest_rows, 1), step


def merged(
    found: list[tuple[Array, Array]], k: int, between: Callable[[], None] | None = None
) -> tuple[Array, Array]:
    """Return the k best results for each query from the results of several pieces.

    The results of a single piece are already in order. ``between`` is called between steps, to
    check the deadline.
    """
    if len(found) == 1:
        return found[0]
    count = len(found[0][0])
    scores, indices = np.empty((count, k), np.float32), np.empty((count, k), np.int64)
    step = max(1, MOST_ELEMENTS // max(16 * sum(x.shape[1] for x, _ in found), 1))
    for i in range(0, count, step):
        if between is not None:
            between()
        keys = np.hstack([_keys(x[i : i + step], y[i : i + step]) for x, y in found])
        if 2 * k < keys.shape[1]:
            keys.partition(k, axis=1)
            keys = keys[:, :k]
        best = np.sort(keys, axis=1)[:, :k]
        scores[i : i + step], indices[i : i + step] = _results(best)
    return scores, indices


def _keys(scores: Array, numbers: Array) -> Array:
    """Return results as integers; a better result is a smaller integer.

    The upper 32 bits are the score, and the lower 32 bits are the number of the row.
    """
    bits = (scores + np.float32(0)).view(np.uint32)
    ascending = np.where(bits >> 31, ~bits, bits | _SIGN)
    places = np.where(np.isnan(scores), np.uint32(2**32 - 1), ~ascending).astype(np.uint64)
    keys: Array = places << 32 | numbers.astype(np.uint64)
    return keys


def _results(keys: Array) -> tuple[Array, Array]:
    """Return the scores and row numbers that `_keys` turned into integers."""
    ascending = ~(keys >> 32).astype(np.uint32)
    bits = np.where(ascending >> 31, ascending ^ _SIGN, ~ascending)
    scores = bits.view(np.float32)
    scores[keys >> 32 == 2**32 - 1] = np.nan
    return scores, (keys & (2**32 - 1)).astype(np.int64)
