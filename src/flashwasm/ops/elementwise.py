"""Operations on each element: vecadd and gelu."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from flashwasm import kernels
from flashwasm.arrays import broadcast, checked_out, choice, floats
from flashwasm.parts import in_parts, row_tasks
from flashwasm.runtime import checked_runtime

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

    from flashwasm.kernels import Kernel
    from flashwasm.operation import Operation
    from flashwasm.runtime import Runtime

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
    left, right = floats(a, "a"), floats(b, "b")
    shape = left.shape
    if shape != right.shape:
        shape = broadcast({"a": left.shape, "b": right.shape})
        left, right = np.broadcast_to(left, shape), np.broadcast_to(right, shape)
    checked_out(out, shape)

    def compute(part: slice | None, target: Array | None) -> Array:
        x, y = (left, right) if part is None else (left[part], right[part])
        with rt.operation(timeout) as op:
            from_a, from_b = op.put(x), op.put(y)
            to = op.output(x.shape, target, in_place=True)
            _run_flat(op, kernels.VECADD, (from_a, from_b, to), x.size)
            return op.finish()

    return in_parts(shape, out, compute)


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
    kernel = kernels.GELU if approximate == "none" else kernels.GELU_TANH
    rt = checked_runtime(runtime)
    array = floats(x, "x")
    checked_out(out, array.shape)

    def compute(part: slice | None, target: Array | None) -> Array:
        values = array if part is None else array[part]
        with rt.operation(timeout) as op:
            source = op.put(values)
            to = op.output(values.shape, target, in_place=True)
            _run_flat(op, kernel, (source, to), values.size)
            return op.finish()

    return in_parts(array.shape, out, compute)


def _run_flat(op: Operation, kernel: Kernel, addresses: tuple[int, ...], size: int) -> None:
    """Run a kernel of signature (addresses, n) on elements that may be cut anywhere."""
    tasks = row_tasks(size, 1, op.threads)
    if len(tasks) == 1:
        op.run(kernel, *addresses, size)
        return
    op.run_all(kernel, [[(*(a + 4 * i for a in addresses), n)] for i, n in tasks])
