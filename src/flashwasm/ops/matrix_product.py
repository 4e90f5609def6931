"""The matrix product."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from flashwasm.errors import OutOfMemoryError, ShapeError
from flashwasm.kernel_table import MATMUL
from flashwasm.runtime.launch import Launch, deadline
from flashwasm.runtime.runtime import checked_runtime
from flashwasm.runtime.splitting import copied_to
from flashwasm.validation import broadcast, checked_out, floats, shaped

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

    from flashwasm.runtime.runtime import Runtime

    Array = NDArray[Any]

# A call of more multiplications than this would keep a deadline or a signal waiting.
_MOST_PRODUCTS = 1 << 26
# A call of fewer costs more to hand to a worker than to make.
_FEWEST_PRODUCTS = 1 << 20
_TILE_ROWS, _TILE_COLUMNS = 4, 8


def matmul(
    a: ArrayLike,
    b: ArrayLike,
    *,
    bias: ArrayLike | None = None,
    out: Array | None = None,
    runtime: Runtime | None = None,
    timeout: float | None = None,
) -> Array:
    """Matrix product, with NumPy's rules for axes and broadcasting.

    Parameters
    ----------
    a : array_like of float, shape (..., m, k) or (k,)
        Left operand.
    b : array_like of float, shape (..., k, n) or (k,)
        Right operand. A transposed view of an array in linear memory is not copied.
    bias : array_like of float, shape (n,), optional
        Added to every row.
    out : numpy.ndarray of float32, optional
        Where to write.
    runtime : Runtime, optional
        Where to run.
    timeout : float, optional
        Seconds.

    Returns
    -------
    numpy.ndarray of float32, shape (..., m, n)
        Each element is one sum over k in order, in the relaxed variant with one rounding a step:
        its bits depend on its row of ``a`` and its column of ``b`` alone.

    Raises
    ------
    ShapeError, DTypeError, OutOfMemoryError, DeadlineExceeded, ClosedError

    Examples
    --------
    >>> import numpy as np
    >>> import flashwasm as fw
    >>> fw.matmul(np.float32([[1, 2]]), np.float32([[3], [4]])).tolist()
    [[11.0]]
    """
    rt = checked_runtime(runtime)
    left, right = floats(a, "a", at_least=1), floats(b, "b", at_least=1)
    rows_wanted, columns_wanted = left.ndim > 1, right.ndim > 1
    left = left if rows_wanted else left[None, :]
    right = right if columns_wanted else right[:, None]
    (m, k), n = left.shape[-2:], right.shape[-1]
    if right.shape[-2] != k:
        message = (
            f"b: expected {k} rows, as a has columns, got shapes "
            f"a {np.shape(a)} and b {np.shape(b)}"
        )
        raise ShapeError(message)
    batch = broadcast({"a": left.shape[:-2], "b": right.shape[:-2]}, "leading axes")
    added = None if bias is None else shaped(bias, "bias", (n,), "columns of b")
    shape = batch + ((m,) if rows_wanted else ()) + ((n,) if columns_wanted else ())
    checked_out(out, shape)
    whole = (*batch, m, n)
    target = None
    if out is not None:
        target = out[..., None, :] if not rows_wanted else out
        target = target if columns_wanted else target[..., None]

    result = _in_parts(left, right, whole, target, (rt, added, deadline(rt, timeout)))
    return result.reshape(shape) if out is None else out


def _in_parts(
    left: Array,
    right: Array,
    shape: tuple[int, ...],
    out: Array | None,
    rest: tuple[Runtime, Array | None, float | None],
) -> Array:
    """Multiply whole, or where linear memory is too small in halves of the batch or of the rows."""
    try:
        return _multiply(left, right, shape, out, *rest)
    except OutOfMemoryError:
        if shape[0] < 2 and len(shape) == 2:
            raise
    if shape[0] == 1:
        x, y = (z[0] if z.ndim == len(shape) else z for z in (left, right))
        return copied_to(out, _in_parts(x, y, shape[1:], None, rest)[None])
    # Parts of `out` must not be written while parts of an input that lie there are to be read.
    result = np.empty(shape, np.float32)
    # The first axis is the rows of `a` where there is no batch; else operands may repeat along it.
    lone = len(shape) == 2
    cut_left = lone or (left.ndim == len(shape) and left.shape[0] > 1)
    cut_right = not lone and right.ndim == len(shape) and right.shape[0] > 1
    middle = shape[0] // 2
    for part in (slice(0, middle), slice(middle, shape[0])):
        x, y = left[part] if cut_left else left, right[part] if cut_right else right
        result[part] = _in_parts(x, y, result[part].shape, None, rest)
    return copied_to(out, result)


def _multiply(
    left: Array,
    right: Array,
    shape: tuple[int, ...],
    out: Array | None,
    rt: Runtime,
    bias: Array | None,
    timeout: float | None,
) -> Array:
    """Multiply operands whose shapes were checked."""
    *batch, m, n = shape
    k = left.shape[-1]
    if right.ndim == 2 and left.ndim > 2 and left.flags.c_contiguous:
        # One right operand for all: the batch is only more rows.
        left, m, batch = left.reshape(-1, k), left.size // k if k else m * _product(batch), []
    with Launch(rt, timeout) as op:
        a, a_strides = op.place_strided(left)
        b, b_strides = op.place_strided(right)
        add = 0 if bias is None else op.place(bias)
        c = op.place_result(shape, out)
        tasks: list[list[tuple[int, ...]]] = []
        tiles = _tiles(m, n, k, max(1, 2 * op.threads // max(1, _product(batch))))
        for at, index in enumerate(np.ndindex(*batch)):
            a_at = a + 4 * _offset(index, left.shape, a_strides)
            b_at = b + 4 * _offset(index, right.shape, b_strides)
            c_at = c + 4 * at * m * n
            tasks.extend(
                [
                    (
                        *(a_at + 4 * i * a_strides[-2], b_at + 4 * j * b_strides[-1]),
                        *(add and add + 4 * j, c_at + 4 * (i * n + j), rows, columns, k),
                        *(*a_strides[-2:], *b_strides[-2:], n),
                    )
                ]
                for i, rows, j, columns in tiles
            )
        op.run_tasks(MATMUL, tasks)
        return op.finish()


def _product(sizes: list[int]) -> int:
    result = 1
    for size in sizes:
        result *= size
    return result


def _offset(index: tuple[int, ...], shape: tuple[int, ...], strides: tuple[int, ...]) -> int:
    """Return where an operand's matrix for a batch index begins; axes of length one repeat."""
    axes = len(shape) - 2
    own = index[len(index) - axes :] if axes else ()
    return sum(
        i * stride
        for i, size, stride in zip(own, shape[:-2], strides[:-2], strict=True)
        if size > 1
    )


def _tiles(m: int, n: int, k: int, wanted: int) -> list[tuple[int, int, int, int]]:
    """Cut an m x n result into (row, rows, column, columns) pieces of bounded work."""
    products = m * n * max(k, 1)
    wanted = max(min(wanted, products // _FEWEST_PRODUCTS), -(-products // _MOST_PRODUCTS), 1)
    # Packing costs a share of 1 / rows and 1 / columns of a piece: cut the longer side.
    down = across = 1
    while down * across < wanted:
        if m / down >= n / across and m / down > _TILE_ROWS:
            down *= 2
        elif n / across > _TILE_COLUMNS:
            across *= 2
        else:
            break
    row_step = -(-m // (down * _TILE_ROWS)) * _TILE_ROWS or 1
    column_step = -(-n // (across * _TILE_COLUMNS)) * _TILE_COLUMNS or 1
    return [
        (i, min(row_step, m - i), j, min(column_step, n - j))
        for i in range(0, m, row_step)
        for j in range(0, n, column_step)
    ]
