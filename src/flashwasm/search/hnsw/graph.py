"""The graph of an HNSW index in linear memory: its links, its levels and where a search begins."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from flashwasm.search.growable_array import GrowableArray
from flashwasm.search.result_keys import NO_POSITION

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from flashwasm.runtime.arena import Arena

    Array = NDArray[Any]

# No graph that fits linear memory has use for more.
TOP_LEVEL = 16


class Graph:
    """Nodes by number, each with its level and its links.

    Parameters
    ----------
    arena : Arena
        Where it lies.
    m : int
        Links of a node on each level above the lowest, which has twice as many.
    seed : int
        What the levels are drawn from.
    """

    def __init__(self, arena: Arena, m: int, seed: int) -> None:
        self.m, self._seed = m, seed
        self._size = (0, 0)
        self.links = GrowableArray(arena, (2 * m,), np.uint32)
        self.upper_links = GrowableArray(arena, (m,), np.uint32)
        self.upper_at = GrowableArray(arena, (), np.uint32)
        self.levels = GrowableArray(arena, (), np.uint8)
        self.live = GrowableArray(arena, (), np.uint8)
        self._state = GrowableArray(arena, (), np.uint32)
        self._state.reserve(2)
        self.entry = NO_POSITION

    @property
    def nodes(self) -> int:
        """How many numbers are taken, those of removed nodes among them."""
        return self._size[0]

    @property
    def blocks(self) -> int:
        """How many lists of links there are above level 0."""
        return self._size[1]

    @property
    def entry(self) -> int:
        """Where searches begin."""
        return int(self._state.all[0])

    @entry.setter
    def entry(self, node: int) -> None:
        self._state.all[0] = node

    @property
    def inserted(self) -> int:
        """How many nodes the kernel has inserted so far, modulo 2**32."""
        return int(self._state.all[1])

    @property
    def state_address(self) -> int:
        """Address of the entry and of the number of insertions, which the kernels change."""
        return self._state.address

    @property
    def nbytes(self) -> int:
        """Number of bytes that the arrays take, their room included."""
        columns = (self.links, self.upper_links, self.upper_at, self.levels, self.live)
        return sum(column.nbytes for column in columns)

    def reserve(self, nodes: int) -> None:
        """Make room for so many nodes, and draw the levels of those that are new."""
        if nodes <= self.nodes:
            return
        levels = drawn_levels(self._seed, self.nodes, nodes, self.m)
        places = self.blocks + np.cumsum(levels) - levels
        blocks = self.blocks + int(levels.sum())
        for column in (self.links, self.upper_at, self.levels, self.live):
            column.reserve(nodes)
        self.upper_links.reserve(blocks)
        new = slice(self.nodes, nodes)
        self.levels.all[new], self.upper_at.all[new] = levels, places
        # A node with no links has itself in their place.
        self.links.all[new] = np.arange(self.nodes, nodes, dtype=np.uint32)[:, None]
        owners = np.repeat(np.arange(self.nodes, nodes, dtype=np.uint32), levels)
        self.upper_links.all[self.blocks : blocks] = owners[:, None]
        # At once: an interruption leaves both as they were.
        self._size = (nodes, blocks)

    def free(self) -> Array:
        """Return the numbers that no node has, the lowest first."""
        return np.flatnonzero(self.live.all[: self.nodes] == 0)

    def taken(self) -> Array:
        """Return the numbers of the nodes that are there, in order."""
        return np.flatnonzero(self.live.all[: self.nodes])

    def lists(self) -> tuple[Array, Array]:
        """Return the links of level 0 and those above."""
        return self.links.all[: self.nodes], self.upper_links.all[: self.blocks]

    def owners(self) -> Array:
        """Return the node that each list above level 0 belongs to."""
        return np.repeat(np.arange(self.nodes), self.levels.all[: self.nodes])

    def beside(self, gone: Array) -> Array:
        """Return the nodes that stay and have a link to or from one of those marked as gone."""
        beside = np.zeros(self.nodes, np.bool_)
        lowest, upper = self.lists()
        owners = self.owners()
        beside[lowest[gone != 0]] = True
        beside[upper[gone[owners] != 0]] = True
        beside |= (gone[lowest] != 0).any(axis=1)
        beside[owners[(gone[upper] != 0).any(axis=1)]] = True
        return np.flatnonzero(beside & (gone == 0)).astype(np.uint32)

    def choose_entry(self) -> None:
        """Begin at the first of the nodes of the highest level."""
        alive = self.live.all[: self.nodes] != 0
        highest = np.where(alive, self.levels.all[: self.nodes].astype(np.int16), -1)
        self.entry = int(highest.argmax()) if alive.any() else NO_POSITION

    def isolate(self, gone: Array) -> None:
        """Clear the links of nodes marked as gone, and any that still lead to them."""
        for lists, owners in zip(self.lists(), (np.arange(self.nodes), self.owners()), strict=True):
            lists[gone[owners] != 0] = owners[gone[owners] != 0, None]
            for at in np.flatnonzero((gone[lists] != 0).any(axis=1) & (gone[owners] == 0)):
                kept = [node for node in lists[at].tolist() if not gone[node]]
                lists[at] = owners[at]
                lists[at, : len(kept)] = kept


def drawn_levels(seed: int, begin: int, end: int, m: int) -> Array:
    """Return the levels of nodes [begin, end): above each level are a share of 1 / m.

    A level depends on the seed and the node's number alone, by integers alone, so it is the same
    everywhere and however nodes are added.
    """
    mixed = np.arange(begin + 1, end + 1, dtype=np.uint64)
    # SplitMix64 (Steele, Lea and Flood, "Fast splittable pseudorandom number generators", 2014).
    mixed = np.uint64(seed & 0xFFFFFFFFFFFFFFFF) + mixed * np.uint64(0x9E3779B97F4A7C15)
    mixed = (mixed ^ (mixed >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    mixed = (mixed ^ (mixed >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    mixed ^= mixed >> np.uint64(31)
    bounds = [2**64 // m**level for level in range(TOP_LEVEL, 0, -1)]
    return TOP_LEVEL - np.searchsorted(np.array(bounds, np.uint64), mixed, side="right")
