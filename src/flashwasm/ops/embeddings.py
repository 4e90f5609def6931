"""Operations on tokens: embedding and rotary_embedding."""

from __future__ import annotations

import math
from functools import partial
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from flashwasm.errors import ShapeError
from flashwasm.integer_checks import indices
from flashwasm.kernel_table import EMBEDDING, ROTARY_EMBEDDING, STATUS_OK
from flashwasm.runtime.deadline import checker, deadline
from flashwasm.runtime.default_runtime import checked_runtime
from flashwasm.runtime.kernel_calls import run_at_once
from flashwasm.runtime.launch import Launch
from flashwasm.runtime.splitting import in_parts
from flashwasm.runtime.tasks import most_in_one_call, row_tasks
from flashwasm.runtime.work_limits import MOST_ELEMENTS, SHORTEST_ROW
from flashwasm.summaries import number_of
from flashwasm.validation import checked_out, flag, floats, positive_int, shaped, shown

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

    from flashwasm.runtime.runtime import Runtime
    from flashwasm.runtime.splitting import Part

    Array = NDArray[Any]

_INT32 = np.dtype(np.int32)


class _Heads(NamedTuple):
    """Sizes of one call of rotary_embedding, in the kernel's order; strides are in elements."""

    heads: int
    dim: int
    turned: int
    interleaved: bool
    row_stride: int
    head_stride: int


def embedding(
    ids: ArrayLike,
    table: ArrayLike,
    *,
    out: NDArray[np.float32] | None = None,
    runtime: Runtime | None = None,
    timeout: float | None = None,
) -> NDArray[np.float32]:
    """Return the rows of a table that ``ids`` selects.

    Parameters
    ----------
    ids : array_like of int
        Numbers of the rows, in an array of any shape. Negative numbers count from the end.
    table : array_like of float, shape (V, ...)
        Table of V rows.
    out : numpy.ndarray of float32, optional
        Array of the result's shape to write to. None means a new array.
    runtime : Runtime, optional
        Runtime to use. None means the default runtime.
    timeout : float, optional
        Maximum duration of the call in seconds. None means the runtime's timeout.

    Returns
    -------
    numpy.ndarray of float32, shape ``ids.shape + table.shape[1:]``

    Raises
    ------
    IndexRangeError
        If an id is outside the table.
    ShapeError, DTypeError, OutOfMemoryError, DeadlineExceeded, Cancelled, ClosedError

    Notes
    -----
    ONNX's Gather-13 along axis 0.

    Examples
    --------
    >>> import numpy as np
    >>> import flashwasm as fw
    >>> fw.embedding([2, -3], np.array([[0, 1], [2, 3], [4, 5]], np.float32)).tolist()
    [[4.0, 5.0], [0.0, 1.0]]
    """
    if out is not None and timeout is None and _gathered_at_once(runtime, ids, table, out):
        return out
    rows = floats(table, "table", at_least=1)
    numbers = indices(ids, "ids", rows.shape[0])
    shape = numbers.shape + rows.shape[1:]
    checked_out(out, shape)
    rt = checked_runtime(runtime)
    until = deadline(rt, timeout)
    compute = partial(_embedding, rt, until, rows)
    return in_parts(compute, (numbers,), shape, numbers.ndim, out, checker(rt, until))


def _embedding(rt: Runtime, timeout: float | None, table: Array, part: Part) -> Array:
    """Gather rows by checked numbers."""
    (ids,), out = part
    columns = math.prod(table.shape[1:])
    launch = Launch(rt, timeout)
    with launch.lock, launch:
        source = launch.place(table)
        at = launch.place_parameter(ids, _INT32)
        to = launch.place_result(ids.shape + table.shape[1:], out)
        if columns > MOST_ELEMENTS:
            # A call of the embedding kernel would copy at least one whole row.
            rows = rt.arena.view(source, (table.shape[0], columns))
            gathered = rt.arena.view(to, (ids.size, columns))
            for i, number in enumerate(ids.flat):
                launch.copy(gathered[i], rows[number])
            return launch.finish()
        sizes = (table.shape[0], columns)
        tasks = (
            [(at + 4 * i, source, to + 4 * i * columns, n, *sizes)]
            for i, n in row_tasks(ids.size, max(columns, SHORTEST_ROW), rt.threads)
        )
        launch.run_tasks(EMBEDDING, tasks)
        return launch.finish()


def _gathered_at_once(runtime: Runtime | None, ids: Any, table: Any, out: Array) -> bool:
    """Gather rows without a launch if all arrays are small resident arrays; return True on success.

    Return False for all other arrays, and for ids that are negative or out of range. The kernel
    detects such ids; the caller then checks them and raises an error or counts them from the end.
    """
    rt = checked_runtime(runtime)
    offsets, numbers = rt.arena.whole_arrays((table, out)), rt.arena.whole_arrays((ids,), _INT32)
    if offsets is None or numbers is None or rt.timeout is not None or not out.flags.writeable:
        return False
    shape = table.shape
    if not shape or out.shape != ids.shape + shape[1:] or table is out:
        return False
    if out.size > most_in_one_call(rt.threads):
        return False
    columns = out.size // max(ids.size, 1)
    arguments = (*numbers, *offsets, ids.size, shape[0], columns)
    return run_at_once(rt, EMBEDDING, arguments) == STATUS_OK


