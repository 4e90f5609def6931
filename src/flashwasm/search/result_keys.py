"""The keys that the kernels write as results of a search.

A key is an integer of 64 bits. Its upper half stands for a distance, its lower half is a position.
Keys compare as the pairs (distance, position) do, so the least keys are the best results.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from flashwasm.runtime.work_limits import MOST_ELEMENTS

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    Array = NDArray[Any]

# Stands for no result: an infinite distance and no position. It is above the key of any vector.
NO_KEY = 0xFF800000FFFFFFFF
NO_POSITION = 0xFFFFFFFF
_SIGN = np.uint32(1 << 31)


def best(keys: Array, k: int, between: Callable[[], None]) -> Array:
    """Return the k least keys of each row, in order.

    Parameters
    ----------
    keys : numpy.ndarray of uint64, shape (n, pieces, k)
        Keys of each row.
    k : int
        Number of keys to return.
    between : callable
        Function that is called now and then. An exception that it raises ends the work.
    """
    count, pieces, each = keys.shape
    found = np.empty((count, min(k, pieces * each)), np.uint64)
    step = max(1, MOST_ELEMENTS // max(16 * pieces * each, 1))
    for i in range(0, count, step):
        between()
        some = keys[i : i + step].reshape(-1, pieces * each)
        if some.shape[1] > 4 * k:
            some = np.partition(some, k - 1, axis=1)[:, :k]
        found[i : i + step] = np.sort(some, axis=1)[:, :k]
    return found


def distances(keys: Array) -> Array:
    """Return the distances of keys, which are coded so that they order as unsigned integers do."""
    bits = (keys >> np.uint64(32)).astype(np.uint32)
    return np.where(bits & _SIGN, bits ^ _SIGN, ~bits).view(np.float32)


def decoded(keys: Array, k: int) -> tuple[Array, Array]:
    """Return the scores and positions (n, k) of keys; -inf and -1 where there is none."""
    scores = np.full((len(keys), k), -np.inf, np.float32)
    positions = np.full((len(keys), k), -1, np.int64)
    found = (keys & np.uint64(NO_POSITION)).astype(np.int64)
    # A score is the distance with its sign changed. 0 - x is +0.0 for any zero x; -x may be -0.0.
    scores[:, : keys.shape[1]] = np.float32(0) - distances(keys)
    positions[:, : keys.shape[1]] = np.where(found == NO_POSITION, -1, found)
    return scores, positions
