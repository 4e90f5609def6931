"""How attention is cut into calls. Nothing here changes a bit of the result."""

from __future__ import annotations

from dataclasses import dataclass

from flashwasm.kernels import ATTENTION_KEY_BLOCK, ATTENTION_QUERY_BLOCK

# Multiply-adds of one call: fewer cost more to hand over than to do, more would keep a deadline or
# a signal waiting for longer than some milliseconds.
_FEWEST_PRODUCTS = 1 << 20
_MOST_PRODUCTS = 1 << 26


@dataclass(frozen=True)
class Schedule:
    """Heads, queries and keys of one call.

    ``keys`` is a multiple of the key block. Where it does not cover all keys, a call takes one head
    and at most one block of queries, and the calls of a task carry its state on.
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
        wanted = min(max(wanted, _FEWEST_PRODUCTS), _MOST_PRODUCTS)
        block = ATTENTION_QUERY_BLOCK * row
        if block > 2 * _MOST_PRODUCTS:
            key_block = ATTENTION_KEY_BLOCK
            most = _MOST_PRODUCTS // (ATTENTION_QUERY_BLOCK * width) // key_block * key_block
            return cls(1, ATTENTION_QUERY_BLOCK, max(most, key_block))
        blocks = max(1, wanted // block)
        own = -(-queries // ATTENTION_QUERY_BLOCK)
        if blocks < own:
            return cls(1, blocks * ATTENTION_QUERY_BLOCK, keys)
        return cls(max(1, wanted // max(queries * row, 1)), max(queries, 1), keys)

    def pieces(self, heads: int, queries: int, keys: int) -> list[list[tuple[int, ...]]]:
        """Return tasks of calls: begin and end of heads, of queries and of keys."""
        partial = self.keys < keys
        head_step = 1 if partial else self.heads
        query_step = min(self.queries, ATTENTION_QUERY_BLOCK) if partial else self.queries
        key_ranges = (
            [(j, min(j + self.keys, keys)) for j in range(0, keys, self.keys)]
            if partial
            else [(0, keys)]
        )
        return [
            [
                (h, min(h + head_step, heads), i, min(i + query_step, queries), *key_range)
                for key_range in key_ranges
            ]
            for h in range(0, heads, head_step)
            for i in range(0, queries, query_step)
        ]
