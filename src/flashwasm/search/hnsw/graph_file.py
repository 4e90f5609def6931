"""The graph in the file of an HNSW index, and its checks."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from flashwasm.search.result_keys import NO_POSITION

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from flashwasm.runtime.launch import Launch
    from flashwasm.search.hnsw.graph_search import VectorGraph
    from flashwasm.search.index_file import IndexFile

    Array = NDArray[Any]


def graph_sections(store: VectorGraph) -> dict[str, Array]:
    """Return the sections for vectors and graph. The seed determines the levels."""
    graph = store.graph
    live = graph.live.all[: graph.nodes]
    vectors = store.vectors.take(np.arange(graph.nodes))
    vectors[live == 0] = 0
    links, upper_links = graph.lists()
    return {"vectors": vectors, "links": links, "upper_links": upper_links, "live": live}


def read_graph(launch: Launch, file: IndexFile, store: VectorGraph) -> None:
    """Fill an empty graph from a file.

    Kernels follow the links without checking them, so every link is checked here.

    Raises
    ------
    CorruptFileError
        If the graph in the file is not valid.
    """
    graph = store.graph
    rows = file.vectors(store.vectors.dim)
    nodes = len(rows)
    links = file.section("links", "<u4", (nodes, 2 * graph.m))
    live = file.section("live", "|u1", (nodes,))
    if (live > 1).any():
        file.refuse("a node is neither present nor removed")
    graph.reserve(nodes)
    upper_links = file.section("upper_links", "<u4", (graph.blocks, graph.m))
    levels = graph.levels.all[:nodes]
    own, owners = np.arange(nodes), graph.owners()
    # The level of each list above level 0: the lists of each owner have the levels 1, 2, ...
    of_level = np.arange(graph.blocks) - graph.upper_at.all[:nodes][owners] + 1
    _check_lists(file, links, own, live, levels, np.zeros(nodes, np.int64))
    _check_lists(file, upper_links, owners, live, levels, of_level)
    entry = file.number("entry", 0, NO_POSITION)
    if live.any():
        highest = int(levels[live != 0].max())
        if entry >= nodes or not live[entry] or levels[entry] != highest:
            file.refuse(f"the search would begin at node {entry}")
    elif entry != NO_POSITION:
        file.refuse(f"the search would begin at node {entry}, which does not exist")
    store.vectors.reserve(nodes)
    if nodes:
        store.vectors.put(launch, rows, 0, prepared=True)
    graph.links.all[:nodes], graph.upper_links.all[: graph.blocks] = links, upper_links
    graph.live.all[:nodes] = live
    graph.entry = entry


def _check_lists(
    file: IndexFile, lists: Array, owners: Array, live: Array, levels: Array, of_level: Array
) -> None:
    """Refuse the file unless each list has links to nodes of its level, followed by its owner.

    Parameters
    ----------
    file : IndexFile
        The file that contains the lists.
    lists : numpy.ndarray of uint32, shape (n, length)
        Lists of links.
    owners : numpy.ndarray of int, shape (n,)
        Node to which each list belongs.
    live : numpy.ndarray of uint8, shape (nodes,)
        A mark for each node: 0 if it is removed, else 1.
    levels : numpy.ndarray of uint8, shape (nodes,)
        Level of each node.
    of_level : numpy.ndarray of int, shape (n,)
        Level of each list.
    """
    if lists.size == 0:
        return
    if lists.max() >= len(live):
        file.refuse("a link leads out of the graph")
    to_itself = lists == owners[:, None]
    if (to_itself[:, :-1] & ~to_itself[:, 1:]).any():
        file.refuse("a list of links has a gap")
    if ((live[lists] == 0) & ~to_itself).any() or (~to_itself[live[owners] == 0]).any():
        file.refuse("a link leads to or from a removed vector")
    if (levels[lists] < of_level[:, None]).any():
        file.refuse("a link leads to a vector that is not on its level")
