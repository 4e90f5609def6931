"""The 8-bit integer matrix product: `matmul_i8`, and `Int8Matrix`, its right operand."""

from __future__ import annotations

import math
from functools import partial
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from flashwasm.array_room import check_room
from flashwasm.errors import DTypeError, ShapeError
from flashwasm.kernel_table import (
    ACTIVATION_GELU,
    ACTIVATION_GELU_TANH,
    ACTIVATION_NONE,
    MATMUL_I8,
    MATMUL_I8_MAX_DEPTH,
)
from flashwasm.runtime.deadline import checker, deadline
from flashwasm.runtime.default_runtime import checked_runtime
from flashwasm.runtime.launch import Launch
from flashwasm.runtime.not_copied import NotCopied
from flashwasm.runtime.splitting import in_parts
from flashwasm.runtime.tasks import product_tiles
from flashwasm.summaries import number_of, summary
from flashwasm.validation import checked_out, choice, floats, narrowed, shaped

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

    from flashwasm.runtime.runtime import Runtime
    from flashwasm.runtime.splitting import Part

    Array = NDArray[Any]

_ACTIVATIONS = {
    "none": ACTIVATION_NONE,
    "gelu": ACTIVATION_GELU,
    "gelu_tanh": ACTIVATION_GELU_TANH,
}
_GREATEST_CODE = 127
# The layout of the codes in wasm/operations/matmul_i8.c: panels of eight columns and four rows a
# step.
_PANEL, _STEP = 8, 4
# Integer products count half when work is cut into tasks, since they take about half as long.
_CODES_FOR_A_FLOAT = 2


