"""Attention on arrays with a head axis."""

from __future__ import annotations

import math
from itertools import product
from typing import TYPE_CHECKING, Any

import numpy as np

from flashwasm.flash_attention.kernel_arguments import Addresses, Layout
from flashwasm.flash_attention.operands import Operand, put_keys, put_mask
from flashwasm.flash_attention.problem import Problem, checked_problem, output_shape
from flashwasm.flash_attention.schedule import choose_schedule
from flashwasm.kernel_table import ATTENTION, MASK_NONE, STORED_INT8
from flashwasm.runtime.deadline import deadline
from flashwasm.runtime.launch import Launch
from flashwasm.runtime.runtime import checked_runtime
from flashwasm.runtime.splitting import copied_to, in_halves
from flashwasm.validation import checked_out

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

    from flashwasm.flash_attention.attention_options import Causal, Window
    from flashwasm.flash_attention.kernel_arguments import Call
    from flashwasm.flash_attention.schedule import RowSchedule, Schedule
    from flashwasm.runtime.runtime import Runtime
    from flashwasm.runtime.splitting import Halves

    Array = NDArray[Any]
    # A problem, and where to write its output; None means a new array.
    _Part = tuple[Problem, Array | None]


def attention(
    q: ArrayLike,
    k: ArrayLike,
    v: ArrayLike,
    *,
    causal: Causal = False,
    mask: ArrayLike | None = None,
    scale: float | None = None,
    window: Window | None = None,
    softcap: float | None = None,
    alibi_slopes: ArrayLike | None = None,
    sinks: ArrayLike | None = None,
    dropout: float = 0.0,
    seed: int | None = None,
    kv_lengths: ArrayLike | None = None,
    return_lse: bool = False,
    out: Array | None = None,
    runtime: Runtime | None = None,
    timeout: float | None = None,
) -> Array | tuple[Array, Array]:
    """Exact attention, softmax(softcap(scale Q Kᵀ) + bias) V, in blocks.

    Parameters
    ----------
    q : array_like of float, shape (..., Hq, Lq, D)
        Queries; two axes are one head. D is at most 256.
    k : array_like of float, shape (..., Hk, Lk, D)
        Keys. Query head h reads key head ``h // (Hq // Hk)``.
    v : array_like of float, shape (..., Hk, Lk, Dv)
        Values; Dv is at most 256.
    causal : bool, str, int or array_like of int, default False
        With an offset, query i sees the keys up to i + offset. "top_left" is offset 0,
        "bottom_right" Lk - Lq; an array has one offset for each leading index. True is either of
        the two where Lq == Lk, and refused elsewhere.
    mask : array_like of bool or float, optional
        Broadcasts to (..., Hq, Lq, Lk). True takes part; a float is added to the scores.
    scale : float, optional
        Factor of the scores. None means 1 / sqrt(D).
    window : (int, int), optional
        Keys that a query sees to the left and to the right of its diagonal, which is key i + offset
        for query i, and i where ``causal`` is False. None or -1 leaves a side open.
    softcap : float, optional
        Scores s become softcap tanh(s / softcap), before any bias. None or 0 leaves them.
    alibi_slopes : array_like of float, shape (Hq,), optional
        Subtracts slope times the distance of the key from the query's diagonal.
    sinks : array_like of float, shape (Hq,), optional
        One more logit for each head that takes weight and has no value.
    dropout : float, default 0.0
        Probability of each weight to be dropped, the others being divided by 1 - dropout. It does
        not enter the log-sum-exp.
    seed : int, optional
        From 0 to 2**64 - 1. Which weights are dropped depends on it and on their batch, head, query
        and key alone. None draws one from the system.
    kv_lengths : array_like of int, shape (...,), optional
        Keys that count for each leading index; "bottom_right" aligns with the last of them.
    return_lse : bool, default False
        Whether to return the logarithm of each row's sum of exponentials too.
    out : numpy.ndarray of float32, optional
        Where to write.
    runtime : Runtime, optional
        Where to run.
    timeout : float, optional
        Seconds.

    Returns
    -------
    out : numpy.ndarray of float32, shape (..., Hq, Lq, Dv)
        A row with no key to see is zeros. What a hidden key or value holds never reaches it; NaN in
        what takes part gives NaN. A row's bits do not depend on the rows, heads or batch beside it,
        nor on threads.
    lse : numpy.ndarray of float32, shape (..., Hq, Lq)
        Only with ``return_lse``. Natural logarithm, of sinks too; -inf for a row with nothing to
        sum.

    Raises
    ------
    ShapeError, DTypeError, OutOfMemoryError, DeadlineExceeded, ClosedError

    Notes
    -----
    Dao et al., "FlashAttention", 2022, with the online softmax of Milakov & Gimelshein, 2018;
    windows as in Longformer (Beltagy et al., 2020), softcap as in Gemma 2 (2024), ALiBi (Press,
    Smith & Lewis, 2021), sinks as in gpt-oss (2025); dropout by Philox 4x32-10 (Salmon et al.,
    2011). Blocks of keys that no query of a block sees
    are skipped. Memory beyond inputs and output does not grow with Lq or Lk.

    Examples
    --------
    >>> import numpy as np
    >>> import flashwasm as fw
    >>> q = k = v = np.ones((2, 5, 8), np.float32)
    >>> bool((fw.attention(q, k, v, causal=True) == 1).all())
    True
    """
    rt = checked_runtime(runtime)
    problem = checked_problem(
        *(q, k, v),
        causal=causal,
        mask=mask,
        scale=scale,
        window=window,
        softcap=softcap,
        alibi_slopes=alibi_slopes,
        sinks=sinks,
        dropout=dropout,
        seed=seed,
        kv_lengths=kv_lengths,
    )
    shape = output_shape(problem, q, k, v)
    return attend_into(rt, problem, shape, out=out, with_lse=return_lse, timeout=timeout)


