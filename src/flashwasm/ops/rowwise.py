"""Row-wise operations: they place operands, run a kernel and return the result.

A kernel is row-wise if each row of its result depends only on the same row of its operands, and on
parameters that all rows share. A row may be a single element.
"""

from __future__ import annotations

import math
from functools import lru_cache, partial
from typing import TYPE_CHECKING, Any

from flashwasm.errors import OutOfMemoryError
from flashwasm.host.workers import check_status
from flashwasm.ops.long_rows import run_long_rows
from flashwasm.runtime.deadline import checker, deadline
from flashwasm.runtime.default_runtime import checked_runtime
from flashwasm.runtime.kernel_calls import run_at_once
from flashwasm.runtime.launch import Launch
from flashwasm.runtime.splitting import in_parts
from flashwasm.runtime.tasks import counted_columns, most_in_one_call, row_tasks
from flashwasm.runtime.work_limits import MOST_ELEMENTS
from flashwasm.validation import checked_out

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from flashwasm.kernel_table import Kernel
    from flashwasm.runtime.runtime import Runtime
    from flashwasm.runtime.splitting import Part

    Array = NDArray[Any]


def run_rowwise(
    kernel: Kernel,
    operands: tuple[Array, ...],
    shared: tuple[Array | None, ...] = (),
    sizes: tuple[float, ...] = (),
    *,
    shape: tuple[int, ...],
    axes: int,
    out: Array | None,
    runtime: Runtime | None,
    timeout: float | None,
) -> Array:
    """Run a row-wise kernel, whose arguments are ``(*operands, *shared, out, rows, *sizes)``.

    Small resident arrays are passed to the kernel directly. Other arrays are copied if necessary,
    split if linear memory is too small, and cut into tasks for all threads.

    Parameters
    ----------
    kernel : Kernel
        The kernel.
    operands : tuple of numpy.ndarray
        Arrays of floats whose first ``axes`` axes are those of the result. The kernel may write a
        row of the result over the same row of an operand.
    shared : tuple of numpy.ndarray or None
        Parameters that all rows share. None means a parameter that is absent; its address is 0.
    sizes : tuple of float
        The kernel's arguments after the number of rows.
    shape : tuple of int
        Shape of the result.
    axes : int
        Number of leading axes that count rows; the remaining axes form a row.
    out : numpy.ndarray of float32, optional
        Array to write the result to. This function checks it. None means a new array.
    runtime : Runtime, optional
        The runtime to use. None means the default runtime.
    timeout : float, optional
        Maximum duration of the call in seconds. None means the runtime's timeout.
    """
    rt = checked_runtime(runtime)
    # A resident array is a view and has a base. An array that owns its memory has none.
    if operands[0].base is not None and timeout is None and rt.timeout is None:
        result = _run_resident(rt, kernel, operands, shared, sizes, shape, axes, out)
        if result is not None:
            return result
    checked_out(out, shape)
    until = deadline(rt, timeout)
    compute = partial(_compute, rt, until, kernel, shared, sizes, shape[axes:], axes)
    return in_parts(compute, operands, shape, axes, out, checker(rt, until))


def _run_resident(
    rt: Runtime,
    kernel: Kernel,
    operands: tuple[Array, ...],
    shared: tuple[Array | None, ...],
    sizes: tuple[float, ...],
    shape: tuple[int, ...],
    axes: int,
    out: Array | None,
) -> Array | None:
    """Run the kernel with a single call, without a launch, and return the result.

    Return None without computing anything unless the result is small and all arrays are whole
    resident arrays (not views).
    """
    arrays = (*operands, *shared) if out is None else (*operands, *shared, out)
    rows, counted = _work(shape, axes)
    offsets = rt.arena.whole_arrays(arrays) if counted <= most_in_one_call(rt.threads) else None
    if offsets is None:
        return None
    if out is None:
        try:
            out, offset = rt.arena.array(shape)
        except OutOfMemoryError:
            return None
        offsets.append(offset)
    elif out.shape != shape or not out.flags.writeable:
        return None
    status = run_at_once(rt, kernel, (*offsets, rows, *sizes))
    if status:
        check_status(kernel, status)
    return out


@lru_cache(maxsize=256)
def _work(shape: tuple[int, ...], axes: int) -> tuple[int, int]:
    """Return the rows that a kernel has to compute, and the elements that they count as."""
    count = math.prod(shape[:axes])
    return count if math.prod(shape) else 0, count * counted_columns(shape[axes:])


def _compute(
    rt: Runtime,
    timeout: float | None,
    kernel: Kernel,
    shared: tuple[Array | None, ...],
    sizes: tuple[float, ...],
    row: tuple[int, ...],
    axes: int,
    part: Part,
) -> Array:
    """Run the kernel on the rows of a part; each row has the shape ``row``."""
    operands, out = part
    shape = operands[0].shape[:axes] + row
    # A result without elements is passed as zero rows, because its number of rows could overflow
    # the kernel's integer.
    rows, columns = 0 if 0 in shape else math.prod(shape[:axes]), math.prod(row)
    launch = Launch(rt, timeout)
    with launch.lock, launch:
        at = [launch.place(x) for x in operands]
        fixed = [0 if x is None else launch.place(x) for x in shared] if shared else ()
        to = launch.place_result(shape, out, in_place=True)
        if columns > MOST_ELEMENTS and rows:
            run_long_rows(launch, kernel, (*at, *fixed, to), rows, sizes)
            return launch.finish()
        counted = counted_columns(row)
        if rows * counted <= most_in_one_call(rt.threads):
            launch.run_once(kernel, (*at, *fixed, to, rows, *sizes))
            return launch.finish()
        # Bytes from one row to the next, in each of the operands.
        steps = [4 * math.prod(x.shape[axes:]) for x in operands]
        tasks = (
            [
                (
                    *(a + i * step for a, step in zip(at, steps, strict=True)),
                    *fixed,
                    to + 4 * i * columns,
                    n,
                    *sizes,
                )
            ]
            for i, n in row_tasks(rows, counted, rt.threads)
        )
        launch.run_tasks(kernel, tasks)
        return launch.finish()
