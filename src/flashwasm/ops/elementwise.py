"""Operations on each element: vecadd and gelu."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from flashwasm import kernel_table
from flashwasm.errors import OutOfMemoryError
from flashwasm.runtime.launch import Launch, deadline, run_at_once
from flashwasm.runtime.runtime import checked_runtime
from flashwasm.runtime.splitting import in_parts, is_one_task, row_tasks
from flashwasm.validation import broadcast, checked_out, choice, floats

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

    from flashwasm.kernel_table import Kernel
    from flashwasm.runtime.runtime import Runtime

    Array = NDArray[Any]


def vecadd(
    a: ArrayLike,
    b: ArrayLike,
    *,
    out: Array | None = None,
    runtime: Runtime | None = None,
    timeout: float | None = None,
) -> Array:
    """Add two arrays element by element.

    Parameters
    ----------
    a, b : array_like of float
        Shapes that broadcast together.
    out : numpy.ndarray of float32, optional
        Where to write; may be ``a`` or ``b``.
    runtime : Runtime, optional
        Where to run.
    timeout : float, optional
        Seconds.

    Returns
    -------
    numpy.ndarray of float32

    Raises
    ------
    ShapeError, DTypeError, OutOfMemoryError, DeadlineExceeded, ClosedError

    Examples
    --------
    >>> import numpy as np
    >>> import flashwasm as fw
    >>> fw.vecadd(np.float32([1, 2]), np.float32([10, 20])).tolist()
    [11.0, 22.0]
    """
    rt = checked_runtime(runtime)
    if out is not None and timeout is None and _added_at_once(rt, a, b, out):
        return out
    left, right = floats(a, "a"), floats(b, "b")
    shape = left.shape
    if shape != right.shape:
        shape = broadcast({"a": left.shape, "b": right.shape})
        left, right = np.broadcast_to(left, shape), np.broadcast_to(right, shape)
    checked_out(out, shape)
    try:
        return _vecadd(left, right, out, rt, timeout)
    except OutOfMemoryError:
        until = deadline(rt, timeout)
        return in_parts(_vecadd, (left, right), shape, len(shape), out, rt, until)


def gelu(
    x: ArrayLike,
    approximate: str = "none",
    *,
    out: Array | None = None,
    runtime: Runtime | None = None,
    timeout: float | None = None,
) -> Array:
    """Gaussian error linear unit of each element.

    Parameters
    ----------
    x : array_like of float
        Any shape.
    approximate : {"none", "tanh"}, default "none"
        x Phi(x), or its approximation by tanh.
    out, runtime, timeout
        As for `vecadd`.

    Returns
    -------
    numpy.ndarray of float32
        The shape of ``x``. Minus infinity gives NaN, as -inf times 0 does.

    Raises
    ------
    ShapeError, DTypeError, OutOfMemoryError, DeadlineExceeded, ClosedError

    Notes
    -----
    Hendrycks & Gimpel, "Gaussian Error Linear Units", 2016; ONNX's Gelu-20.

    Examples
    --------
    >>> import numpy as np
    >>> import flashwasm as fw
    >>> fw.gelu(np.float32([-1, 0, 1])).round(4).tolist()
    [-0.15870000422000885, 0.0, 0.8413000106811523]
    """
    choice(approximate, "approximate", ("none", "tanh"))
    kernel = kernel_table.GELU if approximate == "none" else kernel_table.GELU_TANH
    rt = checked_runtime(runtime)
    array = floats(x, "x")
    checked_out(out, array.shape)
    until = deadline(rt, timeout)
    return in_parts(_gelu, (array,), array.shape, array.ndim, out, rt, until, kernel)


def _added_at_once(rt: Runtime, a: Any, b: Any, out: Array) -> bool:
    """Add small whole arrays of linear memory without further ado; return whether they are that."""
    offsets = rt.arena.whole_arrays((a, b, out))
    if offsets is None or rt.timeout is not None or not out.flags.writeable:
        return False
    shape, n = out.shape, out.size
    if not is_one_task(n, rt.threads) or a.shape != shape or b.shape != shape:
        return False
    return run_at_once(rt, kernel_table.VECADD, (*offsets, n)) == kernel_table.STATUS_OK


def _vecadd(a: Array, b: Array, out: Array | None, rt: Runtime, timeout: float | None) -> Array:
    """Add checked operands of one shape."""
    with Launch(rt, timeout) as op:
        from_a, from_b = op.place(a), op.place(b)
        to = op.place_result(a.shape, out, in_place=True)
        tasks = row_tasks(a.size, 1, op.threads)
        op.run_tasks(
            kernel_table.VECADD,
            [[(from_a + 4 * i, from_b + 4 * i, to + 4 * i, n)] for i, n in tasks],
        )
        return op.finish()


def _gelu(x: Array, out: Array | None, rt: Runtime, timeout: float | None, kernel: Kernel) -> Array:
    """Map checked values."""
    with Launch(rt, timeout) as op:
        source = op.place(x)
        to = op.place_result(x.shape, out, in_place=True)
        tasks = row_tasks(x.size, 1, op.threads)
        op.run_tasks(kernel, [[(source + 4 * i, to + 4 * i, n)] for i, n in tasks])
        return op.finish()
