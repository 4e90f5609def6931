"""Operations on each element: `vecadd` and `gelu`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from flashwasm.kernel_table import GELU, GELU_TANH, STATUS_OK, VECADD
from flashwasm.ops.rowwise import run_rowwise
from flashwasm.runtime.default_runtime import checked_runtime
from flashwasm.runtime.kernel_calls import run_at_once
from flashwasm.runtime.tasks import most_in_one_call
from flashwasm.validation import broadcast, choice, floats

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

    from flashwasm.runtime.runtime import Runtime

    Array = NDArray[Any]


def vecadd(
    a: ArrayLike,
    b: ArrayLike,
    *,
    out: NDArray[np.float32] | None = None,
    runtime: Runtime | None = None,
    timeout: float | None = None,
) -> NDArray[np.float32]:
    """Add two arrays element by element.

    Parameters
    ----------
    a, b : array_like of float
        Arrays whose shapes broadcast together.
    out : numpy.ndarray of float32, optional
        Array of the result's shape to write to; may be ``a`` or ``b``. None means a new array.
    runtime : Runtime, optional
        Runtime to use. None means the default runtime.
    timeout : float, optional
        Maximum duration of the call in seconds. None means the runtime's timeout.

    Returns
    -------
    numpy.ndarray of float32

    Raises
    ------
    ShapeError, DTypeError, OutOfMemoryError, DeadlineExceeded, Cancelled, ClosedError

    Examples
    --------
    >>> import numpy as np
    >>> import flashwasm as fw
    >>> fw.vecadd(np.array([1, 2], np.float32), np.array([10, 20], np.float32)).tolist()
    [11.0, 22.0]
    """
    if out is not None and timeout is None and _added_at_once(runtime, a, b, out):
        return out
    left, right = floats(a, "a"), floats(b, "b")
    shape = left.shape
    if shape != right.shape:
        shape = broadcast({"a": left.shape, "b": right.shape})
        left, right = np.broadcast_to(left, shape), np.broadcast_to(right, shape)
    return run_rowwise(
        VECADD,
        (left, right),
        shape=shape,
        axes=len(shape),
        out=out,
        runtime=runtime,
        timeout=timeout,
    )


def gelu(
    x: ArrayLike,
    approximate: Literal["none", "tanh"] = "none",
    *,
    out: NDArray[np.float32] | None = None,
    runtime: Runtime | None = None,
    timeout: float | None = None,
) -> NDArray[np.float32]:
    """Apply the Gaussian error linear unit to each element.

    Parameters
    ----------
    x : array_like of float
        Array of any shape.
    approximate : {"none", "tanh"}, default "none"
        Formula: ``x * Phi(x)`` with the normal distribution function Phi, or its approximation by
        tanh.
    out : numpy.ndarray of float32, optional
        Array of the result's shape to write to; may be ``x``. None means a new array.
    runtime : Runtime, optional
        Runtime to use. None means the default runtime.
    timeout : float, optional
        Maximum duration of the call in seconds. None means the runtime's timeout.

    Returns
    -------
    numpy.ndarray of float32
        Array of the shape of ``x``. Minus infinity gives NaN, because the formula multiplies -inf
        by 0.

    Raises
    ------
    ShapeError, DTypeError, OutOfMemoryError, DeadlineExceeded, Cancelled, ClosedError

    Notes
    -----
    Hendrycks & Gimpel, "Gaussian Error Linear Units", 2016; ONNX's Gelu-20.

    Examples
    --------
    >>> import numpy as np
    >>> import flashwasm as fw
    >>> fw.gelu(np.array([-1, 0, 1], np.float32)).round(4).tolist()
    [-0.15870000422000885, 0.0, 0.8413000106811523]
    """
    choice(approximate, "approximate", ("none", "tanh"))
    array = floats(x, "x")
    return run_rowwise(
        GELU if approximate == "none" else GELU_TANH,
        (array,),
        shape=array.shape,
        axes=array.ndim,
        out=out,
        runtime=runtime,
        timeout=timeout,
    )


def _added_at_once(runtime: Runtime | None, a: Any, b: Any, out: Array) -> bool:
    """Add small resident arrays without a launch; return False without adding any others."""
    rt = checked_runtime(runtime)
    offsets = rt.arena.whole_arrays((a, b, out))
    if offsets is None or rt.timeout is not None or not out.flags.writeable:
        return False
    shape, n = out.shape, out.size
    if n > most_in_one_call(rt.threads) or a.shape != shape or b.shape != shape:
        return False
    return run_at_once(rt, VECADD, (*offsets, n)) == STATUS_OK
