"""More vectors than one linear memory holds: indexes side by side, their results merged."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from flashwasm import validation
from flashwasm.errors import DTypeError, ShapeError
from flashwasm.runtime.deadline import Deadline, deadline
from flashwasm.runtime.runtime import Runtime
from flashwasm.search.external_ids import IdTable
from flashwasm.search.flat.flat_index import FlatIndex
from flashwasm.search.hnsw.hnsw_index import HNSWIndex
from flashwasm.search.parameters import checked_k
from flashwasm.search.sharded.shard_files import GONE, ShardFile, ShardSettings, save_shards
from flashwasm.search.stored_vectors import LARGEST
from flashwasm.validation import choice, positive_int

if TYPE_CHECKING:
    from collections.abc import Callable
    from os import PathLike

    from numpy.typing import ArrayLike, NDArray

    Array = NDArray[Any]

_CLASSES: dict[str, type[FlatIndex | HNSWIndex]] = {"flat": FlatIndex, "hnsw": HNSWIndex}
# Of the 4 GiB of a linear memory, what its vectors may take: the rest is for queries and results.
_SHARD_BYTES = 3 << 30


class ShardedIndex:
    """Vectors by id in several indexes, each in a sandbox of its own with its own 4 GiB.

    A search asks every shard and merges what they find: with "flat" shards the result is exactly
    that of one `FlatIndex`.

    Parameters
    ----------
    kind : {"flat", "hnsw"}
        What a shard is: a `FlatIndex` or an `HNSWIndex`.
    dim : int
        Length of a vector.
    shard_size : int, optional
        Vectors that a shard takes before the next is begun. None means what 3 GiB hold.
    threads : int, optional
        Workers of each shard's runtime; they are asked one after another.
    options : keyword arguments
        As the class of the shards takes them: ``metric``, ``dtype``, ``m`` and so on.

    Raises
    ------
    ShapeError, DTypeError
        If an argument is out of range or of the wrong type.

    Examples
    --------
    >>> import numpy as np
    >>> import flashwasm as fw
    >>> with fw.ShardedIndex("flat", 2, shard_size=2, metric="l2") as index:
    ...     index.add([[0.0, 1.0], [1.0, 0.0], [5.0, 5.0]], ids=["a", "b", "c"])
    ...     scores, ids = index.search([[4.0, 5.0]], k=2)
    ...     index.shards, ids.tolist()
    (2, [['c', 'a']])
    """

    def __init__(
        self,
        kind: str,
        dim: int,
        *,
        shard_size: int | None = None,
        threads: int | None = None,
        **options: Any,
    ) -> None:
        self.kind = choice(kind, "kind", tuple(_CLASSES))
        self.options = options
        self._threads = threads
        self._make = partial(_CLASSES[kind], dim, **options)
        self._shards: list[FlatIndex | HNSWIndex] = []
        self._runtimes: list[Runtime] = []
        first = self._begin_shard()
        self.dim, self.metric, self.dtype = first.dim, first.metric, first.dtype
        most = _SHARD_BYTES // (6 * self.dim + 12 * int(options.get("m", 16)) + 64)
        self.shard_size = positive_int(most if shard_size is None else shard_size, "shard_size")
        self._ids = IdTable()
        # The shard of each vector, by number in the order of adding; a shard knows it by that.
        self._homes: Array = np.empty(0, np.int32)
        # What is left to do of a change that was interrupted, as an `Index` has it.
        self._unfinished: Callable[[], None] | None = None

    def __len__(self) -> int:
        self._finish()
        return len(self._ids)

    def __repr__(self) -> str:
        return f"<ShardedIndex of {len(self)} x {self.dim} in {self.shards} shards, {self.kind}>"

    def __enter__(self) -> ShardedIndex:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __contains__(self, one: object) -> bool:
        self._finish()
        return one in self._ids

    @property
    def shards(self) -> int:
        """How many shards there are."""
        return len(self._shards)

    @property
    def nbytes(self) -> int:
        """Bytes of linear memory that the vectors take, in all shards."""
        return sum(shard.nbytes for shard in self._shards)

    def close(self) -> None:
        """End the runtimes of all shards."""
        for runtime in self._runtimes:
            runtime.close()

    def add(
        self, vectors: ArrayLike, ids: ArrayLike | None = None, *, timeout: float | None = None
    ) -> None:
        """Add vectors to the last shard, and begin others as it fills up.

        Parameters
        ----------
        vectors : array_like of float, shape (n, dim)
            As the class of the shards takes them.
        ids : array_like of int or of str, shape (n,), optional
            What to call them. None numbers them on from the greatest number so far.
        timeout : float, optional
            Seconds. Where time runs out the first vectors are there.

        Raises
        ------
        ShapeError
            If an id is given twice or is in the index. Nothing is added then.
        DTypeError, OutOfMemoryError, DeadlineExceeded, ClosedError
        """
        rows = validation.vectors(vectors, "vectors", self.dim, LARGEST[self.metric])
        self._finish()
        names = self._ids.new(ids, len(rows))
        until = deadline(self._runtimes[0], timeout)
        at = 0
        while at < len(rows):
            shard = self._shards[-1]
            room = self.shard_size - len(shard)
            if room <= 0:
                shard = self._begin_shard()
                room = self.shard_size
            some = slice(at, at + room)
            self._fill(shard, rows[some], names[some], until)
            at += room

    def search(
        self, queries: ArrayLike, k: int, *, timeout: float | None = None, **options: Any
    ) -> tuple[Array, Array]:
        """Find vectors that score highest with each query, in all shards.

        Parameters
        ----------
        queries : array_like of float, shape (n, dim)
            What to search for.
        k : int
            How many to find for each.
        timeout : float, optional
            Seconds.
        options : keyword arguments
            As the search of the shards' class takes them; ``filter`` only as a set of ids.

        Returns
        -------
        scores : numpy.ndarray of float32, shape (n, k)
            Highest first; -inf where fewer than k vectors were found.
        ids : numpy.ndarray of int64 or of str objects, shape (n, k)
            The one that was added first where scores are equal; -1 or None where fewer were found.

        Raises
        ------
        ShapeError, DTypeError, OutOfMemoryError, DeadlineExceeded, ClosedError
        """
        count, until = checked_k(k), deadline(self._runtimes[0], timeout)
        self._finish()
        if options.get("filter") is not None:
            options["filter"] = set(self._ids.known(options["filter"]))
        found = [s.search(queries, count, timeout=until, **options) for s in self._shards]
        scores = np.concatenate([scores for scores, _ in found], axis=1)
        numbers = np.concatenate([numbers for _, numbers in found], axis=1)
        # What was not found comes last among equals.
        places = np.where(numbers < 0, np.iinfo(np.int64).max, numbers)
        best = np.lexsort((places, -scores), axis=1)[:, :count]
        take: Callable[[Array], Array] = partial(np.take_along_axis, indices=best, axis=1)
        return take(scores), self._ids.at(take(numbers))

    def remove(self, ids: ArrayLike) -> None:
        """Remove vectors. Their room in their shards is not filled again, but in the last.

        Parameters
        ----------
        ids : array_like of int or of str, or a set
            Which.

        Raises
        ------
        IndexRangeError
            If one is not in the index. Nothing is removed then.
        ShapeError, DTypeError, ClosedError
        """
        self._finish()
        numbers = self._ids.find(ids)
        homes, names = self._homes[numbers], self._ids.at(numbers)

        def remove() -> None:
            for home in np.unique(homes):
                shard, some = self._shards[home], homes == home
                shard.remove([n for n in numbers[some].tolist() if n in shard])
                self._ids.free(numbers[some], names[some])
            self._homes[numbers] = GONE

        self._unfinished = remove
        self._finish()

    def save(self, path: str | PathLike[str]) -> None:
        """Write the index: a file of its own, and one a shard beside it.

        The files of the shards have new names each time, and those of before go when the index's
        own file was replaced: whenever the process ends, what ``load`` reads is whole.

        Parameters
        ----------
        path : path
            The index's own file.

        Raises
        ------
        OSError, ClosedError
        """
        self._finish()
        settings = ShardSettings(
            self.kind, self.dim, self.shard_size, self.metric, self.dtype, self.options
        )
        save_shards(Path(path), settings, self._shards, self._homes, self._ids)

    @classmethod
    def load(cls, path: str | PathLike[str], *, threads: int | None = None) -> ShardedIndex:
        """Read an index and its shards.

        Parameters
        ----------
        path : path
            The index's own file.
        threads : int, optional
            Workers of each shard's runtime.

        Returns
        -------
        ShardedIndex

        Raises
        ------
        CorruptFileError
            If a byte of one of the files was changed, or one is missing.
        OSError, OutOfMemoryError
        """
        file = ShardFile(path, tuple(_CLASSES))
        size = file.shard_size
        try:
            index = cls(file.kind, file.dim, shard_size=size, threads=threads, **file.options)
        except (ShapeError, DTypeError, TypeError) as error:
            file.refuse(str(error))
        try:
            for number, shard_path in enumerate(file.shard_paths()):
                if number:
                    index._begin_shard()
                runtime = index._runtimes[number]
                index._shards[number] = _CLASSES[file.kind].load(shard_path, runtime=runtime)
            index._homes, index._ids = file.homes(index._shards)
        except BaseException:
            index.close()
            raise
        return index

    def _begin_shard(self) -> FlatIndex | HNSWIndex:
        runtime = Runtime(self._threads)
        try:
            shard = self._make(runtime=runtime)
        except BaseException:
            runtime.close()
            raise
        self._runtimes.append(runtime)
        self._shards.append(shard)
        return shard

    def _finish(self) -> None:
        if self._unfinished is not None:
            self._unfinished()
            self._unfinished = None

    def _fill(
        self, shard: FlatIndex | HNSWIndex, rows: Array, names: Array, until: Deadline | None
    ) -> None:
        """Add vectors to the last shard, and note which of them it has then."""
        before, homes = len(shard), self._homes
        numbers = len(homes) + np.arange(len(rows))

        def name() -> None:
            done = len(shard) - before
            self._homes = np.concatenate([homes, np.full(done, self.shards - 1, np.int32)])
            self._ids.assign(numbers[:done], names[:done])

        self._unfinished = name
        try:
            shard.add(rows, numbers, timeout=until)
        finally:
            self._finish()
