"""Operations along an axis: softmax, layer_norm and rms_norm."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np

from flashwasm.backends.choice import SMALL_ROWS, may_leave, other_backend
from flashwasm.errors import ShapeError
from flashwasm.kernel_table import LAYER_NORM, RMS_NORM, SOFTMAX
from flashwasm.keyword_hints import NORM, knows_peers
from flashwasm.ops import elsewhere
from flashwasm.ops.rowwise import run_rowwise
from flashwasm.runtime.default_runtime import checked_runtime
from flashwasm.validation import axis_index, checked_out, floats, kernel_float, shaped

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

    from flashwasm.backends.backend import Backend
    from flashwasm.backends.registry import BackendName
    from flashwasm.kernel_table import Kernel
    from flashwasm.runtime.runtime import Runtime

    Array = NDArray[Any]


@knows_peers(NORM)
def softmax(
    x: ArrayLike,
    axis: int = -1,
    *,
    out: NDArray[np.float32] | None = None,
    runtime: Runtime | None = None,
    timeout: float | None = None,
    backend: BackendName | None = None,
) -> NDArray[np.float32]:
    """Compute the softmax along an axis: exponentials divided by their sum.

    Parameters
    ----------
    x : array_like of float
        Array of at least one axis.
    axis : int, default -1
        Axis to sum over.
    out : numpy.ndarray of float32, optional
        Array of the result's shape to write to; may be ``x``. None means a new array.
    runtime : Runtime, optional
        Runtime to use. None means the default runtime.
    timeout : float, optional
        Maximum duration of the call in seconds. None means the runtime's timeout.
    backend : {"wasm-simd", "native", "gpu", "hybrid"}, optional
        Backend to use. None means the runtime's backend.

    Returns
    -------
    numpy.ndarray of float32
        Array of the shape of ``x``. A row that contains NaN or +inf, or only -inf, becomes NaN.

    Raises
    ------
    ShapeError, DTypeError, OutOfMemoryError, DeadlineExceeded, Cancelled, ClosedError,
    CapabilityError

    Notes
    -----
    The formula is exp(x - max x) / sum exp(x - max x), as in ONNX's Softmax-13.

    Examples
    --------
    >>> import numpy as np
    >>> import flashwasm as fw
    >>> fw.softmax(np.zeros((2, 4), np.float32))[0].tolist()
    [0.25, 0.25, 0.25, 0.25]
    """
    array = floats(x, "x", at_least=1)
    last = array.ndim - 1
    at = axis_index(axis, array.ndim)
    moved, target = array, out
    if at != last:
        # The kernel reads rows of the last axis.
        moved = np.moveaxis(array, at, last)
        checked_out(out, array.shape)
        target = None if out is None else np.moveaxis(out, at, last)
    other = None
    rt = runtime
    if backend is not None or getattr(runtime, "other_backend", None) is not None:
        rt = checked_runtime(runtime)
        if may_leave(rt, backend, (moved,), SMALL_ROWS):
            same = {"runtime": rt, "timeout": timeout}
            other = other_backend(rt, backend, "softmax", (moved,), softmax, (x, axis), same)
    if rt is not None and other is not None:
        result = elsewhere.softmax(other, rt, moved, target, timeout)
    else:
        result = run_rowwise(
            SOFTMAX,
            (moved,),
            sizes=(moved.shape[-1],),
            shape=moved.shape,
            axes=last,
            out=target,
            runtime=rt,
            timeout=timeout,
        )
    if out is not None:
        return out
    return result if at == last else np.moveaxis(result, last, at)


@knows_peers(NORM)
def layer_norm(
    x: ArrayLike,
    weight: ArrayLike | None = None,
    bias: ArrayLike | None = None,
    eps: float = 1e-5,
    *,
    axis: int = -1,
    out: NDArray[np.float32] | None = None,
    runtime: Runtime | None = None,
    timeout: float | None = None,
    backend: BackendName | None = None,
) -> NDArray[np.float32]:
    """Normalise to zero mean and unit variance over the last axes.

    Parameters
    ----------
    x : array_like of float
        Array of at least one axis.
    weight, bias : array_like of float, optional
        Arrays of shape ``x.shape[axis:]``. The normalised values are multiplied by the weight, then
        the bias is added.
    eps : float, default 1e-5
        Small number that is added to the variance, so that it is not zero.
    axis : int, default -1
        First of the axes to normalise over. All axes after it are normalised over too, as in ONNX.
    out : numpy.ndarray of float32, optional
        Array of the result's shape to write to; may be ``x``. None means a new array.
    runtime : Runtime, optional
        Runtime to use. None means the default runtime.
    timeout : float, optional
        Maximum duration of the call in seconds. None means the runtime's timeout.
    backend : {"wasm-simd", "native", "gpu", "hybrid"}, optional
        Backend to use. None means the runtime's backend.

    Returns
    -------
    numpy.ndarray of float32
        Array of the shape of ``x``.

    Raises
    ------
    ShapeError, DTypeError, OutOfMemoryError, DeadlineExceeded, Cancelled, ClosedError,
    CapabilityError

    Notes
    -----
    Ba, Kiros & Hinton, "Layer Normalization", 2016; ONNX's LayerNormalization-17.

    The variance is a float32 number. If it overflows, because numbers of about 1e19 or more are
    squared, the normalised values are zeros. If it vanishes, because of numbers below about 1e-22,
    and ``eps`` is 0, they are infinite or NaN. Scale such rows first, to a magnitude of about 1.

    Examples
    --------
    >>> import numpy as np
    >>> import flashwasm as fw
    >>> fw.layer_norm(np.array([[-1, 1], [3, 5]], np.float32), eps=0.0).tolist()
    [[-1.0, 1.0], [-1.0, 1.0]]
    """
    other = None
    if backend is not None or getattr(runtime, "other_backend", None) is not None:
        rt = checked_runtime(runtime)
        if may_leave(rt, backend, (x,), SMALL_ROWS):
            kind, given = (x, weight, bias), (x, weight, bias, eps)
            same = {"axis": axis, "runtime": rt, "timeout": timeout}
            other = other_backend(rt, backend, "layer_norm", kind, layer_norm, given, same)
    return _normalize(LAYER_NORM, x, (weight, bias), eps, axis, out, runtime, timeout, other)


@knows_peers(NORM)
def rms_norm(
    x: ArrayLike,
    weight: ArrayLike | None = None,
    eps: float = 1e-5,
    *,
    axis: int = -1,
    out: NDArray[np.float32] | None = None,
    runtime: Runtime | None = None,
    timeout: float | None = None,
) -> NDArray[np.float32]:
    """Divide by the root of the mean square over the last axes.

    Parameters
    ----------
    x : array_like of float
        Array of at least one axis.
    weight : array_like of float, optional
        Array of shape ``x.shape[axis:]``. The normalised values are multiplied by it.
    eps : float, default 1e-5
        Small number that is added to the mean square, so that it is not zero.
    axis : int, default -1
        First of the axes to normalise over. All axes after it are normalised over too, as in ONNX.
    out : numpy.ndarray of float32, optional
        Array of the result's shape to write to; may be ``x``. None means a new array.
    runtime : Runtime, optional
        Runtime to use. None means the default runtime.
    timeout : float, optional
        Maximum duration of the call in seconds. None means the runtime's timeout.

    Returns
    -------
    numpy.ndarray of float32
        Array of the shape of ``x``.

    Raises
    ------
    ShapeError, DTypeError, OutOfMemoryError, DeadlineExceeded, Cancelled, ClosedError

    Notes
    -----
    Zhang & Sennrich, "Root Mean Square Layer Normalization", 2019; ONNX's RMSNormalization-23.

    The mean square is a float32 number, with the same limits as the variance in `layer_norm`.

    Examples
    --------
    >>> import numpy as np
    >>> import flashwasm as fw
    >>> fw.rms_norm(np.array([3, -3], np.float32), eps=0.0).tolist()
    [1.0, -1.0]
    """
    return _normalize(RMS_NORM, x, (weight,), eps, axis, out, runtime, timeout)


def _normalize(
    kernel: Kernel,
    x: ArrayLike,
    parameters: tuple[ArrayLike | None, ...],
    eps: float,
    axis: int,
    out: Array | None,
    runtime: Runtime | None,
    timeout: float | None,
    other: Backend | None = None,
) -> Array:
    """Check the arguments of layer_norm or rms_norm, and run its kernel."""
    array = floats(x, "x", at_least=1)
    first = axis_index(axis, array.ndim)
    normalised = array.shape[first:]
    small = kernel_float(eps, "eps")
    if small < 0:
        message = f"eps: expected a number of at least 0, got {eps}"
        raise ShapeError(message)
    shared = tuple(
        None if p is None else shaped(p, name, normalised, "that of the normalised axes")
        for p, name in zip(parameters, ("weight", "bias"), strict=False)
    )
    if other is not None:
        rt, columns = checked_runtime(runtime), math.prod(normalised)
        return elsewhere.layer_norm(other, rt, array, shared, columns, small, out, timeout)
    return run_rowwise(
        kernel,
        (array,),
        shared,
        (math.prod(normalised), small),
        shape=array.shape,
        axes=first,
        out=out,
        runtime=runtime,
        timeout=timeout,
    )
