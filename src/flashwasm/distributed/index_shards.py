"""Sharded indexes that workers build and search."""

from __future__ import annotations

import sys
import threading
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from flashwasm.distributed.array_sources import loaded, source_of
from flashwasm.distributed.executors import Call, Workers, results_in_order, workers_of
from flashwasm.distributed.worker_runtime import WorkerSetup
from flashwasm.errors import DTypeError, OutOfMemoryError, ShapeError
from flashwasm.runtime.default_runtime import default_runtime
from flashwasm.runtime.locks import renewed_after_fork
from flashwasm.search.external_ids import IdTable
from flashwasm.search.parameters import checked_k
from flashwasm.search.sharded.shard_files import ShardFile, ShardSettings, read_shards, save_files
from flashwasm.search.sharded.shards import CLASSES, Shard, best_results, most_vectors
from flashwasm.storage.file_paths import checked_path
from flashwasm.validation import choice, floats, positive_int

if TYPE_CHECKING:
    from os import PathLike

    from numpy.typing import ArrayLike
    from typing_extensions import Unpack

    from flashwasm.search.sharded.shards import IndexKind, IndexOptions, SearchOptions

__all__ = ["build_index", "search_index"]

Array = npt.NDArray[Any]

# Shards that this process has read, by the paths of their files. The cache stays valid because a
# file is never written twice.
_kept: dict[tuple[WorkerSetup, str], Shard] = {}
# The workers of an executor may be threads of this process. One of them at a time reads a shard.
_lock = renewed_after_fork(sys.modules[__name__], threading.Lock)


