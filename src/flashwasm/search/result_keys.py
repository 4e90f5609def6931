"""The keys that the search kernels write as results.

A key is an integer of 64 bits: its upper half encodes a distance, and its lower half is a position.
Keys sort in the order of the pairs (distance, position), so the least keys are the best results.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from flashwasm.runtime.work_limits import MOST_ELEMENTS

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    Array = NDArray[Any]

# The key that means "no result": an infinite distance and no position. It is greater than the key
# of any vector.
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
        Function to call between steps. An exception that it raises ends the work.
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
    """Return the distances of keys, from a code that sorts in the order of unsigned integers."""
    bits = (keys >> np.uint64(32)).astype(np.uint32)
    return np.where(bits & _SIGN, bits ^ _SIGN, ~bits).view(np.float32)


def decoded(keys: Array, k: int) -> tuple[Array, Array]:
    """Return the scores and positions (n, k) of keys; -inf and -1 for missing results."""
    scores = np.full((len(keys), k), -np.inf, np.float32)
    positions = np.full((len(keys), k), -1, np.int64)
    found = (keys & np.uint64(NO_POSITION)).astype(np.int64)
    # A score is minus the distance. 0 - x is +0.0 for either zero x, but -x could be -0.0.
    scores[:, : keys.shape[1]] = np.float32(0) - distances(keys)
    positions[:, : keys.shape[1]] = np.where(found == NO_POSITION, -1, found)
    return scores, positions
