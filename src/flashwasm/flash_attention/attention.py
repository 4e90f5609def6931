"""Attention on arrays with a head axis."""

from __future__ import annotations

import math
from functools import partial
from itertools import product
from typing import TYPE_CHECKING, Any, Literal, NamedTuple, TypeAlias, overload

import numpy as np

from flashwasm.array_room import new_array
from flashwasm.backends.choice import may_leave, other_backend
from flashwasm.flash_attention import elsewhere
from flashwasm.flash_attention.inputs import AttentionInputs, checked_inputs
from flashwasm.flash_attention.kernel_parameters import BatchEntry, KernelParameters
from flashwasm.flash_attention.one_call import attend_at_once
from flashwasm.flash_attention.operands import (
    ABSENT,
    Operands,
    contiguous,
    place_keys,
    place_mask,
    place_rows,
    place_vector,
)
from flashwasm.flash_attention.options import AttentionOptions, completed, shows_options
from flashwasm.flash_attention.schedule import Workload, choose_schedule
from flashwasm.kernel_table import ATTENTION, STORED_INT8
from flashwasm.runtime.deadline import checker, deadline
from flashwasm.runtime.default_runtime import checked_runtime
from flashwasm.runtime.launch import Launch
from flashwasm.runtime.splitting import copied_to, in_halves
from flashwasm.validation import checked_out, flag

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from numpy.typing import ArrayLike, NDArray
    from typing_extensions import Unpack

    from flashwasm.backends.registry import BackendName
    from flashwasm.flash_attention.kernel_parameters import Call
    from flashwasm.flash_attention.options import AttentionCall
    from flashwasm.flash_attention.schedule import Plan, Schedule
    from flashwasm.runtime.runtime import Runtime
    from flashwasm.runtime.splitting import Halves

    Array = NDArray[Any]
    # The output, and the log-sum-exp if the caller asked for it.
    Result: TypeAlias = tuple[Array, Array | None]


@overload
def attention(
    q: ArrayLike,
    k: ArrayLike,
    v: ArrayLike,
    *,
    return_lse: Literal[False] = False,
    **options: Unpack[AttentionCall],
) -> NDArray[np.float32]: ...


@overload
def attention(
    q: ArrayLike,
    k: ArrayLike,
    v: ArrayLike,
    *,
    return_lse: Literal[True],
    **options: Unpack[AttentionCall],
) -> tuple[NDArray[np.float32], NDArray[np.float32]]: ...


@overload
def attention(
    q: ArrayLike, k: ArrayLike, v: ArrayLike, *, return_lse: bool, **options: Unpack[AttentionCall]
) -> NDArray[np.float32] | tuple[NDArray[np.float32], NDArray[np.float32]]: ...


