"""The gradient of attention with respect to its operands."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from flashwasm.errors import OutOfMemoryError, ShapeError
from flashwasm.flash_attention.kernel_arguments import Addresses, Layout, Piece
from flashwasm.flash_attention.operands import Operand, put_mask
from flashwasm.flash_attention.problem import Problem, checked_problem, output_shape
from flashwasm.flash_attention.schedule import Schedule
from flashwasm.kernel_table import ATTENTION_BACKWARD, MASK_NONE
from flashwasm.runtime.deadline import deadline
from flashwasm.runtime.launch import Launch
from flashwasm.runtime.runtime import checked_runtime
from flashwasm.runtime.splitting import in_halves
from flashwasm.validation import shaped

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import ArrayLike, NDArray

    from flashwasm.flash_attention.attention_options import Causal, Window
    from flashwasm.runtime.runtime import Runtime
    from flashwasm.runtime.splitting import Halves

    Array = NDArray[Any]
    Call = tuple[float, ...]


def attention_backward(
    dout: ArrayLike,
    q: ArrayLike,
    k: ArrayLike,
    v: ArrayLike,
    out: ArrayLike,
    lse: ArrayLike,
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
    runtime: Runtime | None = None,
    timeout: float | None = None,
) -> tuple[Array, Array, Array]:
    """Gradients of `attention` with respect to q, k and v.

    Parameters
    ----------
    dout : array_like of float, shape (..., Hq, Lq, Dv)
        Gradient of the loss with respect to the output.
    q, k, v : array_like of float
        What `attention` was given.
    out : array_like of float, shape (..., Hq, Lq, Dv)
        What it returned.
    lse : array_like of float, shape (..., Hq, Lq)
        The log-sum-exp that it returned with ``return_lse``; sinks count in it.
    causal, mask, scale, window, softcap, alibi_slopes, sinks, dropout, kv_lengths
        As they were given to `attention`.
    seed : int, optional
        The seed of the call, needed where there is dropout.
    runtime : Runtime, optional
        Where to run.
    timeout : float, optional
        Seconds.

    Returns
    -------
    dq, dk, dv : numpy.ndarray of float32
        Of the shapes of q, k and v: where one of these repeats along leading axes, or a key head
        for several query heads, the sum over what reads it. Zeros for a query that sees no key and
        for a key that no query sees. What a query or a key holds never reaches the gradients of
        those it does not see. The bits do not depend on threads, nor on batch entries and heads
        that share none of the operands.

    Raises
    ------
    ShapeError, DTypeError, OutOfMemoryError, DeadlineExceeded, ClosedError

    Notes
    -----
    Dao, "FlashAttention-2", 2023: the weights are computed again, block by block, from q, k and the
    log-sum-exp, so memory beyond inputs and gradients does not grow with Lq or Lk. Where scores are
    large, a float32 log-sum-exp resolves weights only to its own spacing.

    Examples
    --------
    >>> import numpy as np
    >>> import flashwasm as fw
    >>> q, k, v = np.random.default_rng(0).standard_normal((3, 2, 5, 8), np.float32)
    >>> out, lse = fw.attention(q, k, v, causal=True, return_lse=True)
    >>> dq, dk, dv = fw.attention_backward(np.ones_like(out), q, k, v, out, lse, causal=True)
    >>> dv.sum(axis=1).round(4).tolist() == [[5.0] * 8] * 2
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
    if problem.rules.dropout.threshold and seed is None:
        message = (
            "seed: expected the seed that attention was given, since there is dropout, got None"
        )
        raise ShapeError(message)
    shape = output_shape(problem, q, k, v)
    given = (
        shaped(dout, "dout", shape, "that of the output").reshape(problem.shape),
        shaped(out, "out", shape, "that of the output").reshape(problem.shape),
        shaped(lse, "lse", shape[:-1], "one for each query").reshape(problem.shape[:-1]),
    )
    operands = (problem.q, problem.k, problem.v)
    resident = all(rt.holds(x) for x in (*operands, *given))
    sums = _zeros(rt, operands, resident=resident)
    gradients = replace(problem, q=sums[0], k=sums[1], v=sums[2], mask=None)
    add_gradients(rt, Backward(problem, gradients, *given), deadline(rt, timeout))
    dq, dk, dv = (x.reshape(np.shape(y)) for x, y in zip(sums, (q, k, v), strict=True))
    return dq, dk, dv


def _zeros(rt: Runtime, operands: tuple[Array, ...], *, resident: bool) -> list[Array]:
    """Return zeros of the operands' shapes, in linear memory if asked for and where they fit."""
    if resident:
        try:
            sums = [rt.empty(x.shape) for x in operands]
        except OutOfMemoryError:
            pass
        else:
            for x in sums:
                x.fill(0)
            return sums
    return [np.zeros(x.shape, np.float32) for x in operands]


