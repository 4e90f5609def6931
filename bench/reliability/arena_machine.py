"""The arena compared with a model: the list of its allocated blocks, and the holes between them."""

from __future__ import annotations

import gc
import itertools
from typing import TYPE_CHECKING, Any

import numpy as np
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from bench.reliability.arena_audit import audit, whole
from flashwasm.errors import OutOfMemoryError, ShapeError
from flashwasm.host.shared_memory import PAGE_BYTES, SharedMemory
from flashwasm.runtime.arena import ALIGNMENT, Arena
from flashwasm.search.growable_array import GrowableArray

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Array = NDArray[Any]

_BEGIN, _MOST_PAGES = 100, 2400
_FIRST = whole(_BEGIN)
_MIB = 1 << 20
# Sizes near a cache line, a page and a growth of memory, large sizes that soon fill the arena, and
# arbitrary sizes.
_SIZES = st.one_of(
    st.sampled_from([0, 1, 64, 65, PAGE_BYTES - 1, PAGE_BYTES + 1, _MIB]),
    st.sampled_from([16 * _MIB, 40 * _MIB, 70 * _MIB]),
    st.integers(0, 90 * _MIB),
)
_MARKED = 32


class _GrowthFails(SharedMemory):
    """A memory that refuses to grow while ``refuses`` is True, as if the system had no memory."""

    refuses = False

    def grow_to(self, pages: int) -> bool:
        """Grow as `SharedMemory` does, or return False."""
        return pages <= self.pages or (not self.refuses and super().grow_to(pages))


