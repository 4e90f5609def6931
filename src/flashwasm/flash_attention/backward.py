"""The gradient of attention with respect to its operands."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np

from flashwasm.errors import OutOfMemoryError, ShapeError
from flashwasm.flash_attention.inputs import AttentionInputs, checked_inputs
from flashwasm.flash_attention.kernel_parameters import BatchEntry, KernelParameters
from flashwasm.flash_attention.operands import (
    Operand,
    Operands,
    addresses_at,
    place_mask,
    place_rows,
    place_vector,
)
from flashwasm.flash_attention.options import AttentionOptions, completed, shows_options
from flashwasm.flash_attention.schedule import BlockSchedule, Workload
from flashwasm.kernel_table import ATTENTION_BACKWARD
from flashwasm.runtime.deadline import deadline
from flashwasm.runtime.default_runtime import checked_runtime
from flashwasm.runtime.launch import Launch
from flashwasm.runtime.splitting import in_halves
from flashwasm.validation import shaped

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from numpy.typing import ArrayLike, NDArray
    from typing_extensions import Unpack

    from flashwasm.flash_attention.kernel_parameters import Call
    from flashwasm.flash_attention.schedule import Tile
    from flashwasm.runtime.runtime import Runtime
    from flashwasm.runtime.splitting import Halves

    Array = NDArray[Any]


@shows_options(AttentionOptions)
def attention_backward(
    dout: ArrayLike,
    q: ArrayLike,
    k: ArrayLike,
    v: ArrayLike,
    out: ArrayLike,
    lse: ArrayLike,
    *,
    runtime: Runtime | None = None,
    timeout: float | None = None,
    **options: Unpack[AttentionOptions],
) -> tuple[NDArray[np.float32], NDArray[np.float32], NDArray[np.float32]]:
    """Compute the gradients of `attention` with respect to q, k and v.

    Pass the same options that `attention` was called with. If they include dropout, ``seed`` is
    required too.

    Parameters
    ----------
    dout : array_like of float, shape (..., Hq, Lq, Dv)
        Gradient of the loss with respect to the output.
    q : array_like of float, shape (..., Hq, Lq, D)
        Queries that `attention` was called with.
    k : array_like of float, shape (..., Hk, Lk, D)
        Keys that `attention` was called with.
    v : array_like of float, shape (..., Hk, Lk, Dv)
        Values that `attention` was called with.
    out : array_like of float, shape (..., Hq, Lq, Dv)
        Output that `attention` returned.
    lse : array_like of float, shape (..., Hq, Lq)
        Log-sum-exp that `attention` returned with ``return_lse``; it includes sinks.
    **options : AttentionOptions
        The options of `flashwasm.flash_attention.options.AttentionOptions`.
    runtime : Runtime, optional
        Runtime to use. None means the default runtime.
    timeout : float, optional
        Maximum duration of the call in seconds. None means the runtime's timeout.

    Returns
    -------
    dq, dk, dv : numpy.ndarray of float32
        Gradients, with the shapes of q, k and v. If an operand is broadcast along leading axes, or
        several query heads read one key head, the gradient is the sum over all its uses. It is zero
        for a query that sees no key and for a key that no query sees. If a query does not see a
        key, neither affects the gradient of the other, even if it is NaN. The bits do not depend on
        the number of threads, nor on batch entries and heads that share no operand.

    Raises
    ------
    ShapeError, DTypeError, OutOfMemoryError, DeadlineExceeded, Cancelled, ClosedError

    Notes
    -----
    Dao, "FlashAttention-2", 2023. Let P be the weights, dP = dout Vᵀ, and delta the row sums of
    dout * out. Then dV = Pᵀ dout, dS = P * (dP - delta), dQ = scale dS K and dK = scale dSᵀ Q. The
    kernel computes the weights again, block by block, from q, k and the log-sum-exp, so memory
    beyond inputs and gradients does not grow with Lq or Lk. A weight is as accurate as the
    log-sum-exp, whose float32 spacing is coarse where scores are large.

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
    inputs = checked_inputs(q, k, v, completed(options, AttentionOptions, attention_backward))
    if inputs.modifiers.dropout.threshold and options.get("seed") is None:
        message = (
            "seed: expected the seed of the call of attention, because dropout is not 0, got None"
        )
        raise ShapeError(message)
    shape = inputs.result_shape
    given = (
        shaped(dout, "dout", shape, "that of the output").reshape(inputs.shape),
        shaped(out, "out", shape, "that of the output").reshape(inputs.shape),
        shaped(lse, "lse", shape[:-1], "one for each query").reshape(inputs.shape[:-1]),
    )
    operands = (inputs.q, inputs.k, inputs.v)
    resident = all(rt.holds(x) for x in (*operands, *given))
    sums = _zeros(rt, operands, resident=resident)
    gradients = replace(inputs, q=sums[0], k=sums[1], v=sums[2], mask=None)
    add_gradients(rt, BackwardInputs(inputs, gradients, *given), deadline(rt, timeout))
    dq, dk, dv = (x.reshape(np.shape(y)) for x, y in zip(sums, (q, k, v), strict=True))
    return dq, dk, dv


