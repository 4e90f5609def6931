"""Operations along an axis: softmax, layer_norm and rms_norm."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np

from flashwasm import kernel_table
from flashwasm.errors import ShapeError
from flashwasm.runtime.launch import Launch, deadline
from flashwasm.runtime.runtime import checked_runtime
from flashwasm.runtime.splitting import in_parts, row_tasks
from flashwasm.validation import axis_index, checked_out, floats, kernel_float, shaped

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import ArrayLike, NDArray

    from flashwasm.kernel_table import Kernel
    from flashwasm.runtime.runtime import Runtime

    Array = NDArray[Any]


def softmax(
    x: ArrayLike,
    axis: int = -1,
    *,
    out: Array | None = None,
    runtime: Runtime | None = None,
    timeout: float | None = None,
) -> Array:
    """Exponentials along an axis, divided by their sum.

    Parameters
    ----------
    x : array_like of float
        At least one axis.
    axis : int, default -1
        The axis to sum over.
    out, runtime, timeout
        As for `vecadd`.

    Returns
    -------
    numpy.ndarray of float32
        The shape of ``x``. A row that holds NaN or +inf, or nothing but -inf, is NaN.

    Raises
    ------
    ShapeError, DTypeError, OutOfMemoryError, DeadlineExceeded, ClosedError

    Notes
    -----
    exp(x - max x) / sum exp(x - max x), as ONNX's Softmax-13.

    Examples
    --------
    >>> import numpy as np
    >>> import flashwasm as fw
    >>> fw.softmax(np.zeros((2, 4), np.float32))[0].tolist()
    [0.25, 0.25, 0.25, 0.25]
    """
    array = floats(x, "x", at_least=1)
    return _over_rows(
        kernel_table.SOFTMAX, array, axis_index(axis, array.ndim), (), (), out, runtime, timeout
    )


def layer_norm(
    x: ArrayLike,
    weight: ArrayLike | None = None,
    bias: ArrayLike | None = None,
    eps: float = 1e-5,
    *,
    axis: int = -1,
    out: Array | None = None,
    runtime: Runtime | None = None,
    timeout: float | None = None,
) -> Array:
    """Normalise to zero mean and unit variance over the last axes.

    Parameters
    ----------
    x : array_like of float
        At least one axis.
    weight, bias : array_like of float, optional
        Shape ``x.shape[axis:]``: multiplied with and added to the normalised values.
    eps : float, default 1e-5
        Added to the variance.
    axis : int, default -1
        The first of the axes to normalise over, as in ONNX.
    out, runtime, timeout
        As for `vecadd`.

    Returns
    -------
    numpy.ndarray of float32
        The shape of ``x``.

    Raises
    ------
    ShapeError, DTypeError, OutOfMemoryError, DeadlineExceeded, ClosedError

    Notes
    -----
    Ba, Kiros & Hinton, "Layer Normalization", 2016; ONNX's LayerNormalization-17.

    Examples
    --------
    >>> import numpy as np
    >>> import flashwasm as fw
    >>> fw.layer_norm(np.float32([[-1, 1], [3, 5]]), eps=0.0).tolist()
    [[-1.0, 1.0], [-1.0, 1.0]]
    """
    return _normalize(kernel_table.LAYER_NORM, x, [weight, bias], eps, axis, out, runtime, timeout)


def rms_norm(
    x: ArrayLike,
    weight: ArrayLike | None = None,
    eps: float = 1e-5,
    *,
    axis: int = -1,
    out: Array | None = None,
    runtime: Runtime | None = None,
    timeout: float | None = None,
) -> Array:
    """Divide by the root of the mean square over the last axes.

    Parameters
    ----------
    x : array_like of float
        At least one axis.
    weight : array_like of float, optional
        Shape ``x.shape[axis:]``: multiplied with the normalised values.
    eps : float, default 1e-5
        Added to the mean square.
    axis : int, default -1
        The first of the axes to normalise over, as in ONNX.
    out, runtime, timeout
        As for `vecadd`.

    Returns
    -------
    numpy.ndarray of float32
        The shape of ``x``.

    Raises
    ------
    ShapeError, DTypeError, OutOfMemoryError, DeadlineExceeded, ClosedError

    Notes
    -----
    Zhang & Sennrich, "Root Mean Square Layer Normalization", 2019; ONNX's RMSNormalization-23.

    Examples
    --------
    >>> import numpy as np
    >>> import flashwasm as fw
    >>> fw.rms_norm(np.float32([3, -3]), eps=0.0).tolist()
    [1.0, -1.0]
    """
    return _normalize(kernel_table.RMS_NORM, x, [weight], eps, axis, out, runtime, timeout)


def _normalize(
    kernel: Kernel,
    x: ArrayLike,
    parameters: Sequence[ArrayLike | None],
    eps: float,
    axis: int,
    out: Array | None,
    runtime: Runtime | None,
    timeout: float | None,
) -> Array:
    """Check what layer_norm and rms_norm share, and run over rows of the last axes."""
    array = floats(x, "x", at_least=1)
    first = axis_index(axis, array.ndim)
    shape = array.shape[first:]
    small = kernel_float(eps, "eps")
    if small < 0:
        message = f"eps: expected a number of at least 0, got {eps}"
        raise ShapeError(message)
    checked = [
        None if p is None else shaped(p, name, shape, "that of the normalised axes")
        for p, name in zip(parameters, ("weight", "bias"), strict=False)
    ]
    checked_out(out, array.shape)
    if len(shape) == 1:
        return _over_rows(kernel, array, first, checked, (small,), out, runtime, timeout)
    flat = array.reshape(*array.shape[:first], math.prod(shape))
    target = None if out is None or not out.flags.c_contiguous else out.reshape(flat.shape)
    result = _over_rows(kernel, flat, first, checked, (small,), target, runtime, timeout)
    if out is not None and target is None:
        np.copyto(out, result.reshape(array.shape))
    return result.reshape(array.shape) if out is None else out


def _over_rows(
    kernel: Kernel,
    array: Array,
    axis: int,
    parameters: Sequence[Array | None],
    scalars: tuple[float, ...],
    out: Array | None,
    runtime: Runtime | None,
    timeout: float | None,
) -> Array:
    """Run a kernel of signature (x, parameters, out, rows, columns, scalars) along an axis."""
    rt = checked_runtime(runtime)
    checked_out(out, array.shape)
    last = array.ndim - 1
    moved = array if axis == last else np.moveaxis(array, axis, last)
    target = out if out is None or axis == last else np.moveaxis(out, axis, last)

    # Only the axes before the rows can be cut.
    rest = (rt, deadline(rt, timeout), kernel, parameters, scalars)
    result = in_parts(_rows, (moved,), moved.shape, last, target, *rest)
    if out is not None:
        return out
    return result if axis == last else np.moveaxis(result, last, axis)


def _rows(
    x: Array,
    out: Array | None,
    rt: Runtime,
    timeout: float | None,
    kernel: Kernel,
    parameters: Sequence[Array | None],
    scalars: tuple[float, ...],
) -> Array:
    """Run on rows of the last axis."""
    columns = x.shape[-1]
    rows = x.size // columns if columns else 0
    with Launch(rt, timeout) as op:
        source = op.place(x)
        extra = [0 if p is None else op.place(p) for p in parameters]
        to = op.place_result(x.shape, out, in_place=True)
        tasks = [
            [(source + 4 * i * columns, *extra, to + 4 * i * columns, n, columns, *scalars)]
            for i, n in row_tasks(rows, columns, op.threads)
        ]
        op.run_tasks(kernel, tasks)
        return op.finish()
