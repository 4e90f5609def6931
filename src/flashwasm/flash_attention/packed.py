"""Attention over several sequences that lie one after another, without padding."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from flashwasm.arrays import checked_out, floats, sequence_offsets
from flashwasm.errors import ShapeError
from flashwasm.flash_attention.calls import Addresses, Layout
from flashwasm.flash_attention.problem import check_matrices
from flashwasm.flash_attention.rules import checked_diagonals, checked_rules, is_causal
from flashwasm.flash_attention.schedule import Schedule
from flashwasm.kernels import ATTENTION
from flashwasm.operation import Operation
from flashwasm.runtime import checked_runtime

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

    from flashwasm.flash_attention.rules import Causal, Window
    from flashwasm.runtime import Runtime

    Array = NDArray[Any]

# Short sequences are handed to the workers together, up to so many multiply-adds.
_TASK_PRODUCTS = 1 << 22


def attention_varlen(
    q: ArrayLike,
    k: ArrayLike,
    v: ArrayLike,
    cu_seqlens_q: ArrayLike,
    cu_seqlens_k: ArrayLike | None = None,
    *,
    causal: Causal = False,
    scale: float | None = None,
    window: Window | None = None,
    softcap: float | None = None,
    alibi_slopes: ArrayLike | None = None,
    sinks: ArrayLike | None = None,
    return_lse: bool = False,
    out: Array | None = None,
    runtime: Runtime | None = None,
    timeout: float | None = None,
) -> Array | tuple[Array, Array]:
    """Exact attention within each of several packed sequences.

    Parameters
    ----------
    q : array_like of float, shape (Tq, Hq, D)
        Queries of all sequences, one after another.
    k : array_like of float, shape (Tk, Hk, D)
        Keys. Query head h reads key head ``h // (Hq // Hk)``.
    v : array_like of float, shape (Tk, Hk, Dv)
        Values. Views of arrays in linear memory whose last axis is contiguous are not copied.
    cu_seqlens_q, cu_seqlens_k : array_like of int, shape (n + 1,)
        Where each sequence's queries and keys begin, from 0 to Tq and Tk. None for the keys means
        those of the queries.
    causal : bool, str, int or array_like of int, default False
        As for `attention`, with an array's offsets one for each sequence. True needs as many
        queries as keys in each.
    scale, window, softcap, alibi_slopes, sinks
        As for `attention`.
    return_lse : bool, default False
        Whether to return the log-sum-exp too.
    out : numpy.ndarray of float32, optional
        Where to write.
    runtime : Runtime, optional
        Where to run.
    timeout : float, optional
        Seconds.

    Returns
    -------
    out : numpy.ndarray of float32, shape (Tq, Hq, Dv)
        The bits of a sequence are those of `attention` on it alone.
    lse : numpy.ndarray of float32, shape (Hq, Tq)
        Only with ``return_lse``.

    Raises
    ------
    ShapeError, DTypeError, OutOfMemoryError, DeadlineExceeded, ClosedError

    Examples
    --------
    >>> import numpy as np
    >>> import flashwasm as fw
    >>> x = np.ones((7, 2, 8), np.float32)
    >>> fw.attention_varlen(x, x, x, [0, 3, 7], causal=True).shape
    (7, 2, 8)
    """
    rt = checked_runtime(runtime)
    arrays = [floats(x, name, ndim=3) for x, name in ((q, "q"), (k, "k"), (v, "v"))]
    # The kernel's order of axes: heads, rows, columns.
    by_heads = [x.swapaxes(0, 1) for x in arrays]
    check_matrices(*by_heads)
    (heads, rows, dim), (key_heads, total_keys, value_dim) = by_heads[0].shape, by_heads[2].shape
    starts_q = _whole_offsets(cu_seqlens_q, "cu_seqlens_q", rows)
    keys_too = cu_seqlens_q if cu_seqlens_k is None else cu_seqlens_k
    starts_k = _whole_offsets(keys_too, "cu_seqlens_k", total_keys)
    if len(starts_q) != len(starts_k):
        message = (
            f"cu_seqlens_k: expected {len(starts_q)} offsets, as cu_seqlens_q has, "
            f"got {len(starts_k)}"
        )
        raise ShapeError(message)
    lengths_q, lengths_k = np.diff(starts_q), np.diff(starts_k)
    diagonals = _diagonals(causal, lengths_q, lengths_k)
    rules = checked_rules(
        *(heads, dim),
        causal=is_causal(causal),
        scale=scale,
        window=window,
        softcap=softcap,
        alibi_slopes=alibi_slopes,
        sinks=sinks,
    )
    shape = (rows, heads, value_dim)
    checked_out(out, shape)
    with Operation(rt, timeout) as op:
        operands = [op.put_rows(x) for x in arrays]
        alibi = 0 if rules.alibi is None else op.put_aside(rules.alibi)
        sinks_at = 0 if rules.sinks is None else op.put_aside(rules.sinks)
        to = op.output(shape, out)
        lse_at, lse = op.scratch((heads, rows)) if return_lse else (0, None)
        layout = Layout(
            group=heads // max(key_heads, 1),
            dims=(dim, value_dim),
            row_strides=(*(strides[0] for _, strides in operands), heads * value_dim),
            head_strides=(*(strides[1] for _, strides in operands), value_dim, rows),
            before=rules.before,
            after=rules.after,
            scale=rules.scale,
            softcap=rules.softcap,
        )
        tasks: list[list[tuple[float, ...]]] = []
        for i in range(len(lengths_q)):
            at_q, at_k = int(starts_q[i]), int(starts_k[i])
            q_at, k_at, v_at = (
                address + 4 * at * strides[0]
                for (address, strides), at in zip(operands, (at_q, at_k, at_k), strict=True)
            )
            result, lse_begin = to + 4 * at_q * heads * value_dim, lse_at and lse_at + 4 * at_q
            addresses = Addresses(q_at, k_at, v_at, result, lse_begin, 0, alibi, sinks_at)
            length_q, length_k = int(lengths_q[i]), int(lengths_k[i])
            schedule = Schedule.choose(1, heads, length_q, length_k, dim + value_dim, op.threads)
            pieces = schedule.pieces(heads, length_q, length_k)
            tasks += layout.tasks(addresses, length_k, int(diagonals[i]), pieces)
        op.run_all(ATTENTION, _together(tasks, dim + value_dim))
        result_array = op.finish()
        return result_array if lse is None else (result_array, lse.copy())


def _whole_offsets(offsets: ArrayLike, name: str, total: int) -> Array:
    """Return offsets of sequences that leave no row out."""
    checked = sequence_offsets(offsets, name, total).astype(np.int64)
    if checked[-1] != total:
        message = f"{name}: expected the last to be {total}, the rows there are, got {checked[-1]}"
        raise ShapeError(message)
    return checked


def _diagonals(causal: Causal, lengths_q: Array, lengths_k: Array) -> Array:
    """Return each sequence's diagonal."""
    if causal is True:
        apart = np.flatnonzero(lengths_q != lengths_k)
        i = apart[0] if len(apart) else 0
        queries, keys = (int(x[i]) if len(x) else 0 for x in (lengths_q, lengths_k))
        return checked_diagonals(causal, queries, keys, lengths_k)
    if isinstance(causal, str) and causal == "bottom_right":
        return lengths_k - lengths_q
    return checked_diagonals(causal, 0, 0, lengths_k)


def _together(tasks: list[list[tuple[float, ...]]], width: int) -> list[list[tuple[float, ...]]]:
    """Join small tasks that follow each other."""
    joined: list[list[tuple[float, ...]]] = [[]]
    products = 0.0
    for task in tasks:
        if products >= _TASK_PRODUCTS:
            joined.append([])
            products = 0.0
        joined[-1] += task
        first, last, _, query, query_end, key, key_end = task[0][8:15]
        products += len(task) * (last - first) * (query_end - query) * (key_end - key) * width
    return joined