def build_index(
    executor: Any,
    path: str | PathLike[str],
    vectors: ArrayLike | str | PathLike[str],
    *,
    kind: IndexKind = "flat",
    ids: ArrayLike | None = None,
    shard_size: int | None = None,
    **options: Unpack[IndexOptions],
) -> int:
    """Build a sharded index with the workers, and write it to files.

    The files are the same as those of a `ShardedIndex` with the same vectors and arguments. Use
    `ShardedIndex.load` to read them.

    Parameters
    ----------
    executor : object
        Executor of the workers: `LocalWorkers`, a pool of `concurrent.futures`, or a
        ``dask.distributed.Client``.
    path : str or os.PathLike
        Path of the index's own file, in a folder that the workers can write to.
    vectors : array_like of float, path or dask array, shape (n, dim)
        Vectors to index: an array, the path of a .npy file that the workers can read, or a dask
        array.
    kind : {"flat", "hnsw"}, default "flat"
        Class of the shards: `FlatIndex` or `HNSWIndex`.
    ids : array_like of int or of str, shape (n,), optional
        Ids of the vectors. None numbers them from 0.
    shard_size : int, optional
        Number of vectors in a full shard. None means the number that fits into 3 GiB.
    options : keyword arguments
        Other arguments of the shards' class: ``metric``, ``dtype``, ``m`` and so on.

    Returns
    -------
    int
        Number of shards.

    Raises
    ------
    CapabilityError
        If the worker of a shard ended several times.
    ShapeError, DTypeError, CorruptFileError, OutOfMemoryError, OSError
    """
    workers, own = workers_of(executor), checked_path(path)
    source = source_of(vectors, "vectors", -2)
    if len(source.shape) != 2 or not source.length:
        raise ShapeError(f"vectors: expected two axes and at least one row, got {source.shape}")
    dim, count = source.shape[1], source.length
    choice(kind, "kind", tuple(CLASSES))
    if "runtime" in options:
        raise DTypeError("runtime: expected none, since each worker has a runtime of its own")
    # An empty index checks the options before they are sent to any worker.
    given: Mapping[str, Any] = options
    empty = CLASSES[kind](dim, runtime=default_runtime(), **given)
    most = most_vectors(dim, options) if shard_size is None else shard_size
    # A file cannot store numbers beyond int64.
    size = min(positive_int(most, "shard_size"), 2**63 - 1)
    numbers, table = np.arange(count), IdTable()
    table.assign(numbers, table.new(ids, count))
    setup = WorkerSetup.of(workers)
    # The workers may have a different working directory.
    own = own.resolve()

    def write(paths: Sequence[Path]) -> None:
        calls = (
            Call(
                _build,
                (
                    setup,
                    str(shard),
                    source.part(start, min(start + size, count)),
                    start,
                    kind,
                    options,
                ),
            )
            for shard, start in zip(paths, range(0, count, size), strict=True)
        )
        for _ in results_in_order(workers, calls):
            pass

    settings = ShardSettings(kind, dim, size, empty.metric, empty.dtype, options)
    homes = (numbers // size).astype(np.int32)
    save_files(own, settings, int(homes[-1]) + 1, homes, table, write)
    return int(homes[-1]) + 1


def search_index(
    executor: Any,
    path: str | PathLike[str],
    queries: ArrayLike,
    k: int,
    **options: Unpack[SearchOptions],
) -> tuple[npt.NDArray[np.float32], Array]:
    """Search a saved sharded index with the workers.

    The results have the same bits as those of `ShardedIndex.search`. Each worker keeps the shards
    that it has read for later calls.

    Parameters
    ----------
    executor : object
        Executor of the workers, as in `build_index`.
    path : str or os.PathLike
        Path of the index's own file, which the workers must be able to read too.
    queries : array_like of float, shape (n, dim)
        Vectors to search for.
    k : int
        Number of vectors to find for each query.
    options : keyword arguments
        Other arguments of the ``search`` method of the shards' class, as in `ShardedIndex.search`.

    Returns
    -------
    scores : numpy.ndarray of float32, shape (n, k)
        Scores, highest first. If fewer than k vectors were found, the rest is -inf.
    ids : numpy.ndarray of int64 or of str objects, shape (n, k)
        Ids of these vectors, as in `ShardedIndex.search`.

    Raises
    ------
    CapabilityError
        If the worker of a shard ended several times.
    ShapeError, DTypeError, CorruptFileError, OutOfMemoryError, OSError
    """
    workers, own = workers_of(executor), checked_path(path)
    wanted, count = floats(queries, "queries", ndim=2), checked_k(k)
    setup = WorkerSetup.of(workers)

    def read(file: ShardFile) -> tuple[Array, Array]:
        taken, ids = file.numbers()
        given: dict[str, Any] = dict(options)
        if given.get("filter") is not None:
            chosen = ids.chosen(given["filter"], np.arange(len(taken)))
            given["filter"] = set(taken[chosen].tolist())
        paths = [str(shard.resolve()) for shard in file.shard_paths()]
        found = list(_searched(workers, setup, file.kind, paths, (wanted, count, given)))
        scores, numbers = best_results(found, count)
        places = np.where(numbers < 0, -1, np.searchsorted(taken, numbers))
        return scores, ids.at(places)

    return read_shards(own, tuple(CLASSES), read)


def _searched(
    workers: Workers,
    setup: WorkerSetup,
    kind: IndexKind,
    paths: Sequence[str],
    search: tuple[Array, int, Mapping[str, Any]],
) -> Iterator[tuple[Array, Array]]:
    """Yield the results of each shard."""
    calls = (Call(_search, (setup, kind, path, *search)) for path in paths)
    return results_in_order(workers, calls)


def _build(
    setup: WorkerSetup,
    path: str,
    part: Any,
    first: int,
    kind: IndexKind,
    options: Mapping[str, Any],
) -> None:
    """Build a shard of some vectors and write it to a file, in a worker."""
    rows = loaded(part)
    shard = CLASSES[kind](rows.shape[1], runtime=setup.runtime(), **options)
    shard.add(rows, first + np.arange(len(rows)))
    shard.save(path)


def _search(
    setup: WorkerSetup,
    kind: IndexKind,
    path: str,
    queries: Array,
    k: int,
    options: Mapping[str, Any],
) -> tuple[Array, Array]:
    """Search a shard, in a worker."""
    return _shard(setup, kind, path).search(queries, k, **options)


def _shard(setup: WorkerSetup, kind: IndexKind, path: str) -> Shard:
    """Return the shard in a file, from the cache of this process if it is there."""
    runtime = setup.runtime()
    with _lock:
        known = _kept.get((setup, path))
        if known is not None:
            return known
        # Drop shards whose files a newer save has removed.
        for key in [key for key in _kept if not Path(key[1]).is_file()]:
            del _kept[key]
        try:
            shard = CLASSES[kind].load(path, runtime=runtime)
        except OutOfMemoryError:
            # Release the other shards to make room.
            _kept.clear()
            shard = CLASSES[kind].load(path, runtime=runtime)
        _kept[setup, path] = shard
        return shard
