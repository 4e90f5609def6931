"""A launch: one use of a runtime, from placing operands in linear memory to the result."""

from __future__ import annotations

import math
from time import perf_counter
from typing import TYPE_CHECKING, Any

import numpy as np

from flashwasm.errors import ClosedError
from flashwasm.host.workers import check_status
from flashwasm.runtime.deadline import check_time, deadline
from flashwasm.runtime.kernel_calls import end_launches, timed_call
from flashwasm.runtime.locks import held, owns

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from contextlib import AbstractContextManager
    from types import TracebackType

    from numpy.typing import DTypeLike, NDArray

    from flashwasm.host.workers import Task
    from flashwasm.kernel_table import Kernel
    from flashwasm.runtime.runtime import Runtime

    Array = NDArray[Any]

_FLOAT32 = np.dtype(np.float32)


class Launch:
    """One use of a runtime: a context manager that owns temporary memory.

    The caller holds the runtime's lock during the launch. It places the operands in linear memory,
    then the result, and then runs kernels; ``finish`` returns the result. For example, this
    computes ``y = f(x)`` with a kernel of signature (x, y, count)::

        launch = Launch(runtime, timeout)
        with launch.lock, launch:
            source = launch.place(x)
            to = launch.place_result(x.shape, None)
            launch.run_once(kernel, (source, to, x.size))
            return launch.finish()

    Parameters
    ----------
    runtime : Runtime
        The runtime to use.
    timeout : float, optional
        Seconds from now, or a `Deadline`. None means the runtime's timeout.
    """

    # True if all operands placed so far are resident. The result then stays in linear memory too.
    all_resident = True
    # Arrays to which the kernel adds, each with its copy in temporary memory.
    _sums: tuple[tuple[Array, Array], ...] = ()
    # The result, if the kernel writes directly to it.
    _result: Array
    # The result in temporary memory, if it must still be copied out, and the array to copy it to.
    _pending: Array | None = None
    _out: Array | None = None
    _outermost = True
    # Number of launches around this one.
    _depth = 0

    def __init__(self, runtime: Runtime, timeout: float | None) -> None:
        self.runtime = runtime
        # Offset and size of each temporary block.
        self.blocks: list[tuple[int, int]] = []
        # The operands that are read in place, and their offsets.
        self._residents: list[tuple[Array, int]] = []
        if timeout is None and runtime.timeout is None:
            self._deadline, self._cancellations = math.inf, runtime.cancellations
        else:
            until = deadline(runtime, timeout)
            self._deadline, self._cancellations = float(until), until.cancellations

    @property
    def lock(self) -> AbstractContextManager[object]:
        """Context in which only this thread uses the runtime.

        A signal handler can raise an exception before the first statement of any ``__exit__`` that
        is written in Python. The lock is safe because it is written in C.
        """
        lock = self.runtime.lock
        # A launch may begin within another one, on the same thread, which need not wait then.
        self._outermost = not owns(lock)
        return held(lock, self._deadline) if self._outermost else lock

    def __enter__(self) -> Launch:
        runtime = self.runtime
        if runtime.closed_because:
            raise ClosedError(runtime.closed_because)
        if self._outermost and runtime.temporary:
            end_launches(runtime, 0)
        self.check()
        self._depth = len(runtime.temporary)
        runtime.temporary += (self.blocks,)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        runtime = self.runtime
        if kind is None and not self.blocks and runtime.temporary[-1] is self.blocks:
            del runtime.temporary[-1]
        else:
            end_launches(runtime, self._depth)

    def scratch(self, shape: tuple[int, ...], dtype: DTypeLike = np.float32) -> tuple[int, Array]:
        """Return the address and the array of temporary memory, which this launch releases."""
        arena = self.runtime.arena
        kind = np.dtype(dtype)
        size = math.prod(shape) * kind.itemsize
        offset = arena.allocate(size, self.blocks)
        return offset, np.ndarray(shape, kind, arena.content, offset)

    def copy(self, target: Array, source: Array) -> None:
        """Copy source to target, and check the deadline meanwhile."""
        self.runtime.copy(target, source, self.check)

    def place(self, x: Array, dtype: np.dtype[Any] = _FLOAT32) -> int:
        """Return the address of the elements of ``x`` as a contiguous array of ``dtype``.

        A resident array that is contiguous and has this dtype is used in place. Any other array is
        copied.
        """
        arena = self.runtime.arena
        # The most frequent case comes first: a whole array from the arena is contiguous.
        block = arena.blocks.get(id(x))
        if block is not None and x.dtype is dtype and block() is x:
            self._residents.append((x, block.offset))
            return block.offset
        # An array without a base owns its memory, so it is not resident.
        offset = None if x.base is None else arena.offset_of(x)
        if offset is None:
            self.all_resident = False
        elif x.dtype == dtype and x.flags.c_contiguous:
            self._residents.append((x, offset))
            return offset
        offset, target = self.scratch(x.shape, dtype)
        self.copy(target, x)
        return offset

    def place_parameter(self, x: Array, dtype: np.dtype[Any] = _FLOAT32) -> int:
        """Return the address of a small operand, which does not affect the place of the result.

        A result stays in linear memory if all operands lie there. Small operands, such as the ids
        of `embedding`, should not cause the result to be copied out.
        """
        resident = self.all_resident
        address = self.place(x, dtype)
        self.all_resident = resident
        return address

    def place_strided(self, x: Array) -> tuple[int, tuple[int, ...]]:
        """Return the address and the strides, in elements, of float32 ``x``.

        A resident array is used in place, with any strides. Any other array is copied, and the copy
        is contiguous. If ``x`` is a transposed view, the last two axes of the copy are swapped too.
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
        """Return the address and the strides, in elements, of float32 ``x`` with contiguous rows.

        Rows lie along the last axis; the other axes may have any strides.
        """
        address, strides = self.place_strided(x)
        if strides[-1] == 1 or x.shape[-1] <= 1:
            return address, strides
        offset, target = self.scratch(x.shape)
        self.copy(target, x)
        return offset, _contiguous_strides(x.shape)

    def place_sums(self, x: Array) -> tuple[int, tuple[int, ...]]:
        """Return the address and the strides of float32 rows to which the kernel adds.

        If ``x`` had to be copied, `copy_sums_back` copies the sums back to it.
        """
        if self.runtime.arena.offset_of(x) is not None:
            return self.place_rows(x)
        offset, copy = self.scratch(x.shape)
        self.copy(copy, x)
        self._sums = (*self._sums, (x, copy))
        return offset, _contiguous_strides(x.shape)

    def copy_sums_back(self) -> None:
        """Copy the sums to the arrays that `place_sums` had to copy."""
        for x, copy in self._sums:
            self.copy(x, copy)

    def place_result(
        self, shape: tuple[int, ...], out: Array | None, *, in_place: bool = False
    ) -> int:
        """Return the address for the float32 result. Call it after placing all operands.

        Parameters
        ----------
        shape : tuple of int
            Shape of the result.
        out : numpy.ndarray of float32, optional
            The array to write the result to. None means a new array, which stays in linear memory
            if all operands lie there.
        in_place : bool, default False
            True if the kernel may write its result over an operand of the same size. The result
            then replaces the temporary copy of such an operand.
        """
        arena = self.runtime.arena
        if out is None and self.all_resident:
            self._result, offset = arena.array(shape)
            return offset
        if out is not None and out.flags.c_contiguous:
            found = arena.offset_of(out)
            if found is not None and not self._would_clobber(found, out.nbytes, in_place=in_place):
                self._result = out
                return found
        self._out = out
        if in_place:
            size = 4 * math.prod(shape)
            for offset, length in self.blocks:
                if length == size:
                    self._pending = arena.view(offset, shape)
                    return offset
        offset, self._pending = self.scratch(shape)
        return offset

    def finish(self) -> Array:
        """Return the result; copy it out if it lies in temporary memory."""
        if self._pending is None:
            return self._result
        result = np.empty(self._pending.shape, np.float32) if self._out is None else self._out
        self.copy(result, self._pending)
        self.check()
        return result

    def _would_clobber(self, offset: int, size: int, *, in_place: bool) -> bool:
        """Return True if a result at this offset would overwrite an operand before it is read."""
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
        """Number of threads that may run tasks."""
        return self.runtime.threads

    def run_once(self, kernel: Kernel, arguments: Sequence[float]) -> None:
        """Call a kernel once, on the calling thread."""
        self.check(kernel.operation)
        status = timed_call(self.runtime, kernel, arguments)
        if status:
            check_status(kernel, status)
        self.check(kernel.operation)

    def run_tasks(self, kernel: Kernel, tasks: Iterable[Task]) -> None:
        """Run a kernel's tasks on all threads, in any order.

        Parameters
        ----------
        kernel : Kernel
            The kernel.
        tasks : iterable of iterable of sequence of float
            The tasks. Each consists of the arguments of its calls, in order. They may be
            generators.
        """
        runtime = self.runtime
        start = perf_counter()
        try:
            runtime.calls += runtime.workers.run(kernel, tasks, self.check)
        finally:
            runtime.kernel_seconds += perf_counter() - start
        self.check(kernel.operation)

    def check(self, operation: str = "the operation") -> None:
        """Raise an error if the call must end.

        Raises
        ------
        DeadlineExceeded
            If the deadline has passed.
        Cancelled
            If `Runtime.cancel` was called since the call began.
        """
        check_time(self.runtime, self._deadline, self._cancellations, operation)


def _contiguous_strides(shape: tuple[int, ...]) -> tuple[int, ...]:
    """Return the strides, in elements, of a C-contiguous array."""
    strides = [1] * len(shape)
    for axis in range(len(shape) - 2, -1, -1):
        strides[axis] = strides[axis + 1] * shape[axis + 1]
    return tuple(strides)