def rotary_embedding(
    x: ArrayLike,
    cos: ArrayLike,
    sin: ArrayLike,
    *,
    position_ids: ArrayLike | None = None,
    interleaved: bool = False,
    rotary_dim: int | None = None,
    num_heads: int | None = None,
    out: NDArray[np.float32] | None = None,
    runtime: Runtime | None = None,
    timeout: float | None = None,
) -> NDArray[np.float32]:
    """Rotate pairs of elements by angles that depend on the position.

    Parameters
    ----------
    x : array_like of float, shape (B, H, L, D), or (B, L, H * D) with ``num_heads``
        Vectors of D elements for B sequences, H heads and L positions.
    cos, sin : array_like of float, shape (B, L, R / 2), or (positions, R / 2) with ``position_ids``
        Cosines and sines of the angles, R being ``rotary_dim``.
    position_ids : array_like of int, shape (B, L), optional
        Row of ``cos`` and ``sin`` for each position.
    interleaved : bool, default False
        True if a pair consists of two neighbouring elements, False if it consists of an element of
        the first half and the one at the same place in the second half.
    rotary_dim : int, optional
        Number of elements to rotate in each head, starting with the first; the others are copied.
        None or 0 means all.
    num_heads : int, optional
        Number of heads H. Required if ``x`` has three axes.
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
    IndexRangeError
        If a position is outside ``cos``.
    ShapeError, DTypeError, OutOfMemoryError, DeadlineExceeded, Cancelled, ClosedError

    Notes
    -----
    Su et al., "RoFormer", 2021; ONNX's RotaryEmbedding-23.

    Examples
    --------
    >>> import numpy as np
    >>> import flashwasm as fw
    >>> x = np.array([1, 0], np.float32).reshape(1, 1, 1, 2)
    >>> quarter_turn = np.array([[[0.0]]], np.float32), np.array([[[1.0]]], np.float32)
    >>> fw.rotary_embedding(x, *quarter_turn).ravel().tolist()
    [0.0, 1.0]
    """
    rt = checked_runtime(runtime)
    array = floats(x, "x")
    checked_out(out, array.shape)
    batch, length, heads, dim = _sizes(array, num_heads)
    turned = _given(rotary_dim, "rotary_dim") or dim
    if turned > dim or turned % 2:
        message = f"rotary_dim: expected an even number of at most {dim}, got {shown(turned)}"
        raise ShapeError(message)
    angles = _angles(cos, sin, position_ids, (batch, length, turned // 2))
    packed = array.ndim == 3
    layout = _Heads(
        heads,
        dim,
        turned,
        flag(interleaved, "interleaved"),
        row_stride=heads * dim if packed else dim,
        head_stride=dim if packed else length * dim,
    )
    until = deadline(rt, timeout)
    compute = partial(_rotary_embedding, rt, until, layout)
    return in_parts(compute, (array, *angles), array.shape, 1, out, checker(rt, until))


def _sizes(x: Array, num_heads: int | None) -> tuple[int, int, int, int]:
    """Return the numbers of sequences, positions, heads and elements of a head."""
    if x.ndim == 4:
        batch, heads, length, dim = x.shape
        if _given(num_heads, "num_heads") not in {0, heads}:
            own = number_of(heads, "heads")
            message = f"num_heads: x of shape {x.shape} has {own}, got {shown(num_heads)}"
            raise ShapeError(message)
        return batch, length, heads, dim
    if x.ndim != 3:
        message = f"x: expected 3 or 4 axes, got shape {x.shape}"
        raise ShapeError(message)
    if num_heads is None:
        message = f"num_heads: required for x with three axes, shape {x.shape}"
        raise ShapeError(message)
    heads = positive_int(num_heads, "num_heads")
    if x.shape[2] % heads:
        message = f"num_heads: {shown(heads)} does not divide the last axis of x, shape {x.shape}"
        raise ShapeError(message)
    return x.shape[0], x.shape[1], heads, x.shape[2] // heads


def _given(value: int | None, name: str) -> int:
    """Return a positive integer as it is, and 0 for None or 0."""
    return 0 if value is None or (type(value) is int and value == 0) else positive_int(value, name)


def _rotary_embedding(rt: Runtime, timeout: float | None, layout: _Heads, part: Part) -> Array:
    """Rotate checked vectors, given with cosines and sines of shape (B, L, R / 2)."""
    (x, cosines, sines), out = part
    batch, length = cosines.shape[:2]
    width = layout.heads * layout.dim
    launch = Launch(rt, timeout)
    with launch.lock, launch:
        source, c, s = launch.place(x), launch.place(cosines), launch.place(sines)
        to = launch.place_result(x.shape, out, in_place=True)
        # Maximum number of heads in one call, which limits the duration of a call.
        step = max(MOST_ELEMENTS // max(layout.dim, SHORTEST_ROW), 1)
        tasks = (
            [
                (source + values, c + angles, s + angles, to + values, n, heads, *layout[1:])
                for h in range(0, layout.heads, step)
                for heads in (min(step, layout.heads - h),)
                for values in (
                    4 * (b * length * width + i * layout.row_stride + h * layout.head_stride),
                )
            ]
            for b in range(batch)
            for i, n in row_tasks(length, max(width, SHORTEST_ROW), rt.threads)
            for angles in (2 * (b * length + i) * layout.turned,)
        )
        launch.run_tasks(ROTARY_EMBEDDING, tasks)
        return launch.finish()


def _angles(
    cos: ArrayLike, sin: ArrayLike, position_ids: ArrayLike | None, shape: tuple[int, ...]
) -> tuple[Array, Array]:
    """Return cosines and sines of shape (B, L, R / 2)."""
    if position_ids is None:
        meaning = "batch, length, half of rotary_dim; a table by position needs position_ids"
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
