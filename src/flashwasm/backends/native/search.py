"""Exact search in NumPy: all scores with a piece of the corpus, then the best of them."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np

from flashwasm.array_room import new_array

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    from flashwasm.backends.backend import Limits, Metric
    from flashwasm.backends.native.threads import Threads

    Array = NDArray[Any]
    # Scores, and the numbers of their rows in the corpus.
    Found = tuple[Array, Array]

__all__ = ["search"]

# Number of queries that are searched together, and number of scores in one piece.
_QUERIES = 256
_SCORES = 1 << 20
# Number of elements of the corpus that one piece reads.
_READ = 1 << 22
# Squared lengths between these limits neither overflow nor lose precision near zero.
_SMALL, _LARGE = 1e-30, 1e30


def search(
    queries: Array, corpus: Array, k: int, metric: Metric, threads: Threads, limits: Limits
) -> Found:
    """Search as `flashwasm.backends.backend.Backend.top_k` specifies."""
    n, dim = queries.shape
    scores, indices = new_array((n, k)), new_array((n, k), np.int64)
    for start in range(0, n, _QUERIES):
        some = queries[start : start + _QUERIES]
        step = max(min(_SCORES // len(some), _READ // max(dim, 1)), 4 * k, 1)
        pieces = range(0, len(corpus), step)
        nothing = np.empty((len(some), 0), np.float32), np.empty((len(some), 0), np.int64)
        found = [nothing] * len(pieces)
        tasks: list[Callable[[], None]] = [
            partial(_search, some, corpus, slice(at, at + step), k, metric, found, number)
            for number, at in enumerate(pieces)
        ]
        threads.run(tasks, limits)
        all_scores, all_numbers = (np.hstack(parts) for parts in zip(*found, strict=True))
        best = _best(all_scores, all_numbers, k)
        scores[start : start + _QUERIES], indices[start : start + _QUERIES] = best
    return scores, indices


def _search(
    queries: Array,
    corpus: Array,
    piece: slice,
    k: int,
    metric: Metric,
    found: list[Found],
    number: int,
) -> None:
    """Find the best rows of a piece of the corpus, and write them to their place in a list."""
    scores = _SCORES_BY_METRIC[metric](queries, corpus[piece])
    numbers = np.broadcast_to(np.arange(scores.shape[1]) + piece.start, scores.shape)
    found[number] = _best(scores, numbers, k)


def _best(scores: Array, numbers: Array, k: int) -> Found:
    """Return the k best scores of each row, or all if there are fewer, with their numbers.

    Equal scores keep their order, so their numbers are ascending.
    """
    k = min(k, scores.shape[1])
    # The sort puts NaN last, and the least number first.
    values = -scores
    if k < scores.shape[1]:
        worst = np.partition(values, k - 1, axis=1)[:, k - 1 : k]
        among = values <= worst
        alone = among.sum(axis=1) == k
        chosen = np.empty((len(scores), k), np.intp)
        chosen[alone] = np.nonzero(among[alone])[1].reshape(-1, k)
        for row in np.flatnonzero(~alone):
            # More rows tie with the last result, or its score is NaN.
            chosen[row] = np.sort(np.argsort(values[row], kind="stable")[:k])
        values = np.take_along_axis(values, chosen, 1)
        scores, numbers = (np.take_along_axis(x, chosen, 1) for x in (scores, numbers))
    order = np.argsort(values, axis=1, kind="stable")
    return np.take_along_axis(scores, order, 1), np.take_along_axis(numbers, order, 1)


def _dot(queries: Array, corpus: Array) -> Array:
    scores: Array = queries @ corpus.T
    return scores


def _cosine(queries: Array, corpus: Array) -> Array:
    q, c = _squares(queries), _squares(corpus)
    if _usual(q) and _usual(c):
        scores = _dot(queries, corpus)
        scores /= np.sqrt(q)[:, None]
        scores /= np.sqrt(c)
    else:
        scores = _dot(_unit(queries), _unit(corpus))
    result: Array = np.clip(scores, -1, 1, out=scores)
    return result


def _minus_squared_distance(queries: Array, corpus: Array) -> Array:
    scores = 2 * _dot(queries, corpus)
    scores -= _squares(queries)[:, None]
    scores -= _squares(corpus)
    result: Array = np.minimum(scores, 0, out=scores)
    return result


_SCORES_BY_METRIC: dict[str, Callable[[Array, Array], Array]] = {
    "cosine": _cosine,
    "dot": _dot,
    "l2": _minus_squared_distance,
}


def _squares(x: Array) -> Array:
    """Return the squared length of each row."""
    squares: Array = np.einsum("ij,ij->i", x, x)
    return squares


def _usual(squares: Array) -> bool:
    """Return True if all squared lengths are far from the limits of float32."""
    return bool(((squares > _SMALL) & (squares < _LARGE)).all())


def _unit(x: Array) -> Array:
    """Return the rows divided by their lengths, computed in float64; a zero row stays zero."""
    wide = x.astype(np.float64)
    lengths = np.sqrt(_squares(wide))[:, None]
    rows: Array = (wide / np.where(lengths == 0, 1, lengths)).astype(np.float32)
    return rows
