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
    shape: tuple[int, ...],
    out: Array | None,
    compute: Callable[[slice | None, Array | None], Array],
) -> Array:
    """Compute a result whole, or where linear memory is too small in halves of its first axis.

    Parameters
    ----------
    shape : tuple of int
        Of the result; without axes where it cannot be cut.
    out : numpy.ndarray, optional
        Where to write.
    compute : callable
        Takes a slice of the first axis (None for all of it) and where to write; returns the result.
    """
    try:
        return compute(None, out)
    except OutOfMemoryError:
        if not shape or shape[0] < 2:  # noqa: PLR2004 - one row cannot be halved.
            raise
    result = np.empty(shape, np.float32) if out is None else out
    _halves(0, shape[0], result, compute)
    return result


def _halves(
    begin: int,
    end: int,
    result: Array,
    compute: Callable[[slice | None, Array | None], Array],
) -> None:
    middle = (begin + end) // 2
    for first, last in ((begin, middle), (middle, end)):
        try:
            compute(slice(first, last), result[first:last])
        except OutOfMemoryError:
            if last - first < 2:  # noqa: PLR2004 - as above.
                raise
            _halves(first, last, result, compute)


def row_tasks(rows: int, columns: int, threads: int) -> list[tuple[int, int]]:
    """Cut rows into (first, count) pieces: enough for the workers, neither too small nor too large."""
    if rows * columns <= _TASK_ELEMENTS:
        return [(0, rows)]
    wanted = min(rows * columns // (2 * threads), _MOST_ELEMENTS)
    step = max(wanted, _TASK_ELEMENTS) // max(columns, 1)
    # Whole groups of 16 elements keep every piece aligned as the first is.
    step = max(1, step if columns >= 16 else step // 16 * 16)  # noqa: PLR2004 - see above.
    return [(i, min(step, rows - i)) for i in range(0, rows, step)]
