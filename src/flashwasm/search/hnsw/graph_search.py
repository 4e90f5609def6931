"""The calls of the kernels that build a graph over vectors, repair it and search it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from flashwasm.kernel_table import HNSW_INSERT, HNSW_REPAIR, HNSW_SEARCH, INDEX_MAX_EF
from flashwasm.runtime.work_limits import MOST_GRAPH_PRODUCTS
from flashwasm.search.hnsw.graph import Graph
from flashwasm.search.kernel_arguments import GraphArguments
from flashwasm.search.result_keys import NO_POSITION
from flashwasm.search.row_scan import scan
from flashwasm.search.stored_vectors import StoredVectors

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from numpy.typing import NDArray

    from flashwasm.kernel_table import Kernel, Metric
    from flashwasm.runtime.launch import Launch
    from flashwasm.runtime.runtime import Runtime

    Array = NDArray[Any]

# Number of tasks for each thread. With several, the other threads can take over from a slow one.
_TASKS = 4


class VectorGraph:
    """Vectors and a graph over them in linear memory.

    A place is the number of a node of the graph, which is also the position of its vector.

    Parameters
    ----------
    runtime : Runtime
        Runtime whose linear memory holds them.
    dim : int
        Length of a vector.
    metric : {"cosine", "dot", "l2"}
        Metric.
    m : int
        Number of links of a new node on each level; see `Graph`.
    ef_construction : int
        Number of candidates from which the links of a node are chosen.
    seed : int
        Seed for drawing the levels of the nodes.
    coded : bool
        True to search the graph by codes with 8 bits per component.
    """

    def __init__(
        self,
        runtime: Runtime,
        dim: int,
        metric: Metric,
        *,
        m: int,
        ef_construction: int,
        seed: int,
        coded: bool,
    ) -> None:
        self.vectors = StoredVectors(runtime, dim, metric, panels=False, coded=coded)
        self.graph = Graph(runtime.arena, m, seed)
        self._ef_construction = ef_construction

    def place(self, launch: Launch, rows: Array) -> Array:
        """Write vectors to the places of removed vectors, then to new places; return the places."""
        graph = self.graph
        places = graph.free()[: len(rows)]
        first, filled = graph.nodes, len(places)
        nodes = first + len(rows) - filled
        self.vectors.reserve(nodes, launch.check)
        graph.reserve(nodes, launch.check)
        one = self.vectors.room(launch, 1)
        for i, place in enumerate(places.tolist()):
            self.vectors.put(launch, rows[i : i + 1], place, room=one)
        if filled < len(rows):
            self.vectors.put(launch, rows[filled:], first)
        return np.concatenate([places, np.arange(first, nodes)])

    def insert(self, launch: Launch, places: Array) -> None:
        """Link nodes, whose vectors have been written, one after another."""
        self._change(launch, HNSW_INSERT, places)()

    def mark_inserted(self, places: Array, before: int) -> int:
        """Mark the nodes that an interrupted `insert` has linked as live, and return their number.

        Parameters
        ----------
        places : numpy.ndarray of int, shape (n,)
            Places that were given to `insert`.
        before : int
            Value of ``graph.inserted`` before that call.
        """
        done = (self.graph.inserted - before) % 2**32
        self.graph.live.all[places[:done]] = 1
        return done

    def removal(self, launch: Launch, places: Array) -> Callable[[], None]:
        """Allocate the memory for a removal of nodes, and return the function that removes them.

        The function marks the nodes at these places as removed, and gives their neighbours new
        links that avoid these nodes.
        """
        gone = self._marks(places)
        repair = self._change(launch, HNSW_REPAIR, self.graph.beside(gone), gone)

        def remove() -> None:
            self._take_out(places, gone)
            repair()

        return remove

    def cut_off(self, places: Array) -> None:
        """Clear all links to and from the nodes at these places.

        Afterwards the graph is valid even if the removal of these nodes was interrupted.
        """
        gone = self._marks(places)
        self._take_out(places, gone)
        self.graph.isolate(gone)

    def _marks(self, places: Array) -> Array:
        """Return a byte for each node: 1 for the nodes at these places, else 0."""
        gone = np.zeros(self.graph.nodes, np.uint8)
        gone[places] = 1
        return gone

    def _take_out(self, places: Array, gone: Array) -> None:
        """Mark nodes as removed, so that no search begins at them or returns them."""
        self.graph.live.all[places] = 0
        if self.graph.entry != NO_POSITION and gone[self.graph.entry]:
            self.graph.choose_entry()

    def nearest(
        self, launch: Launch, queries: Array, k: int, ef: int | None, chosen: Array | None = None
    ) -> Array:
        """Return the keys of the nearest vectors to each query.

        Parameters
        ----------
        launch : Launch
            The launch to run in.
        queries : numpy.ndarray of float32, shape (n, dim)
            Vectors to search for.
        k : int
            Number of vectors to find for each query, at most the number that are not removed.
        ef : int or None
            Number of candidates that the search of the graph keeps, if it is more than k. None
            compares each query with all vectors.
        chosen : numpy.ndarray of int, optional
            Positions of the vectors to compare with. ``ef`` must then be None.
        """
        if not k or not len(queries):
            return np.empty((len(queries), 0), np.uint64)
        if ef is not None:
            few = min(k, INDEX_MAX_EF)
            return self.search(launch, queries, few, max(ef, few))
        graph = self.graph
        mask = 0 if graph.live.all[: graph.nodes].all() else graph.live.address
        if chosen is not None:
            mask = launch.place(self._marks(chosen), np.dtype(np.uint8))
        return scan(launch, self.vectors, queries, rows=graph.nodes, k=k, mask=mask)

    def search(self, launch: Launch, queries: Array, k: int, ef: int) -> Array:
        """Return the keys (n, k) that the graph finds for each query (n, dim), in order."""
        count, dim = queries.shape
        keys_at, keys = launch.scratch((count, k), np.uint64)
        step = self._step(ef)
        share = max(step, -(-count // (_TASKS * launch.threads)))
        starts = range(0, count, share)
        # Each task has its own bits, in which it marks visited nodes.
        visited_at, visited = launch.scratch((len(starts), -(-self.graph.nodes // 32)), np.uint32)
        visited[...] = 0
        whole = self._arguments(launch.place(queries))._replace(k=k, ef=ef)

        def calls(number: int, start: int) -> Iterator[GraphArguments]:
            """Yield the calls of a task, in order."""
            end = min(start + share, count)
            for i in range(start, end, step):
                yield whole._replace(
                    items=whole.items + 4 * i * dim,
                    keys=keys_at + 8 * i * k,
                    visited=visited_at + number * visited[0].nbytes,
                    item_count=min(step, end - i),
                )

        tasks = (calls(number, start) for number, start in enumerate(starts))
        launch.run_tasks(HNSW_SEARCH, tasks)
        return keys.copy()

    def _change(
        self, launch: Launch, kernel: Kernel, nodes: Array, gone: Array | None = None
    ) -> Callable[[], None]:
        """Allocate the memory to insert or repair nodes, and return the function that does it.

        The function processes one node after another, in calls of bounded work.
        """
        at, items = launch.scratch(nodes.shape, np.uint32)
        items[...] = nodes
        visited_at, visited = launch.scratch((-(-self.graph.nodes // 32),), np.uint32)
        visited[...] = 0
        whole = self._arguments(at)._replace(
            visited=visited_at,
            gone=0 if gone is None else launch.place(gone, gone.dtype),
            ef=self._ef_construction,
        )
        step = self._step(2 * self._ef_construction)

        def change() -> None:
            for i in range(0, len(nodes), step):
                launch.check()
                count = min(step, len(nodes) - i)
                launch.run_once(kernel, whole._replace(items=at + 4 * i, item_count=count))

        return change

    def _step(self, ef: int) -> int:
        """Return the number of searches in one call."""
        return max(1, MOST_GRAPH_PRODUCTS // (ef * 2 * self.graph.m * self.vectors.stride))

    def _arguments(self, items: int) -> GraphArguments:
        """Return the arguments of a call on items at an address, to be completed by the caller."""
        store, graph = self.vectors, self.graph
        return GraphArguments(
            rows=store.rows.address,
            codes=store.codes.address,
            scales=store.scales.address,
            squares=store.squares.address,
            links=graph.links.address,
            upper_links=graph.upper_links.address,
            upper_at=graph.upper_at.address,
            levels=graph.levels.address,
            entry=graph.state_address,
            items=items,
            keys=0,
            visited=0,
            gone=0,
            nodes=graph.nodes,
            dim=store.dim,
            metric=store.metric,
            m=graph.m,
            item_count=0,
            k=1,
            ef=0,
        )
