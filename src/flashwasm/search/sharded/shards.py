"""The shards of a sharded index, each in a runtime of its own."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any, Literal, TypeAlias, TypedDict

import numpy as np

from flashwasm.array_room import new_array
from flashwasm.errors import DTypeError
from flashwasm.runtime.runtime import Runtime
from flashwasm.search.flat.flat_index import FlatIndex
from flashwasm.search.hnsw.hnsw_index import HNSWIndex

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence
    from pathlib import Path

    from numpy.typing import ArrayLike, NDArray

    from flashwasm.kernel_table import Metric
    from flashwasm.runtime.deadline import Deadline
    from flashwasm.search.external_ids import Ids
    from flashwasm.search.parameters import IndexDType

    Array = NDArray[Any]

Shard: TypeAlias = "FlatIndex | HNSWIndex"

# Bytes for the vectors of a shard, out of the 4 GiB of its linear memory. The rest is for queries
# and results.
_SHARD_BYTES = 3 << 30

IndexKind: TypeAlias = Literal["flat", "hnsw"]
CLASSES: dict[IndexKind, type[Shard]] = {"flat": FlatIndex, "hnsw": HNSWIndex}


class IndexOptions(TypedDict, total=False):
    """Options of an index of either class; the last three are only for `HNSWIndex`."""

    metric: Metric
    dtype: IndexDType
    m: int
    ef_construction: int
    seed: int


class SearchOptions(TypedDict, total=False):
    """Options of a search of either class; the last two are only for `HNSWIndex`."""

    filter: Ids | None
    ef: int
    exact: bool | None


def most_vectors(dim: int, options: Mapping[str, Any]) -> int:
    """Return the number of vectors of length ``dim`` that fit into a shard with some options."""
    return _SHARD_BYTES // (6 * dim + 12 * int(options.get("m", 16)) + 64)


class Shards:
    """Indexes of one class and the same options, searched as one.

    Parameters
    ----------
    kind : {"flat", "hnsw"}
        Class of the shards: its name in ``CLASSES``.
    dim : int
        Length of a vector.
    threads : int or None
        Number of threads of each shard's runtime.
    options : mapping
        Other keyword arguments of the shards' class.
    """

    def __init__(
        self, kind: IndexKind, dim: int, threads: int | None, options: Mapping[str, Any]
    ) -> None:
        if "runtime" in options:
            message = "runtime: expected none, since each shard has a runtime of its own; threads=n"
            raise DTypeError(message + " gives each n threads")
        self._class, self._threads = CLASSES[kind], threads
        self._make = partial(self._class, dim, **options)
        self._runtimes: list[Runtime] = []
        self._shards: list[Shard] = []
        self.begin()

    def __len__(self) -> int:
        return len(self._shards)

    def __iter__(self) -> Iterator[Shard]:
        return iter(self._shards)

    def __getitem__(self, number: int) -> Shard:
        return self._shards[number]

    def facts(self) -> dict[str, Any]:
        """Return the settings of the shards for the summary of the index."""
        first = self._shards[0]
        sizes = {"dim": first.dim, "metric": first.metric, "dtype": first.dtype}
        return {**sizes, "shards": len(self), "closed": self.first_runtime.closed}

    def check_open(self) -> None:
        """Raise ClosedError if the shards are closed."""
        self.first_runtime.check_open()

    @property
    def first_runtime(self) -> Runtime:
        """Runtime of the first shard."""
        return self._runtimes[0]

    def begin(self) -> Shard:
        """Append an empty shard, and return it."""
        if self._runtimes:
            self.check_open()
        runtime = Runtime(self._threads)
        try:
            shard = self._make(runtime=runtime)
        except BaseException:
            runtime.close()
            raise
        self._runtimes.append(runtime)
        self._shards.append(shard)
        return shard

    def room_in_last(self, size: int) -> int:
        """Return the room in the last shard, and begin a new one if it has ``size`` vectors."""
        if len(self._shards[-1]) >= size:
            self.begin()
        return size - len(self._shards[-1])

    def load(self, paths: Iterable[Path]) -> None:
        """Read each shard from its file; there is one shard so far, which is empty."""
        for number, path in enumerate(paths):
            if number:
                self.begin()
            self._shards[number] = self._class.load(path, runtime=self._runtimes[number])

    def number_anew(self, ids: Array) -> None:
        """Replace each vector's id by the index of that id in the ascending array ``ids``."""
        for shard in self._shards:
            shard._number_anew(ids)  # noqa: SLF001 - only ids that no user sees may change.

    def get(self, ids: Array, homes: Array) -> Array:
        """Return the vector of each id in ``ids`` from the shard whose number is in ``homes``."""
        self.check_open()
        vectors = new_array((len(ids), self._shards[0].dim))
        for home in np.unique(homes):
            vectors[homes == home] = self._shards[home].get(ids[homes == home])
        return vectors

    def remove(self, ids: Array, homes: Array) -> None:
        """Remove each id in ``ids`` from the shard whose number is in ``homes``, if it is there."""
        for home in np.unique(homes):
            shard = self._shards[home]
            shard.remove([one for one in ids[homes == home].tolist() if one in shard])

    def check_room_to_remove(self, ids: Array, homes: Array) -> None:
        """Raise OutOfMemoryError if a shard has no room for `remove` of these ids.

        No vector is removed. So `remove` does not fail in one shard after it has begun in another.
        """
        for home in np.unique(homes):
            self._shards[home]._remove(ids[homes == home], begin=False)  # noqa: SLF001 - see above.

    def close(self) -> None:
        """Close the runtimes of all shards."""
        for runtime in self._runtimes:
            runtime.close()

    def search(
        self, queries: ArrayLike, k: int, until: Deadline | None, options: Mapping[str, Any]
    ) -> tuple[Array, Array]:
        """Search all shards, one after another, and return the k best results of each query.

        Returns
        -------
        scores : numpy.ndarray of float32, shape (n, k)
            Scores, highest first. If fewer than k vectors were found, the rest is -inf.
        ids : numpy.ndarray of int64, shape (n, k)
            Ids of the vectors inside the shards; ids with equal scores are ascending. If fewer than
            k vectors were found, the rest is -1.
        """
        found = [shard.search(queries, k, timeout=until, **options) for shard in self._shards]
        return best_results(found, k)


def best_results(found: Sequence[tuple[Array, Array]], k: int) -> tuple[Array, Array]:
    """Return the k best results of each query from the results of several shards.

    Parameters
    ----------
    found : sequence of (numpy.ndarray, numpy.ndarray)
        Scores and ids from each shard; the id -1 means no result.
    k : int
        Number of results for each query, from each shard and in the end.
    """
    scores = np.concatenate([scores for scores, _ in found], axis=1)
    ids = np.concatenate([ids for _, ids in found], axis=1)
    # A missing result has the score -inf. Among equal scores it must come last.
    order = np.where(ids < 0, np.iinfo(np.int64).max, ids)
    best = np.lexsort((order, -scores), axis=1)[:, :k]
    return np.take_along_axis(scores, best, axis=1), np.take_along_axis(ids, best, axis=1)
