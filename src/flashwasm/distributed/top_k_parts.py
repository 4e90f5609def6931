"""Exact search in a corpus that is divided among workers."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from flashwasm.distributed.array_sources import ArraySource, loaded, source_of
from flashwasm.distributed.executors import Call, results_in_order, workers_of
from flashwasm.distributed.worker_runtime import WorkerSetup
from flashwasm.errors import ShapeError
from flashwasm.kernel_table import METRICS
from flashwasm.ops.top_k import cosine_top_k, merged
from flashwasm.summaries import number_of
from flashwasm.validation import choice, floats, positive_int, shown

if TYPE_CHECKING:
    from numpy.typing import ArrayLike

    from flashwasm.kernel_table import Metric

__all__ = ["top_k"]

Array = npt.NDArray[Any]

# Default size of a part in bytes, as float32.
_PART_BYTES = 64 << 20
# The kernel stores the number of a row in 31 bits.
_MOST_ROWS = (1 << 31) - 1


def top_k(
    executor: Any,
    queries: ArrayLike,
    corpus: Any,
    k: int,
    *,
    metric: Metric = "cosine",
    part_rows: int | None = None,
) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.int64]]:
    """Find the k rows of a corpus that score highest with each query, as `cosine_top_k` does.

    Each worker searches a part of the corpus. The results have the same bits as those of
    `cosine_top_k` on the whole corpus, with the same order of ties.

    Parameters
    ----------
    executor : object
        Executor of the workers: `LocalWorkers`, a pool of `concurrent.futures`, or a
        ``dask.distributed.Client``.
    queries : array_like of float, shape (n, D)
        Vectors to search for.
    corpus : array_like, path or dask array, shape (N, D), or list of these
        Vectors to search: an array, the path of a .npy file that the workers can read, or a dask
        array. A list contains the parts of the corpus in order.
    k : int
        Number of rows to return for each query, at most N.
    metric : {"cosine", "dot", "l2"}, default "cosine"
        Score to rank by, as in `cosine_top_k`.
    part_rows : int, optional
        Number of rows in a part, which a worker searches at once. None means the number that
        occupies 64 MiB.

    Returns
    -------
    scores : numpy.ndarray of float32, shape (n, k)
        Scores of the best rows, highest first. NaN ranks below every number.
    indices : numpy.ndarray of int64, shape (n, k)
        Numbers of those rows in the whole corpus. Rows with equal scores are in ascending order.

    Raises
    ------
    CapabilityError
        If the worker of a part ended several times.
    ShapeError, DTypeError, CorruptFileError, OutOfMemoryError, OSError

    Examples
    --------
    >>> import numpy as np
    >>> from concurrent.futures import ThreadPoolExecutor
    >>> from flashwasm import distributed
    >>> corpus = np.array([[0, 1], [1, 0], [1, 1]], np.float32)
    >>> with ThreadPoolExecutor(2) as pool:
    ...     distributed.top_k(pool, [[2.0, 0.0]], corpus, 2, part_rows=1)[1].tolist()
    [[1, 2]]
    """
    workers = workers_of(executor)
    wanted = floats(queries, "queries", ndim=2)
    sources = _sources(corpus)
    dim, total = sources[0].shape[1], sum(source.length for source in sources)
    choice(metric, "metric", tuple(METRICS))
    count = positive_int(k, "k")
    if wanted.shape[1] != dim:
        raise ShapeError(
            f"queries: expected {number_of(dim, 'columns')}, the number of columns of corpus, "
            f"got shape {wanted.shape}"
        )
    if total > _MOST_ROWS:
        raise ShapeError(f"corpus: expected at most {_MOST_ROWS} rows, got {total}")
    if count > total:
        raise ShapeError(
            f"k: expected at most the {number_of(total, 'rows')} of corpus, got {shown(k)}"
        )
    rows = max(_PART_BYTES // (4 * max(dim, 1)), 1)
    step = rows if part_rows is None else positive_int(part_rows, "part_rows")
    setup = WorkerSetup.of(workers)

    def calls() -> Iterator[Call]:
        first = 0
        for source in sources:
            for start in range(0, source.length, step):
                stop = min(start + step, source.length)
                of_part = source.part(start, stop), min(count, stop - start), first + start
                yield Call(_search, (setup, wanted, *of_part, metric))
            first += source.length

    # The best results so far are merged with those of each further part, which limits memory.
    best: tuple[Array, Array] | None = None
    for found in results_in_order(workers, calls()):
        both = [found] if best is None else [best, found]
        held = sum(scores.shape[1] for scores, _ in both)
        best = merged(both, min(count, held))
    if best is None:
        raise AssertionError  # k is at least one, so there is a row.
    return best


def _search(
    setup: WorkerSetup, queries: Array, part: Any, k: int, first: int, metric: Metric
) -> tuple[Array, Array]:
    """Search a part of the corpus, in a worker."""
    rows = loaded(part)
    scores, indices = cosine_top_k(queries, rows, k, metric=metric, runtime=setup.runtime())
    return scores, indices + first


def _sources(corpus: Any) -> list[ArraySource]:
    """Return the sources of a corpus, which is one array or a list of several."""
    several = isinstance(corpus, list) and corpus and np.ndim(corpus[0]) != 1
    parts = corpus if several else [corpus]
    names = [f"corpus[{i}]" if several else "corpus" for i in range(len(parts))]
    sources = [source_of(part, name, -2) for part, name in zip(parts, names, strict=True)]
    for source, name in zip(sources, names, strict=True):
        if len(source.shape) != 2 or source.shape[1] != sources[0].shape[1]:
            raise ShapeError(
                f"{name}: expected two axes, and as many columns as every part, got shape "
                f"{source.shape}"
            )
    return sources
