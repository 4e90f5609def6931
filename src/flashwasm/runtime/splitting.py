"""Cutting an operation: into parts that fit linear memory, and into tasks for the workers."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from flashwasm.errors import OutOfMemoryError

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    Array = NDArray[Any]

# A call on fewer elements than this costs more to hand to a worker than to make.
_TASK_ELEMENTS = 1 << 16
# A call on more would keep a deadline or a signal waiting: this is about a millisecond.
_MOST_ELEMENTS = 1 << 20


def in_parts(
    compute: Callable[..., Array],
    operands: tuple[Array, ...],
    shape: tuple[int, ...],
    axes: int,
    out: Array | None,
    *rest: Any,
) -> Array:
    """Compute a result whole, or where linear memory is too small in halves of its first axes.

    Parameters
    ----------
    compute : callable
        Takes the operands, where to write (None for a new array) and the rest; returns the result.
    operands : tuple of numpy.ndarray
        What is cut along with the result.
    shape : tuple of int
        Of the result.
    axes : int
        How many of the result's first axes may be cut.
    out : numpy.ndarray, optional
        Where to write.
    rest
        Whatever else ``compute`` takes, the same for every part.
    """
    try:
        return compute(*operands, out, *rest)
    except OutOfMemoryError:
        if axes == 0 or shape[0] == 0 or (shape[0] == 1 and axes == 1):
            raise
    if shape[0] == 1:
        inner = tuple(x[0] for x in operands)
        result = in_parts(compute, inner, shape[1:], axes - 1, None, *rest)
        return copied_to(out, result[None])
    # Parts of `out` must not be written while parts of an input that lie there are to be read.
    result = np.empty(shape, np.float32)
    middle = shape[0] // 2
    for part in (slice(0, middle), slice(middle, shape[0])):
        some = tuple(x[part] for x in operands)
        target = result[part]
        np.copyto(target, in_parts(compute, some, target.shape, axes, None, *rest))
    return copied_to(out, result)


def copied_to(out: Array | None, result: Array) -> Array:
    """Return a result, in ``out`` where that is given."""
    if out is None:
        return result
    np.copyto(out, result)
    return out


def is_one_task(elements: int, threads: int) -> bool:
    """Return whether a call on so many elements is best made whole, on the calling thread."""
    return elements <= (_TASK_ELEMENTS if threads > 1 else _MOST_ELEMENTS)


def row_tasks(rows: int, columns: int, threads: int) -> list[tuple[int, int]]:
    """Cut rows into (first, count) pieces, enough for all workers, neither small nor large."""
    if is_one_task(rows * columns, threads):
        return [(0, rows)]
    wanted = min(rows * columns // (2 * threads), _MOST_ELEMENTS)
    step = max(wanted, _TASK_ELEMENTS) // max(columns, 1)
    # Whole groups of 16 elements keep every piece aligned as the first is.
    step = max(1, step if columns >= 16 else step // 16 * 16)
    return [(i, min(step, rows - i)) for i in range(0, rows, step)]
