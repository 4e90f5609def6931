"""Attention over several sequences that lie one after another, without padding."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING, Any, Literal, NamedTuple, overload

import numpy as np

from flashwasm.errors import ShapeError
from flashwasm.flash_attention.inputs import check_matrices
from flashwasm.flash_attention.kernel_parameters import (
    Addresses,
    BatchEntry,
    KernelParameters,
    joined_tasks,
)
from flashwasm.flash_attention.operands import place_rows, place_vector
from flashwasm.flash_attention.options import PackedOptions, completed, shows_options
from flashwasm.flash_attention.schedule import Plan, Workload, choose_schedule
from flashwasm.flash_attention.score_modifiers import checked_diagonals, checked_modifiers
from flashwasm.kernel_table import ATTENTION
from flashwasm.runtime.launch import Launch
from flashwasm.runtime.runtime import checked_runtime
from flashwasm.validation import checked_out, floats, sequence_offsets

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray
    from typing_extensions import Unpack

    from flashwasm.flash_attention.kernel_parameters import Call
    from flashwasm.flash_attention.options import Causal, PackedCall
    from flashwasm.flash_attention.schedule import Tile
    from flashwasm.flash_attention.score_modifiers import ScoreModifiers
    from flashwasm.runtime.runtime import Runtime

    Array = NDArray[Any]


# Sequences whose tasks are made at once. There may be millions, whose tasks would fill memory.
_SEQUENCES = 1 << 10


@overload
def attention_varlen(
    q: ArrayLike,
    k: ArrayLike,
    v: ArrayLike,
    cu_seqlens_q: ArrayLike,
    cu_seqlens_k: ArrayLike | None = None,
    *,
    return_lse: Literal[False] = False,
    **options: Unpack[PackedCall],
) -> NDArray[np.float32]: ...


@overload
def attention_varlen(
    q: ArrayLike,
    k: ArrayLike,
    v: ArrayLike,
    cu_seqlens_q: ArrayLike,
    cu_seqlens_k: ArrayLike | None = None,
    *,
    return_lse: Literal[True],
    **options: Unpack[PackedCall],
) -> tuple[NDArray[np.float32], NDArray[np.float32]]: ...


@overload
def attention_varlen(
    q: ArrayLike,
    k: ArrayLike,
    v: ArrayLike,
    cu_seqlens_q: ArrayLike,
    cu_seqlens_k: ArrayLike | None = None,
    *,
    return_lse: bool,
    **options: Unpack[PackedCall],
) -> NDArray[np.float32] | tuple[NDArray[np.float32], NDArray[np.float32]]: ...


@shows_options(PackedOptions)
def attention_varlen(
    q: ArrayLike,
    k: ArrayLike,
    v: ArrayLike,
    cu_seqlens_q: ArrayLike,
    cu_seqlens_k: ArrayLike | None = None,
    *,
    return_lse: bool = False,
    out: NDArray[np.float32] | None = None,
    runtime: Runtime | None = None,
    timeout: float | None = None,
    **options: Unpack[PackedOptions],
) -> NDArray[np.float32] | tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Compute exact attention within each of several packed sequences.

    A sequence is what a leading index and a batch entry are to `attention`: an array of offsets has
    one for each sequence, and dropout depends on the number of the sequence.

    Parameters
    ----------
    q : array_like of float, shape (Tq, Hq, D)
        Queries of all sequences, one after another.
    k : array_like of float, shape (Tk, Hk, D)
        Keys. Query head h reads key head ``h // (Hq // Hk)``.
    v : array_like of float, shape (Tk, Hk, Dv)
        Values. A view of a resident array is read without a copy if its last axis is contiguous.
    cu_seqlens_q : array_like of int, shape (n + 1,)
        First query of each sequence, from 0, and then Tq.
    cu_seqlens_k : array_like of int, shape (n + 1,), optional
        First key of each sequence, from 0, and then Tk. None means ``cu_seqlens_q``.
    **options : PackedOptions
        The options of `flashwasm.flash_attention.options.PackedOptions`.
    return_lse : bool, default False
        True to return the log-sum-exp too.
    out : numpy.ndarray of float32, shape (Tq, Hq, Dv), optional
        Array to write the output to. It may be one of the operands. None means a new array.
    runtime : Runtime, optional
        Runtime that computes it. None means the default one.
    timeout : float, optional
        Most seconds that the call may take. None means the runtime's own limit.

    Returns
    -------
    out : numpy.ndarray of float32, shape (Tq, Hq, Dv)
        The output. The bits of a sequence are those of `attention` on it alone.
    lse : numpy.ndarray of float32, shape (Hq, Tq)
        Only with ``return_lse``: the natural logarithm of each row's sum of exponentials.

    Raises
    ------
    ShapeError, DTypeError, OutOfMemoryError, DeadlineExceeded, ClosedError

    Notes
    -----
    The formula and its sources are those of `attention`, and the packing is that of Dao,
    "FlashAttention-2", 2023.

    Examples
    --------
    >>> import numpy as np
    >>> import flashwasm as fw
    >>> x = np.ones((7, 2, 8), np.float32)
    >>> fw.attention_varlen(x, x, x, [0, 3, 7], causal=True).shape
    (7, 2, 8)
    """
    rt = checked_runtime(runtime)
    given = completed(options, PackedOptions, attention_varlen)
    packed = _checked(q, k, v, cu_seqlens_q, cu_seqlens_k, given["causal"])
    modifiers = checked_modifiers(packed.q.shape[1], packed.q.shape[2], given)
    checked_out(out, (*packed.q.shape[:2], packed.v.shape[2]))
    result, lse = _attend(rt, packed, modifiers, out, timeout, with_lse=return_lse)
    return result if lse is None else (result, lse)


