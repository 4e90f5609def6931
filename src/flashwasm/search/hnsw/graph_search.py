"""The calls that build a graph over vectors, mend it and search it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from flashwasm.kernel_table import HNSW_INSERT, HNSW_REPAIR, HNSW_SEARCH
from flashwasm.runtime.work_limits import MOST_GRAPH_PRODUCTS
from flashwasm.search.hnsw.graph import Graph
from flashwasm.search.result_keys import NO_POSITION
from flashwasm.search.stored_vectors import StoredVectors

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from flashwasm.kernel_table import Kernel
    from flashwasm.runtime.launch import Launch
    from flashwasm.runtime.runtime import Runtime

    Array = NDArray[Any]

# Tasks for each worker: one that is held up leaves the rest to others.
_TASKS = 4


class VectorGraph:
    """Vectors and a graph over them in linear memory.

    Parameters
    ----------
    runtime : Runtime
        Where they lie.
    dim, metric, m, seed, coded
        As `HNSWIndex` has them.
    ef_construction : int
        Candidates that links are chosen from.
    """

    def __init__(
        self,
        runtime: Runtime,
        dim: int,
        metric: str,
        *,
        m: int,
        ef_construction: int,
        seed: int,
        coded: bool,
    ) -> None:
        self.vectors = StoredVectors(runtime, dim, metric, panels=False, coded=coded)
        self.graph = Graph(runtime.arena, m, seed)
        self._ef_construction = ef_construction

    def place(self, op: Launch, rows: Array) -> Array:
        """Write vectors to the places that are free, then to new ones; return the places."""
        graph = self.graph
        places = graph.free()[: len(rows)]
        first, filled = graph.nodes, len(places)
        nodes = first + len(rows) - filled
        self.vectors.reserve(nodes)
        graph.reserve(nodes)
        for i, place in enumerate(places.tolist()):
            self.vectors.put(op, rows[i : i + 1], place)
        if filled < len(rows):
            self.vectors.put(op, rows[filled:], first)
        return np.concatenate([places, np.arange(first, nodes)])

    def insert(self, op: Launch, places: Array) -> None:
        """Link nodes whose vectors are in place, one after another."""
        self._change(op, HNSW_INSERT, places)

    def mark_inserted(self, places: Array, before: int) -> int:
        """Return how many of the nodes were linked since then; those are there from now on."""
        done = (self.graph.inserted - before) % 2**32
        self.graph.live.all[places[:done]] = 1
        return done

    def mend_around(self, op: Launch, places: Array) -> None:
        """Link the nodes beside those at places without them."""
        gone = self._out(places)
        self._change(op, HNSW_REPAIR, self.graph.beside(gone), gone)

    def cut_off(self, places: Array) -> None:
        """Take nodes out: nothing leads to them, whether or not all was mended around them."""
        self.graph.isolate(self._out(places))

    def _out(self, places: Array) -> Array:
        """Return marks of nodes at which no search begins or ends any more."""
        gone = np.zeros(self.graph.nodes, np.uint8)
        gone[places] = 1
        self.graph.live.all[places] = 0
        if self.graph.entry != NO_POSITION and gone[self.graph.entry]:
            self.graph.choose_entry()
        return gone

    def search(self, op: Launch, queries: tuple[int, int], k: int, ef: int) -> Array:
        """Return the k keys that the graph finds for queries given by address and number."""
        at, count = queries
        to, keys = op.scratch((count, k), np.uint64)
        step = self._step(ef)
        share = max(step, -(-count // (_TASKS * op.threads)))
        starts = range(0, count, share)
        # Each task marks what it visits in bits of its own.
        visited, bits = op.scratch((len(starts), -(-self.graph.nodes // 32)), np.uint32)
        bits[...] = 0
        tasks = [
            [
                self._arguments(
                    *(at + 4 * i * self.vectors.dim, to + 8 * i * k),
                    *(visited + number * bits[0].nbytes, 0),
                    *(min(step, start + share - i, count - i), k, ef),
                )
                for i in range(start, min(start + share, count), step)
            ]
            for number, start in enumerate(starts)
        ]
        op.run_tasks(HNSW_SEARCH, tasks)
        return keys.copy()

    def _change(self, op: Launch, kernel: Kernel, nodes: Array, gone: Array | None = None) -> None:
        """Run a kernel that changes the graph over some nodes, in calls of bounded work."""
        at, items = op.scratch(nodes.shape, np.uint32)
        items[...] = nodes
        marks = 0 if gone is None else op.place(gone, gone.dtype)
        visited, bits = op.scratch((-(-self.graph.nodes // 32),), np.uint32)
        bits[...] = 0
        step = self._step(2 * self._ef_construction)
        for i in range(0, len(nodes), step):
            op.check_deadline()
            sizes = (min(step, len(nodes) - i), 1, self._ef_construction)
            op.run_once(kernel, self._arguments(at + 4 * i, 0, visited, marks, *sizes))

    def _step(self, ef: int) -> int:
        """Return how many searches of the graph one call makes."""
        return max(1, MOST_GRAPH_PRODUCTS // (ef * 2 * self.graph.m * self.vectors.stride))

    def _arguments(
        self, items: int, keys: int, visited: int, gone: int, count: int, k: int, ef: int
    ) -> tuple[int, ...]:
        """Return the arguments of a call over the graph."""
        store, graph = self.vectors, self.graph
        vectors = (store.rows, store.codes, store.scales, store.squares)
        return (
            *(column.address for column in vectors),
            *graph.addresses,
            *(items, keys, visited, gone),
            *(graph.nodes, store.dim, store.metric, graph.m, count, k, ef),
        )
