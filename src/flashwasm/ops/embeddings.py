"""Operations on tokens: embedding and rotary_embedding."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np

from flashwasm import kernel_table
from flashwasm.errors import ShapeError
from flashwasm.runtime.launch import Launch, deadline, run_at_once
from flashwasm.runtime.runtime import checked_runtime
from flashwasm.runtime.splitting import in_parts, is_one_task, row_tasks
from flashwasm.validation import checked_out, flag, floats, indices, positive_int, shaped

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

    from flashwasm.runtime.runtime import Runtime

    Array = NDArray[Any]

_INT32 = np.dtype(np.int32)


def embedding(
    ids: ArrayLike,
    table: ArrayLike,
    *,
    out: Array | None = None,
    runtime: Runtime | None = None,
    timeout: float | None = None,
) -> Array:
    """Rows of a table, by number.

    Parameters
    ----------
    ids : array_like of int
        Any shape; negative ones count from the end.
    table : array_like of float, shape (V, ...)
        The rows.
    out, runtime, timeout
        As for `vecadd`.

    Returns
    -------
    numpy.ndarray of float32, shape ``ids.shape + table.shape[1:]``

    Raises
    ------
    IndexRangeError
        If an id is outside the table.
    ShapeError, DTypeError, OutOfMemoryError, DeadlineExceeded, ClosedError

    Notes
    -----
    ONNX's Gather-13 along axis 0.

    Examples
    --------
    >>> import numpy as np
    >>> import flashwasm as fw
    >>> fw.embedding([2, -3], np.float32([[0, 1], [2, 3], [4, 5]])).tolist()
    [[4.0, 5.0], [0.0, 1.0]]
    """
    rt = checked_runtime(runtime)
    if out is not None and timeout is None and _gathered_at_once(rt, ids, table, out):
        return out
    rows = floats(table, "table", at_least=1)
    numbers = indices(ids, "ids", rows.shape[0])
    shape = numbers.shape + rows.shape[1:]
    checked_out(out, shape)
    until = deadline(rt, timeout)
    return in_parts(_embedding, (numbers,), shape, numbers.ndim, out, rt, until, rows)


def _gathered_at_once(rt: Runtime, ids: Any, table: Any, out: Array) -> bool:
    """Gather whole arrays of linear memory without further ado; return whether that could be.

    It cannot where an id is negative or out of range, which the kernel finds.
    """
    offsets, numbers = rt.arena.whole_arrays((table, out)), rt.arena.whole_arrays((ids,), _INT32)
    if offsets is None or numbers is None or rt.timeout is not None or not out.flags.writeable:
        return False
    shape = table.shape
    if not shape or out.shape != ids.shape + shape[1:] or table is out:
        return False
    if not is_one_task(out.size, rt.threads):
        return False
    columns = out.size // max(ids.size, 1)
    arguments = (*numbers, *offsets, ids.size, shape[0], columns)
    return run_at_once(rt, kernel_table.EMBEDDING, arguments) == kernel_table.STATUS_OK


def _embedding(
    ids: Array, out: Array | None, rt: Runtime, timeout: float | None, table: Array
) -> Array:
    """Gather checked ids."""
    columns = math.prod(table.shape[1:])
    with Launch(rt, timeout) as op:
        source = op.place(table)
        at = op.place_parameter(ids, _INT32)
        to = op.place_result(ids.shape + table.shape[1:], out)
        op.run_tasks(
            kernel_table.EMBEDDING,
            [
                [(at + 4 * i, source, to + 4 * i * columns, n, table.shape[0], columns)]
                for i, n in row_tasks(ids.size, columns, op.threads)
            ],
        )
        return op.finish()


def rotary_embedding(
    x: ArrayLike,
    cos: ArrayLike,
    sin: ArrayLike,
    *,
    position_ids: ArrayLike | None = None,
    interleaved: bool = False,
    rotary_dim: int | None = None,
    num_heads: int | None = None,
    out: Array | None = None,
    runtime: Runtime | None = None,
    timeout: float | None = None,
) -> Array:
    """Turn pairs of elements by angles that depend on the position.

    Parameters
    ----------
    x : array_like of float, shape (B, H, L, D), or (B, L, H * D) with ``num_heads``
        What to turn.
    cos, sin : array_like of float, shape (B, L, R / 2), or (positions, R / 2) with ``position_ids``
        Cosines and sines of the angles, R being ``rotary_dim``.
    position_ids : array_like of int, shape (B, L), optional
        Rows of ``cos`` and ``sin`` to use.
    interleaved : bool, default False
        Whether a pair is two neighbours, or an element of each half.
    rotary_dim : int, optional
        Elements of each head to turn, from the first; the others are copied. None or 0 means all.
    num_heads : int, optional
        H, where ``x`` has three axes.
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
    Su et al., "RoFormer", 2021; ONNX's RotaryEmbedding-23.

    Examples
    --------
    >>> import numpy as np
    >>> import flashwasm as fw
    >>> x = np.float32([1, 0]).reshape(1, 1, 1, 2)
    >>> quarter_turn = np.float32([[[0.0]]]), np.float32([[[1.0]]])
    >>> fw.rotary_embedding(x, *quarter_turn).ravel().tolist()
    [0.0, 1.0]
    """
    rt = checked_runtime(runtime)
    array = floats(x, "x")
    checked_out(out, array.shape)
    if array.ndim == 3:
        if num_heads is None:
            message = f"num_heads: needed for x of three axes, shape {array.shape}"
            raise ShapeError(message)
        heads = positive_int(num_heads, "num_heads")
        if array.shape[2] % heads:
            message = f"num_heads: {heads} does not divide the last axis of x, shape {array.shape}"
            raise ShapeError(message)
        batch, length, dim = array.shape[0], array.shape[1], array.shape[2] // heads
    elif array.ndim == 4:
        batch, heads, length, dim = array.shape
        if _given(num_heads, "num_heads") not in {0, heads}:
            message = f"num_heads: x of shape {array.shape} has {heads} heads, got {num_heads}"
            raise ShapeError(message)
    else:
        message = f"x: expected 3 or 4 axes, got shape {array.shape}"
        raise ShapeError(message)
    turned = _given(rotary_dim, "rotary_dim") or dim
    if turned > dim or turned % 2:
        message = f"rotary_dim: expected an even number of at most {dim}, got {turned}"
        raise ShapeError(message)
    angles = _angles(cos, sin, position_ids, (batch, length, turned // 2))
    # In elements, from one row to the next and from one head to the next.
    strides = (heads * dim, dim) if array.ndim == 3 else (dim, length * dim)
    sizes = (heads, dim, turned, flag(interleaved, "interleaved"), *strides)
    operands = (array, *angles)
    until = deadline(rt, timeout)
    return in_parts(_rotary_embedding, operands, array.shape, 1, out, rt, until, sizes)


def _given(value: int | None, name: str) -> int:
    """Return a positive integer, or 0 where there is none."""
    return 0 if value is None or (type(value) is int and value == 0) else positive_int(value, name)


def _rotary_embedding(
    x: Array,
    cosines: Array,
    sines: Array,
    out: Array | None,
    rt: Runtime,
    timeout: float | None,
    sizes: tuple[int, ...],
) -> Array:
    """Turn a batch of checked values."""
    heads, dim, turned, _, row_stride, _ = sizes
    batch, length = cosines.shape[:2]
    with Launch(rt, timeout) as op:
        source, c, s = op.place(x), op.place(cosines), op.place(sines)
        to = op.place_result(x.shape, out, in_place=True)
        tasks = []
        for b in range(batch):
            for i, n in row_tasks(length, heads * dim, op.threads):
                values = 4 * (b * length * heads * dim + i * row_stride)
                angles = 2 * (b * length + i) * turned
                tasks.append(
                    [(source + values, c + angles, s + angles, to + values, n, *sizes)],
                )
        op.run_tasks(kernel_table.ROTARY_EMBEDDING, tasks)
        return op.finish()


def _angles(
    cos: ArrayLike, sin: ArrayLike, position_ids: ArrayLike | None, shape: tuple[int, ...]
) -> tuple[Array, Array]:
    """Return cosines and sines of shape (B, L, R / 2)."""
    if position_ids is None:
        meaning = "batch, length, half of rotary_dim"
        return shaped(cos, "cos", shape, meaning), shaped(sin, "sin", shape, meaning)
    cosines, sines = floats(cos, "cos", ndim=2), floats(sin, "sin", ndim=2)
    for name, table in (("cos", cosines), ("sin", sines)):
        if table.shape[1] != shape[2] or table.shape != cosines.shape:
            message = f"{name}: expected shape (positions, {shape[2]}), got {table.shape}"
            raise ShapeError(message)
    positions = indices(position_ids, "position_ids", cosines.shape[0])
    if positions.shape != shape[:2]:
        message = f"position_ids: expected shape {shape[:2]}, got {positions.shape}"
        raise ShapeError(message)
    return cosines[positions], sines[positions]
