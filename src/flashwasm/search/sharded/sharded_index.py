"""An index for more vectors than fit into one linear memory."""

from __future__ import annotations

import threading
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING, Any

import numpy as np

from flashwasm import validation
from flashwasm.runtime.deadline import Deadline, deadline
from flashwasm.runtime.locks import held, renewed_after_fork
from flashwasm.search.external_ids import IdTable
from flashwasm.search.parameters import checked_k
from flashwasm.search.sharded.shard_files import GONE, ShardSettings, read_shards, save_shards
from flashwasm.search.sharded.shards import CLASSES, Shards, most_vectors
from flashwasm.search.stored_vectors import LARGEST
from flashwasm.search.vectors_by_id import VectorsById
from flashwasm.storage.file_paths import checked_path
from flashwasm.summaries import summary

if TYPE_CHECKING:
    from collections.abc import Callable
    from os import PathLike

    from numpy.typing import ArrayLike, NDArray
    from typing_extensions import Unpack

    from flashwasm.search.external_ids import Ids
    from flashwasm.search.sharded.shard_files import ShardFile
    from flashwasm.search.sharded.shards import IndexKind, IndexOptions, SearchOptions

    Array = NDArray[Any]


class ShardedIndex(VectorsById, AbstractContextManager["ShardedIndex"]):
    """Vector index that consists of several indexes (shards), each with its own linear memory.

    A search goes through every shard and merges the results. With "flat" shards, they are exactly
    those of one `FlatIndex` with all vectors. The index is a context manager that calls `close` at
    the end. Several threads may use it; their calls run one after another.

    Parameters
    ----------
    kind : {"flat", "hnsw"}
        Class of the shards: `FlatIndex` or `HNSWIndex`.
    dim : int
        Length of a vector, at most 16,384.
    shard_size : int, optional
        Number of vectors in a full shard. None means the number that fits into 3 GiB.
    threads : int, optional
        Number of threads of each shard's runtime. None means the number of CPUs. Shards are
        searched one after another.
    options : keyword arguments
        Other arguments of the shards' class: ``metric``, ``dtype``, ``m`` and so on.

    Raises
    ------
    ShapeError, DTypeError, CapabilityError, OutOfMemoryError
        For the same reasons as in `FlatIndex`, `HNSWIndex` and `Runtime`.

    Examples
    --------
    >>> import numpy as np
    >>> import flashwasm as fw
    >>> with fw.ShardedIndex("flat", 2, shard_size=2, metric="l2") as index:
    ...     index.add([[0.0, 1.0], [1.0, 0.0], [5.0, 5.0]], ids=["a", "b", "c"])
    ...     index.shards, index.search([[4.0, 5.0]], k=2)[1].tolist()
    (2, [['c', 'a']])
    """

    def __init__(
        self,
        kind: IndexKind,
        dim: int,
        *,
        shard_size: int | None = None,
        threads: int | None = None,
        **options: Unpack[IndexOptions],
    ) -> None:
        self.kind: IndexKind = validation.choice(kind, "kind", tuple(CLASSES))
        self._shards = Shards(kind, dim, threads, options)
        self.dim, self.metric, self.dtype = dim, self._shards[0].metric, self._shards[0].dtype
        most = most_vectors(self.dim, options) if shard_size is None else shard_size
        self.shard_size = validation.positive_int(most, "shard_size")
        self._settings = ShardSettings(kind, dim, self.shard_size, self.metric, self.dtype, options)
        self._ids = IdTable()
        # Shard of each vector by its number in the order of adding, which is its id in that shard.
        self._homes: Array = np.empty(0, np.int32)
        # Every call holds this lock, so that a search never sees half of a change.
        self._lock = renewed_after_fork(self, threading.RLock)
        # A function that completes an interrupted change, as in `Index`.
        self._unfinished: Callable[[], None] | None = None

    def __repr__(self) -> str:
        return summary(self, repr(self.kind), **self._shards.facts(), vectors=len(self._ids))

    def __enter__(self) -> ShardedIndex:
        self._shards.check_open()
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @property
    def _names(self) -> IdTable:
        with self._lock:
            if self._unfinished is not None:
                self._finish()
            return self._ids

    @property
    def shards(self) -> int:
        """Number of shards."""
        return len(self._shards)

    @property
    def nbytes(self) -> int:
        """Number of bytes that the vectors occupy in the linear memories of all shards."""
        return sum(shard.nbytes for shard in self._shards)

    def close(self) -> None:
        """Close the runtimes of all shards. Later uses of the index raise ClosedError."""
        self._shards.close()

    def add(
        self, vectors: ArrayLike, ids: ArrayLike | None = None, *, timeout: float | None = None
    ) -> None:
        """Add vectors to the last shard, and to new shards when it is full.

        If the call is interrupted, ``len(index)`` tells how many of the vectors were added.

        Parameters
        ----------
        vectors : array_like of float, shape (n, dim)
            Vectors to add, as in `FlatIndex.add`.
        ids : array_like of int or of str, shape (n,), optional
            Ids of the vectors, as in `FlatIndex.add`.
        timeout : float, optional
            Maximum duration of the call in seconds. None means no limit.

        Raises
        ------
        ShapeError
            If an id occurs twice or is already in the index. Nothing is added then.
        DTypeError, OutOfMemoryError, DeadlineExceeded, Cancelled, ClosedError
        """
        until = deadline(self._shards.first_runtime, timeout)
        rows = validation.vectors(vectors, "vectors", self.dim, LARGEST[self.metric])
        with held(self._lock, until):
            self._finish()
            names = self._ids.new(ids, len(rows))
            while len(rows):
                room = self._shards.room_in_last(self.shard_size)
                self._fill(rows[:room], names[:room], until)
                rows, names = rows[room:], names[room:]

    def search(
        self,
        queries: ArrayLike,
        k: int,
        *,
        timeout: float | None = None,
        **options: Unpack[SearchOptions],
    ) -> tuple[NDArray[np.float32], NDArray[Any]]:
        """Find the k vectors that score highest with each query, in all shards.

        Parameters
        ----------
        queries : array_like of float, shape (n, dim)
            Vectors to search for.
        k : int
            Number of vectors to find for each query.
        timeout : float, optional
            Maximum duration of the call in seconds. None means no limit.
        options : keyword arguments
            Other arguments of the ``search`` method of the shards' class.

        Returns
        -------
        scores : numpy.ndarray of float32, shape (n, k)
            Scores, highest first. If fewer than k vectors were found, the rest is -inf.
        ids : numpy.ndarray of int64 or of str objects, shape (n, k)
            Ids of these vectors, in the order of adding where scores are equal. If fewer than k
            were found, the rest is -1 or None.

        Raises
        ------
        ShapeError, DTypeError, OutOfMemoryError, DeadlineExceeded, Cancelled, ClosedError
        """
        count, until = checked_k(k), deadline(self._shards.first_runtime, timeout)
        with held(self._lock, until):
            self._finish()
            if (wanted := options.get("filter")) is not None:
                options["filter"] = set(self._ids.chosen(wanted, self._positions()).tolist())
            scores, numbers = self._shards.search(queries, count, until, options)
            return scores, self._ids.at(numbers)

    def remove(self, ids: Ids) -> None:
        """Remove vectors.

        The last shard reuses the room of removed vectors. The other shards do not.

        Parameters
        ----------
        ids : array_like of int or of str, shape (n,), or set
            Ids of the vectors to remove.

        Raises
        ------
        IndexRangeError, OutOfMemoryError
            If an id is not in the index, or if a shard has no room for moving vectors. Nothing is
            removed then.
        ShapeError, DTypeError, ClosedError
        """
        with self._lock:
            self._finish()
            numbers = self._ids.find(ids, once=True)
            homes, names = self._homes[numbers], self._ids.at(numbers)
            self._shards.check_room_to_remove(numbers, homes)

            def remove() -> None:
                self._shards.remove(numbers, homes)
                self._ids.free(numbers, names)
                self._homes[numbers] = GONE

            self._unfinished = remove
            self._finish()

    def save(self, path: str | PathLike[str]) -> None:
        """Write the index to a file, and each shard to a file beside it.

        The shards' files get new names, so that ``load`` finds a complete index at any moment.

        Parameters
        ----------
        path : str or os.PathLike
            Path of the index's own file. The shards' files begin with the same name.

        Raises
        ------
        ShapeError, DTypeError, OSError, ClosedError
        """
        with self._lock:
            self._finish()
            save_shards(checked_path(path), self._settings, self._shards, self._homes, self._ids)

    @classmethod
    def load(cls, path: str | PathLike[str], *, threads: int | None = None) -> ShardedIndex:
        """Read an index and its shards from their files.

        Parameters
        ----------
        path : str or os.PathLike
            Path of the index's own file, as given to `save`.
        threads : int, optional
            Number of threads of each shard's runtime. None means the number of CPUs.

        Returns
        -------
        ShardedIndex

        Raises
        ------
        CorruptFileError
            If one of the files is missing, was changed or contains something else.
        ShapeError, DTypeError, OSError, OutOfMemoryError
        """
        validation.positive_int(1 if threads is None else threads, "threads")

        def read(file: ShardFile) -> ShardedIndex:
            with file.refuse_arguments():
                index = cls(threads=threads, **file.arguments)
            try:
                index._shards.load(file.shard_paths())
                index._homes, index._ids = file.homes(index._shards)
            except BaseException:
                index.close()
                raise
            return index

        return read_shards(path, tuple(CLASSES), read)

    def _alone(self) -> AbstractContextManager[object]:
        return self._lock

    def _positions(self) -> Array:
        return np.flatnonzero(self._homes != GONE)

    def _get(self, ids: ArrayLike) -> Array:
        with self._lock:
            self._finish()
            numbers = self._ids.find(ids)
            return self._shards.get(numbers, self._homes[numbers])

    def _finish(self) -> None:
        """Complete an interrupted change, or raise ClosedError if the shards are closed."""
        if self._unfinished is None:
            self._shards.check_open()
        else:
            self._unfinished()
            self._unfinished = None

    def _fill(self, rows: Array, names: Array, until: Deadline | None) -> None:
        """Add vectors to the last shard, and assign ids to those that were added."""
        shard = self._shards[-1]
        before, homes = len(shard), self._homes
        numbers = len(homes) + np.arange(len(rows))

        def name_added() -> None:
            done = len(shard) - before
            self._homes = np.concatenate([homes, np.full(done, self.shards - 1, np.int32)])
            self._ids.assign(numbers[:done], names[:done])

        self._unfinished = name_added
        try:
            shard.add(rows, numbers, timeout=until)
        finally:
            self._finish()
