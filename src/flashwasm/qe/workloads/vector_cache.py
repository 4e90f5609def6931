"""A cache of computed vectors."""

from __future__ import annotations

from collections import OrderedDict
from typing import TYPE_CHECKING, Any

import numpy.typing as npt

if TYPE_CHECKING:
    from collections.abc import Hashable

__all__ = ["VectorCache"]

Array = npt.NDArray[Any]


class VectorCache:
    """Vectors by key. When the cache is full, the least recently used vector is dropped.

    Parameters
    ----------
    capacity : int
        Maximum number of vectors.
    """

    def __init__(self, capacity: int) -> None:
        self._capacity = capacity
        self._vectors: OrderedDict[Hashable, Array] = OrderedDict()

    def get(self, key: Hashable) -> Array | None:
        """Return the vector of a key, or None, and mark the key as recently used."""
        found = self._vectors.get(key)
        if found is not None:
            self._vectors.move_to_end(key)
        return found

    def put(self, key: Hashable, vector: Array) -> None:
        """Store a vector under a key."""
        self._vectors[key] = vector
        while len(self._vectors) > self._capacity:
            self._vectors.popitem(last=False)

    def clear(self) -> None:
        """Drop all vectors."""
        self._vectors.clear()