def _zeros(rt: Runtime, operands: tuple[Array, ...], *, resident: bool) -> list[Array]:
    """Return zeros of the operands' shapes, in linear memory if ``resident`` and if they fit."""
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
class BackwardInputs:
    """The inputs of a gradient, and the arrays to which it is added.

    Attributes
    ----------
    inputs : AttentionInputs
        Inputs of the forward call.
    gradients : AttentionInputs
        The same inputs with dq, dk and dv in place of q, k and v, so that both are split alike.
    dout, out : numpy.ndarray, shape (..., Hq, Lq, Dv)
        Gradient of the output, and the output, with all leading axes.
    lse : numpy.ndarray, shape (..., Hq, Lq)
        Log-sum-exp of the forward call, with all leading axes.
    """

    inputs: AttentionInputs
    gradients: AttentionInputs
    dout: Array
    out: Array
    lse: Array

    def halves(self) -> Iterator[BackwardInputs]:
        """Yield two halves in the order in which to compute them, or nothing."""
        halves = zip(self.inputs.halves(), self.gradients.halves(), strict=True)
        for (index, part), (_, gradients) in halves:
            yield BackwardInputs(
                part, gradients, self.dout[index], self.out[index], self.lse[index]
            )


def add_gradients(
    rt: Runtime, work: BackwardInputs, timeout: float | None, schedule: BlockSchedule | None = None
) -> None:
    """Add gradients to their sums, and split the work in halves if linear memory is too small.

    The order of additions to an element decides its bits, so it must not depend on how the work is
    split. The halves, and the calls of a task, therefore run one after another in the order of the
    unsplit work, and each continues from the sum that the previous one left. For the same reason a
    call that computes several heads computes all their queries.
    """
    in_halves(work, partial(_add_whole, rt, timeout, schedule), _halved)


def _halved(work: BackwardInputs) -> Halves[BackwardInputs, None] | None:
    """Return the halves of a gradient, which have no results to join; or None."""
    halves = list(work.halves())
    return (halves, lambda _: None) if halves else None


def _add_whole(
    rt: Runtime, timeout: float | None, schedule: BlockSchedule | None, work: BackwardInputs
) -> None:
    """Add gradients whose operands all fit into linear memory at once."""
    inputs, sums = work.inputs, work.gradients
    launch = Launch(rt, timeout)
    with launch.lock, launch:
        q, k, v, out, lse, dout = (
            place_rows(launch, x)
            for x in (inputs.q, inputs.k, inputs.v, work.out, work.lse, work.dout)
        )
        dq, dk, dv = (Operand(*launch.place_sums(x), x.shape) for x in (sums.q, sums.k, sums.v))
        operands = Operands(
            q=q,
            k=k,
            v=v,
            out=out,
            lse=lse,
            mask=place_mask(launch, inputs.mask),
            alibi=place_vector(launch, inputs.modifiers.alibi),
        )
        parameters = KernelParameters.of(inputs, operands)
        # The kernel's arguments are the parameters of the forward call, followed by these.
        added = (dout, dq, dk, dv)
        strides = [x.strides[axis] for axis in (-2, -3) for x in added]

        def calls(indices: list[tuple[int, ...]], key_head: int) -> Iterator[Call]:
            """Yield the calls that add to the same gradient, in their order."""
            for index in indices:
                rest = (*addresses_at(added, index), *strides)
                entry = BatchEntry.of(inputs, operands, index)
                for task in parameters.tasks(entry, _tiles(inputs, entry.keys, key_head, schedule)):
                    for call in task:
                        yield (*call, *rest)

        launch.run_tasks(
            ATTENTION_BACKWARD,
            (
                calls(indices, key_head)
                for indices in _indices_that_share(inputs)
                for key_head in range(inputs.v.shape[-3])
            ),
        )
        launch.copy_sums_back()


def _tiles(
    inputs: AttentionInputs, keys: int, key_head: int, schedule: BlockSchedule | None
) -> Iterator[list[Tile]]:
    """Yield the tiles of one key head with ``keys`` keys, in the order of the additions."""
    queries, dim = inputs.q.shape[-2:]
    value_dim = inputs.v.shape[-1]
    group = inputs.group
    if schedule is None:
        # Of the five products, three are as wide as a key and two as a value.
        width = 3 * dim + 2 * value_dim
        work = Workload(
            entries=1,
            heads=group,
            group=group,
            queries=queries,
            keys=inputs.v.shape[-2],
            width=width,
            threads=1,
        )
        schedule = BlockSchedule.choose(work)
    head = key_head * group
    for task in schedule.plan(group, queries, keys).tasks:
        yield [x._replace(heads=(head + x.heads[0], head + x.heads[1])) for x in task]


def _indices_that_share(inputs: AttentionInputs) -> Iterable[list[tuple[int, ...]]]:
    """Return the leading indices, grouped by the place to which their gradients are added.

    Entries along an axis on which q, k or v is broadcast add to the same gradient, so one task
    computes them all.
    """
    operands = (inputs.q, inputs.k, inputs.v)
    together = [any(x.shape[axis] == 1 for x in operands) for axis in range(len(inputs.lead))]
    found: dict[tuple[int, ...], list[tuple[int, ...]]] = {}
    for index in np.ndindex(*inputs.lead):
        place = tuple(0 if same else i for i, same in zip(index, together, strict=True))
        found.setdefault(place, []).append(index)
    return found.values()
