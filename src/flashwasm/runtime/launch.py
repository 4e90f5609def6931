"""One operation in a runtime: where its operands lie, and the calls that it makes."""

from __future__ import annotations

import math
from time import monotonic, perf_counter
from typing import TYPE_CHECKING, Any

import numpy as np

from flashwasm.errors import ClosedError, DeadlineExceeded
from flashwasm.host.workers import check_status
from flashwasm.validation import seconds

if TYPE_CHECKING:
    from collections.abc import Sequence
    from types import TracebackType

    from numpy.typing import DTypeLike, NDArray

    from flashwasm.host.workers import Task
    from flashwasm.kernel_table import Kernel
    from flashwasm.runtime.runtime import Runtime

    Array = NDArray[Any]

_FLOAT32 = np.dtype(np.float32)


class Deadline(float):
    """When a call has to end, by ``monotonic``; taken wherever seconds from now are."""


def deadline(runtime: Runtime, timeout: float | None) -> Deadline | None:
    """Return when a call that begins now has to end: all of it, where it has several operations."""
    if isinstance(timeout, Deadline):
        return timeout
    limit = runtime.timeout if timeout is None else seconds(timeout, "timeout")
    return None if limit is None else Deadline(monotonic() + limit)


class Launch:
    """One operation in a runtime: holds its lock, its deadline and its temporary blocks.

    Parameters
    ----------
    runtime : Runtime
        Where to run.
    timeout : float, optional
        Seconds from now, or a `Deadline`; None means the runtime's own seconds.
    """

    # Whether every input so far lies in linear memory.
    all_resident = True
    _result: Array | None = None
    _pending: Array | None = None  # The result, where it is still to be copied out.

    def __init__(self, runtime: Runtime, timeout: float | None) -> None:
        self.runtime = runtime
        self._blocks: list[tuple[int, int]] = []
        # The inputs that are read in place, and where they begin.
        self._residents: list[tuple[Array, int]] = []
        self._sums: list[tuple[Array, Array]] = []
        self._deadline = deadline(runtime, timeout)

    def __enter__(self) -> Launch:
        runtime = self.runtime
        if self._deadline is None:
            runtime.lock.acquire()
        elif not runtime.lock.acquire(timeout=max(self._deadline - monotonic(), 0)):
            message = "another call held the runtime until the timeout"
            raise DeadlineExceeded(message)
        if runtime.closed_because:
            runtime.lock.release()
            raise ClosedError(runtime.closed_because)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        try:
            if kind is not None:
                # Memory that a helper may still write to must not go to anyone else.
                self.runtime.workers.settle()
            for offset, size in self._blocks:
                self.runtime.arena.release(offset, size)
        finally:
            self.runtime.lock.release()

    def scratch(self, shape: tuple[int, ...], dtype: DTypeLike = np.float32) -> tuple[int, Array]:
        """Return the address and an array of memory that lasts as long as this operation."""
        size = math.prod(shape) * np.dtype(dtype).itemsize
        offset = self.runtime.arena.allocate(size)
        self._blocks.append((offset, size))
        return offset, self.runtime.arena.view(offset, shape, dtype)

    def place(self, x: Array, dtype: np.dtype[Any] = _FLOAT32) -> int:
        """Return the address of ``x``, contiguous and of ``dtype``, copied only if need be."""
        arena = self.runtime.arena
        # The quick way in: a whole array of linear memory is contiguous.
        block = arena.blocks.get(id(x))
        if block is not None and x.dtype is dtype and block() is x:
            offset: int | None = block.offset
            self._residents.append((x, block.offset))
            return block.offset
        offset = arena.offset_of(x)
        if offset is None:
            self.all_resident = False
        elif x.dtype == dtype and x.flags.c_contiguous:
            self._residents.append((x, offset))
            return offset
        offset, target = self.scratch(x.shape, dtype)
        self.runtime.copy(target, x)
        return offset

    def place_strided(self, x: Array) -> tuple[int, tuple[int, ...]]:
        """Return address and strides, in elements, of float32 ``x``, copied only if need be.

        Any strides are kept where ``x`` lies in linear memory; a copy is contiguous, with the last
        two axes in the order in which they lie.
        """
        offset = self.runtime.arena.offset_of(x)
        if offset is not None and x.dtype == _FLOAT32 and x.flags.aligned:
            self._residents.append((x, offset))
            return offset, tuple([s // 4 for s in x.strides])
        swapped = x.swapaxes(-1, -2)
        if swapped.flags.c_contiguous and not x.flags.c_contiguous:
            address = self.place(swapped)
            *others, row, column = _contiguous_strides(swapped.shape)
            return address, (*others, column, row)
        return self.place(x), _contiguous_strides(x.shape)

    def place_rows(self, x: Array) -> tuple[int, tuple[int, ...]]:
        """Return the address and the strides, in elements, of float32 rows that are contiguous."""
        address, strides = self.place_strided(x)
        if strides[-1] == 1 or x.shape[-1] <= 1:
            return address, strides
        offset, target = self.scratch(x.shape)
        self.runtime.copy(target, x)
        return offset, _contiguous_strides(x.shape)

    def place_parameter(self, x: Array, dtype: np.dtype[Any] = _FLOAT32) -> int:
        """Put a small operand, which does not decide where the result lies."""
        resident = self.all_resident
        address = self.place(x, dtype)
        self.all_resident = resident
        return address

    def place_sums(self, x: Array) -> tuple[int, tuple[int, ...]]:
        """Return address and strides of float32 rows that the kernel adds to.

        What had to be copied is copied back by `copy_sums_back`.
        """
        if self.runtime.arena.offset_of(x) is not None:
            return self.place_rows(x)
        offset, copy = self.scratch(x.shape)
        self.runtime.copy(copy, x)
        self._sums.append((x, copy))
        return offset, _contiguous_strides(x.shape)

    def copy_sums_back(self) -> None:
        """Copy back what `place_sums` copied."""
        for x, copy in self._sums:
            self.runtime.copy(x, copy)

    def place_result(
        self, shape: tuple[int, ...], out: Array | None, *, in_place: bool = False
    ) -> int:
        """Return the address to write the float32 result to; call it when all inputs are put.

        The result stays in linear memory where all inputs lie there. ``in_place`` says that the
        kernel may write over an input that begins at the same address, so also over its copy.
        """
        arena = self.runtime.arena
        if out is None and self.all_resident:
            self._result, offset = arena.array(shape)
            return offset
        self._result = out
        if out is not None and out.flags.c_contiguous:
            found = arena.offset_of(out)
            if found is not None and not self._would_clobber(found, out.nbytes, in_place=in_place):
                return found
        if in_place:
            size = 4 * math.prod(shape)
            for offset, length in self._blocks:
                if length == size:
                    self._pending = arena.view(offset, shape)
                    return offset
        offset, self._pending = self.scratch(shape)
        return offset

    def finish(self) -> Array:
        """Return the result, copied out of linear memory where it belongs elsewhere."""
        if self._pending is not None:
            if self._result is None:
                self._result = np.empty(self._pending.shape, np.float32)
            self.runtime.copy(self._result, self._pending)
        assert self._result is not None  # noqa: S101 - place_result() was called.
        return self._result

    def _would_clobber(self, offset: int, size: int, *, in_place: bool) -> bool:
        """Return whether writing there would change an input before it is read."""
        end = offset + size
        for x, begin in self._residents:
            first, last = begin, begin + x.nbytes
            if not x.flags.c_contiguous:
                bounds = np.lib.array_utils.byte_bounds(x)
                first, last = (at - self.runtime.arena.address for at in bounds)
            if first >= end or last <= offset or not x.size:
                continue
            if not in_place or first != offset or last != end:
                return True
        return False

    @property
    def threads(self) -> int:
        """Workers that tasks may be spread over."""
        return self.runtime.threads

    def run_once(self, kernel: Kernel, arguments: Sequence[float]) -> None:
        """Call a kernel once on the calling thread."""
        if self._deadline is not None:
            self.check_deadline()
        check_status(kernel, _timed_call(self.runtime, kernel, arguments))

    def run_tasks(self, kernel: Kernel, tasks: Sequence[Task]) -> None:
        """Run a kernel's tasks on all workers; the order in which they end does not matter."""
        if len(tasks) == 1 and len(tasks[0]) == 1:
            self.run_once(kernel, *tasks[0])
            return
        runtime = self.runtime
        start = perf_counter()
        try:
            runtime.workers.run(kernel, tasks, self._deadline)
        finally:
            runtime.kernel_seconds += perf_counter() - start
            runtime.calls += sum(len(task) for task in tasks)

    def check_deadline(self) -> None:
        """Raise where the time is up."""
        if self._deadline is not None and monotonic() > self._deadline:
            message = "the operation did not finish within its timeout"
            raise DeadlineExceeded(message)


def run_at_once(runtime: Runtime, kernel: Kernel, arguments: tuple[float, ...]) -> int:
    """Call a kernel whose operands are known to lie in linear memory; return its status."""
    with runtime.lock:
        if runtime.closed_because:
            raise ClosedError(runtime.closed_because)
        return _timed_call(runtime, kernel, arguments)


def _timed_call(runtime: Runtime, kernel: Kernel, arguments: Sequence[float]) -> int:
    start = perf_counter()
    status = runtime.kernel_calls[kernel](arguments)
    runtime.kernel_seconds += perf_counter() - start
    runtime.calls += 1
    return status


def _contiguous_strides(shape: tuple[int, ...]) -> tuple[int, ...]:
    """Return the strides, in elements, of a C-contiguous array."""
    strides = [1] * len(shape)
    for axis in range(len(shape) - 2, -1, -1):
        strides[axis] = strides[axis + 1] * shape[axis + 1]
    return tuple(strides)
