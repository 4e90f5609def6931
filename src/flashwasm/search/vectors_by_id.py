"""The base class of all indexes: their ids, and their vectors by id."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, Any

from flashwasm.errors import DTypeError
from flashwasm.runtime.not_copied import NotCopied
from flashwasm.validation import as_array

if TYPE_CHECKING:
    from contextlib import AbstractContextManager

    import numpy as np
    from numpy.typing import ArrayLike, NDArray

    from flashwasm.search.external_ids import IdTable

    Array = NDArray[Any]


class VectorsById(NotCopied, ABC):
    """Base class of the indexes.

    Each vector has a position, which only the index knows, and an id by which the user identifies
    it.
    """

    def __len__(self) -> int:
        return len(self._names)

    def __contains__(self, one: object) -> bool:
        """Return True if an id is in the index."""
        return one in self._names

    @property
    def ids(self) -> Array:
        """Ids of all vectors, in the order of their positions: int64, or str objects."""
        with self._alone():
            return self._names.at(self._positions())

    def get(self, ids: ArrayLike) -> NDArray[np.float32]:
        """Return vectors by their ids, as the index stores them.

        With the metrics "dot" and "l2" these are the vectors that were added, as float32. With
        "cosine" they are divided by their lengths, and a zero vector is zero. The index's dtype
        makes no difference: with "int8", the index stores the vectors besides their codes.

        Parameters
        ----------
        ids : int, str, or array_like of int or of str, shape (n,)
            One id, or several in any order. An id may occur more than once.

        Returns
        -------
        numpy.ndarray of float32, shape (dim,) or (n, dim)
            Copy of the vector with that id, or of the vectors in the order of ``ids``.

        Raises
        ------
        IndexRangeError
            If an id is not in the index.
        ShapeError, DTypeError, OutOfMemoryError, DeadlineExceeded, Cancelled, ClosedError
        """
        array = as_array(ids, "ids")
        if array.ndim:
            return self._get(ids)
        if array.dtype == object and not isinstance(ids, int):
            message = f"ids: expected an id, or an array of ids, got {type(ids).__name__}"
            raise DTypeError(message)
        one: Any = ids
        vector: Array = self._get([one])[0]
        return vector

    @property
    @abstractmethod
    def _names(self) -> IdTable:
        """Table of the ids, after completing any interrupted change."""

    @abstractmethod
    def _alone(self) -> AbstractContextManager[object]:
        """Return a context in which no other thread changes the index."""

    @abstractmethod
    def _positions(self) -> Array:
        """Return the positions of all vectors, in order."""

    @abstractmethod
    def _get(self, ids: ArrayLike) -> Array:
        """Return copies of the vectors with some ids, which are not yet checked."""
