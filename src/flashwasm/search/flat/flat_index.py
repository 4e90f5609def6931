"""Exact search of vectors that lie in linear memory."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np

from flashwasm.kernel_table import INDEX_MAX_DIM
from flashwasm.keyword_hints import INDEX, SEARCH, knows_peers
from flashwasm.runtime.deadline import deadline
from flashwasm.runtime.launch import Launch
from flashwasm.search.external_ids import checked_mask
from flashwasm.search.flat.panel_search import PanelSearch
from flashwasm.search.index import Index
from flashwasm.search.index_file import IndexFile, id_sections
from flashwasm.search.parameters import checked_k
from flashwasm.search.stored_vectors import StoredVectors
from flashwasm.storage.file_format import Container

if TYPE_CHECKING:
    from collections.abc import Callable
    from os import PathLike

    from numpy.typing import ArrayLike, NDArray

    from flashwasm.kernel_table import Metric
    from flashwasm.runtime.runtime import Runtime
    from flashwasm.search.external_ids import Ids
    from flashwasm.search.parameters import IndexDType
    from flashwasm.search.stored_vectors import Room

    Array = NDArray[Any]

KIND = "flat-index"
# Number of vectors that `FlatIndex.remove` moves at a time.
_MOVED = 8192
# Maximum number of queries to search for at once, because each needs memory for its candidates.
_QUERIES = 4096


class FlatIndex(Index):
    """Exact vector index: a search compares every query with every vector.

    Each vector has an id. The vectors lie in the runtime's linear memory, in the layout that the
    search kernel reads.

    Parameters
    ----------
    dim : int
        Length of a vector, at most 16,384.
    metric : {"cosine", "dot", "l2"}, default "cosine"
        Score of a vector for a query. "cosine" is the cosine similarity, in [-1, 1], and 0 for a
        zero vector. "dot" is the dot product. "l2" is minus the squared Euclidean distance, so that
        the nearest vector scores highest.
    dtype : {"float32", "int8"} or the same dtype of NumPy, default "float32"
        Numbers that a search reads. With "int8", the index also stores a code for each vector: the
        vector, rounded to 8 bits per component. A search reads all codes, which are a quarter of
        the bytes, and then only the vectors that may be among the nearest. The results are the
        same.
    runtime : Runtime, optional
        Runtime that holds the vectors and runs the searches. None means the default runtime.

    Raises
    ------
    ShapeError, DTypeError
        If an argument is out of range or of the wrong type.
    ClosedError
        If the runtime is closed.

    Examples
    --------
    >>> import numpy as np
    >>> import flashwasm as fw
    >>> index = fw.FlatIndex(2)
    >>> index.add(np.array([[0, 1], [1, 0], [1, 1]], np.float32), ids=["up", "right", "between"])
    >>> scores, ids = index.search(np.array([[2, 0]], np.float32), k=2)
    >>> ids.tolist()
    [['right', 'between']]
    """

    # A timeout does not stop a removal: the index could not be searched with half of its vectors
    # moved.
    _time_to_remove = np.inf

    @knows_peers(INDEX)
    def __init__(
        self,
        dim: int,
        *,
        metric: Metric = "cosine",
        dtype: IndexDType | np.dtype[Any] | type[np.generic] = "float32",
        runtime: Runtime | None = None,
    ) -> None:
        super().__init__(dim, metric, dtype, runtime)
        self._coded = dtype == "int8"
        self._vectors = StoredVectors(
            self._runtime, self.dim, metric, panels=True, coded=self._coded
        )

    def __repr__(self) -> str:
        return self._summary()

    @property
    def nbytes(self) -> int:
        """Number of bytes that the vectors occupy in linear memory."""
        return self._vectors.nbytes

    def _positions(self) -> Array:
        """Return the positions of all vectors, which have no gaps."""
        return np.arange(len(self))

    def _add(self, launch: Launch, rows: Array, names: Array) -> None:
        """Append vectors. They belong to the index as soon as they have ids."""
        first = len(self)
        self._vectors.reserve(first + len(rows), launch.check)
        self._vectors.put(launch, rows, first)
        self._ids.assign(np.arange(first, first + len(rows)), names)

    @knows_peers(SEARCH)
    def search(
        self,
        queries: ArrayLike,
        k: int,
        *,
        filter: Ids | None = None,  # noqa: A002 - the field's own word.
        timeout: float | None = None,
    ) -> tuple[NDArray[np.float32], NDArray[Any]]:
        """Find the k vectors that score highest with each query.

        Parameters
        ----------
        queries : array_like of float, shape (n, dim)
            Vectors to search for. If linear memory is too small for all of them, they are processed
            in parts.
        k : int
            Number of vectors to find for each query.
        filter : array_like of bool, shape (len(index),), or set or array_like of ids, optional
            Vectors to search: a mask that is True for each of them, in the order of ``index.ids``,
            or their ids. Ids that are not in the index are ignored. In an array, each id occurs
            once. None means all vectors.
        timeout : float, optional
            Maximum duration of the call in seconds. None means the runtime's timeout.

        Returns
        -------
        scores : numpy.ndarray of float32, shape (n, k)
            Scores, highest first. If there are fewer than k vectors, the rest is -inf.
        ids : numpy.ndarray of int64 or of str objects, shape (n, k)
            Ids of these vectors. Vectors with equal scores are in the order of ``index.ids``. If
            there are fewer than k vectors, the rest is -1 or None.

        Raises
        ------
        ShapeError, DTypeError, OutOfMemoryError, DeadlineExceeded, Cancelled, ClosedError
        """
        count, until = checked_k(k), deadline(self._runtime, timeout)

        def search_all(launch: Launch, some: Array) -> Array:
            return self._search_all(launch, some, min(count, len(self)), self._mask(filter))

        return self._search_by(search_all, queries, count, until)

    def _search_all(self, launch: Launch, queries: Array, k: int, mask: Array | None) -> Array:
        """Return the keys (n, k) of the nearest vectors to each query, in order."""
        if not k or not len(queries):
            return np.empty((len(queries), 0), np.uint64)
        where = 0 if mask is None else launch.place(mask, np.dtype(np.uint8))
        search = PanelSearch(launch, self._vectors, len(self), k, where)
        nearest = search.by_codes if self._coded else search.by_vectors
        blocks = [nearest(queries[i : i + _QUERIES]) for i in range(0, len(queries), _QUERIES)]
        return np.concatenate(blocks)

    def _mask(self, wanted: Ids | None) -> Array | None:
        """Return a filter as one byte per position, or None if there is no filter."""
        if wanted is None:
            return None
        given = checked_mask(wanted, len(self))
        if given is not None:
            return np.ascontiguousarray(given).view(np.uint8)
        mask = np.zeros(len(self), np.uint8)
        mask[self._ids.known(wanted)] = 1
        return mask

    def _removal(self, launch: Launch, positions: Array) -> Callable[[], None]:
        """Return a function that removes vectors, and moves the vectors after them forward."""
        # If linear memory runs out, it does so here, before anything has changed.
        self._vectors.bring_back()
        room = self._vectors.room(launch, min(len(self) - len(positions), _MOVED))
        return partial(self._close_gaps, launch, positions, room)

    def _close_gaps(self, launch: Launch, positions: Array, room: Room) -> None:
        """Remove the vectors at some positions; others move through ``room``."""
        kept = np.delete(self._positions(), positions)
        names = self._ids.compacted(kept)
        # The position to write next, and the vectors to write there after they have been read.
        progress: tuple[int, Array | None] = int(positions.min()), None
        begun = launch

        def move_forward(launch: Launch) -> None:
            nonlocal progress
            through = room if launch is begun else self._vectors.room(launch, len(room[1]))
            self._ids = names
            at, rows = progress
            while at < len(kept):
                if rows is None:
                    # Vectors only move towards the front, so none is written over before it is
                    # read. After an interruption, `rows` are written again and not read again.
                    rows = self._vectors.take(kept[at : at + _MOVED])
                    progress = at, rows
                self._vectors.put(launch, rows, at, prepared=True, room=through)
                at, rows = progress = at + _MOVED, None

        self._unfinished = move_forward
        self._finish(launch)

    def _contents(self) -> Container:
        """Return the contents of the file that `save` writes."""
        positions = self._positions()
        sections = {"vectors": self._vectors.take(positions)}
        sections |= id_sections(self._ids, positions)
        parameters = {"dim": self.dim, "next_id": self._ids.next}
        return Container(KIND, self.metric, self.dtype, parameters, sections)

    @classmethod
    def load(cls, path: str | PathLike[str], *, runtime: Runtime | None = None) -> FlatIndex:
        """Read an index from a file.

        Parameters
        ----------
        path : str or os.PathLike
            Path of the file, as given to `save`.
        runtime : Runtime, optional
            Runtime to use. None means the default runtime.

        Returns
        -------
        FlatIndex

        Raises
        ------
        CorruptFileError
            If a byte of the file was changed, or if the file is not that of a FlatIndex.
        ShapeError, DTypeError, OSError, OutOfMemoryError, ClosedError
        """
        file = IndexFile(path, KIND)
        index = cls(
            file.number("dim", 1, INDEX_MAX_DIM),
            metric=file.metric,
            dtype=file.dtype,
            runtime=runtime,
        )
        rows = file.vectors(index.dim)
        ids = file.ids(np.arange(len(rows)))
        launch = Launch(index._runtime, None)
        with launch.lock, launch:
            index._vectors.reserve(len(rows))
            if len(rows):
                index._vectors.put(launch, rows, 0, prepared=True)
            index._ids = ids
        return index