def attend_into(
    rt: Runtime,
    problem: Problem,
    shape: tuple[int, ...],
    *,
    out: Array | None,
    with_lse: bool,
    timeout: float | None,
) -> Array | tuple[Array, Array]:
    """Compute a problem, in ``out`` where it is given; ``shape`` is as the user sees the output."""
    checked_out(out, shape)
    target = None if out is None else out.reshape(problem.shape)
    if out is not None and not np.may_share_memory(target, out):
        target = None  # A reshape that had to copy would take the result with it.
    result, lse = attend(rt, problem, target, deadline(rt, timeout), with_lse=with_lse)
    result = result.reshape(shape)
    if out is not None and target is None:
        np.copyto(out, result)
    result = result if out is None else out
    return result if lse is None else (result, lse.reshape(shape[:-1]))


def attend(
    rt: Runtime,
    problem: Problem,
    out: Array | None,
    timeout: float | None,
    *,
    with_lse: bool,
    schedule: Schedule | RowSchedule | None = None,
) -> tuple[Array, Array | None]:
    """Compute a problem whole or, where linear memory is too small for it, in halves."""

    def compute(part: _Part) -> tuple[Array, Array | None]:
        return _attend_whole(rt, *part, timeout, with_lse=with_lse, schedule=schedule)

    def halve(part: _Part) -> Halves[_Part, tuple[Array, Array | None]] | None:
        whole, target = part
        halves = list(whole.halves())
        if not halves:
            return None
        # The parts go into an array of their own: `out` may share its memory with an operand, of
        # which a later part is still to be read.
        result = np.empty(whole.shape, np.float32)

        def join(found: list[tuple[Array, Array | None]]) -> tuple[Array, Array | None]:
            lse = np.empty(whole.shape[:-1], np.float32) if with_lse else None
            if lse is not None:
                for (index, _), (_, some) in zip(halves, found, strict=True):
                    lse[index] = some
            return copied_to(target, result), lse

        return [(half, result[index]) for index, half in halves], join

    return in_halves((problem, out), compute, halve)


def _attend_whole(
    rt: Runtime,
    p: Problem,
    out: Array | None,
    timeout: float | None,
    *,
    with_lse: bool,
    schedule: Schedule | RowSchedule | None,
) -> tuple[Array, Array | None]:
    heads, queries, dim = p.q.shape[-3:]
    keys, value_dim = p.v.shape[-2:]
    rules = p.rules
    with Launch(rt, timeout) as op:
        q = Operand(*op.place_rows(p.q), p.q.shape)
        k, v, k_scales, v_scales = put_keys(op, p)
        mask, kind = put_mask(op, p)
        alibi = 0 if rules.alibi is None else op.place_parameter(rules.alibi)
        sinks = 0 if rules.sinks is None else op.place_parameter(rules.sinks)
        result = op.place_result(p.shape, out)
        lse_at, lse = op.scratch(p.shape[:-1]) if with_lse else (0, None)
        layout = Layout(
            group=p.group,
            dims=(dim, value_dim),
            row_strides=(*(x.strides[-2] for x in (q, k, v)), value_dim),
            head_strides=(*(x.strides[-3] for x in (q, k, v)), queries * value_dim, queries),
            rules=rules,
            mask=(kind, *mask.strides[-3:]) if mask else (MASK_NONE, 0, 0, 0),
            first=p.first,
            storage=p.storage.kind,
            capacity=p.storage.capacity,
        )
        count = math.prod(p.lead)
        chosen = schedule or choose_schedule(
            *(count, heads, p.group, queries, keys, dim + value_dim, op.threads),
            always_rows=p.storage.kind == STORED_INT8,
        )
        partial_floats = chosen.partial_floats(heads, queries, keys, value_dim)
        partials = op.scratch((count, partial_floats))[0] if partial_floats else 0
        tasks: list[list[Call]] = []
        last: list[list[Call]] = []
        for at, index in enumerate(product(*map(range, p.lead))):
            row = at * heads * queries
            addresses = Addresses(
                *(q.at(index), k.at(index), v.at(index), result + 4 * row * value_dim),
                *(lse_at and lse_at + 4 * row, mask.at(index) if mask else 0, alibi, sinks),
                *(k_scales.at(index) if k_scales else 0, v_scales.at(index) if v_scales else 0),
                partials=partials and partials + 4 * at * partial_floats,
            )
            length = int(p.lengths[index])
            diagonal, number = int(p.diagonals[index]), int(p.numbers[index])
            entry = (addresses, (queries, length), diagonal, number)
            tasks += layout.tasks(*entry, chosen.pieces(heads, queries, length))
            last += layout.tasks(*entry, chosen.last(heads, queries, length))
        op.run_tasks(ATTENTION, tasks)
        if last:
            op.run_tasks(ATTENTION, last)
        return op.finish(), None if lse is None else lse.copy()