@dataclass(frozen=True)
class _Packed:
    """Checked operands of packed sequences.

    Attributes
    ----------
    q, k, v : numpy.ndarray
        Shapes (Tq, Hq, D), (Tk, Hk, D) and (Tk, Hk, Dv).
    starts_q, starts_k : numpy.ndarray of int, shape (n + 1,)
        First query and first key of each sequence, and the end of the last.
    diagonals : numpy.ndarray of int, shape (n,)
        Offset of each sequence's diagonal.
    """

    q: Array
    k: Array
    v: Array
    starts_q: Array
    starts_k: Array
    diagonals: Array


def _checked(
    q: ArrayLike,
    k: ArrayLike,
    v: ArrayLike,
    cu_seqlens_q: ArrayLike,
    cu_seqlens_k: ArrayLike | None,
    causal: Causal,
) -> _Packed:
    """Check the operands and the offsets of their sequences."""
    queries, keys = floats(q, "q", ndim=3), floats(k, "k", ndim=3)
    values = floats(v, "v", ndim=3)
    # Heads come first where shapes are compared, and so in the messages about them.
    check_matrices(q=queries.swapaxes(0, 1), k=keys.swapaxes(0, 1), v=values.swapaxes(0, 1))
    starts_q = _whole_offsets(cu_seqlens_q, "cu_seqlens_q", len(queries))
    keys_too = cu_seqlens_q if cu_seqlens_k is None else cu_seqlens_k
    starts_k = _whole_offsets(keys_too, "cu_seqlens_k", len(keys))
    if len(starts_q) != len(starts_k):
        message = (
            f"cu_seqlens_k: expected {len(starts_q)} offsets, as cu_seqlens_q has, "
            f"got {len(starts_k)}"
        )
        raise ShapeError(message)
    diagonals = _diagonals(causal, np.diff(starts_q), np.diff(starts_k))
    return _Packed(queries, keys, values, starts_q, starts_k, diagonals)


def _attend(
    rt: Runtime,
    packed: _Packed,
    modifiers: ScoreModifiers,
    out: Array | None,
    timeout: float | None,
    *,
    with_lse: bool,
) -> tuple[Array, Array | None]:
    """Compute attention within checked sequences."""
    (rows, heads, dim), (_, key_heads, value_dim) = packed.q.shape, packed.v.shape
    launch = Launch(rt, timeout)
    with launch.lock, launch:
        q = place_rows(launch, packed.q)
        k = place_rows(launch, packed.k)
        v = place_rows(launch, packed.v)
        alibi = place_vector(launch, modifiers.alibi)
        sinks = place_vector(launch, modifiers.sinks)
        to = launch.place_result((rows, heads, value_dim), out)
        lse_at, lse = launch.scratch((heads, rows)) if with_lse else (0, None)
        parameters = KernelParameters(
            group=heads // max(key_heads, 1),
            dims=(dim, value_dim),
            row_strides=(q.strides[0], k.strides[0], v.strides[0], heads * value_dim),
            head_strides=(q.strides[1], k.strides[1], v.strides[1], value_dim, rows),
            modifiers=modifiers,
        )
        first = Addresses(
            q=q.address,
            k=k.address,
            v=v.address,
            out=to,
            lse=lse_at,
            alibi=alibi.address,
            sinks=sinks.address,
        )
        count = len(packed.starts_q) - 1
        for start in range(0, count, _SEQUENCES):
            numbers = range(start, min(start + _SEQUENCES, count))
            _attend_sequences(launch, packed, numbers, parameters, first)
        return launch.finish(), None if lse is None else lse.copy()


