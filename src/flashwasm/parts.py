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
TASK_ELEMENTS = 1 << 16
# A call on more would keep a deadline or a signal waiting: this is about a millisecond.
_MOST_ELEMENTS = 1 << 20


def in_parts(
    compute: Callable[..., Array],
    operands: tuple[Array, ...],
    shape: tuple[int, ...],
    out: Array | None,
    *rest: Any,
) -> Array:
    """Compute a result whole, or where linear memory is too small in halves of the first axis.

    Parameters
    ----------
    compute : callable
        Takes the operands, where to write (None for a new array) and the rest; returns the result.
    operands : tuple of numpy.ndarray
        What is cut along with the result.
    shape : tuple of int
        Of the result; without axes where it cannot be cut.
    out : numpy.ndarray, optional
        Where to write.
    rest
        Whatever else ``compute`` takes, the same for every part.
    """
    try:
        return compute(*operands, out, *rest)
    except OutOfMemoryError:
        if not shape or shape[0] < 2:
            raise
    result = np.empty(shape, np.float32) if out is None else out
    middle = shape[0] // 2
    for part in (slice(0, middle), slice(middle, shape[0])):
        some = tuple(x[part] for x in operands)
        target = result[part]
        in_parts(compute, some, target.shape, target, *rest)
    return result


def row_tasks(rows: int, columns: int, threads: int) -> list[tuple[int, int]]:
    """Cut rows into (first, count) pieces, enough for all workers, neither small nor large."""
    if rows * columns <= TASK_ELEMENTS:
        return [(0, rows)]
    wanted = min(rows * columns // (2 * threads), _MOST_ELEMENTS)
    step = max(wanted, TASK_ELEMENTS) // max(columns, 1)
    # Whole groups of 16 elements keep every piece aligned as the first is.
    step = max(1, step if columns >= 16 else step // 16 * 16)
    return [(i, min(step, rows - i)) for i in range(0, rows, step)]
