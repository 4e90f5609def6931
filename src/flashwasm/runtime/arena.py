"""The arena, which hands out blocks of linear memory, and NumPy arrays that keep blocks alive."""

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
    from collections.abc import Iterable

    from numpy.typing import NDArray

    from flashwasm.host.shared_memory import SharedMemory

    Array = NDArray[Any]

ALIGNMENT = 64
_FLOAT32 = np.dtype(np.float32)
_PAGE_BYTES = 1 << 16
# Memory grows by at least a megabyte, because each growth is a system call.
_GROW_PAGES = 16
# Freed blocks are kept whole for requests of the same size. If they add up to more bytes than this,
# the arena merges them before it grows the memory. A process that asks for many different sizes
# would otherwise grow needlessly.
_MOST_KEPT = 1 << 26


class Block(weakref.ref["NDArray[Any]"]):
    """A weak reference to an array over a block of linear memory.

    When the array is gone, the arena takes the block back. No view can outlive the array: the base
    of a view is the array itself, because the array's own base is a buffer and not another array.

    Attributes
    ----------
    offset, size : int
        Address of the block in linear memory, and its length in bytes.
    key : int
        The array's ``id``.
    """

    __slots__ = ("key", "offset", "size")

    offset: int
    size: int
    key: int


class Arena:
    """Allocator of linear memory: hands blocks out, takes them back, and grows the memory.

    A freed block is kept whole for the next request of its size. When the kept blocks make up many
    bytes, or memory runs short, all of them are merged with their free neighbours.

    Parameters
    ----------
    memory : SharedMemory
        The memory to hand out.
    begin : int
        Address of the first free byte.

    Attributes
    ----------
    address : int
        Address of linear memory in this process.
    content : object
        Linear memory as a buffer.
    blocks : dict of int to Block
        The blocks under arrays that live, by the arrays' ``id``.
    in_use, peak : int
        Bytes handed out now, and at most so far.
    """

    def __init__(self, memory: SharedMemory, begin: int) -> None:
        self._memory = memory
        self._lock = threading.Lock()
        self._end = -(-begin // ALIGNMENT) * ALIGNMENT
        # Free pieces as (offset, size), sorted by offset, no two of them adjacent.
        self._free: list[tuple[int, int]] = []
        # Offsets of the kept blocks, by their size.
        self._kept: dict[int, list[int]] = {}
        self._kept_bytes = 0
        # An array can die at any moment, even while this thread holds the lock. Its block is
        # therefore only queued here; the next call of a method takes it back.
        self._dead: deque[Block] = deque()
        self.blocks: dict[int, Block] = {}
        self.in_use = 0
        self.peak = 0
        self.address = memory.address
        self.content = memory.content

    @property
    def reserved(self) -> int:
        """Bytes of linear memory that exist."""
        return self._memory.pages * _PAGE_BYTES

    @property
    def limit(self) -> int:
        """Bytes that linear memory may grow to."""
        return self._memory.max_pages * _PAGE_BYTES

    def allocate(self, size: int) -> int:
        """Return the offset of ``size`` free bytes, which `release` takes back.

        Raises
        ------
        OutOfMemoryError
            If there is no room and the memory may not grow enough.
        """
        size = -(-size // ALIGNMENT) * ALIGNMENT or ALIGNMENT
        with self._lock:
            if self._dead:
                self._take_back_dead()
            kept = self._kept.get(size)
            if kept:
                offset = kept.pop()
                self._kept_bytes -= size
            else:
                offset = self._find(size)
            self.in_use += size
            self.peak = max(self.peak, self.in_use)
        return offset

    def release(self, blocks: Iterable[tuple[int, int]]) -> None:
        """Take back blocks, each given by the offset from `allocate` and the size asked for."""
        with self._lock:
            for offset, size in blocks:
                self._keep(offset, size)

    def array(self, shape: tuple[int, ...], dtype: np.dtype[Any] = _FLOAT32) -> tuple[Array, int]:
        """Return a new array in linear memory, its contents undefined, and its offset."""
        size = math.prod(shape) * dtype.itemsize
        offset = self.allocate(size)
        try:
            array: Array = np.ndarray(shape, dtype, self.content, offset)
        except ValueError as error:  # NumPy refuses empty arrays with axes that are too long.
            self.release([(offset, size)])
            message = f"shape: {error}, got {shape}"
            raise ShapeError(message) from None
        block = Block(array, self._dead.append)
        block.offset, block.size, block.key = offset, size, id(array)
        self.blocks[block.key] = block
        return array, offset

    def view(self, offset: int, shape: tuple[int, ...]) -> Array:
        """Return a float32 array over memory that the caller has allocated."""
        return np.ndarray(shape, _FLOAT32, self.content, offset)

    def offset_of(self, x: Array) -> int | None:
        """Return the offset of an array in linear memory, or None if it lies elsewhere."""
        block = self.blocks.get(id(x))
        if block is not None and block() is x:
            return block.offset
        if x.base is None:
            return None
        offset: int = x.__array_interface__["data"][0] - self.address
        return offset if 0 <= offset < self.reserved else None

    def whole_arrays(
        self, arrays: Iterable[Array | None], dtype: np.dtype[Any] = _FLOAT32
    ) -> list[int] | None:
        """Return the offsets of arrays if kernels can read all of them as they are, else None.

        Each must be an array of ``dtype`` that the arena handed out, not a view of one. Such arrays
        are contiguous, and two of them are either the same or do not overlap. An operand that is
        None gets offset 0.
        """
        offsets = []
        for x in arrays:
            if x is None:
                offsets.append(0)
                continue
            block = self.blocks.get(id(x))
            if block is None or block() is not x or x.dtype is not dtype:
                return None
            offsets.append(block.offset)
        return offsets

    def settle(self) -> None:
        """Take back the blocks whose arrays are gone, so that ``in_use`` is exact."""
        with self._lock:
            self._take_back_dead()

    def _take_back_dead(self) -> None:
        """Take back the queued blocks."""
        while self._dead:
            block = self._dead.popleft()
            if self.blocks.get(block.key) is block:
                del self.blocks[block.key]
            self._keep(block.offset, block.size)

    def _keep(self, offset: int, size: int) -> None:
        """Keep a freed block whole for the next request of its size."""
        size = -(-size // ALIGNMENT) * ALIGNMENT or ALIGNMENT
        self.in_use -= size
        self._kept.setdefault(size, []).append(offset)
        self._kept_bytes += size

    def _find(self, size: int) -> int:
        """Return the offset of free space.

        The space comes from the free list; if that has none, from growing the memory; and if the
        memory may not grow, from merging the kept blocks. If the kept blocks add up to many bytes,
        they are merged before the memory grows.
        """
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
        """Return the offset of the first free piece that is large enough, and take it."""
        for at, (offset, length) in enumerate(self._free):
            if length >= size:
                if length == size:
                    del self._free[at]
                else:
                    self._free[at] = (offset + size, length - size)
                return offset
        return None

    def _extend(self, size: int) -> int | None:
        """Return the offset of new space at the end; None if the memory may not grow that far."""
        end = self._end + size
        pages = -(-end // _PAGE_BYTES)
        if pages > self._memory.pages:
            generous = min(max(pages, self._memory.pages + _GROW_PAGES), self._memory.max_pages)
            if not self._memory.grow_to(max(pages, generous)):
                return None
        offset, self._end = self._end, end
        return offset

    def _merge_kept(self) -> bool:
        """Move all kept blocks to the free list, merged; return True if there were any."""
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
        """Add a piece to the free list, merged with its neighbours."""
        at = bisect_left(self._free, (offset, 0))
        if at < len(self._free) and self._free[at][0] == offset + size:
            size += self._free.pop(at)[1]
        if at > 0 and sum(self._free[at - 1]) == offset:
            before = self._free.pop(at - 1)
            offset, size = before[0], before[1] + size
        insort(self._free, (offset, size))
