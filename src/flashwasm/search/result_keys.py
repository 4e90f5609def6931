"""Results as the kernels write them: keys of a distance and a position, which order as the pair."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Array = NDArray[Any]

# An infinite distance and no position: above every other key.
NO_KEY = 0xFF800000FFFFFFFF
NO_POSITION = 0xFFFFFFFF
_SIGN = np.uint32(1 << 31)


def best(keys: Array, k: int) -> Array:
    """Return the k least keys of each row, in order."""
    if keys.shape[1] > 4 * k:
        keys = np.partition(keys, k - 1, axis=1)[:, :k]
    return np.sort(keys, axis=1)[:, :k]


def distances(keys: Array) -> Array:
    """Return the distances of keys."""
    bits = (keys >> np.uint64(32)).astype(np.uint32)
    return np.where(bits & _SIGN, bits ^ _SIGN, ~bits).view(np.float32)


def decoded(keys: Array, k: int) -> tuple[Array, Array]:
    """Return scores and positions (n, k); -inf and -1 where there is no key."""
    scores = np.full((len(keys), k), -np.inf, np.float32)
    positions = np.full((len(keys), k), -1, np.int64)
    found = (keys & np.uint64(NO_POSITION)).astype(np.int64)
    # 0 - x and not -x: a score of zero has one sign.
    scores[:, : keys.shape[1]] = np.float32(0) - distances(keys)
    positions[:, : keys.shape[1]] = np.where(found == NO_POSITION, -1, found)
    return scores, positions
