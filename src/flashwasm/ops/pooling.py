"""Pooling of packed sequences: `mean_pool`."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from flashwasm.array_room import new_array
from flashwasm.integer_checks import sequence_offsets
from flashwasm.kernel_table import (
    MEAN_POOL,
    MEAN_POOL_ADD,
    MEAN_POOL_CLEAR,
    MEAN_POOL_MEAN,
    MEAN_POOL_NORMALIZE,
    MEAN_POOL_PIECE,
)
from flashwasm.ops.long_rows import column_pieces
from flashwasm.runtime.copies import copy_in_pieces
from flashwasm.runtime.deadline import checker, deadline
from flashwasm.runtime.default_runtime import checked_runtime
from flashwasm.runtime.launch import Launch
from flashwasm.runtime.splitting import copied_to, in_halves
from flashwasm.runtime.tasks import most_in_one_call
from flashwasm.runtime.work_limits import FEWEST_ELEMENTS, MOST_ELEMENTS, SHORTEST_ROW
from flashwasm.validation import checked_out, flag, floats

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

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
        Row at which each sequence begins, followed by the row at which the last sequence ends. The
        first number is 0, numbers never decrease, and none exceeds T.
    normalize : bool, default False
        True to scale each mean to unit length.
    out : numpy.ndarray of float32, shape (n, D), optional
        Array to write to. None means a new array.
    runtime : Runtime, optional
        Runtime to use. None means the default runtime.
    timeout : float, optional
        Maximum duration of the call in seconds. None means the runtime's timeout.

    Returns
    -------
    numpy.ndarray of float32, shape (n, D)
        The means. The mean of an empty sequence is zeros.

    Raises
    ------
    IndexRangeError
        If the offsets do not start at 0, decrease, or exceed T.
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
        partial(_halves, checker(rt, until)),
    )


class _Sequences(NamedTuple):
    """Checked rows and offsets of some sequences, and the output array for their means."""

    rows: Array
    offsets: Array
    # None means a new array.
    out: Array | None


def _mean_pool(rt: Runtime, timeout: float | None, sequences: _Sequences, *, unit: bool) -> Array:
    """Compute the means; each task processes several short sequences, or one long sequence."""
    rows, offsets, out = sequences
    count, columns = len(offsets) - 1, rows.shape[1]
    launch = Launch(rt, timeout)
    with launch.lock, launch:
        source = launch.place(rows)
        at, table = launch.scratch(offsets.shape, np.int32)
        copy_in_pieces(table, offsets, launch.check)
        to = launch.place_result((count, columns), out)
        width = max(columns, SHORTEST_ROW)
        if (int(offsets[-1]) + count) * width <= most_in_one_call(rt.threads):
            launch.run_once(MEAN_POOL, (source, at, to, count, columns, unit))
            return launch.finish()
        # Number of elements that each sequence reads and writes, including its mean.
        work = (np.diff(offsets) + 1).astype(np.int64) * width
        tasks = (
            [(source, at + 4 * i, to + 4 * i * columns, n, columns, unit)]
            for i, n in _groups(work, rt.threads)
        )
        launch.run_tasks(MEAN_POOL, tasks)
        long = np.flatnonzero(work > MOST_ELEMENTS)
        states, zeros = launch.scratch(long.shape)
        zeros[:] = 0
        long_tasks = (
            _calls(
                source + 4 * int(offsets[i]) * columns,
                to + 4 * int(i) * columns,
                states + 4 * number,
                int(offsets[i + 1] - offsets[i]),
                columns,
                unit=unit,
            )
            for number, i in enumerate(long)
        )
        launch.run_tasks(MEAN_POOL_PIECE, long_tasks)
        return launch.finish()


def _groups(work: Array, threads: int) -> list[tuple[int, int]]:
    """Cut sequences into groups (first sequence, number of sequences); leave out the long ones.

    Parameters
    ----------
    work : numpy.ndarray of int64
        Elements of each sequence.
    threads : int
        Number of threads that process the groups.
    """
    most = max(FEWEST_ELEMENTS, min(int(work.sum()) // (2 * threads), MOST_ELEMENTS))
    long = work > MOST_ELEMENTS
    begins = long.copy()
    begins[1:] |= long[:-1]
    # A new group begins each time the running sum of elements passes a multiple of `most`.
    begins |= np.diff(np.cumsum(np.where(long, 0, work)) // most, prepend=-1) > 0
    starts = np.flatnonzero(begins)
    ends = np.append(starts[1:], len(work))
    return [(int(i), int(end - i)) for i, end in zip(starts, ends, strict=True) if not long[i]]


def _calls(
    x: int, out: int, state: int, length: int, columns: int, *, unit: bool
) -> Iterator[tuple[int, ...]]:
    """Yield the arguments of the calls for a long sequence, in order.

    Parameters
    ----------
    x, out, state : int
        Addresses of the sequence's first row, of its mean, and of a zero.
    length, columns : int
        Numbers of its rows and columns.
    unit : bool
        True to scale the mean to unit length.
    """
    for j, n in column_pieces(columns):
        yield (x, out + 4 * j, state, 0, n, columns, length, MEAN_POOL_CLEAR)
        step = max(MOST_ELEMENTS // max(n, SHORTEST_ROW), 1)
        for i in range(0, length, step):
            at, rows = x + 4 * (i * columns + j), min(step, length - i)
            yield (at, out + 4 * j, state, rows, n, columns, length, MEAN_POOL_ADD)
        if length:
            yield (x, out + 4 * j, state, 0, n, columns, length, MEAN_POOL_MEAN)
    for j, n in column_pieces(columns if unit and length else 0):
        yield (x, out + 4 * j, state, 0, n, columns, length, MEAN_POOL_NORMALIZE)


def _halves(between: Callable[[], None], sequences: _Sequences) -> Halves[_Sequences, Array] | None:
    """Split in the middle, between two sequences; a single sequence cannot be split."""
    rows, offsets, out = sequences
    count = len(offsets) - 1
    if count < 2:
        return None
    # The parts go to a new array, because `out` may overlap rows that a later part still reads.
    result = new_array((count, rows.shape[1]))
    parts = []
    for first, last in ((0, count // 2), (count // 2, count)):
        begin, end = int(offsets[first]), int(offsets[last])
        part = offsets[first : last + 1] - offsets[first]
        parts.append(_Sequences(rows[begin:end], part, result[first:last]))
    return parts, lambda _: copied_to(out, result, between)