class Int8Matrix(NotCopied):
    """A matrix of 8-bit codes in linear memory, with a scale for each column.

    Each number is stored as a code from -127 to 127, which its column's scale multiplies. Numbers
    are rounded to the nearest code. Use it as the right operand of `matmul_i8`, usually for the
    weights of a layer.

    Parameters
    ----------
    b : array_like of float, shape (k, n)
        The matrix. k is at most 65,536, and all numbers must be finite.
    runtime : Runtime, optional
        Runtime whose linear memory holds the codes. None means the default runtime.

    Raises
    ------
    ShapeError
        If `b` does not have two axes, has too many rows, or contains a number that is not finite.
    DTypeError, OutOfMemoryError, ClosedError

    Attributes
    ----------
    shape : tuple of int
        Rows and columns.
    runtime : Runtime
        The runtime.

    Examples
    --------
    >>> import numpy as np
    >>> import flashwasm as fw
    >>> b = fw.Int8Matrix(np.array([[1, 10], [2, -20]], np.float32))
    >>> b.dequantize().astype(float).round(1).tolist()
    [[1.0, 10.1], [2.0, -20.0]]
    """

    def __init__(self, b: ArrayLike, *, runtime: Runtime | None = None) -> None:
        self.runtime = checked_runtime(runtime)
        given = floats(b, "b", ndim=2)
        k, n = self.shape = given.shape
        if k > MATMUL_I8_MAX_DEPTH:
            raise ShapeError(f"b: expected at most {MATMUL_I8_MAX_DEPTH} rows, got {k}")
        check_room((k, n))
        matrix = narrowed(given)
        if not np.isfinite(matrix).all():
            raise ShapeError("b: expected finite numbers, got NaN or infinity")
        scales = np.abs(matrix).max(axis=0, initial=0) / np.float32(_GREATEST_CODE)
        # Dividing by a scale this small could overflow, so the column becomes zeros.
        scales[scales < np.finfo(np.float32).tiny] = 0
        with np.errstate(divide="ignore", invalid="ignore"):
            codes = np.rint(np.where(scales > 0, matrix / scales, 0))
        padded = np.zeros((-(-k // _STEP) * _STEP, -(-n // _PANEL) * _PANEL), np.int8)
        padded[:k, :n] = codes.clip(-_GREATEST_CODE, _GREATEST_CODE)
        depth, columns = padded.shape
        panels = padded.reshape(depth // _STEP, _STEP, columns // _PANEL, _PANEL)
        resident = self.runtime.asarray
        self._codes = resident(panels.transpose(2, 0, 3, 1))
        self._scales = resident(np.pad(scales, (0, columns - n)))
        self._sums = resident(padded.sum(axis=0, dtype=np.int32))

    def __repr__(self) -> str:
        return summary(self, shape=self.shape, closed=self.runtime.closed)

    def dequantize(self) -> NDArray[np.float32]:
        """Return the matrix of floats that the codes represent.

        Returns
        -------
        numpy.ndarray of float32, shape (k, n)

        Raises
        ------
        ClosedError
        """
        self.runtime.check_open()
        k, n = self.shape
        panels, steps, *_ = self._codes.shape
        codes = self._codes.transpose(1, 3, 0, 2).reshape(_STEP * steps, _PANEL * panels)
        numbers: NDArray[np.float32] = codes[:k, :n] * self._scales[:n]
        return numbers

    def operands(self) -> tuple[Array, Array, Array]:
        """Return the codes in panels, the scales and the sums of the columns, all resident."""
        return self._codes, self._scales, self._sums


def matmul_i8(
    a: ArrayLike,
    b: Int8Matrix,
    *,
    bias: ArrayLike | None = None,
    activation: Literal["none", "gelu", "gelu_tanh"] = "none",
    out: NDArray[np.float32] | None = None,
    timeout: float | None = None,
) -> NDArray[np.float32]:
    """Multiply a matrix of floats by a matrix of 8-bit codes, about twice as fast as `matmul`.

    Each row of `a` is rounded to 128 levels between its smallest and its greatest number; 0 is
    always one of the levels. The result is therefore an approximation, with an error of about one
    part in 100 of the greatest numbers of a row. The sums of the rounded products are exact.

    Parameters
    ----------
    a : array_like of float, shape (..., k)
        Left operand.
    b : Int8Matrix
        Right operand, of shape (k, n). The call runs in its runtime.
    bias : array_like of float, shape (n,), optional
        Vector that is added to every row of the product.
    activation : {"none", "gelu", "gelu_tanh"}, default "none"
        Function to apply to each element of the result. "gelu" and "gelu_tanh" give the same bits
        as `gelu` with ``approximate="none"`` and ``approximate="tanh"``.
    out : numpy.ndarray of float32, shape (..., n), optional
        Array to write to. None means a new array.
    timeout : float, optional
        Maximum duration of the call in seconds. None means the runtime's timeout.

    Returns
    -------
    numpy.ndarray of float32, shape (..., n)
        The product. NaN or infinity in a row of `a` makes the whole row of the result NaN. Without
        an activation, all variants of the kernels return the same bits.

    Raises
    ------
    DTypeError
        If `b` is not an `Int8Matrix`, or if `a` or `bias` is not an array of floats.
    ShapeError, OutOfMemoryError, DeadlineExceeded, Cancelled, ClosedError

    Notes
    -----
    Jacob et al., "Quantization and Training of Neural Networks for Efficient
    Integer-Arithmetic-Only Inference", 2018.

    Examples
    --------
    >>> import numpy as np
    >>> import flashwasm as fw
    >>> b = fw.Int8Matrix(np.array([[3], [4]], np.float32))
    >>> fw.matmul_i8(np.array([[1, 2]], np.float32), b).round(1).tolist()
    [[11.0]]
    """
    if not isinstance(b, Int8Matrix):
        raise DTypeError(f"b: expected an Int8Matrix, got {type(b).__name__}")
    choice(activation, "activation", tuple(_ACTIVATIONS))
    left = floats(a, "a", at_least=1)
    k, n = b.shape
    if left.shape[-1] != k:
        numbers = number_of(k, "numbers")
        message = f"a: expected {numbers} along its last axis, the rows of b, got {left.shape}"
        raise ShapeError(message)
    added = None if bias is None else shaped(bias, "bias", (n,), "columns of b")
    shape = (*left.shape[:-1], n)
    checked_out(out, shape)
    until = deadline(b.runtime, timeout)
    compute = partial(_multiply, b, until, added, _ACTIVATIONS[activation])
    return in_parts(compute, (left,), shape, left.ndim - 1, out, checker(b.runtime, until))


def _multiply(
    b: Int8Matrix, timeout: float | None, bias: Array | None, activation: int, part: Part
) -> Array:
    """Multiply rows that fit into linear memory."""
    (left,), out = part
    k, n = b.shape
    m = math.prod(left.shape[:-1])
    rt = b.runtime
    launch = Launch(rt, timeout)
    with launch.lock, launch:
        if left.ndim == 2:
            a, (a_stride, _) = launch.place_rows(left)
        else:
            a, a_stride = launch.place(left), k
        codes, scales, sums = (launch.place_parameter(x, x.dtype) for x in b.operands())
        add = 0 if bias is None else launch.place_parameter(bias)
        c = launch.place_result((*left.shape[:-1], n), out)
        depth = -(-k // _STEP) * _STEP
        tasks = [
            [
                (
                    a + 4 * i * a_stride,
                    codes + j * depth,
                    scales + 4 * j,
                    sums + 4 * j,
                    add and add + 4 * j,
                    c + 4 * (i * n + j),
                    rows,
                    columns,
                    k,
                    a_stride,
                    n,
                    activation,
                )
            ]
            for i, rows, j, columns in product_tiles(
                m, n, -(-k // _CODES_FOR_A_FLOAT), 2 * rt.threads
            )
        ]
        launch.run_tasks(MATMUL_I8, tasks)
        return launch.finish()
