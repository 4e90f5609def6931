"""What becomes of the rows of packed sequences: mean_pool."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from flashwasm import kernel_table
from flashwasm.errors import OutOfMemoryError
from flashwasm.runtime.launch import Launch, deadline
from flashwasm.runtime.runtime import checked_runtime
from flashwasm.runtime.splitting import copied_to
from flashwasm.validation import checked_out, flag, floats, sequence_offsets

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

    from flashwasm.runtime.runtime import Runtime

    Array = NDArray[Any]


def mean_pool(
    x: ArrayLike,
    cu_seqlens: ArrayLike,
    *,
    normalize: bool = False,
    out: Array | None = None,
    runtime: Runtime | None = None,
    timeout: float | None = None,
) -> Array:
    """Mean of the rows of each packed sequence.

    Parameters
    ----------
    x : array_like of float, shape (T, D)
        Sequences one after another.
    cu_seqlens : array_like of int, shape (n + 1,)
        Where each begins, and last where the last one ends: not falling, from 0 to at most T.
    normalize : bool, default False
        Whether to scale each mean to unit length.
    out, runtime, timeout
        As for `vecadd`.

    Returns
    -------
    numpy.ndarray of float32, shape (n, D)
        Zeros for an empty sequence.

    Raises
    ------
    ShapeError, DTypeError, OutOfMemoryError, DeadlineExceeded, ClosedError

    Examples
    --------
    >>> import numpy as np
    >>> import flashwasm as fw
    >>> fw.mean_pool(np.float32([[1], [3], [5]]), [0, 2, 3]).tolist()
    [[2.0], [5.0]]
    """
    rt = checked_runtime(runtime)
    rows = floats(x, "x", ndim=2)
    offsets = sequence_offsets(cu_seqlens, "cu_seqlens", rows.shape[0])
    count, columns = len(offsets) - 1, rows.shape[1]
    checked_out(out, (count, columns))
    unit = flag(normalize, "normalize")
    return _mean_pool(rows, offsets, out, rt, deadline(rt, timeout), unit=unit)


def _mean_pool(
    rows: Array,
    offsets: Array,
    out: Array | None,
    rt: Runtime,
    timeout: float | None,
    *,
    unit: bool,
) -> Array:
    """Pool whole, or where linear memory is too small in halves of the sequences."""
    count, columns = len(offsets) - 1, rows.shape[1]
    try:
        with Launch(rt, timeout) as op:
            source = op.place(rows)
            at, table = op.scratch(offsets.shape, np.int32)
            table[:] = offsets
            to = op.place_result((count, columns), out)
            op.run_once(kernel_table.MEAN_POOL, (source, at, to, count, columns, unit))
            return op.finish()
    except OutOfMemoryError:
        if count < 2:
            raise
    result = np.empty((count, columns), np.float32)
    for first, last in ((0, count // 2), (count // 2, count)):
        begin, end = int(offsets[first]), int(offsets[last])
        some = rows[begin:end], offsets[first : last + 1] - offsets[first]
        result[first:last] = _mean_pool(*some, None, rt, timeout, unit=unit)
    return copied_to(out, result)
