"""Approximate search of a graph over vectors that lie in linear memory."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from flashwasm.errors import ShapeError
from flashwasm.kernel_table import INDEX_MAX_DIM, INDEX_MAX_EF, INDEX_MAX_LINKS
from flashwasm.keyword_hints import INDEX, SEARCH, knows_peers
from flashwasm.runtime.deadline import deadline
from flashwasm.runtime.launch import Launch
from flashwasm.search.hnsw.graph_file import graph_sections, read_graph
from flashwasm.search.hnsw.graph_search import VectorGraph
from flashwasm.search.hnsw.recall import evenly_spaced, recall
from flashwasm.search.index import Index
from flashwasm.search.index_file import IndexFile, id_sections
from flashwasm.search.parameters import FEWEST_LINKS, checked_ef, checked_k, checked_m, checked_seed
from flashwasm.search.search_report import SearchReport, plan
from flashwasm.storage.file_format import Container
from flashwasm.validation import flag

if TYPE_CHECKING:
    from collections.abc import Callable
    from os import PathLike

    import numpy as np
    from numpy.typing import ArrayLike, NDArray

    from flashwasm.kernel_table import Metric
    from flashwasm.runtime.runtime import Runtime
    from flashwasm.search.external_ids import Ids
    from flashwasm.search.parameters import IndexDType

    Array = NDArray[Any]

KIND = "hnsw-index"


class HNSWIndex(Index):
    """Approximate vector index: a search follows a hierarchical navigable small-world graph.

    Each vector has an id. The graph depends only on the vectors, their order and the seed. It does
    not depend on the number of threads, nor on the number of calls that add the vectors.

    Parameters
    ----------
    dim : int
        Length of a vector, at most 16,384.
    metric : {"cosine", "dot", "l2"}, default "cosine"
        Score of a vector for a query. "cosine" is the cosine similarity, in [-1, 1], and 0 for a
        zero vector. "dot" is the dot product. "l2" is minus the squared Euclidean distance, so that
        the nearest vector scores highest.
    m : int, default 16
        Number of links of a new vector on each level, from 2 to 256. Vectors added later add links
        to it, up to twice as many on the lowest level. More links increase the recall of a search,
        the memory and the time.
    ef_construction : int, default 200
        Number of candidates from which the links of a new vector are chosen, at most 4096. More
        candidates increase the recall of a search and the time of `add`.
    seed : int, default 0
        Seed for drawing the level of each vector.
    dtype : {"float32", "int8"} or the same dtype of NumPy, default "float32"
        Numbers that the search of the graph reads. With "int8", the index also stores a code for
        each vector: the vector, rounded to 8 bits per component. The search of the graph reads
        codes, and then ranks the best 2 k results, at least 20, by the vectors. The scores are
        computed from the vectors with either dtype.
    runtime : Runtime, optional
        Runtime that holds the vectors and the graph, and runs the searches. None means the default
        runtime.

    Raises
    ------
    ShapeError, DTypeError
        If an argument is out of range or of the wrong type.
    ClosedError
        If the runtime is closed.

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

    @knows_peers(INDEX)
    def __init__(
        self,
        dim: int,
        *,
        metric: Metric = "cosine",
        m: int = 16,
        ef_construction: int = 200,
        seed: int = 0,
        dtype: IndexDType | np.dtype[Any] | type[np.generic] = "float32",
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
        self._vectors = self._store.vectors

    def __repr__(self) -> str:
        return self._summary(m=self.m, ef_construction=self.ef_construction)

    @property
    def nbytes(self) -> int:
        """Number of bytes that the vectors and the graph occupy in linear memory."""
        return self._vectors.nbytes + self._store.graph.nbytes

    def _positions(self) -> Array:
        """Return the positions of all vectors; positions of removed vectors lie between them."""
        return self._store.graph.taken()

    def _add(self, launch: Launch, rows: Array, names: Array) -> None:
        """Write vectors and link them; after an interruption, assign ids to the linked ones."""
        places = self._store.place(launch, rows)
        before = self._store.graph.inserted

        def name_linked(_: Launch) -> None:
            done = self._store.mark_inserted(places, before)
            self._ids.assign(places[:done], names[:done])

        self._unfinished = name_linked
        try:
            self._store.insert(launch, places)
        finally:
            self._finish(launch)

    @knows_peers(SEARCH)
    def search(
        self,
        queries: ArrayLike,
        k: int,
        ef: int = 100,
        *,
        exact: bool | None = None,
        filter: Ids | None = None,  # noqa: A002 - the field's own word.
        timeout: float | None = None,
    ) -> tuple[NDArray[np.float32], NDArray[Any]]:
        """Find k vectors that score highest with each query, approximately or exactly.

        Parameters
        ----------
        queries : array_like of float, shape (n, dim)
            Vectors to search for. If linear memory is too small for all of them, they are processed
            in parts.
        k : int
            Number of vectors to find for each query.
        ef : int, default 100
            Number of candidates that the search of the graph keeps, at most 4096, but never fewer
            than k. More candidates increase the recall and the time.
        exact : bool, optional
            True to compare each query with every vector, False to search the graph, which may find
            fewer than k vectors if `m` is small and many were removed. None compares with every
            vector if that takes no longer; `search_report` tells which.
        filter : array_like of bool, shape (len(index),), or set or array_like of ids, optional
            Vectors to search: a mask that is True for each of them, in the order of ``index.ids``,
            or their ids. Ids that are not in the index are ignored. In an array, each id occurs
            once. Each query is compared with all of these vectors, so `exact` must not be False.
        timeout : float, optional
            Maximum duration of the call in seconds. None means the runtime's timeout.

        Returns
        -------
        scores : numpy.ndarray of float32, shape (n, k)
            Scores, highest first. If fewer than k vectors were found, the rest is -inf.
        ids : numpy.ndarray of int64 or of str objects, shape (n, k)
            Ids of these vectors. If fewer than k were found, the rest is -1 or None.

        Raises
        ------
        ShapeError, DTypeError, OutOfMemoryError, DeadlineExceeded, Cancelled, ClosedError
        """
        count, width, until = checked_k(k), checked_ef(ef, "ef"), deadline(self._runtime, timeout)
        if filter is not None and exact is not None and not flag(exact, "exact"):
            raise ShapeError("exact: expected True or None with a filter, got False")

        def search(launch: Launch, some: Array) -> Array:
            nearest = min(count, len(self))
            if filter is not None:
                chosen = self._ids.chosen(filter, self._positions())
                return self._store.nearest(launch, some, nearest, None, chosen)
            by_scan, _ = plan(len(self), max(count, width), exact=exact)
            return self._store.nearest(launch, some, nearest, None if by_scan else width)

        return self._search_by(search, queries, count, until)

    @knows_peers(SEARCH)
    def search_report(
        self, queries: ArrayLike, k: int, ef: int = 100, *, exact: bool | None = None
    ) -> SearchReport:
        """Report the method that `search` would use, and its recall for a sample of the queries.

        Parameters
        ----------
        queries : array_like of float, shape (n, dim)
            Vectors to search for. For the recall, at most 64 of them, evenly spaced, are searched
            both by the graph and by comparison with every vector.
        k : int
            Number of vectors to find for each query.
        ef : int, default 100
            Number of candidates that the search of the graph keeps, at most 4096.
        exact : bool, optional
            True to compare each query with every vector, False to search the graph. None compares
            with every vector if that takes no longer.

        Returns
        -------
        SearchReport
            Report. For its recall, a vector is one of the k nearest if it scores at least as high
            as the k-th nearest vector, so a tie does not reduce the recall.

        Raises
        ------
        ShapeError, DTypeError, OutOfMemoryError, DeadlineExceeded, Cancelled, ClosedError
        """
        wanted = self._checked(queries, "queries", None)
        count, width = checked_k(k), checked_ef(ef, "ef")
        sample = evenly_spaced(wanted)
        launch = Launch(self._runtime, None)
        with launch.lock, launch:
            self._finish(launch)
            by_scan, reason = plan(len(self), max(count, width), exact=exact)
            nearest = min(count, len(self))
            if by_scan or not len(sample) or not nearest:
                return SearchReport(by_scan, reason, 1.0, 0)
            measured = recall(self._store, launch, sample, nearest, width)
        return SearchReport(by_scan, reason, measured, len(sample))

    def _removal(self, launch: Launch, places: Array) -> Callable[[], None]:
        """Return a function that removes vectors, and repairs the graph around them."""
        names = self._ids.at(places)
        # If memory runs out, it does so here, before anything has changed.
        repair = self._store.removal(launch, places)

        def forget(_: Launch) -> None:
            self._ids.free(places, names)
            self._store.cut_off(places)

        def remove() -> None:
            self._unfinished = forget
            try:
                repair()
            finally:
                self._finish(launch)

        return remove

    def _contents(self) -> Container:
        """Return the contents of the file that `save` writes."""
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
        path : str or os.PathLike
            Path of the file, as given to `save`.
        runtime : Runtime, optional
            Runtime to use. None means the default runtime.

        Returns
        -------
        HNSWIndex

        Raises
        ------
        CorruptFileError
            If a byte of the file was changed, or if the file is not that of an HNSWIndex.
        ShapeError, DTypeError, OSError, OutOfMemoryError, ClosedError
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
        launch = Launch(index._runtime, None)
        with launch.lock, launch:
            read_graph(launch, file, index._store)
            index._ids = file.ids(index._store.graph.taken())
        return index
