"""The parameters of the attention kernel, in the order of its structure in wasm/abi.h."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

from flashwasm.flash_attention.operands import mask_kind
from flashwasm.kernel_table import MASK_NONE, STORED_ROWS

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from flashwasm.flash_attention.inputs import AttentionInputs
    from flashwasm.flash_attention.operands import Operands
    from flashwasm.flash_attention.schedule import Tile
    from flashwasm.flash_attention.score_modifiers import ScoreModifiers

    # The arguments of one call of the kernel.
    Call = tuple[float, ...]


# Consecutive small tasks are joined up to this number of multiply-adds.
_TASK_PRODUCTS = 1 << 22


class Addresses(NamedTuple):
    """Addresses of the matrices of one batch entry; 0 for a matrix that is absent."""

    q: int
    k: int
    v: int
    out: int
    lse: int = 0
    mask: int = 0
    alibi: int = 0
    sinks: int = 0
    k_scales: int = 0
    v_scales: int = 0
    partials: int = 0


class BatchEntry(NamedTuple):
    """One batch entry: its matrices, their lengths, and its place.

    Attributes
    ----------
    addresses : Addresses
        Addresses of its matrices.
    queries, keys : int
        Number of its queries, and of the keys that they may see.
    diagonal : int
        The diagonal of query i is key i + diagonal.
    number : int
        Number of the entry, on which the random numbers of dropout depend.
    """

    addresses: Addresses
    queries: int
    keys: int
    diagonal: int
    number: int

    @classmethod
    def of(
        cls, inputs: AttentionInputs, operands: Operands, index: tuple[int, ...], partials: int = 0
    ) -> BatchEntry:
        """Return the entry at an index into the leading axes."""
        return cls(
            addresses=Addresses._make([*operands.at(index), partials]),
            queries=inputs.q.shape[-2],
            keys=int(inputs.lengths[index]),
            diagonal=int(inputs.diagonals[index]),
            number=int(inputs.numbers[index]),
        )


@dataclass
class KernelParameters:
    """The parameters that all calls of an operation share: sizes, strides and score modifiers.

    Attributes
    ----------
    group : int
        Number of query heads that read the same key head.
    dims : (int, int)
        Head dimensions of keys and of values.
    row_strides : sequence of 4 int
        Elements from one row to the next, of q, k, v and out.
    head_strides : sequence of 5 int
        Elements from one head to the next, of q, k, v, out and the log-sum-exp.
    modifiers : ScoreModifiers
        The changes to the scores.
    mask : sequence of 4 int
        The kind of the mask, and its strides along heads, queries and keys.
    first : (int, int)
        Numbers of the first head and of the first query, on which the random numbers of dropout
        depend.
    storage, capacity : int
        Format of keys and values, and the number of keys for which there is room.
    """

    group: int
    dims: tuple[int, int]
    row_strides: Sequence[int]
    head_strides: Sequence[int]
    modifiers: ScoreModifiers
    mask: Sequence[int] = (MASK_NONE, 0, 0, 0)
    first: tuple[int, int] = (0, 0)
    storage: int = STORED_ROWS
    capacity: int = 0

    @classmethod
    def of(cls, inputs: AttentionInputs, operands: Operands) -> KernelParameters:
        """Return the parameters for inputs whose operands were placed."""
        q, k, v, out = operands.q, operands.k, operands.v, operands.out
        return cls(
            group=inputs.group,
            dims=(inputs.q.shape[-1], inputs.v.shape[-1]),
            row_strides=(q.strides[-2], k.strides[-2], v.strides[-2], out.strides[-2]),
            head_strides=(
                q.strides[-3],
                k.strides[-3],
                v.strides[-3],
                out.strides[-3],
                operands.lse.strides[-2],
            ),
            modifiers=inputs.modifiers,
            mask=(mask_kind(inputs.mask), *operands.mask.strides[-3:]),
            first=inputs.first,
            storage=inputs.storage.kind,
            capacity=inputs.storage.capacity,
        )

    def tasks(self, entry: BatchEntry, tiles: Iterable[Iterable[Tile]]) -> Iterator[list[Call]]:
        """Yield the calls that compute tiles of a batch entry, by task."""
        modifiers, dropout = self.modifiers, self.modifiers.dropout
        rest = (
            entry.queries,
            entry.keys,
            *self.dims,
            self.storage,
            self.capacity,
            *self.row_strides,
            *self.head_strides,
            *self.mask,
            entry.diagonal,
            modifiers.before,
            modifiers.after,
            dropout.seed_low,
            dropout.seed_high,
            entry.number,
            *self.first,
            dropout.threshold,
            dropout.kept_scale,
            modifiers.scale,
            modifiers.softcap,
        )
        start, group = entry.addresses, self.group
        for task in tiles:
            yield [(*start, *x.heads, group, *x.queries, *x.keys, x.finish, *rest) for x in task]


def joined_tasks(tasks: list[list[Call]], tiles: list[list[Tile]], width: int) -> list[list[Call]]:
    """Join consecutive small tasks, so that a thread computes several short sequences at once.

    ``tiles`` has the tiles of each task.
    """
    joined: list[list[Call]] = [[]]
    products = 0
    for task, of_task in zip(tasks, tiles, strict=True):
        if products >= _TASK_PRODUCTS:
            joined.append([])
            products = 0
        joined[-1] += task
        for tile in of_task:
            products += tile.pairs * width
    return joined
