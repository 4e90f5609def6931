"""Attention over several sequences that lie one after another, without padding."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from flashwasm.errors import ShapeError
from flashwasm.flash_attention.attention_options import checked_diagonals, checked_rules, is_causal
from flashwasm.flash_attention.kernel_arguments import Addresses, Layout
from flashwasm.flash_attention.problem import check_matrices
from flashwasm.flash_attention.schedule import choose_schedule
from flashwasm.kernel_table import ATTENTION
from flashwasm.runtime.launch import Launch
from flashwasm.runtime.runtime import checked_runtime
from flashwasm.validation import checked_out, floats, sequence_offsets

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

    from flashwasm.flash_attention.attention_options import Causal, Rules, Window
    from flashwasm.flash_attention.kernel_arguments import Call
    from flashwasm.flash_attention.schedule import RowSchedule, Schedule
    from flashwasm.runtime.runtime import Runtime

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
    dropout: float = 0.0,
    seed: int | None = None,
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
    scale, window, softcap, alibi_slopes, sinks, dropout, seed
        As for `attention`; for dropout a sequence is a batch entry.
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
    packed = _checked(q, k, v, cu_seqlens_q, cu_seqlens_k, causal)
    rules = checked_rules(
        *(packed.q.shape[1], packed.q.shape[2]),
        causal=is_causal(causal),
        scale=scale,
        window=window,
        softcap=softcap,
        alibi_slopes=alibi_slopes,
        sinks=sinks,
        dropout=dropout,
        seed=seed,
    )
    checked_out(out, (*packed.q.shape[:2], packed.v.shape[2]))
    result, lse = _attend(rt, packed, rules, out, timeout, with_lse=return_lse)
    return result if lse is None else (result, lse)


@dataclass(frozen=True)
class _Packed:
    """Checked operands, where each sequence begins and ends in them, and its diagonal."""

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
    """Check what the user gave and bring it into one form."""
    queries, keys, values = (floats(x, n, ndim=3) for x, n in ((q, "q"), (k, "k"), (v, "v")))
    check_matrices(*(x.swapaxes(0, 1) for x in (queries, keys, values)))
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
    p: _Packed,
    rules: Rules,
    out: Array | None,
    timeout: float | None,
    *,
    with_lse: bool,
) -> tuple[Array, Array | None]:
    """Compute checked sequences."""
    (rows, heads, dim), (_, key_heads, value_dim) = p.q.shape, p.v.shape
    with Launch(rt, timeout) as op:
        (q, q_strides), (k, k_strides), (v, v_strides) = map(op.place_rows, (p.q, p.k, p.v))
        alibi = 0 if rules.alibi is None else op.place_parameter(rules.alibi)
        sinks = 0 if rules.sinks is None else op.place_parameter(rules.sinks)
        to = op.place_result((rows, heads, value_dim), out)
        lse_at, lse = op.scratch((heads, rows)) if with_lse else (0, None)
        layout = Layout(
            group=heads // max(key_heads, 1),
            dims=(dim, value_dim),
            row_strides=(q_strides[0], k_strides[0], v_strides[0], heads * value_dim),
            head_strides=(q_strides[1], k_strides[1], v_strides[1], value_dim, rows),
            rules=rules,
        )
        sequences = _sequences(p, layout.group, op.threads)
        partials, _ = op.scratch((sum(x.partial_floats for x in sequences),))
        tasks: list[list[Call]] = []
        last: list[list[Call]] = []
        for i, x in enumerate(sequences):
            addresses = Addresses(
                *(q + 4 * x.row * q_strides[0], k + 4 * x.key * k_strides[0]),
                *(v + 4 * x.key * v_strides[0], to + 4 * x.row * heads * value_dim),
                *(lse_at and lse_at + 4 * x.row, 0, alibi, sinks),
                partials=partials if x.partial_floats else 0,
            )
            partials += 4 * x.partial_floats
            entry = (addresses, (x.queries, x.keys), int(p.diagonals[i]), i)
            tasks += layout.tasks(*entry, x.schedule.pieces(heads, x.queries, x.keys))
            last += layout.tasks(*entry, x.schedule.last(heads, x.queries, x.keys))
        op.run_tasks(ATTENTION, _together(tasks, dim + value_dim))
        if last:
            op.run_tasks(ATTENTION, last)
        return op.finish(), None if lse is None else lse.copy()


class _Sequence(NamedTuple):
    """One of the sequences: where it begins, how long it is, how it is cut."""

    row: int
    queries: int
    key: int
    keys: int
    schedule: Schedule | RowSchedule
    partial_floats: int


def _sequences(p: _Packed, group: int, threads: int) -> list[_Sequence]:
    (_, heads, dim), value_dim = p.q.shape, p.v.shape[2]
    sequences = []
    bounds = zip(pairwise(p.starts_q.tolist()), pairwise(p.starts_k.tolist()), strict=True)
    for (row, row_end), (key, key_end) in bounds:
        queries, keys = row_end - row, key_end - key
        schedule = choose_schedule(1, heads, group, queries, keys, dim + value_dim, threads)
        partials = schedule.partial_floats(heads, queries, keys, value_dim)
        sequences.append(_Sequence(row, queries, key, keys, schedule, partials))
    return sequences


def _whole_offsets(offsets: ArrayLike, name: str, total: int) -> Array:
    """Return offsets of sequences that leave no row out."""
    checked = sequence_offsets(offsets, name, total).astype(np.int64)
    if checked[-1] != total:
        message = f"{name}: expected the last to be {total}, the rows there are, got {checked[-1]}"
        raise ShapeError(message)
    return checked


def _diagonals(causal: Causal, lengths_q: Array, lengths_k: Array) -> Array:
    """Return each sequence's diagonal."""
    if isinstance(causal, (bool, np.bool_)):
        apart = np.flatnonzero(lengths_q != lengths_k)
        i = apart[0] if len(apart) else 0
        queries, keys = (int(x[i]) if len(x) else 0 for x in (lengths_q, lengths_k))
        return checked_diagonals(causal, queries, keys, lengths_k)
    if isinstance(causal, str) and causal == "bottom_right":
        return lengths_k - lengths_q
    return checked_diagonals(causal, 0, 0, lengths_k)


def _together(tasks: list[list[Call]], width: int) -> list[list[Call]]:
    """Join small tasks that follow each other."""
    joined: list[list[Call]] = [[]]
    products = 0.0
    for task in tasks:
        if products >= _TASK_PRODUCTS:
            joined.append([])
            products = 0.0
        joined[-1] += task
        first, last, _, query, query_end, key, key_end = task[0][len(Addresses._fields) :][:7]
        products += len(task) * (last - first) * (query_end - query) * (key_end - key) * width
    return joined