@dataclass(frozen=True)
class Backward:
    """What is to be added where.

    Attributes
    ----------
    problem : Problem
        The forward call's.
    gradients : Problem
        The same with dq, dk and dv in place of q, k and v: they are cut alike.
    dout, out, lse : numpy.ndarray
        Shapes (..., Hq, Lq, Dv) twice and (..., Hq, Lq), with all leading axes.
    """

    problem: Problem
    gradients: Problem
    dout: Array
    out: Array
    lse: Array

    def halves(self) -> Iterator[Backward]:
        """Cut in two, to be computed in this order, or yield nothing where that is not possible."""
        halves = zip(self.problem.halves(), self.gradients.halves(), strict=True)
        for (index, part), (_, gradients) in halves:
            yield Backward(part, gradients, self.dout[index], self.out[index], self.lse[index])


def add_gradients(
    rt: Runtime, b: Backward, timeout: float | None, schedule: Schedule | None = None
) -> None:
    """Add gradients whole or, where linear memory is too small for that, in halves.

    Parts that add to the same element follow each other in the order in which the whole adds to it,
    each from the sum that the one before left. So do the calls of a schedule, where one that takes
    several heads takes all their queries.
    """

    def halve(part: Backward) -> Halves[Backward, None] | None:
        halves = list(part.halves())
        return (halves, lambda _: None) if halves else None

    in_halves(b, lambda part: _add_whole(rt, part, timeout, schedule), halve)


def _add_whole(rt: Runtime, b: Backward, timeout: float | None, schedule: Schedule | None) -> None:
    p, rules = b.problem, b.problem.rules
    with Launch(rt, timeout) as op:
        inputs = (p.q, p.k, p.v, b.out, b.lse, b.dout)
        q, k, v, out, lse, dout = (Operand(*op.place_rows(x), x.shape) for x in inputs)
        sums = (b.gradients.q, b.gradients.k, b.gradients.v)
        dq, dk, dv = (Operand(*op.place_sums(x), x.shape) for x in sums)
        mask, kind = put_mask(op, p)
        alibi = 0 if rules.alibi is None else op.place_parameter(rules.alibi)
        layout = Layout(
            group=p.group,
            dims=(p.q.shape[-1], p.v.shape[-1]),
            row_strides=[x.strides[-2] for x in (q, k, v, out)],
            head_strides=[*(x.strides[-3] for x in (q, k, v, out)), lse.strides[-2]],
            rules=rules,
            mask=(kind, *mask.strides[-3:]) if mask else (MASK_NONE, 0, 0, 0),
            first=p.first,
        )
        added = (dout, dq, dk, dv)
        queries = p.q.shape[-2]
        strides = [x.strides[axis] for axis in (-2, -3) for x in added]
        tasks: dict[tuple[int, ...], list[Call]] = {}
        for index, key_head, pieces in _pieces(p, schedule):
            q_at, k_at, v_at, out_at, lse_at = (x.at(index) for x in (q, k, v, out, lse))
            mask_at = mask.at(index) if mask else 0
            addresses = Addresses(q_at, k_at, v_at, out_at, lse_at, mask_at, alibi)
            length, diagonal, number = (int(x[index]) for x in (p.lengths, p.diagonals, p.numbers))
            rest = (*(x.at(index) for x in added), *strides)
            calls = tasks.setdefault((*_apart(p, index), key_head), [])
            for piece in layout.tasks(addresses, (queries, length), diagonal, number, pieces):
                calls += [(*call, *rest) for call in piece]
        op.run_tasks(ATTENTION_BACKWARD, list(tasks.values()))
        op.copy_sums_back()


def _pieces(
    p: Problem, schedule: Schedule | None
) -> Iterator[tuple[tuple[int, ...], int, list[list[Piece]]]]:
    """Yield each leading index and key head, with its calls in the order in which they add."""
    queries, dim = p.q.shape[-2:]
    key_heads, keys, value_dim = p.v.shape[-3:]
    # Five products: three of them are as wide as a key, two as a value.
    width = 3 * dim + 2 * value_dim
    chosen = schedule or Schedule.choose(1, p.group, queries, keys, width, threads=1)
    for index in np.ndindex(*p.lead):
        of_first = chosen.pieces(p.group, queries, int(p.lengths[index]))
        for key_head in range(key_heads):
            head = key_head * p.group
            yield (
                *(index, key_head),
                [
                    [x._replace(heads=(head + x.heads[0], head + x.heads[1])) for x in task]
                    for task in of_first
                ],
            )


def _apart(p: Problem, index: tuple[int, ...]) -> tuple[int, ...]:
    """Return the same for leading indices that share q, k or v, whose gradients are sums."""
    shared = (any(x.shape[axis] == 1 for x in (p.q, p.k, p.v)) for axis in range(len(index)))
    return tuple(0 if together else i for i, together in zip(index, shared, strict=True))
