"""Arrays in linear memory that grow."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from flashwasm.errors import OutOfMemoryError

if TYPE_CHECKING:
    from numpy.typing import DTypeLike, NDArray

    from flashwasm.runtime.arena import Arena

    Array = NDArray[Any]

_FEWEST_ROWS = 64


class GrowableArray:
    """Rows of one shape in linear memory, with room for more.

    Parameters
    ----------
    arena : Arena
        Where they lie.
    shape : tuple of int
        Of one row.
    dtype : dtype
        Of its elements.
    """

    def __init__(self, arena: Arena, shape: tuple[int, ...], dtype: DTypeLike) -> None:
        self._arena = arena
        # Together, so that an interruption never leaves one without the other.
        self._place: tuple[Array, int] = np.empty((0, *shape), dtype), 0

    @property
    def all(self) -> Array:
        """The rows and the room, which is zeros until it is written."""
        return self._place[0]

    @property
    def address(self) -> int:
        """Where they begin in linear memory."""
        return self._place[1]

    def reserve(self, rows: int) -> None:
        """Make room for so many rows, and for half as many again as there were where it runs short.

        Raises
        ------
        OutOfMemoryError
            If even exactly so many do not fit. What is there stays.
        """
        have = len(self.all)
        if rows <= have:
            return
        generous = max(rows, have + have // 2, _FEWEST_ROWS)
        try:
            self._move_to(generous)
        except OutOfMemoryError:
            self._move_through_the_host(rows)

    def _move_to(self, rows: int) -> None:
        """Copy to a larger place."""
        larger, address = self._arena.array((rows, *self.all.shape[1:]), self.all.dtype)
        larger[: len(self.all)] = self.all
        larger[len(self.all) :] = 0
        self._place = larger, address

    def _move_through_the_host(self, rows: int) -> None:
        """Give the old place back before the larger one is asked for."""
        kept = self.all.copy()
        self._place = kept, 0
        try:
            self._move_to(rows)
        except OutOfMemoryError as error:
            # There was room for as many as before.
            self._move_to(len(kept))
            raise error from None

    @property
    def nbytes(self) -> int:
        """Bytes of linear memory, the room included."""
        return self.all.nbytes
