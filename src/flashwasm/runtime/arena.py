"""The arena, which allocates blocks of linear memory, also for NumPy arrays."""

from __future__ import annotations

import math
import threading
from collections import deque
from typing import TYPE_CHECKING, Any

import numpy as np

from flashwasm.errors import OutOfMemoryError, ShapeError
from flashwasm.runtime.array_block import Block

if TYPE_CHECKING:
    from collections.abc import Iterable

    from numpy.typing import NDArray

    from flashwasm.host.shared_memory import SharedMemory

    Array = NDArray[Any]

ALIGNMENT = 64
_FLOAT32 = np.dtype(np.float32)
_PAGE_BYTES = 1 << 16
# Memory grows to a multiple of 2 MiB, the size of a large page of the operating system. The system
# uses large pages only for memory that can be accessed when it is first written.
_GROW_PAGES = 32
# Freed blocks are kept for later requests of the same size. If they add up to more bytes than this,
# the arena merges them and returns their pages to the operating system. Otherwise a process that
# allocates many different sizes would grow needlessly, and keep the memory of its largest call.
_MOST_KEPT = 1 << 26


def room(size: int) -> int:
    """Return the bytes of linear memory that a block of ``size`` bytes occupies."""
    return -(-size // ALIGNMENT) * ALIGNMENT or ALIGNMENT


class Arena:
    """Allocator of linear memory: allocates blocks, takes them back, and grows the memory.

    A freed block is kept for the next request of the same size. When the kept blocks add up to many
    bytes, or memory runs short, all of them are merged with their free neighbours.

    A signal handler may raise an exception, such as KeyboardInterrupt, wherever Python calls a
    function or jumps back in a loop, and nowhere else. Each step that moves a block from one owner
    to another is therefore a sequence of plain assignments without a call or a loop, so that it is
    done completely or not at all. The comment "One step" marks these sequences.

    Parameters
    ----------
    memory : SharedMemory
        The memory to allocate from.
    begin : int
        Address of the first free byte.

    Attributes
    ----------
    address : int
        Address of linear memory in this process.
    content : object
        Linear memory as a buffer.
    blocks : dict of int to Block
        The blocks of existing arrays, by the arrays' ``id``.
    own, in_use, peak : int
        Bytes of the runtime itself; other allocated bytes now, and their maximum so far.
    """

    def __init__(self, memory: SharedMemory, begin: int) -> None:
        self._memory = memory
        self._lock = threading.Lock()
        self.own = self._end = -(-begin // ALIGNMENT) * ALIGNMENT
        # Free pieces as (offset, size), sorted by offset.
        self._free: list[tuple[int, int]] = []
        # Offsets of the kept blocks, by their size.
        self._kept: dict[int, list[int]] = {}
        self._kept_bytes = 0
        # Python can delete an array at any moment, even while this thread holds the lock. Its block
        # is therefore only queued here, and the next call of a method takes it back.
        self._dead: deque[Block] = deque()
        # Blocks of arrays that are being created. If an exception interrupts a call, the next call
        # takes them back.
        self._unborn: list[tuple[int, int]] = []
        self.blocks: dict[int, Block] = {}
        self.in_use = self.peak = 0
        self.address, self.content = memory.address, memory.content

    @property
    def reserved(self) -> int:
        """Present size of linear memory in bytes."""
        return self._memory.pages * _PAGE_BYTES

    @property
    def limit(self) -> int:
        """Maximum size of linear memory in bytes."""
        return self._memory.max_pages * _PAGE_BYTES

    def allocate(self, size: int, owner: list[tuple[int, int]]) -> int:
        """Return the offset of ``size`` free bytes, which `release` takes back.

        Parameters
        ----------
        size : int
            Number of bytes.
        owner : list of (int, int)
            List to which the block's offset and size are appended.

        Raises
        ------
        OutOfMemoryError
            If there is no room and the memory cannot grow enough.
        """
        with self._lock:
            return self._take(size, owner)

    def release(self, owner: list[tuple[int, int]]) -> None:
        """Take back all blocks in a list that `allocate` appended to, and empty the list."""
        with self._lock:
            self._take_back(owner)
            self._return_to_system()

    def array(self, shape: tuple[int, ...], dtype: np.dtype[Any] = _FLOAT32) -> tuple[Array, int]:
        """Return a new uninitialised array in linear memory, and its offset."""
        with self._lock:
            offset = self._take(math.prod(shape) * dtype.itemsize, self._unborn)
            try:
                array: Array = np.ndarray(shape, dtype, self.content, offset)
            except ValueError as error:  # NumPy rejects empty arrays with axes that are too long.
                self._take_back(self._unborn)
                message = f"shape: {error}, got {shape}"
                raise ShapeError(message) from None
            block = Block(array, self._dead.append)
            key = id(array)
            # One step: the array becomes the owner of the block.
            block.offset, block.size = self._unborn[-1]
            block.key = key
            self.blocks[key] = block
            block.owned = True
            del self._unborn[-1]
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
        """Return the offsets of arrays if kernels can read all of them without a copy, else None.

        Each must be an array of ``dtype`` that the arena created, not a view of one. Such arrays
        are contiguous, and two of them are either the same or do not overlap. An operand that is
        None gets offset 0.
        """
        offsets = []
        for x in arrays:
            if x is None:
                offsets.append(0)
            elif (block := self.blocks.get(id(x))) and block() is x and x.dtype is dtype:
                offsets.append(block.offset)
            else:
                return None
        return offsets

    def settle(self) -> None:
        """Take back the blocks of deleted arrays, so that ``in_use`` is exact."""
        with self._lock:
            self._take_back_dead()
            self._return_to_system()

    def _take(self, size: int, owner: list[tuple[int, int]]) -> int:
        """Move ``size`` free bytes to an owner's list, and return their offset."""
        if self._dead or self._unborn:
            self._take_back_dead()
        whole = room(size)
        kept = self._kept.get(whole)
        if kept:
            # One step.
            offset = kept[-1]
            del kept[-1]
            self._kept_bytes -= whole
            self.in_use += whole
            owner += ((offset, size),)
        else:
            at = self._make_room(whole)
            # One step.
            offset, length = self._free[at]
            self._free[at : at + 1] = [(offset + whole, length - whole)] if length > whole else []
            self.in_use += whole
            owner += ((offset, size),)
        self.peak = max(self.peak, self.in_use)
        return offset

    def _take_back(self, owner: list[tuple[int, int]]) -> None:
        """Keep the blocks in an owner's list for later requests of their sizes."""
        while owner:
            offset, size = owner[-1]
            whole = room(size)
            kept = self._kept.setdefault(whole, [])
            # One step.
            kept += (offset,)
            self._kept_bytes += whole
            self.in_use -= whole
            del owner[-1]

    def _take_back_dead(self) -> None:
        """Take back the blocks of arrays that were deleted, or whose creation was interrupted."""
        self._take_back(self._unborn)
        while self._dead:
            block = self._dead[0]
            if not getattr(block, "owned", False):  # `_unborn` still lists its memory.
                del self._dead[0]
                continue
            whole = room(block.size)
            kept = self._kept.setdefault(whole, [])
            # A newer array may have the id of a deleted one.
            listed = self.blocks.get(block.key) is block
            # One step.
            kept += (block.offset,)
            self._kept_bytes += whole
            self.in_use -= whole
            if listed:
                del self.blocks[block.key]
            block.owned = False
            del self._dead[0]

    def _make_room(self, size: int) -> int:
        """Return the index in the free list of a piece of at least ``size`` bytes.

        If the list has no such piece, the memory grows; if it cannot grow, the kept blocks are
        merged. If the kept blocks add up to many bytes, they are merged before the memory grows.
        """
        at = self._first_fit(size)
        if at is None and self._kept_bytes <= _MOST_KEPT:
            at = self._extend(size)
        if at is None and self._merge_kept():
            at = self._first_fit(size)
            if at is None:
                at = self._extend(size)
        if at is None:
            raise OutOfMemoryError(size, self.own + self.in_use, self.limit)
        return at

    def _first_fit(self, size: int) -> int | None:
        """Return the index of the first free piece that is large enough; None if there is none."""
        fitting = (at for at, (_, length) in enumerate(self._free) if length >= size)
        return next(fitting, None)

    def _extend(self, size: int) -> int | None:
        """Return the index of a new free piece at the end; None if memory cannot grow that far."""
        end = self._end + size
        pages = -(-end // _PAGE_BYTES)
        if pages > self._memory.pages:
            generous = min(-(-pages // _GROW_PAGES) * _GROW_PAGES, self._memory.max_pages)
            if not any(map(self._memory.grow_to, (max(generous, pages), pages))):
                return None
        place = len(self._free)
        # One step.
        self._free += ((self._end, size),)
        self._end = end
        return place

    def _merge_kept(self) -> bool:
        """Move all kept blocks to the free list, merged; return True if there were any."""
        kept = [(offset, size) for size, offsets in self._kept.items() for offset in offsets]
        if not kept:
            return False
        free: list[tuple[int, int]] = []
        for offset, size in sorted([*self._free, *kept]):
            if free and sum(free[-1]) == offset:
                free[-1] = (free[-1][0], free[-1][1] + size)
            else:
                free.append((offset, size))
        end = free.pop()[0] if sum(free[-1]) == self._end else self._end
        # One step.
        self._free, self._end = free, end
        self._kept, self._kept_bytes = {}, 0
        return True

    def _return_to_system(self) -> None:
        """Return the pages of freed blocks to the operating system if they add up to many bytes."""
        if self._kept_bytes > _MOST_KEPT and self._merge_kept():
            for offset, size in [*self._free, (self._end, self.reserved - self._end)]:
                self._memory.discard(offset, size)
