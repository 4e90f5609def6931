"""Arrays in linear memory that can grow."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from flashwasm.errors import OutOfMemoryError
from flashwasm.runtime.copies import copy_in_pieces

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import DTypeLike, NDArray

    from flashwasm.runtime.arena import Arena

    Array = NDArray[Any]

_FEWEST_ROWS = 64
# The address of rows that are temporarily in the host's memory.
_IN_HOST = -1


class GrowableArray:
    """An array in linear memory, with room for more rows.

    Parameters
    ----------
    arena : Arena
        Arena that allocates the memory.
    shape : tuple of int
        Shape of one row.
    dtype : dtype
        Type of the elements.
    """

    def __init__(self, arena: Arena, shape: tuple[int, ...], dtype: DTypeLike) -> None:
        self._arena = arena
        # The array and its address. One assignment sets both, so Ctrl-C cannot separate them.
        self._place: tuple[Array, int] = np.empty((0, *shape), dtype), 0

    @property
    def all(self) -> Array:
        """All rows, and the room after them, which is zero until written."""
        return self._place[0]

    @property
    def address(self) -> int:
        """Address of the first row in linear memory.

        If an interrupted call left the rows in the host's memory, they are moved back first.
        Nothing else may use the runtime meanwhile.
        """
        self.bring_back()
        return self._place[1]

    def bring_back(self) -> None:
        """Move rows back that a call left in the host's memory because linear memory was full.

        Raises
        ------
        OutOfMemoryError
            If they do not fit. They stay in the host's memory then.
        """
        if self._place[1] == _IN_HOST:
            self._move_to(len(self.all))

    def reserve(self, rows: int, between: Callable[[], None] | None = None) -> None:
        """Make room for ``rows`` rows.

        If there is too little room, the array grows by at least half, so that adding row by row
        does not copy it each time. If that does not fit into memory, it grows to exactly ``rows``.

        ``between`` is called between two pieces of what is copied or cleared. The array does not
        change if it raises an exception.

        Raises
        ------
        OutOfMemoryError
            If ``rows`` rows do not fit. The array does not change then.
        """
        have = len(self.all)
        if rows <= have:
            return
        generous = max(rows, have + have // 2, _FEWEST_ROWS)
        try:
            self._move_to(generous, between)
        except OutOfMemoryError:
            self._move_through_the_host(rows, between)

    def _move_to(self, rows: int, between: Callable[[], None] | None = None) -> None:
        """Copy the rows to a larger array; both arrays exist for a moment."""
        larger, address = self._arena.array((rows, *self.all.shape[1:]), self.all.dtype)
        have = len(self.all)
        copy_in_pieces(larger[:have], self.all, between)
        copy_in_pieces(larger[have:], np.zeros((), larger.dtype), between)
        self._place = larger, address

    def _move_through_the_host(self, rows: int, between: Callable[[], None] | None) -> None:
        """Copy the rows out of linear memory, release the old array, then allocate the larger."""
        if len(self.all):
            outside = np.empty_like(self.all)
            copy_in_pieces(outside, self.all, between)
            self._place = outside, _IN_HOST
        try:
            self._move_to(rows, between)
        except OutOfMemoryError as error:
            if self._place[1] == _IN_HOST:
                # The memory of the old array has just been released, so this allocation succeeds.
                self._move_to(len(self.all))
            raise error from None

    @property
    def nbytes(self) -> int:
        """Number of bytes in linear memory, including the room for more rows."""
        return self.all.nbytes
