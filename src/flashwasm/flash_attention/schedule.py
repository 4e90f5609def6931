"""How attention is cut into calls. Nothing here changes a bit of the result."""

from __future__ import annotations

import math
from dataclasses import dataclass

from flashwasm.flash_attention.kernel_arguments import Piece
from flashwasm.kernel_table import ATTENTION_KEY_RUN, ATTENTION_QUERY_BLOCK
from flashwasm.runtime.work_limits import FEWEST_PRODUCTS, MOST_PRODUCTS

# Up to so many queries are taken one at a time, which reads keys and values where they lie. More
# are taken in tiles of eight, for which keys and values are packed.
ROW_QUERIES = 2

# Maximum and sum of one partial result, four times each: struct row_state of attention/workspace.h.
_STATE_FLOATS = 8


@dataclass(frozen=True)
class Schedule:
    """Heads, queries and keys of one call.

    ``keys`` is a multiple of the run of keys. Where it does not cover all keys, a call takes one
    head and at most one block of queries, and the calls of a task carry its state on.
    """

    heads: int
    queries: int
    keys: int

    @classmethod
    def choose(
        cls, problems: int, heads: int, queries: int, keys: int, width: int, threads: int
    ) -> Schedule:
        """Choose for ``problems`` alike ones; ``width`` is D + Dv."""
        row = max(keys * width, 1)
        wanted = problems * heads * queries * row // (4 * threads)
        wanted = min(max(wanted, FEWEST_PRODUCTS), MOST_PRODUCTS)
        block = ATTENTION_QUERY_BLOCK * row
        if block > 2 * MOST_PRODUCTS:
            run = ATTENTION_KEY_RUN
            most = MOST_PRODUCTS // (ATTENTION_QUERY_BLOCK * width) // run * run
            return cls(1, ATTENTION_QUERY_BLOCK, max(most, run))
        blocks = max(1, wanted // block)
        own = -(-queries // ATTENTION_QUERY_BLOCK)
        if blocks < own:
            return cls(1, blocks * ATTENTION_QUERY_BLOCK, keys)
        return cls(max(1, wanted // max(queries * row, 1)), max(queries, 1), keys)

    def pieces(self, heads: int, queries: int, keys: int) -> list[list[Piece]]:
        """Return tasks of calls."""
        partial = self.keys < keys
        head_step = 1 if partial else self.heads
        query_step = min(self.queries, ATTENTION_QUERY_BLOCK) if partial else self.queries
        key_ranges = _ranges(keys, self.keys) if partial else [(0, keys)]
        return [
            [Piece(h, i, j, finish=j[1] == keys) for j in key_ranges]
            for h in _ranges(heads, head_step)
            for i in _ranges(queries, query_step)
        ]

    def last(self, heads: int, queries: int, keys: int) -> list[list[Piece]]:
        """Return what remains when all pieces are done: nothing."""
        del heads, queries, keys
        return []

    def partial_floats(self, heads: int, queries: int, keys: int, value_dim: int) -> int:
        """Return how many floats of partial results the pieces share: none."""
        del heads, queries, keys, value_dim
        return 0


@dataclass(frozen=True)
class RowSchedule:
    """The same for queries one at a time: heads, queries and keys of one call.

    Where ``keys`` does not cover all keys, the calls come in any order and on any thread, and
    ``last`` after all of them.
    """

    heads: int
    queries: int
    keys: int

    @classmethod
    def choose(
        cls,
        problems: int,
        heads: int,
        group: int,
        queries: int,
        keys: int,
        width: int,
        threads: int,
    ) -> RowSchedule:
        """Choose for ``problems`` alike ones; ``group`` query heads read the same keys."""
        row = max(group * keys * width, 1)
        wanted = problems * max(heads // group, 1) * queries * row // (2 * threads)
        wanted = min(max(wanted, FEWEST_PRODUCTS // 4), MOST_PRODUCTS // 4)
        if row * queries < 2 * wanted:
            return cls(max(1, wanted // (row * queries)) * group, queries, max(keys, 1))
        if queries > ROW_QUERIES or row < 2 * wanted:
            return cls(group, max(1, wanted // row), max(keys, 1))
        runs = wanted // max(group * width * ATTENTION_KEY_RUN, 1)
        return cls(group, queries, max(1, runs) * ATTENTION_KEY_RUN)

    def pieces(self, heads: int, queries: int, keys: int) -> list[list[Piece]]:
        """Return tasks of one call each."""
        finish = self.keys >= keys
        ranges = [(0, keys)] if finish else _ranges(keys, self.keys)
        return [
            [Piece(h, i, j, finish)]
            for h in _ranges(heads, self.heads)
            for i in _ranges(queries, self.queries)
            for j in ranges
        ]

    def last(self, heads: int, queries: int, keys: int) -> list[list[Piece]]:
        """Return what remains when all pieces are done."""
        return [[Piece((0, heads), (0, queries), (0, 0))]] if self.keys < keys else []

    def partial_floats(self, heads: int, queries: int, keys: int, value_dim: int) -> int:
        """Return how many floats of partial results the pieces share."""
        runs = math.ceil(keys / ATTENTION_KEY_RUN) if self.keys < keys else 1
        return heads * queries * runs * (_STATE_FLOATS + math.ceil(value_dim / 4) * 4)


def choose_schedule(
    problems: int,
    heads: int,
    group: int,
    queries: int,
    keys: int,
    width: int,
    threads: int,
    *,
    always_rows: bool = False,
) -> Schedule | RowSchedule:
    """Choose for ``problems`` alike ones of which ``group`` query heads read the same keys."""
    if queries and (always_rows or queries <= ROW_QUERIES):
        return RowSchedule.choose(problems, heads, group, queries, keys, width, threads)
    return Schedule.choose(problems, heads, queries, keys, width, threads)


def _ranges(size: int, step: int) -> list[tuple[int, int]]:
    return [(begin, min(begin + step, size)) for begin in range(0, size, step)]
