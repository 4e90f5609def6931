"""Attention over several sequences that are packed one after another, without padding."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal, overload

import numpy as np

from flashwasm.errors import ShapeError
from flashwasm.flash_attention.inputs import check_matrices
from flashwasm.flash_attention.kernel_parameters import Addresses, KernelParameters
from flashwasm.flash_attention.operands import place_rows, place_vector
from flashwasm.flash_attention.options import PackedOptions, completed, shows_options
from flashwasm.flash_attention.packed_sequences import PackedSequences, attend_sequences
from flashwasm.flash_attention.score_modifiers import checked_diagonals, checked_modifiers
from flashwasm.integer_checks import sequence_offsets
from flashwasm.runtime.deadline import deadline
from flashwasm.runtime.default_runtime import checked_runtime
from flashwasm.runtime.launch import Launch
from flashwasm.validation import checked_out, flag, floats

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray
    from typing_extensions import Unpack

    from flashwasm.flash_attention.options import Causal, PackedCall
    from flashwasm.flash_attention.score_modifiers import ScoreModifiers
    from flashwasm.runtime.runtime import Runtime

    Array = NDArray[Any]


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

    A sequence takes the place of a leading index of `attention`: an array of causal offsets has one
    for each sequence, and dropout depends on the number of the sequence.

    Parameters
    ----------
    q : array_like of float, shape (Tq, Hq, D)
        Queries of all sequences, one after another.
    k : array_like of float, shape (Tk, Hk, D)
        Keys. Query head h reads key head ``h // (Hq // Hk)``.
    v : array_like of float, shape (Tk, Hk, Dv)
        Values. A view of a resident array is read without a copy if its last axis is contiguous.
    cu_seqlens_q : array_like of int, shape (n + 1,)
        Position of the first query of each sequence, followed by Tq. The first is 0.
    cu_seqlens_k : array_like of int, shape (n + 1,), optional
        Position of the first key of each sequence, followed by Tk. None means ``cu_seqlens_q``.
    **options : PackedOptions
        The options of `flashwasm.flash_attention.options.PackedOptions`.
    return_lse : bool, default False
        True to return ``lse`` too.
    out : numpy.ndarray of float32, shape (Tq, Hq, Dv), optional
        Array to write the output to. It may be one of the operands. None means a new array.
    runtime : Runtime, optional
        Runtime to use. None means the default runtime.
    timeout : float, optional
        Maximum duration of the call in seconds. None means the runtime's timeout.

    Returns
    -------
    out : numpy.ndarray of float32, shape (Tq, Hq, Dv)
        The output. Each sequence has the same bits as the result of `attention` on that sequence
        alone.
    lse : numpy.ndarray of float32, shape (Hq, Tq)
        Only with ``return_lse``: the log-sum-exp of each row, as in `attention`.

    Raises
    ------
    IndexRangeError
        If the offsets of the sequences do not start at 0, decrease, or do not end at the number of
        rows.
    ShapeError, DTypeError, OutOfMemoryError, DeadlineExceeded, Cancelled, ClosedError

    Notes
    -----
    The formula and its sources are the same as for `attention`. The packing follows Dao,
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
    # The deadline starts here, because checking the offsets of very many sequences takes time too.
    until = deadline(rt, timeout)
    given = completed(options, PackedOptions, attention_varlen)
    packed = _checked(q, k, v, cu_seqlens_q, cu_seqlens_k, given["causal"])
    modifiers = checked_modifiers(packed.q.shape[1], packed.q.shape[2], given)
    checked_out(out, (*packed.q.shape[:2], packed.v.shape[2]))
    with_lse = flag(return_lse, "return_lse")
    result, lse = _attend(rt, packed, modifiers, out, until, with_lse=with_lse)
    return result if lse is None else (result, lse)


def _checked(
    q: ArrayLike,
    k: ArrayLike,
    v: ArrayLike,
    cu_seqlens_q: ArrayLike,
    cu_seqlens_k: ArrayLike | None,
    causal: Causal,
) -> PackedSequences:
    """Check the operands and the offsets of their sequences."""
    queries, keys = floats(q, "q", ndim=3), floats(k, "k", ndim=3)
    values = floats(v, "v", ndim=3)
    by_heads = [x.swapaxes(0, 1) for x in (queries, keys, values)]
    given = queries.shape, keys.shape, values.shape
    check_matrices(by_heads, given, "(length, heads, dim)")
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
    return PackedSequences(queries, keys, values, starts_q, starts_k, diagonals)


def _attend(
    rt: Runtime,
    packed: PackedSequences,
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
            group=max(heads // max(key_heads, 1), 1),
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
        attend_sequences(launch, packed, parameters, first)
        return launch.finish(), None if lse is None else lse.copy()


def _whole_offsets(offsets: ArrayLike, name: str, total: int) -> Array:
    """Return checked offsets of sequences, the last of which ends at ``total``."""
    checked = sequence_offsets(offsets, name, total).astype(np.int64)
    if checked[-1] != total:
        message = (
            f"{name}: expected the last offset to be {total}, the number of rows, got {checked[-1]}"
        )
        raise ShapeError(message)
    return checked


def _diagonals(causal: Causal, lengths_q: Array, lengths_k: Array) -> Array:
    """Return the offset of each sequence's diagonal."""
    if isinstance(causal, (bool, np.bool_)):
        # True is an error if a sequence has different numbers of queries and keys. The message
        # names the first such sequence.
        apart = np.flatnonzero(lengths_q != lengths_k)
        i = apart[0] if len(apart) else 0
        queries, keys = (int(x[i]) if len(x) else 0 for x in (lengths_q, lengths_k))
        return checked_diagonals(causal, queries, keys, lengths_k)
    if isinstance(causal, str) and causal == "bottom_right":
        return lengths_k - lengths_q
    longest = int(lengths_q.max(initial=0))
    return checked_diagonals(causal, longest, longest, lengths_k)
