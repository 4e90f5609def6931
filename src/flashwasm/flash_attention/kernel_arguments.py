"""The arguments of the attention kernel, in the order of its structure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

from flashwasm.kernel_table import MASK_NONE, STORED_ROWS

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from flashwasm.flash_attention.attention_options import Rules

    Call = tuple[float, ...]


class Addresses(NamedTuple):
    """Where the matrices of one problem begin; 0 for what is left out."""

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


class Piece(NamedTuple):
    """What one call takes: begin and end of heads, queries and keys, and whether it is the last."""

    heads: tuple[int, int]
    queries: tuple[int, int]
    keys: tuple[int, int]
    finish: bool = True


@dataclass
class Layout:
    """What all calls of an operation share: sizes, strides and rules.

    Attributes
    ----------
    group : int
        Query heads to a key head.
    dims : (int, int)
        Head dimensions of keys and of values.
    row_strides : sequence of 4 int
        Of q, k, v and out, in elements.
    head_strides : sequence of 5 int
        Of q, k, v, out and the log-sum-exp.
    rules : Rules
        What holds for every query.
    mask : sequence of 4 int
        Its kind and its strides: head, query, key.
    first : (int, int)
        Numbers of the first head and of the first query, by which dropout draws.
    storage, capacity : int
        How keys and values are stored, and for how many keys there is room.
    """

    group: int
    dims: tuple[int, int]
    row_strides: Sequence[int]
    head_strides: Sequence[int]
    rules: Rules
    mask: Sequence[int] = (MASK_NONE, 0, 0, 0)
    first: tuple[int, int] = (0, 0)
    storage: int = STORED_ROWS
    capacity: int = 0

    def tasks(
        self,
        addresses: Addresses,
        lengths: tuple[int, int],
        diagonal: int,
        batch: int,
        pieces: Iterable[Iterable[Piece]],
    ) -> list[list[Call]]:
        """Return the calls of one problem, number ``batch``, for each task of a schedule.

        ``lengths`` are those of its queries and keys.
        """
        sizes = (*lengths, *self.dims, self.storage, self.capacity)
        fixed = (*sizes, *self.row_strides, *self.head_strides, *self.mask)
        rules, drop = self.rules, self.rules.dropout
        random = (drop.seed_low, drop.seed_high, batch, *self.first, drop.threshold)
        numbers = (drop.kept_scale, rules.scale, rules.softcap)
        ruled = (diagonal, rules.before, rules.after, *random, *numbers)
        return [
            [
                (
                    *addresses,
                    *at.heads,
                    self.group,
                    *at.queries,
                    *at.keys,
                    at.finish,
                    *fixed,
                    *ruled,
                )
                for at in piece
            ]
            for piece in pieces
        ]
