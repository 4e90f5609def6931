"""Single calls of kernels, and the end of interrupted launches."""

from __future__ import annotations

from time import perf_counter
from typing import TYPE_CHECKING, Any

from flashwasm.errors import ClosedError, OutOfMemoryError
from flashwasm.runtime.locks import owns

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from flashwasm.kernel_table import Kernel
    from flashwasm.runtime.runtime import Runtime

    Array = NDArray[Any]

__all__ = ["end_launches", "resident_result", "run_at_once", "timed_call"]


def run_at_once(runtime: Runtime, kernel: Kernel, arguments: Sequence[float]) -> int:
    """Call a kernel whose operands already lie in linear memory; return its status."""
    outermost = not owns(runtime.lock)
    with runtime.lock:
        if outermost and runtime.temporary:
            end_launches(runtime, 0)
        if runtime.closed_because:
            raise ClosedError(runtime.closed_because)
        return timed_call(runtime, kernel, arguments)


def resident_result(
    runtime: Runtime, offsets: list[int], out: Array | None, shape: tuple[int, ...]
) -> Array | None:
    """Return the array for the result of a single call, or None if the result needs a launch.

    Parameters
    ----------
    runtime : Runtime
        The runtime.
    offsets : list of int
        Offsets of the operands, the last of which is that of ``out``. The offset of a new array is
        appended.
    out : numpy.ndarray, optional
        A resident array to write to. None means a new array.
    shape : tuple of int
        Shape of the result.
    """
    if out is not None:
        overlaps = offsets[-1] in offsets[:-1]
        return None if overlaps or out.shape != shape or not out.flags.writeable else out
    try:
        result, offset = runtime.arena.array(shape)
    except OutOfMemoryError:
        return None
    offsets.append(offset)
    return result


def timed_call(runtime: Runtime, kernel: Kernel, arguments: Sequence[float]) -> int:
    """Call a kernel on the calling thread, and count the call and its time."""
    start = perf_counter()
    status = runtime.kernel_calls[kernel](arguments)
    runtime.kernel_seconds += perf_counter() - start
    runtime.calls += 1
    return status


def end_launches(runtime: Runtime, depth: int) -> None:
    """Release the temporary memory of the innermost launches.

    The caller holds the runtime's lock. Launches that nobody uses any more exist if a signal
    handler raised an exception just before they ended.

    Parameters
    ----------
    runtime : Runtime
        The runtime of the launches.
    depth : int
        Number of launches to keep, counted from the outermost.
    """
    # A helper thread may still write to the blocks. Wait for it before they are reused.
    runtime.workers.settle()
    while len(runtime.temporary) > depth:
        runtime.arena.release(runtime.temporary[-1])
        del runtime.temporary[-1]
