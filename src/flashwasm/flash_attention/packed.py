"""Attention within each of several sequences that lie one after another."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from flashwasm.arrays import checked_out, floats, sequence_offsets
from flashwasm.errors import ShapeError
from flashwasm.kernels import ATTENTION, ATTENTION_MAX_DIM
from flashwasm.operation import Operation
from flashwasm.runtime import checked_runtime

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

    from flashwasm.runtime import Runtime

    Array = NDArray[Any]

# Multiply-adds of one task, as in the schedule of dense attention.
_TASK_PRODUCTS = 1 << 22


def attention_packed(
    q: ArrayLike,
    k: ArrayLike,
    v: ArrayLike,
    cu_seqlens: ArrayLike,
    *,
    out: Array | None = None,
    runtime: Runtime | None = None,
    timeout: float | None = None,
) -> Array:
    """Self-attention within each of several packed sequences, all keys visible.

    Parameters
    ----------
    q, k, v : array_like of float, shape (T, H, D)
        Sequences one after another, without padding. Views of arrays in linear memory whose last
        axis is contiguous are not copied.
    cu_seqlens : array_like of int, shape (n + 1,)
        Where each sequence begins, and last T.
    out : numpy.ndarray of float32, optional
        Where to write.
    runtime : Runtime, optional
        Where to run.
    timeout : float, optional
        Seconds.

    Returns
    -------
    numpy.ndarray of float32, shape (T, H, D)
        The bits of a sequence do not depend on those beside it.

    Raises
    ------
    ShapeError, DTypeError, OutOfMemoryError, DeadlineExceeded, ClosedError
    """
    rt = checked_runtime(runtime)
    queries, keys = floats(q, "q", ndim=3), floats(k, "k", ndim=3)
    values = floats(v, "v", ndim=3)
    for name, x in (("k", keys), ("v", values)):
        if x.shape != queries.shape:
            message = f"{name}: expected shape {queries.shape}, that of q, got {x.shape}"
            raise ShapeError(message)
    total, heads, dim = queries.shape
    if dim > ATTENTION_MAX_DIM:
        message = f"q: expected a head dimension of at most {ATTENTION_MAX_DIM}, got {dim}"
        raise ShapeError(message)
    offsets = sequence_offsets(cu_seqlens, "cu_seqlens", total)
    if offsets[-1] != total:
        message = f"cu_seqlens: expected the last to be {total}, the rows of q, got {offsets[-1]}"
        raise ShapeError(message)
    checked_out(out, queries.shape)
    with Operation(rt, timeout) as op:
        operands = [op.put_rows(x) for x in (queries, keys, values)]
        to = op.output(queries.shape, out)
        row_strides = [strides[0] for _, strides in operands]
        head_strides = [strides[1] for _, strides in operands]
        scale = 1 / math.sqrt(max(dim, 1))
        tasks: list[list[tuple[float, ...]]] = [[]]
        products = 0
        for begin, end in zip(offsets[:-1].tolist(), offsets[1:].tolist(), strict=True):
            length = end - begin
            starts = [a + 4 * begin * s for (a, _), s in zip(operands, row_strides, strict=True)]
            tasks[-1].append(
                (
                    *(*starts, to + 4 * begin * heads * dim, 0, 0),
                    *(0, heads, 1, 0, length, 0, length, length, dim, dim),
                    *(*row_strides, heads * dim, *head_strides, dim, 0),
                    *(0, 0, 0, 0, 0, 0, scale),
                )
            )
            products += 2 * heads * length * length * dim
            if products >= _TASK_PRODUCTS:
                tasks.append([])
                products = 0
        op.run_all(ATTENTION, tasks)
        return op.finish()