def _attend_sequences(
    launch: Launch,
    packed: _Packed,
    numbers: range,
    parameters: KernelParameters,
    first: Addresses,
) -> None:
    """Compute attention within some sequences; ``first`` has the addresses of row 0."""
    q_stride, k_stride, v_stride, out_stride = (4 * x for x in parameters.row_strides)
    sequences = _sequences(packed, numbers, parameters.group, launch.threads)
    partials, _ = launch.scratch((sum(x.partial_floats for x in sequences),))
    tasks: list[list[Call]] = []
    tiles: list[list[Tile]] = []
    merging: list[list[Call]] = []
    for number, x in zip(numbers, sequences, strict=True):
        addresses = first._replace(
            q=first.q + x.row * q_stride,
            k=first.k + x.key * k_stride,
            v=first.v + x.key * v_stride,
            out=first.out + x.row * out_stride,
            lse=first.lse and first.lse + 4 * x.row,
            partials=partials if x.partial_floats else 0,
        )
        partials += 4 * x.partial_floats
        entry = BatchEntry(addresses, x.queries, x.keys, int(packed.diagonals[number]), number)
        tiles += x.plan.tasks
        tasks += parameters.tasks(entry, x.plan.tasks)
        if x.plan.merge is not None:
            merging += parameters.tasks(entry, [[x.plan.merge]])
    launch.run_tasks(ATTENTION, joined_tasks(tasks, tiles, sum(parameters.dims)))
    # These calls read partial results, so all tasks have to be done before.
    launch.run_tasks(ATTENTION, merging)


class _Sequence(NamedTuple):
    """A sequence: its first query ``row`` and first ``key``, its lengths, and its tiles."""

    row: int
    queries: int
    key: int
    keys: int
    plan: Plan
    partial_floats: int


def _sequences(packed: _Packed, numbers: range, group: int, threads: int) -> list[_Sequence]:
    """Return some of the sequences, each with a schedule of its own."""
    (_, heads, dim), value_dim = packed.q.shape, packed.v.shape[2]
    sequences = []
    some = slice(numbers.start, numbers.stop + 1)
    bounds = zip(
        pairwise(packed.starts_q[some].tolist()),
        pairwise(packed.starts_k[some].tolist()),
        strict=True,
    )
    for (row, row_end), (key, key_end) in bounds:
        queries, keys = row_end - row, key_end - key
        schedule = choose_schedule(
            Workload(
                entries=1,
                heads=heads,
                group=group,
                queries=queries,
                keys=keys,
                width=dim + value_dim,
                threads=threads,
            )
        )
        partials = schedule.partial_floats(heads, queries, keys, value_dim)
        tasks, merge = schedule.plan(heads, queries, keys)
        plan = Plan(list(tasks), merge)
        sequences.append(_Sequence(row, queries, key, keys, plan, partials))
    return sequences


def _whole_offsets(offsets: ArrayLike, name: str, total: int) -> Array:
    """Return checked offsets of sequences, the last of which ends at ``total``."""
    checked = sequence_offsets(offsets, name, total).astype(np.int64)
    if checked[-1] != total:
        message = f"{name}: expected the last to be {total}, the rows there are, got {checked[-1]}"
        raise ShapeError(message)
    return checked


def _diagonals(causal: Causal, lengths_q: Array, lengths_k: Array) -> Array:
    """Return the offset of each sequence's diagonal."""
    if isinstance(causal, (bool, np.bool_)):
        # True is refused if the lengths of any sequence differ. The first such sequence is named.
        apart = np.flatnonzero(lengths_q != lengths_k)
        i = apart[0] if len(apart) else 0
        queries, keys = (int(x[i]) if len(x) else 0 for x in (lengths_q, lengths_k))
        return checked_diagonals(causal, queries, keys, lengths_k)
    if isinstance(causal, str) and causal == "bottom_right":
        return lengths_k - lengths_q
    return checked_diagonals(causal, 0, 0, lengths_k)
