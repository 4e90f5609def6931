"""Pooling of packed sequences: `mean_pool`."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from flashwasm.array_room import new_array
from flashwasm.kernel_table import MEAN_POOL
from flashwasm.runtime.deadline import deadline
from flashwasm.runtime.default_runtime import checked_runtime
from flashwasm.runtime.launch import Launch
from flashwasm.runtime.splitting import copied_to, in_halves
from flashwasm.runtime.tasks import row_tasks
from flashwasm.validation import checked_out, flag, floats, sequence_offsets

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

    from flashwasm.runtime.runtime import Runtime
    from flashwasm.runtime.splitting import Halves

    Array = NDArray[Any]


def mean_pool(
    x: ArrayLike,
    cu_seqlens: ArrayLike,
    *,
    normalize: bool = False,
    out: NDArray[np.float32] | None = None,
    runtime: Runtime | None = None,
    timeout: float | None = None,
) -> NDArray[np.float32]:
    """Take the mean of the rows of each packed sequence.

    Parameters
    ----------
    x : array_like of float, shape (T, D)
        Rows of all sequences, one sequence after another.
    cu_seqlens : array_like of int, shape (n + 1,)
        Row at which each sequence begins, followed by the row at which the last one ends. The
        numbers begin with 0, never decrease, and are at most T.
    normalize : bool, default False
        True to scale each mean to unit length.
    out : numpy.ndarray of float32, shape (n, D), optional
        Array to write to. None means a new array.
    runtime : Runtime, optional
        Runtime to use. None means the process's own.
    timeout : float, optional
        Seconds that the call may take. None means the runtime's own timeout.

    Returns
    -------
    numpy.ndarray of float32, shape (n, D)
        The means. That of an empty sequence is zeros.

    Raises
    ------
    IndexRangeError
        If the offsets do not rise from 0 to at most T.
    ShapeError, DTypeError, OutOfMemoryError, DeadlineExceeded, Cancelled, ClosedError

    Examples
    --------
    >>> import numpy as np
    >>> import flashwasm as fw
    >>> fw.mean_pool(np.array([[1], [3], [5]], np.float32), [0, 2, 3]).tolist()
    [[2.0], [5.0]]
    """
    rt = checked_runtime(runtime)
    rows = floats(x, "x", ndim=2)
    offsets = sequence_offsets(cu_seqlens, "cu_seqlens", rows.shape[0])
    shape = (len(offsets) - 1, rows.shape[1])
    checked_out(out, shape)
    unit, until = flag(normalize, "normalize"), deadline(rt, timeout)
    return in_halves(
        _Sequences(rows, offsets, out),
        partial(_mean_pool, rt, until, unit=unit),
        _halves,
    )


class _Sequences(NamedTuple):
    """Checked rows and offsets of some sequences, and the array to write their means to."""

    rows: Array
    offsets: Array
    # None means a new array.
    out: Array | None


def _mean_pool(rt: Runtime, timeout: float | None, sequences: _Sequences, *, unit: bool) -> Array:
    """Compute the means; each task takes some of the sequences."""
    rows, offsets, out = sequences
    count, columns = len(offsets) - 1, rows.shape[1]
    launch = Launch(rt, timeout)
    with launch.lock, launch:
        source = launch.place(rows)
        at, table = launch.scratch(offsets.shape, np.int32)
        table[:] = offsets
        to = launch.place_result((count, columns), out)
        # Tasks are cut as if all sequences had the same length.
        elements = -(-rows.size // max(count, 1))
        tasks = [
            [(source, at + 4 * i, to + 4 * i * columns, n, columns, unit)]
            for i, n in row_tasks(count, elements, rt.threads)
        ]
        launch.run_tasks(MEAN_POOL, tasks)
        return launch.finish()


def _halves(sequences: _Sequences) -> Halves[_Sequences, Array] | None:
    """Split between two sequences in the middle; one sequence cannot be split."""
    rows, offsets, out = sequences
    count = len(offsets) - 1
    if count < 2:
        return None
    # The parts are written to a new array, because `out` may overlap rows that a later part still
    # reads.
    result = new_array((count, rows.shape[1]))
    parts = []
    for first, last in ((0, count // 2), (count // 2, count)):
        begin, end = int(offsets[first]), int(offsets[last])
        part = offsets[first : last + 1] - offsets[first]
        parts.append(_Sequences(rows[begin:end], part, result[first:last]))
    return parts, lambda _: copied_to(out, result)
