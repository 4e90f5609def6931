"""The graph of an HNSW index in linear memory."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from flashwasm.runtime.copies import copy_in_pieces
from flashwasm.search.growable_array import GrowableArray
from flashwasm.search.result_keys import NO_POSITION

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    from flashwasm.runtime.arena import Arena

    Array = NDArray[Any]

# The highest level of a node. No graph that fits into linear memory needs a higher one.
TOP_LEVEL = 16


class Graph:
    """Nodes by number; each has a level, and a list of links on every level up to it.

    All lists on a level have the same length. If a node has fewer links, its own number fills the
    rest of the list.

    Parameters
    ----------
    arena : Arena
        Arena that allocates the memory.
    m : int
        Length of a list on each level above level 0. On level 0 a list is twice as long.
    seed : int
        Seed for drawing the levels of the nodes.
    """

    def __init__(self, arena: Arena, m: int, seed: int) -> None:
        self.m, self._seed = m, seed
        # Number of nodes, and number of lists above level 0.
        self._size = (0, 0)
        # The lists of level 0, and all lists above it. The lists of one node are adjacent.
        self.links = GrowableArray(arena, (2 * m,), np.uint32)
        self.upper_links = GrowableArray(arena, (m,), np.uint32)
        # For each node: the number of its list of level 1, its level, and 1 unless it is removed.
        self.upper_at = GrowableArray(arena, (), np.uint32)
        self.levels = GrowableArray(arena, (), np.uint8)
        self.live = GrowableArray(arena, (), np.uint8)
        # The entry and the number of insertions, which the kernels change.
        self._state = GrowableArray(arena, (), np.uint32)
        self._state.reserve(2)
        self.entry = NO_POSITION

    @property
    def nodes(self) -> int:
        """Number of nodes, including removed ones."""
        return self._size[0]

    @property
    def blocks(self) -> int:
        """Number of lists of links above level 0."""
        return self._size[1]

    @property
    def entry(self) -> int:
        """Number of the node at which searches begin, or ``NO_POSITION`` if there is no node."""
        return int(self._state.all[0])

    @entry.setter
    def entry(self, node: int) -> None:
        self._state.all[0] = node

    @property
    def inserted(self) -> int:
        """Number of nodes that the kernel has inserted so far, modulo 2**32."""
        return int(self._state.all[1])

    @property
    def state_address(self) -> int:
        """Address of the entry and of the number of insertions, which the kernels change."""
        return self._state.address

    @property
    def nbytes(self) -> int:
        """Number of bytes of the arrays, including their room for more."""
        columns = (self.links, self.upper_links, self.upper_at, self.levels, self.live)
        return sum(column.nbytes for column in columns)

    def reserve(self, nodes: int, between: Callable[[], None] | None = None) -> None:
        """Grow to ``nodes`` nodes. The new nodes get levels and empty lists of links.

        ``between`` is as in `GrowableArray.reserve`.
        """
        if nodes <= self.nodes:
            return
        levels = drawn_levels(self._seed, self.nodes, nodes, self.m)
        places = self.blocks + np.cumsum(levels) - levels
        blocks = self.blocks + int(levels.sum())
        for column in (self.links, self.upper_at, self.levels, self.live):
            column.reserve(nodes, between)
        self.upper_links.reserve(blocks, between)
        new = slice(self.nodes, nodes)
        self.levels.all[new], self.upper_at.all[new] = levels, places
        own = np.arange(self.nodes, nodes, dtype=np.uint32)[:, None]
        copy_in_pieces(self.links.all[new], own, between)
        owners = np.repeat(np.arange(self.nodes, nodes, dtype=np.uint32), levels)
        self.upper_links.all[self.blocks : blocks] = owners[:, None]
        # One assignment sets both numbers, so Ctrl-C cannot separate them.
        self._size = (nodes, blocks)

    def free(self) -> Array:
        """Return the numbers of removed nodes, in order."""
        return np.flatnonzero(self.live.all[: self.nodes] == 0)

    def taken(self) -> Array:
        """Return the numbers of the nodes that are not removed, in order."""
        # NumPy finds non-zero booleans faster than non-zero bytes.
        return np.flatnonzero(self.live.all[: self.nodes].view(np.bool_))

    def lists(self) -> tuple[Array, Array]:
        """Return the lists of links of level 0, and those of all levels above."""
        return self.links.all[: self.nodes], self.upper_links.all[: self.blocks]

    def owners(self) -> Array:
        """Return the number of the node to which each list above level 0 belongs."""
        return np.repeat(np.arange(self.nodes), self.levels.all[: self.nodes])

    def beside(self, gone: Array) -> Array:
        """Return the remaining nodes that have a link to or from a removed node.

        Parameters
        ----------
        gone : numpy.ndarray of uint8, shape (nodes,)
            A mark for each node: 1 if it is to be removed, else 0.
        """
        beside = np.zeros(self.nodes, np.bool_)
        lowest, upper = self.lists()
        owners = self.owners()
        beside[lowest[gone != 0]] = True
        beside[upper[gone[owners] != 0]] = True
        beside |= (gone[lowest] != 0).any(axis=1)
        beside[owners[(gone[upper] != 0).any(axis=1)]] = True
        return np.flatnonzero(beside & (gone == 0)).astype(np.uint32)

    def choose_entry(self) -> None:
        """Let searches begin at the first node with the highest level."""
        alive = self.live.all[: self.nodes] != 0
        highest = np.where(alive, self.levels.all[: self.nodes].astype(np.int16), -1)
        self.entry = int(highest.argmax()) if alive.any() else NO_POSITION

    def isolate(self, gone: Array) -> None:
        """Clear the lists of the removed nodes, and all remaining links to them.

        Parameters
        ----------
        gone : numpy.ndarray of uint8, shape (nodes,)
            A mark for each node: 1 if it is to be removed, else 0.
        """
        for lists, owners in zip(self.lists(), (np.arange(self.nodes), self.owners()), strict=True):
            lists[gone[owners] != 0] = owners[gone[owners] != 0, None]
            for at in np.flatnonzero((gone[lists] != 0).any(axis=1) & (gone[owners] == 0)):
                kept = [node for node in lists[at].tolist() if not gone[node]]
                lists[at] = owners[at]
                lists[at, : len(kept)] = kept


def drawn_levels(seed: int, begin: int, end: int, m: int) -> Array:
    """Draw the levels of nodes [begin, end): 1 / m of the nodes on a level are on the next too.

    A level is computed with integers only, from the seed and the number of the node. It is
    therefore the same on every machine, and does not depend on the calls that add nodes.
    """
    mixed = np.arange(begin + 1, end + 1, dtype=np.uint64)
    # SplitMix64 (Steele, Lea and Flood, "Fast splittable pseudorandom number generators", 2014).
    mixed = np.uint64(seed & 0xFFFFFFFFFFFFFFFF) + mixed * np.uint64(0x9E3779B97F4A7C15)
    mixed = (mixed ^ (mixed >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    mixed = (mixed ^ (mixed >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    mixed ^= mixed >> np.uint64(31)
    bounds = [2**64 // m**level for level in range(TOP_LEVEL, 0, -1)]
    return TOP_LEVEL - np.searchsorted(np.array(bounds, np.uint64), mixed, side="right")