class ArenaMachine(RuleBasedStateMachine):
    """An arena of 150 MiB with changing blocks, and a model that lists the allocated ones.

    A request must succeed if and only if a hole between allocated blocks is large enough. The
    contents of a block must not change while it is allocated.
    """

    def __init__(self) -> None:
        super().__init__()
        self.memory = _GrowthFails(1, _MOST_PAGES)
        self.arena = Arena(self.memory, _BEGIN)
        # Lists of blocks that `allocate` filled, and arrays: each with a mark of its contents.
        self.owners: list[tuple[list[tuple[int, int]], int]] = []
        self.arrays: list[tuple[Array, int]] = []
        self.grown = GrowableArray(self.arena, (3,), np.int32)
        self.rows = 0
        self.marks = itertools.count(1)

    def held(self) -> list[tuple[int, int]]:
        """Return offset and whole size of the allocated blocks, in order."""
        blocks = [block for owner, _ in self.owners for block in owner]
        arrays = [array for array, _ in self.arrays]
        arrays += [self.grown.all] if self.rows else []
        blocks += [(self.arena.offset_of(array), array.nbytes) for array in arrays]  # type: ignore[misc] # all lie in the arena.
        return sorted((offset, whole(size)) for offset, size in blocks)

    def largest_hole(self) -> int:
        """Return the size of the largest hole between blocks."""
        pages = self.memory.pages if self.memory.refuses else _MOST_PAGES
        ends = [_FIRST, *(offset + size for offset, size in self.held())]
        begins = [*(offset for offset, _ in self.held()), pages * PAGE_BYTES]
        return max(begin - end for end, begin in zip(ends, begins, strict=True))

    def mark(self, offset: int, size: int, mark: int) -> None:
        """Write a mark to both ends of a block."""
        n = min(size, _MARKED)
        for at in (offset, offset + size - n):
            np.ndarray((n,), np.uint8, self.arena.content, at)[:] = mark % 251

    def is_marked(self, offset: int, size: int, mark: int) -> bool:
        """Return True if both ends of a block still have their mark."""
        n = min(size, _MARKED)
        ends = [
            np.ndarray((n,), np.uint8, self.arena.content, at) for at in (offset, offset + size - n)
        ]
        return all(bool((end == mark % 251).all()) for end in ends)

    @rule(sizes=st.lists(_SIZES, min_size=1, max_size=4))
    def allocate(self, sizes: list[int]) -> None:
        """Allocate blocks for one owner, until one does not fit."""
        owner: list[tuple[int, int]] = []
        mark = next(self.marks)
        self.owners.append((owner, mark))
        for size in sizes:
            fits, before = self.largest_hole() >= whole(size), self.arena.in_use
            try:
                offset = self.arena.allocate(size, owner)
            except OutOfMemoryError as error:
                assert not fits, f"{size} bytes would fit"
                assert error.requested == whole(size)
                assert self.arena.in_use == before == error.in_use - self.arena.own
                return
            assert fits
            assert owner[-1] == (offset, size)
            self.mark(offset, size, mark)

    @precondition(lambda self: self.owners)
    @rule(data=st.data())
    def release(self, data: st.DataObject) -> None:
        """Release all blocks of an owner."""
        owner, mark = self.owners.pop(data.draw(st.integers(0, len(self.owners) - 1)))
        assert all(self.is_marked(offset, size, mark) for offset, size in owner)
        self.arena.release(owner)
        assert not owner

    @rule(size=_SIZES, dtype=st.sampled_from(["u1", "i2", "f4", "f8"]))
    def make_array(self, size: int, dtype: str) -> None:
        """Create an array, which owns its block."""
        kind = np.dtype(dtype)
        shape = (size // kind.itemsize,)
        nbytes = shape[0] * kind.itemsize
        fits = self.largest_hole() >= whole(nbytes)
        try:
            array, offset = self.arena.array(shape, kind)
        except OutOfMemoryError:
            assert not fits
            return
        assert fits
        assert self.arena.offset_of(array) == offset
        assert self.arena.whole_arrays([array], kind) == [offset]
        mark = next(self.marks)
        self.mark(offset, nbytes, mark)
        self.arrays.append((array, mark))

    @precondition(lambda self: self.arrays)
    @rule(data=st.data(), viewed=st.booleans())
    def drop_array(self, data: st.DataObject, viewed: bool) -> None:
        """Drop an array; a view of it keeps its block for a while."""
        array, mark = self.arrays.pop(data.draw(st.integers(0, len(self.arrays) - 1)))
        offset = self.arena.offset_of(array)
        assert offset is not None
        assert self.is_marked(offset, array.nbytes, mark)
        size = whole(array.nbytes)
        if viewed and array.size:
            view = array[::2]
            del array
            self.arena.settle()
            assert view.base is not None
            assert self.arena.in_use == sum(size for _, size in self.held()) + size

    @rule()
    def refuse_a_shape(self) -> None:
        """Request an empty array with axes that NumPy refuses: its block is freed."""
        try:
            self.arena.array((0, 1 << 62, 1 << 62))
        except (ShapeError, OutOfMemoryError):
            return
        raise AssertionError("NumPy accepts such a shape")

    @rule(rows=st.integers(1, 3 * _MIB))
    def resize(self, rows: int) -> None:
        """Resize a growing array; its rows stay, even if there is not enough room."""
        before = self.rows
        if self.rows:
            self.grown.all[0], self.grown.all[self.rows - 1] = 7, 9
        try:
            self.grown.reserve(rows)
        except OutOfMemoryError:
            assert self.rows == len(self.grown.all)
        else:
            assert len(self.grown.all) >= rows
        self.rows = len(self.grown.all)
        if before:
            assert self.grown.all[before - 1].tolist() == [9] * 3
            assert before == 1 or self.grown.all[0].tolist() == [7] * 3
        if self.rows:
            assert self.grown.address == self.arena.offset_of(self.grown.all)

    @rule(refuses=st.booleans())
    def let_growth_fail(self, refuses: bool) -> None:
        """Make the system refuse more memory from now on, or grant it again."""
        self.memory.refuses = refuses

    @invariant()
    def is_accounted_for(self) -> None:
        """Compare the arena's own account with the model."""
        blocks = [block for owner, _ in self.owners for block in owner]
        audit(self.arena, _FIRST, blocks)
        held = self.held()
        assert all(offset % ALIGNMENT == 0 for offset, _ in held)
        assert self.arena.in_use == sum(size for _, size in held)
        assert self.arena.in_use <= self.arena.peak
        assert self.arena.reserved <= _MOST_PAGES * PAGE_BYTES

    def teardown(self) -> None:
        """Release everything: then one block of the whole arena's size must fit."""
        while self.arrays:
            array, mark = self.arrays.pop()
            offset = self.arena.offset_of(array)
            assert offset is not None
            assert self.is_marked(offset, array.nbytes, mark)
            del array
        for owner, _ in self.owners:
            self.arena.release(owner)
        self.owners.clear()
        self.grown = GrowableArray(self.arena, (3,), np.int32)
        gc.collect()
        self.arena.settle()
        assert self.arena.in_use == 0
        self.memory.refuses = False
        everything: list[tuple[int, int]] = []
        assert self.arena.allocate(_MOST_PAGES * PAGE_BYTES - _FIRST, everything) == _FIRST
        self.arena.release(everything)
