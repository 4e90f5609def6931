"""Packed sequences: the calls of the kernel for sequences that lie one after another."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from flashwasm.flash_attention.kernel_parameters import BatchEntry, joined_tasks
from flashwasm.flash_attention.schedule import Workload, choose_schedule
from flashwasm.kernel_table import ATTENTION

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from flashwasm.flash_attention.kernel_parameters import Addresses, Call, KernelParameters
    from flashwasm.flash_attention.schedule import Plan, Tile
    from flashwasm.runtime.launch import Launch

    Array = NDArray[Any]

# Number of sequences whose tasks are made at once. The tasks of millions of sequences would fill
# memory.
_SEQUENCES = 1 << 8
# A sequence with more multiply-adds than this gets its tasks one by one, while earlier ones run.
_LONG = 1 << 5 << 26


@dataclass(frozen=True)
class PackedSequences:
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


def attend_sequences(
    launch: Launch, packed: PackedSequences, parameters: KernelParameters, first: Addresses
) -> None:
    """Compute attention within all sequences. Their operands lie in linear memory already.

    Parameters
    ----------
    launch : Launch
        The launch to run in.
    packed : PackedSequences
        The sequences.
    parameters : KernelParameters
        Parameters that all calls share.
    first : Addresses
        Addresses of row 0.
    """
    count = len(packed.starts_q) - 1
    pairs = np.diff(packed.starts_q).astype(np.float64) * np.diff(packed.starts_k)
    long = pairs * (packed.q.shape[1] * sum(parameters.dims)) > _LONG
    alone = np.flatnonzero(long)
    cuts = {*range(0, count, _SEQUENCES), *alone.tolist(), *(alone + 1).tolist(), count}
    for start, end in pairwise(sorted(cuts)):
        launch.check("attention_varlen")
        _attend_some(launch, packed, range(start, end), parameters, first, lazily=long[start])


def _attend_some(
    launch: Launch,
    packed: PackedSequences,
    numbers: range,
    parameters: KernelParameters,
    first: Addresses,
    *,
    lazily: bool,
) -> None:
    """Compute attention within some sequences; ``first`` has the addresses of row 0.

    If ``lazily`` is true, the tasks of a sequence are made one after another, while others run.
    """
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
        if lazily:
            launch.run_tasks(ATTENTION, parameters.tasks(entry, x.plan.tasks))
        else:
            of_sequence = list(x.plan.tasks)
            tiles += of_sequence
            tasks += parameters.tasks(entry, of_sequence)
        if x.plan.merge is not None:
            merging += parameters.tasks(entry, [[x.plan.merge]])
    launch.run_tasks(ATTENTION, joined_tasks(tasks, tiles, sum(parameters.dims)))
    # These calls read partial results, so all tasks must be done first.
    launch.run_tasks(ATTENTION, merging)


class _Sequence(NamedTuple):
    """A sequence: its first query ``row`` and first ``key``, its lengths, and its tiles."""

    row: int
    queries: int
    key: int
    keys: int
    plan: Plan
    partial_floats: int


def _sequences(
    packed: PackedSequences, numbers: range, group: int, threads: int
) -> list[_Sequence]:
    """Return the sequences with some numbers, each with a schedule of its own."""
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
        plan = schedule.plan(heads, queries, keys)
        sequences.append(_Sequence(row, queries, key, keys, plan, partials))
    return sequences