@shows_options(AttentionOptions)
def attention(
    q: ArrayLike,
    k: ArrayLike,
    v: ArrayLike,
    *,
    return_lse: bool = False,
    out: NDArray[np.float32] | None = None,
    runtime: Runtime | None = None,
    timeout: float | None = None,
    backend: BackendName | None = None,
    **options: Unpack[AttentionOptions],
) -> NDArray[np.float32] | tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Compute exact attention, softmax(softcap(scale Q Kᵀ) + bias) V, in blocks.

    A "leading index" is an index into the axes before the head axis: with q of shape (B, H, L, D),
    ``kv_lengths`` has shape (B,). A query "sees" a key if neither the mask, nor the causal rule,
    nor the window, nor ``kv_lengths`` hides the key from it.

    Parameters
    ----------
    q : array_like of float, shape (..., Hq, Lq, D)
        Queries. An array of two axes is one head. D is at most 256.
    k : array_like of float, shape (..., Hk, Lk, D)
        Keys. Query head h reads key head ``h // (Hq // Hk)``.
    v : array_like of float, shape (..., Hk, Lk, Dv)
        Values; Dv is at most 256.
    **options : AttentionOptions
        The options of `flashwasm.flash_attention.options.AttentionOptions`.
    return_lse : bool, default False
        True to return ``lse`` too.
    out : numpy.ndarray of float32, shape (..., Hq, Lq, Dv), optional
        Array to write the output to. It may be one of the operands. None means a new array.
    runtime : Runtime, optional
        Runtime to use. None means the default runtime.
    timeout : float, optional
        Maximum duration of the call in seconds. None means the runtime's timeout.
    backend : {"wasm-simd", "native", "gpu", "hybrid"}, optional
        Backend to use. None means the runtime's backend.

    Returns
    -------
    out : numpy.ndarray of float32, shape (..., Hq, Lq, Dv)
        The output. If a query sees no key, its row is zeros. A key or value that a query does not
        see has no effect on the query's row, even if it is NaN. NaN in a key or value that the
        query sees gives NaN. In the sandbox, the bits of a row do not depend on the other rows,
        heads and batch entries, nor on the number of threads. Other backends do not guarantee this.
    lse : numpy.ndarray of float32, shape (..., Hq, Lq)
        Only with ``return_lse``: the natural logarithm of the sum of the exponentials of each row's
        scores, including those of sinks. It is -inf if there is nothing to sum.

    Raises
    ------
    ShapeError, DTypeError, OutOfMemoryError, DeadlineExceeded, Cancelled, ClosedError,
    CapabilityError

    Notes
    -----
    Dao et al., "FlashAttention", 2022, with the online softmax of Milakov & Gimelshein, 2018;
    windows as in Longformer (Beltagy et al., 2020), softcap as in Gemma 2 (2024), ALiBi (Press,
    Smith & Lewis, 2021), sinks as in gpt-oss (2025); dropout by Philox 4x32-10 (Salmon et al.,
    2011). A block of queries skips each block of keys of which none of its queries sees a key.
    Memory beyond inputs and output does not grow with Lq or Lk.

    Examples
    --------
    >>> import numpy as np
    >>> import flashwasm as fw
    >>> q = k = v = np.ones((2, 5, 8), np.float32)
    >>> bool((fw.attention(q, k, v, causal=True) == 1).all())
    True
    """
    rt = checked_runtime(runtime)
    other = None
    leaves = backend is not None or rt.other_backend is not None
    if leaves and may_leave(rt, backend, (q, k, v)):
        same: Any = {"return_lse": return_lse, "runtime": rt, "timeout": timeout, **options}
        kind = elsewhere.call_kind((q, k, v), options, with_lse=return_lse)
        other = other_backend(rt, backend, "attention", kind, attention, (q, k, v), same)
    if timeout is None and return_lse is False and other is None:
        result = attend_at_once(rt, q, k, v, out, options)
        if result is not None:
            return result
    inputs = checked_inputs(q, k, v, completed(options, AttentionOptions, attention))
    if other is not None:
        used = elsewhere.used_options(options, with_lse=return_lse)
        return elsewhere.attend(other, rt, inputs, used, out, timeout)
    return attend(rt, inputs, out=out, with_lse=return_lse, timeout=timeout)


def attend(
    rt: Runtime,
    inputs: AttentionInputs,
    *,
    out: Array | None = None,
    with_lse: bool = False,
    timeout: float | None = None,
    schedule: Schedule | None = None,
) -> Array | tuple[Array, Array]:
    """Compute attention of checked inputs; split them in halves if linear memory is too small."""
    shape = inputs.result_shape
    checked_out(out, shape)
    with_lse = flag(with_lse, "return_lse")
    target = None if out is None else out.reshape(inputs.shape)
    if out is not None and not np.may_share_memory(target, out):
        # The reshape had to copy, so the result goes to a new array first, and then to `out`.
        target = None
    until = deadline(rt, timeout)
    between = checker(rt, until, "attention")
    compute = partial(_attend_whole, rt, until, schedule, with_lse=with_lse)
    result, lse = in_halves(_Part(inputs, target), compute, partial(_halved, between))
    result = result.reshape(shape)
    if out is not None:
        if target is None:
            copied_to(out, result, between)
        result = out
    return result if lse is None else (result, lse.reshape(shape[:-1]))


class _Part(NamedTuple):
    """Inputs, and the array to write their output to, or None for a new one."""

    inputs: AttentionInputs
    out: Array | None


def _halved(between: Callable[[], None], part: _Part) -> Halves[_Part, Result] | None:
    """Return the halves of a part, and a function that joins their results; or None."""
    halves = list(part.inputs.halves())
    if not halves:
        return None
    # The halves write to a new array: `out` may share its memory with an operand that a later half
    # still has to read.
    result = new_array(part.inputs.shape)

    def join(found: list[Result]) -> Result:
        """Return the whole output, and the log-sum-exp if the halves have it."""
        lse = None
        for (index, _), (_, some) in zip(halves, found, strict=True):
            if some is not None:
                lse = np.empty(result.shape[:-1], np.float32) if lse is None else lse
                lse[index] = some
        return copied_to(part.out, result, between), lse

    return [_Part(half, result[index]) for index, half in halves], join


def _attend_whole(
    rt: Runtime, limit: float | None, schedule: Schedule | None, part: _Part, *, with_lse: bool
) -> Result:
    """Compute a part whose operands all fit into linear memory at once."""
    inputs = part.inputs
    launch = Launch(rt, limit)
    with launch.lock, launch:
        q = place_rows(launch, inputs.q)
        k, v, k_scales, v_scales = place_keys(launch, inputs.k, inputs.v, inputs.storage)
        mask = place_mask(launch, inputs.mask)
        alibi = place_vector(launch, inputs.modifiers.alibi)
        sinks = place_vector(launch, inputs.modifiers.sinks)
        # The result is placed last, because it lies in linear memory only if all operands do.
        shape = inputs.shape
        out = contiguous(launch.place_result(shape, part.out), shape)
        lse, lse_operand = None, ABSENT
        if with_lse:
            address, lse = launch.scratch(shape[:-1])
            lse_operand = contiguous(address, shape[:-1])
        operands = Operands(
            q=q,
            k=k,
            v=v,
            out=out,
            lse=lse_operand,
            mask=mask,
            alibi=alibi,
            sinks=sinks,
            k_scales=k_scales,
            v_scales=v_scales,
        )
        tasks, merging = _tasks(launch, inputs, operands, schedule)
        launch.run_tasks(ATTENTION, tasks)
        # These calls read partial results, so all tasks must be done first.
        launch.run_tasks(ATTENTION, merging)
        return launch.finish(), None if lse is None else lse.copy()


def _tasks(
    launch: Launch, inputs: AttentionInputs, operands: Operands, schedule: Schedule | None
) -> tuple[Iterator[list[Call]], Iterator[list[Call]]]:
    """Return the tasks of all batch entries, and the tasks that merge partial results afterwards.

    The tasks are made lazily, because long sequences have very many.
    """
    parameters = KernelParameters.of(inputs, operands)
    heads, queries, dim = inputs.q.shape[-3:]
    keys, value_dim = inputs.v.shape[-2:]
    work = Workload(
        entries=math.prod(inputs.lead),
        heads=heads,
        group=parameters.group,
        queries=queries,
        keys=keys,
        width=dim + value_dim,
        threads=launch.threads,
    )
    if schedule is None:
        schedule = choose_schedule(work, always_rows=inputs.storage.kind == STORED_INT8)
    floats = schedule.partial_floats(heads, queries, keys, value_dim)
    partials = launch.scratch((work.entries, floats))[0] if floats else 0

    def planned() -> Iterator[tuple[BatchEntry, Plan]]:
        """Yield each batch entry with its tiles."""
        for number, index in enumerate(product(*map(range, inputs.lead))):
            entry = BatchEntry.of(inputs, operands, index, partials + 4 * floats * number)
            yield entry, schedule.plan(heads, queries, entry.keys)

    tasks = (task for entry, plan in planned() for task in parameters.tasks(entry, plan.tasks))
    # Only a schedule that cuts the keys into parts leaves partial results.
    cut = planned() if floats and schedule.keys < keys else iter(())
    merging = (
        task
        for entry, plan in cut
        if plan.merge is not None
        for task in parameters.tasks(entry, [[plan.merge]])
    )
    return tasks, merging
