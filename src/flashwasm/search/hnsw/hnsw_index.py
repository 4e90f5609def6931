"""Approximate search of a graph over vectors that stay in the sandbox."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from flashwasm.kernel_table import INDEX_MAX_DIM, INDEX_MAX_EF, INDEX_MAX_LINKS
from flashwasm.runtime.deadline import deadline
from flashwasm.runtime.launch import Launch
from flashwasm.search.hnsw.graph_file import graph_sections, read_graph
from flashwasm.search.hnsw.graph_search import VectorGraph
from flashwasm.search.index import Index, in_parts
from flashwasm.search.index_file import IndexFile, id_sections
from flashwasm.search.parameters import FEWEST_LINKS, checked_ef, checked_k, checked_m, checked_seed
from flashwasm.search.result_keys import decoded
from flashwasm.search.row_scan import scan
from flashwasm.search.search_report import SearchReport, plan
from flashwasm.storage.file_format import Container

if TYPE_CHECKING:
    from os import PathLike

    from numpy.typing import ArrayLike, NDArray

    from flashwasm.runtime.runtime import Runtime

    Array = NDArray[Any]

KIND = "hnsw-index"
# Queries that a report is made from.
_SAMPLE = 64


class HNSWIndex(Index):
    """Vectors by id, searched through a hierarchical navigable small-world graph.

    The graph depends on the vectors, their order and the seed alone: not on the number of calls
    that add them, nor on threads.

    Parameters
    ----------
    dim : int
        Length of a vector, at most 16,384.
    metric : {"cosine", "dot", "l2"}, default "cosine"
        As `FlatIndex` has it.
    m : int, default 16
        Links that a new vector gets, from 2 to 256; on the lowest level it may come to have twice
        as many. More make a better and larger graph.
    ef_construction : int, default 200
        Candidates that the links are chosen from, at most 4096.
    seed : int, default 0
        What the levels are drawn from.
    dtype : {"float32", "int8"}, default "float32"
        What the search of the graph reads: the vectors, or codes of 8 bits, after which the best
        2 k (20 at least) are ranked by the vectors. Scores are the vectors' own in either case.
    runtime : Runtime, optional
        Where the vectors and the graph lie and the search runs.

    Raises
    ------
    ShapeError, DTypeError
        If an argument is out of range or of the wrong type.

    References
    ----------
    Malkov and Yashunin, "Efficient and robust approximate nearest neighbor search using
    Hierarchical Navigable Small World graphs", arXiv 1603.09320.

    Examples
    --------
    >>> import numpy as np
    >>> import flashwasm as fw
    >>> index = fw.HNSWIndex(2, metric="l2")
    >>> index.add([[0.0, 1.0], [1.0, 0.0], [5.0, 5.0]], ids=[10, 20, 30])
    >>> scores, ids = index.search([[4.0, 5.0]], k=2)
    >>> scores.tolist(), ids.tolist()
    ([[-1.0, -32.0]], [[30, 10]])
    """

    def __init__(
        self,
        dim: int,
        *,
        metric: str = "cosine",
        m: int = 16,
        ef_construction: int = 200,
        seed: int = 0,
        dtype: str = "float32",
        runtime: Runtime | None = None,
    ) -> None:
        super().__init__(dim, metric, dtype, runtime)
        self.m = checked_m(m)
        self.ef_construction = checked_ef(ef_construction, "ef_construction")
        self.seed = checked_seed(seed)
        self._store = VectorGraph(
            self._runtime,
            self.dim,
            metric,
            m=self.m,
            ef_construction=self.ef_construction,
            seed=self.seed,
            coded=dtype == "int8",
        )

    def __repr__(self) -> str:
        return f"<HNSWIndex of {len(self)} x {self.dim}, {self.metric}, {self.dtype}, m={self.m}>"

    @property
    def nbytes(self) -> int:
        """Bytes of linear memory that the vectors and the graph take."""
        return self._store.vectors.nbytes + self._store.graph.nbytes

    def _positions(self) -> Array:
        return self._store.graph.taken()

    def _add(self, op: Launch, rows: Array, names: Array) -> None:
        places = self._store.place(op, rows)
        before = self._store.graph.inserted

        def name(_: Launch) -> None:
            done = self._store.mark_inserted(places, before)
            self._ids.assign(places[:done], names[:done])

        self._unfinished = name
        try:
            self._store.insert(op, places)
        finally:
            self._finish(op)

    def search(
        self,
        queries: ArrayLike,
        k: int,
        ef: int = 100,
        *,
        exact: bool | None = None,
        timeout: float | None = None,
    ) -> tuple[Array, Array]:
        """Find vectors that score highest with each query.

        Parameters
        ----------
        queries : array_like of float, shape (n, dim)
            What to search for; in parts, where linear memory is too small for all of them.
        k : int
            How many to find for each.
        ef : int, default 100
            How many the search of the graph keeps, at least k, at most 4096: more find more and
            take longer.
        exact : bool, optional
            Whether to look at every vector. None does so where that is as quick; see
            ``search_report``.
        timeout : float, optional
            Seconds.

        Returns
        -------
        scores : numpy.ndarray of float32, shape (n, k)
            Highest first; -inf where fewer than k vectors were found.
        ids : numpy.ndarray of int64 or of str objects, shape (n, k)
            -1 or None where fewer were found.

        Raises
        ------
        ShapeError, DTypeError, OutOfMemoryError, DeadlineExceeded, ClosedError
        """
        count, width = checked_k(k), checked_ef(ef, "ef")
        until = deadline(self._runtime, timeout)

        def search(some: Array) -> tuple[Array, Array]:
            with self._operation(until) as op:
                by_scan, _ = plan(len(self), max(count, width), exact=exact)
                keys = self._search(op, some, count, None if by_scan else width)
                scores, positions = decoded(keys, count)
                return scores, self._ids.at(positions)

        return in_parts(search, self._checked(queries, "queries"))

    def search_report(
        self, queries: ArrayLike, k: int, ef: int = 100, *, exact: bool | None = None
    ) -> SearchReport:
        """Say how a search would be answered, and measure its recall on a sample of the queries.

        Parameters
        ----------
        queries : array_like of float, shape (n, dim)
            Up to 64 of them, evenly spaced, are searched for in both ways.
        k, ef, exact
            As ``search`` takes them.

        Returns
        -------
        SearchReport
            A vector found counts where its score reaches that of the k-th nearest.
        """
        wanted = self._checked(queries, "queries")
        count, width = checked_k(k), checked_ef(ef, "ef")
        self._runtime.check_open()
        by_scan, reason = plan(len(self), max(count, width), exact=exact)
        sample = wanted[:: max(1, -(-len(wanted) // _SAMPLE))]
        nearest = min(count, len(self))
        if by_scan or not len(sample) or not nearest:
            return SearchReport(by_scan, reason, 1.0, 0)
        with self._operation(None) as op:
            found, _ = decoded(self._search(op, sample, nearest, width), nearest)
            truth, _ = decoded(self._search(op, sample, nearest, None), nearest)
        recall = float((found >= truth[:, -1:]).mean())
        return SearchReport(by_scan, reason, recall, len(sample))

    def _search(self, op: Launch, queries: Array, k: int, ef: int | None) -> Array:
        """Return the keys of what is found: by the graph, or where ef is None by a scan."""
        nearest = min(k, len(self))
        if not nearest or not len(queries):
            return np.empty((len(queries), 0), np.uint64)
        store, graph = self._store, self._store.graph
        if ef is None:
            mask = graph.live.address if len(self) < graph.nodes else 0
            return scan(op, store.vectors, queries, rows=graph.nodes, k=nearest, mask=mask)
        nearest = min(nearest, INDEX_MAX_EF)
        return store.search(op, queries, nearest, max(ef, nearest))

    def _remove(self, op: Launch, places: Array) -> None:
        names = self._ids.at(places)

        def forget(_: Launch) -> None:
            self._ids.free(places, names)
            self._store.cut_off(places)

        self._unfinished = forget
        try:
            self._store.mend_around(op, places)
        finally:
            self._finish(op)

    def _contents(self) -> Container:
        taken = self._store.graph.taken()
        sections = graph_sections(self._store) | id_sections(self._ids, taken)
        parameters = {
            "dim": self.dim,
            "m": self.m,
            "ef_construction": self.ef_construction,
            "seed": self.seed,
            "entry": self._store.graph.entry,
            "next_id": self._ids.next,
        }
        return Container(KIND, self.metric, self.dtype, parameters, sections)

    @classmethod
    def load(cls, path: str | PathLike[str], *, runtime: Runtime | None = None) -> HNSWIndex:
        """Read an index from a file.

        Parameters
        ----------
        path : path
            The file.
        runtime : Runtime, optional
            Where it will lie.

        Returns
        -------
        HNSWIndex

        Raises
        ------
        CorruptFileError
            If a byte of the file was changed, or it is none of an HNSWIndex.
        OSError, OutOfMemoryError, ClosedError
        """
        file = IndexFile(path, KIND)
        index = cls(
            file.number("dim", 1, INDEX_MAX_DIM),
            metric=file.metric,
            m=file.number("m", FEWEST_LINKS, INDEX_MAX_LINKS),
            ef_construction=file.number("ef_construction", 1, INDEX_MAX_EF),
            seed=file.number("seed", 0, 2**64 - 1),
            dtype=file.dtype,
            runtime=runtime,
        )
        with Launch(index._runtime, None) as op:
            read_graph(op, file, index._store)
            index._ids = file.ids(index._store.graph.taken())
        return index
