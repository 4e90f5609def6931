"""Exact search of vectors that stay in the sandbox."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from flashwasm.errors import DTypeError, ShapeError
from flashwasm.kernel_table import INDEX_MAX_DIM
from flashwasm.runtime.deadline import deadline
from flashwasm.runtime.launch import Launch
from flashwasm.search.flat.panel_search import PanelSearch
from flashwasm.search.index import Index, in_parts
from flashwasm.search.index_file import IndexFile, id_sections
from flashwasm.search.parameters import checked_k
from flashwasm.search.result_keys import decoded
from flashwasm.search.stored_vectors import StoredVectors
from flashwasm.storage.file_format import Container
from flashwasm.validation import as_array

if TYPE_CHECKING:
    from os import PathLike

    from numpy.typing import ArrayLike, NDArray

    from flashwasm.runtime.runtime import Runtime

    Array = NDArray[Any]

KIND = "flat-index"
# Vectors that are moved at a time where others are removed.
_MOVED = 8192
# Queries whose candidates are held at once.
_QUERIES = 4096


class FlatIndex(Index):
    """Vectors by id, searched exactly.

    The vectors lie in the runtime's linear memory in the order in which a search reads them.

    Parameters
    ----------
    dim : int
        Length of a vector, at most 16,384.
    metric : {"cosine", "dot", "l2"}, default "cosine"
        The cosine, in [-1, 1] and 0 for a zero vector; the dot product; or minus the squared
        Euclidean distance.
    dtype : {"float32", "int8"}, default "float32"
        What a search reads: the vectors, or codes of 8 bits, a quarter of their size, which are
        kept beside them, and then those vectors that may be nearest. The results are the same.
    runtime : Runtime, optional
        Where the vectors lie and the search runs.

    Raises
    ------
    ShapeError, DTypeError
        If an argument is out of range or of the wrong type.

    Examples
    --------
    >>> import numpy as np
    >>> import flashwasm as fw
    >>> index = fw.FlatIndex(2)
    >>> index.add(np.float32([[0, 1], [1, 0], [1, 1]]), ids=["up", "right", "between"])
    >>> scores, ids = index.search(np.float32([[2, 0]]), k=2)
    >>> ids.tolist()
    [['right', 'between']]
    """

    # Half moved, the vectors are of no use to anyone.
    _time_to_remove = np.inf

    def __init__(
        self,
        dim: int,
        *,
        metric: str = "cosine",
        dtype: str = "float32",
        runtime: Runtime | None = None,
    ) -> None:
        super().__init__(dim, metric, dtype, runtime)
        self._coded = dtype == "int8"
        self._vectors = StoredVectors(
            self._runtime, self.dim, metric, panels=True, coded=self._coded
        )

    def __repr__(self) -> str:
        return f"<FlatIndex of {len(self)} x {self.dim}, {self.metric}, {self.dtype}>"

    @property
    def nbytes(self) -> int:
        """Bytes of linear memory that the vectors take."""
        return self._vectors.nbytes

    def _positions(self) -> Array:
        return np.arange(len(self))

    def _add(self, op: Launch, rows: Array, names: Array) -> None:
        first = len(self)
        self._vectors.reserve(first + len(rows))
        self._vectors.put(op, rows, first)
        self._ids.assign(np.arange(first, first + len(rows)), names)

    def search(
        self,
        queries: ArrayLike,
        k: int,
        *,
        filter: ArrayLike | set[int] | set[str] | None = None,  # noqa: A002 - the field's own word.
        timeout: float | None = None,
    ) -> tuple[Array, Array]:
        """Find the k vectors that score highest with each query.

        Parameters
        ----------
        queries : array_like of float, shape (n, dim)
            What to search for; in parts, where linear memory is too small for all of them.
        k : int
            How many to find for each.
        filter : array_like of bool, shape (len(index),), or set of ids, optional
            Which vectors to look at: a mask by position, or their ids. Ids that are not in the
            index are passed over.
        timeout : float, optional
            Seconds.

        Returns
        -------
        scores : numpy.ndarray of float32, shape (n, k)
            Highest first; -inf where there are fewer than k vectors.
        ids : numpy.ndarray of int64 or of str objects, shape (n, k)
            The one at the lowest position first where scores are equal; -1 or None where there are
            fewer than k.

        Raises
        ------
        ShapeError, DTypeError, OutOfMemoryError, DeadlineExceeded, ClosedError
        """
        count, until = checked_k(k), deadline(self._runtime, timeout)

        def search(some: Array) -> tuple[Array, Array]:
            with self._operation(until) as op:
                keys = self._search_all(op, some, min(count, len(self)), self._mask(filter))
                scores, positions = decoded(keys, count)
                return scores, self._ids.at(positions)

        return in_parts(search, self._checked(queries, "queries"))

    def _search_all(self, op: Launch, queries: Array, k: int, mask: Array | None) -> Array:
        """Return the keys of the best k for each query."""
        if not k or not len(queries):
            return np.empty((len(queries), 0), np.uint64)
        where = 0 if mask is None else op.place(mask, np.dtype(np.uint8))
        search = PanelSearch(op, self._vectors, len(self), k, where)
        nearest = search.by_codes if self._coded else search.by_vectors
        blocks = [nearest(queries[i : i + _QUERIES]) for i in range(0, len(queries), _QUERIES)]
        return np.concatenate(blocks)

    def _mask(self, wanted: ArrayLike | set[int] | set[str] | None) -> Array | None:
        """Return a byte for each position, or None where all are looked at."""
        if wanted is None:
            return None
        if isinstance(wanted, (set, frozenset)):
            mask = np.zeros(len(self), np.uint8)
            mask[self._ids.known(wanted)] = 1
            return mask
        array = as_array(wanted, "filter")
        if array.dtype != np.bool_:
            message = f"filter: expected booleans by position or a set of ids, got {array.dtype}"
            raise DTypeError(message)
        if array.shape != (len(self),):
            message = f"filter: expected shape ({len(self)},), one a vector, got {array.shape}"
            raise ShapeError(message)
        return np.ascontiguousarray(array).view(np.uint8)

    def _remove(self, op: Launch, positions: Array) -> None:
        kept = np.delete(self._positions(), positions)
        names = self._ids.compacted(kept)
        progress: tuple[int, Array | None] = int(positions.min()), None

        def move_up(op: Launch) -> None:
            nonlocal progress
            self._ids = names
            at, rows = progress
            while at < len(kept):
                if rows is None:
                    # Each moves towards the front, so what is read was not written over yet.
                    some = kept[at : at + _MOVED]
                    begin = int(some[0])
                    rows = self._vectors.take(begin, int(some[-1]) + 1)[some - begin]
                    progress = at, rows
                self._vectors.put(op, rows, at, prepared=True)
                at, rows = progress = at + _MOVED, None

        self._unfinished = move_up
        self._finish(op)

    def _contents(self) -> Container:
        count = len(self)
        sections = {"vectors": self._vectors.take(0, count)}
        sections |= id_sections(self._ids, np.arange(count))
        parameters = {"dim": self.dim, "next_id": self._ids.next}
        return Container(KIND, self.metric, self.dtype, parameters, sections)

    @classmethod
    def load(cls, path: str | PathLike[str], *, runtime: Runtime | None = None) -> FlatIndex:
        """Read an index from a file.

        Parameters
        ----------
        path : path
            The file.
        runtime : Runtime, optional
            Where its vectors will lie.

        Returns
        -------
        FlatIndex

        Raises
        ------
        CorruptFileError
            If a byte of the file was changed, or it is none of a FlatIndex.
        OSError, OutOfMemoryError, ClosedError
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
        with Launch(index._runtime, None) as op:
            index._vectors.reserve(len(rows))
            if len(rows):
                index._vectors.put(op, rows, 0, prepared=True)
            index._ids = ids
        return index
