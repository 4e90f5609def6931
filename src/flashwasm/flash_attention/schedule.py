"""Schedules, which divide attention into calls of the kernel without changing the result's bits."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import NamedTuple, TypeAlias

from flashwasm.kernel_table import ATTENTION_KEY_RUN, ATTENTION_QUERY_BLOCK
from flashwasm.runtime.work_limits import FEWEST_PRODUCTS, MOST_PRODUCTS

# Up to this number, queries are computed one at a time, and the kernel reads keys and values in
# place. For more queries, the kernel packs keys and values first and computes eight queries at a
# time.
ROW_QUERIES = 2

# The maximum and the sum of a partial result, four times each: struct row_state of
# wasm/attention/workspace.h.
_STATE_FLOATS = 8


class Workload(NamedTuple):
    """The sizes on which the choice of a schedule depends.

    Attributes
    ----------
    entries : int
        Number of batch entries of these sizes.
    heads, group : int
        Number of query heads, and number of query heads that read the same key head.
    queries, keys : int
        Numbers of queries and of keys.
    width : int
        D + Dv: multiply-adds for each pair of query and key.
    threads : int
        Number of threads that share the work.
    """

    entries: int
    heads: int
    group: int
    queries: int
    keys: int
    width: int
    threads: int


class Tile(NamedTuple):
    """The part of a batch entry that one call computes.

    Attributes
    ----------
    heads, queries, keys : (int, int)
        First index, and one past the last.
    finish : bool
        True if the call also writes the output, because no keys are left for a later call.
    """

    heads: tuple[int, int]
    queries: tuple[int, int]
    keys: tuple[int, int]
    finish: bool = True

    @property
    def pairs(self) -> int:
        """Number of pairs of a query and a key, over all heads."""
        (head, head_end), (query, query_end), (key, key_end) = self[:3]
        return (head_end - head) * (query_end - query) * (key_end - key)


class Plan(NamedTuple):
    """The tiles of a batch entry.

    Attributes
    ----------
    tasks : iterable of list of Tile
        The tiles of each task, which a task computes in this order. The iterable can be read only
        once: the tiles of a long sequence are too many to store.
    merge : Tile or None
        One more call after all tasks, which merges their partial results.
    """

    tasks: Iterable[list[Tile]]
    merge: Tile | None = None


@dataclass(frozen=True)
class BlockSchedule:
    """A schedule for blocks of queries.

    Attributes
    ----------
    heads, queries, keys : int
        Maximum number of heads, queries and keys in one call. ``keys`` is a multiple of
        `ATTENTION_KEY_RUN`. If it is less than all keys, a call computes one head and at most one
        block of queries, and each call of a task continues from the state that the previous call
        left.
    """

    heads: int
    queries: int
    keys: int

    @classmethod
    def choose(cls, work: Workload) -> BlockSchedule:
        """Choose a schedule with about four tasks for each thread, within the limits of a call."""
        row = max(work.keys * work.width, 1)
        wanted = work.entries * work.heads * work.queries * row // (4 * work.threads)
        wanted = min(max(wanted, FEWEST_PRODUCTS), MOST_PRODUCTS)
        block = ATTENTION_QUERY_BLOCK * row
        if block > 2 * MOST_PRODUCTS:
            run = ATTENTION_KEY_RUN
            most = MOST_PRODUCTS // (ATTENTION_QUERY_BLOCK * work.width) // run * run
            return cls(heads=1, queries=ATTENTION_QUERY_BLOCK, keys=max(most, run))
        blocks = max(1, wanted // block)
        if blocks < math.ceil(work.queries / ATTENTION_QUERY_BLOCK):
            return cls(heads=1, queries=blocks * ATTENTION_QUERY_BLOCK, keys=work.keys)
        heads = max(1, wanted // max(work.queries * row, 1))
        return cls(heads=heads, queries=max(work.queries, 1), keys=work.keys)

    def plan(self, heads: int, queries: int, keys: int) -> Plan:
        """Return the tiles of a batch entry of the given sizes."""
        split = self.keys < keys
        head_step = 1 if split else self.heads
        query_step = min(self.queries, ATTENTION_QUERY_BLOCK) if split else self.queries
        key_ranges = list(_ranges(keys, self.keys)) if split else [(0, keys)]
        return Plan(
            [Tile(h, i, j, finish=j[1] == keys) for j in key_ranges]
            for h in _ranges(heads, head_step)
            for i in _ranges(queries, query_step)
        )

    def partial_floats(self, heads: int, queries: int, keys: int, value_dim: int) -> int:
        """Return 0, because every task finishes its results."""
        del heads, queries, keys, value_dim
        return 0


@dataclass(frozen=True)
class RowSchedule:
    """A schedule for queries that are computed one at a time.

    Attributes
    ----------
    heads, queries, keys : int
        Maximum number of heads, queries and keys in one call. If ``keys`` is less than all keys,
        the calls may run in any order and on any thread, and a last call merges their partial
        results.
    """

    heads: int
    queries: int
    keys: int

    @classmethod
    def choose(cls, work: Workload) -> RowSchedule:
        """Choose a schedule with about two tasks for each thread, within the limits of a call."""
        group, queries = work.group, work.queries
        row = max(group * work.keys * work.width, 1)
        key_heads = max(work.heads // group, 1)
        wanted = work.entries * key_heads * queries * row // (2 * work.threads)
        wanted = min(max(wanted, FEWEST_PRODUCTS // 4), MOST_PRODUCTS // 4)
        keys = max(work.keys, 1)
        if row * queries < 2 * wanted:
            heads = max(1, wanted // (row * queries)) * group
            return cls(heads=heads, queries=queries, keys=keys)
        if queries > ROW_QUERIES or row < 2 * wanted:
            return cls(heads=group, queries=max(1, wanted // row), keys=keys)
        runs = max(1, wanted // max(group * work.width * ATTENTION_KEY_RUN, 1))
        return cls(heads=group, queries=queries, keys=runs * ATTENTION_KEY_RUN)

    def plan(self, heads: int, queries: int, keys: int) -> Plan:
        """Return the tiles of a batch entry of the given sizes, each a task."""
        split = self.keys < keys
        key_ranges = list(_ranges(keys, self.keys)) if split else [(0, keys)]
        tasks = (
            [Tile(h, i, j, finish=not split)]
            for h in _ranges(heads, self.heads)
            for i in _ranges(queries, self.queries)
            for j in key_ranges
        )
        return Plan(tasks, Tile((0, heads), (0, queries), (0, 0)) if split else None)

    def partial_floats(self, heads: int, queries: int, keys: int, value_dim: int) -> int:
        """Return the number of floats in the partial results of a batch entry."""
        runs = math.ceil(keys / ATTENTION_KEY_RUN) if self.keys < keys else 1
        return heads * queries * runs * (_STATE_FLOATS + math.ceil(value_dim / 4) * 4)


Schedule: TypeAlias = "BlockSchedule | RowSchedule"


def choose_schedule(work: Workload, *, always_rows: bool = False) -> Schedule:
    """Choose a schedule.

    Parameters
    ----------
    work : Workload
        The sizes.
    always_rows : bool, default False
        True to compute queries one at a time, regardless of their number.
    """
    if work.queries and (always_rows or work.queries <= ROW_QUERIES):
        return RowSchedule.choose(work)
    return BlockSchedule.choose(work)


def _ranges(size: int, step: int) -> Iterator[tuple[int, int]]:
    """Yield consecutive ranges of at most ``step`` that cover 0 to ``size``."""
    return ((begin, min(begin + step, size)) for begin in range(0, size, step))
