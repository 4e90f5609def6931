"""Linear memory as NumPy sees it: blocks of it, and arrays whose life decides the blocks'."""

from __future__ import annotations

import math
import threading
import weakref
from bisect import bisect_left, insort
from collections import deque
from typing import TYPE_CHECKING, Any

import numpy as np

from flashwasm.errors import OutOfMemoryError, ShapeError

if TYPE_CHECKING:
    from numpy.typing import DTypeLike, NDArray

    from flashwasm.host.shared_memory import SharedMemory

ALIGNMENT = 64
_FLOAT32 = np.dtype(np.float32)
_PAGE_BYTES = 1 << 16
_GROW_PAGES = 16  # Grow by a megabyte at least: each growth is a system call.
# What is kept for requests of the same size may not make a process of many sizes large.
_MOST_KEPT = 1 << 26


class Block(weakref.ref["NDArray[Any]"]):
    """A piece of linear memory that is free again when its array is gone.

    It refers to the array that was made over it. NumPy makes every view of that array keep it,
    since what lies below it is no array.

    Attributes
    ----------
    offset, size : int
        Where it lies, and its length in bytes.
    key : int
        Identity of the array.
    """

    __slots__ = ("key", "offset", "size")

    offset: int
    size: int
    key: int


class Arena:
    """Hands out linear memory, grows it when it runs short, and takes blocks back.

    A block freed is kept for the next request of its size; when they become many bytes, or space
    runs short, all of those are merged with their neighbours first.

    Parameters
    ----------
    memory : SharedMemory
        The memory to hand out.
    begin : int
        The first byte that is free.
    """

    def __init__(self, memory: SharedMemory, begin: int) -> None:
        self._memory = memory
        self._lock = threading.Lock()
        self._end = -(-begin // ALIGNMENT) * ALIGNMENT
        self._free: list[tuple[int, int]] = []  # (offset, size), by offset, no two adjacent.
        self._kept: dict[int, list[int]] = {}  # Size to offsets that were freed whole.
        self._kept_bytes = 0
        # Arrays die at any time, also while the lock is held: their blocks are queued.
        self._dead: deque[Block] = deque()
        self.blocks: dict[int, Block] = {}
        self.in_use = 0
        self.peak = 0
        self.address = memory.address

    @property
    def reserved(self) -> int:
        """Bytes of linear memory that exist."""
        return self._memory.pages * _PAGE_BYTES

    @property
    def limit(self) -> int:
        """Bytes that linear memory may grow to."""
        return self._memory.max_pages * _PAGE_BYTES

    def allocate(self, size: int) -> int:
        """Return the offset of ``size`` free bytes, to be given back with ``release``.

        Raises
        ------
        OutOfMemoryError
            If there is no room and the memory may not grow enough.
        """
        size = -(-size // ALIGNMENT) * ALIGNMENT or ALIGNMENT
        with self._lock:
            self._bury()
            kept = self._kept.get(size)
            if kept:
                offset = kept.pop()
                self._kept_bytes -= size
            else:
                offset = self._find(size)
            self.in_use += size
            self.peak = max(self.peak, self.in_use)
        return offset

    def release(self, offset: int, size: int) -> None:
        """Take back what ``allocate`` gave."""
        size = -(-size // ALIGNMENT) * ALIGNMENT or ALIGNMENT
        with self._lock:
            self._keep(offset, size)

    def array(
        self, shape: tuple[int, ...], dtype: np.dtype[Any] = _FLOAT32
    ) -> tuple[NDArray[Any], int]:
        """Return a new array in linear memory, its contents undefined, and its offset."""
        size = math.prod(shape) * dtype.itemsize
        offset = self.allocate(size)
        try:
            array: NDArray[Any] = np.ndarray(shape, dtype, self._memory.content, offset)
        except ValueError as error:  # An empty array may have axes that NumPy does not take.
            self.release(offset, size)
            message = f"shape: {error}, got {shape}"
            raise ShapeError(message) from None
        block = Block(array, self._dead.append)
        block.offset, block.size, block.key = offset, size, id(array)
        self.blocks[block.key] = block
        return array, offset

    def view(
        self, offset: int, shape: tuple[int, ...], dtype: DTypeLike = np.float32
    ) -> NDArray[Any]:
        """Return an array over memory that the caller holds."""
        return np.ndarray(shape, np.dtype(dtype), self._memory.content, offset)

    def offset_of(self, x: NDArray[Any]) -> int | None:
        """Return where an array begins in linear memory, or None where it lies elsewhere."""
        block = self.blocks.get(id(x))
        if block is not None and block() is x:
            return block.offset
        if x.base is None:
            return None
        offset: int = x.__array_interface__["data"][0] - self.address
        return offset if 0 <= offset < self.reserved else None

    def whole_arrays(
        self, arrays: tuple[object, ...], dtype: np.dtype[Any] = _FLOAT32
    ) -> list[int] | None:
        """Return the offsets of arrays of a dtype as handed out, or None if one is not that.

        Two of them are either the same or apart.
        """
        offsets = []
        for x in arrays:
            block = self.blocks.get(id(x))
            array = None if block is None else block()
            if array is None or array is not x or array.dtype is not dtype:
                return None
            offsets.append(block.offset)  # type: ignore[union-attr]
        return offsets

    def settle(self) -> None:
        """Count out the blocks whose arrays are gone."""
        with self._lock:
            self._bury()

    def _bury(self) -> None:
        while self._dead:
            block = self._dead.popleft()
            if self.blocks.get(block.key) is block:
                del self.blocks[block.key]
            size = -(-block.size // ALIGNMENT) * ALIGNMENT or ALIGNMENT
            self._keep(block.offset, size)

    def _keep(self, offset: int, size: int) -> None:
        self.in_use -= size
        self._kept.setdefault(size, []).append(offset)
        self._kept_bytes += size

    def _find(self, size: int) -> int:
        """Return space from the free list, else from the end, else after merging what is kept."""
        offset = self._first_fit(size)
        if offset is None and self._kept_bytes <= _MOST_KEPT:
            offset = self._extend(size)
        if offset is None and self._merge_kept():
            offset = self._first_fit(size)
            if offset is None:
                offset = self._extend(size)
        if offset is None:
            raise OutOfMemoryError(size, self.in_use, self.limit)
        return offset

    def _first_fit(self, size: int) -> int | None:
        for at, (offset, length) in enumerate(self._free):
            if length >= size:
                if length == size:
                    del self._free[at]
                else:
                    self._free[at] = (offset + size, length - size)
                return offset
        return None

    def _extend(self, size: int) -> int | None:
        end = self._end + size
        pages = -(-end // _PAGE_BYTES)
        if pages > self._memory.pages:
            generous = min(max(pages, self._memory.pages + _GROW_PAGES), self._memory.max_pages)
            if not self._memory.grow_to(max(pages, generous)):
                return None
        offset, self._end = self._end, end
        return offset

    def _merge_kept(self) -> bool:
        """Move all kept blocks to the free list, merged; return whether there were any."""
        if not any(self._kept.values()):
            return False
        for size, offsets in self._kept.items():
            for offset in offsets:
                self._insert(offset, size)
        self._kept.clear()
        self._kept_bytes = 0
        if self._free and sum(self._free[-1]) == self._end:
            self._end = self._free.pop()[0]
        return True

    def _insert(self, offset: int, size: int) -> None:
        at = bisect_left(self._free, (offset, 0))
        if at < len(self._free) and self._free[at][0] == offset + size:
            size += self._free.pop(at)[1]
        if at > 0 and sum(self._free[at - 1]) == offset:
            before = self._free.pop(at - 1)
            offset, size = before[0], before[1] + size
        insort(self._free, (offset, size))
