"""Base class of the flat index and the HNSW index."""

from __future__ import annotations

from abc import abstractmethod
from typing import TYPE_CHECKING, Any

import numpy as np

from flashwasm import validation
from flashwasm.array_room import check_room, new_array
from flashwasm.kernel_table import METRICS
from flashwasm.keyword_hints import ADD, knows_peers
from flashwasm.object_checks import dtype_name
from flashwasm.runtime.deadline import checker, deadline
from flashwasm.runtime.default_runtime import checked_runtime
from flashwasm.runtime.launch import Launch
from flashwasm.runtime.splitting import in_halves
from flashwasm.runtime.work_limits import MOST_ELEMENTS
from flashwasm.search.external_ids import IdTable
from flashwasm.search.parameters import DTYPES, checked_dim
from flashwasm.search.result_keys import decoded
from flashwasm.search.stored_vectors import LARGEST
from flashwasm.search.vectors_by_id import VectorsById
from flashwasm.storage.file_paths import checked_path
from flashwasm.storage.file_writing import write_container
from flashwasm.summaries import summary
from flashwasm.validation import choice

if TYPE_CHECKING:
    from collections.abc import Callable
    from contextlib import AbstractContextManager
    from os import PathLike

    from numpy.typing import ArrayLike, NDArray

    from flashwasm.kernel_table import Metric
    from flashwasm.runtime.deadline import Deadline
    from flashwasm.runtime.runtime import Runtime
    from flashwasm.runtime.splitting import Halves
    from flashwasm.search.external_ids import Ids
    from flashwasm.search.parameters import IndexDType
    from flashwasm.search.stored_vectors import StoredVectors
    from flashwasm.storage.file_format import Container

    Array = NDArray[Any]


class Index(VectorsById):
    """Vectors by id, in linear memory. A vector's position is its place in storage.

    Parameters
    ----------
    dim : int
        Length of a vector, at most 16,384.
    metric : {"cosine", "dot", "l2"}
        Score by which a search ranks.
    dtype : {"float32", "int8"}
        Numbers that a search reads first.
    runtime : Runtime or None
        Runtime to use. None means the default runtime.
    """

    # Maximum duration of `remove` in seconds. None means the runtime's timeout.
    _time_to_remove: float | None = None
    # The vectors, which `__init__` of the class creates.
    _vectors: StoredVectors

    def __init__(
        self,
        dim: int,
        metric: Metric,
        dtype: IndexDType | np.dtype[Any] | type[np.generic],
        runtime: Runtime | None,
    ) -> None:
        self.dim = checked_dim(dim)
        self.metric: Metric = choice(metric, "metric", tuple(METRICS))
        self.dtype: IndexDType = dtype_name(dtype, DTYPES)
        self._runtime = checked_runtime(runtime)
        self._runtime.check_open()
        self._ids = IdTable()
        # A function that completes an interrupted change, or None. Ctrl-C may interrupt a change
        # between any two steps. The next method that uses the index then completes the change
        # before it does anything else. If the function itself is interrupted, it is called again.
        self._unfinished: Callable[[Launch], None] | None = None

    def _summary(self, **settings: object) -> str:
        """Return the text of ``repr``, without completing an interrupted change."""
        return summary(
            self,
            dim=self.dim,
            metric=self.metric,
            dtype=self.dtype,
            **settings,
            vectors=len(self._ids),
            closed=self._runtime.closed,
        )

    @property
    def _names(self) -> IdTable:
        """Table of the ids, after completing any interrupted change."""
        if self._unfinished is not None:
            launch = Launch(self._runtime, None)
            with launch.lock, launch:
                self._finish(launch)
        return self._ids

    def _alone(self) -> AbstractContextManager[object]:
        return self._runtime.lock

    def _get(self, ids: ArrayLike) -> Array:
        launch = Launch(self._runtime, None)
        with launch.lock, launch:
            self._finish(launch)
            positions = self._ids.find(ids)
            vectors = new_array((len(positions), self.dim))
            step = max(1, MOST_ELEMENTS // self.dim)
            for at in range(0, len(positions), step):
                launch.check("get")
                vectors[at : at + step] = self._vectors.take(positions[at : at + step])
            return vectors

    @knows_peers(ADD)
    def add(
        self, vectors: ArrayLike, ids: ArrayLike | None = None, *, timeout: float | None = None
    ) -> None:
        """Add vectors.

        If the call times out or Ctrl-C interrupts it, a `FlatIndex` has added all of the vectors or
        none. An `HNSWIndex` may have added the first of them; ``len(index)`` tells how many.

        Parameters
        ----------
        vectors : array_like of float, shape (n, dim)
            Vectors to add. They must be finite; for the metrics "dot" and "l2" each component must
            be below 2**55 in magnitude.
        ids : array_like of int or of str, shape (n,), optional
            Ids of the vectors. All ids of an index are integers, or all are strings. None assigns
            consecutive integers, starting at 0, or one above the greatest id ever added.
        timeout : float, optional
            Maximum duration of the call in seconds. None means the runtime's timeout.

        Raises
        ------
        ShapeError
            If an id occurs twice or is already in the index. Nothing is added then.
        DTypeError, OutOfMemoryError, DeadlineExceeded, Cancelled, ClosedError
        """
        until = deadline(self._runtime, timeout)
        rows = self._checked(vectors, "vectors", until)
        launch = Launch(self._runtime, until)
        with launch.lock, launch:
            self._finish(launch)
            self._add(launch, rows, self._ids.new(ids, len(rows)))

    def remove(self, ids: Ids) -> None:
        """Remove vectors.

        A `FlatIndex` moves the vectors behind the removed ones forward, and keeps the order. An
        `HNSWIndex` replaces the links to removed vectors, and reuses their positions for the next
        vectors that are added.

        Parameters
        ----------
        ids : array_like of int or of str, shape (n,), or set
            Ids of the vectors to remove.

        Raises
        ------
        IndexRangeError
            If an id is not in the index. Nothing is removed then.
        OutOfMemoryError
            If linear memory has no room for moving vectors. Nothing is removed then.
        ShapeError, DTypeError, DeadlineExceeded, Cancelled, ClosedError
        """
        self._remove(ids)

    def _remove(self, ids: Ids, *, begin: bool = True) -> None:
        """Remove vectors; unless ``begin``, only raise the error that this would raise.

        The errors are those of `remove`, which occur before anything has changed.
        """
        launch = Launch(self._runtime, self._time_to_remove)
        with launch.lock, launch:
            self._finish(launch)
            positions = self._ids.find(ids, once=True)
            if len(positions):
                remove = self._removal(launch, positions)
                if begin:
                    remove()

    def _finish(self, launch: Launch) -> None:
        """Complete an interrupted change."""
        if self._unfinished is not None:
            self._unfinished(launch)
            self._unfinished = None

    def _number_anew(self, ids: Array) -> None:
        """Replace each vector's id by the index of that id in the ascending array ``ids``."""
        self._ids = self._ids.ranked(ids)

    def _checked(self, x: ArrayLike, name: str, until: Deadline | None) -> Array:
        """Return an argument as float32 vectors; raise ShapeError if a distance could overflow."""
        check = checker(self._runtime, until)
        return validation.vectors(x, name, self.dim, LARGEST[self.metric], check)

    def save(self, path: str | PathLike[str]) -> None:
        """Write the index to a file, which is written completely or not at all.

        Parameters
        ----------
        path : str or os.PathLike
            Path of the file. An existing file is replaced.

        Raises
        ------
        ShapeError, DTypeError, OSError, ClosedError
        """
        at = checked_path(path)
        launch = Launch(self._runtime, None)
        with launch.lock, launch:
            self._finish(launch)
            write_container(at, self._contents())

    def _search_by(
        self,
        search: Callable[[Launch, Array], Array],
        queries: ArrayLike,
        k: int,
        until: Deadline | None,
    ) -> tuple[Array, Array]:
        """Search for all queries at once or, if linear memory is too small, in halves.

        Parameters
        ----------
        search : callable
            Function that receives a launch and some of the queries, and returns the keys of their
            results.
        queries : array_like of float, shape (n, dim)
            Vectors to search for, not yet checked.
        k : int
            Number of results of each query.
        until : Deadline or None
            Time at which the search must end.

        Returns
        -------
        scores : numpy.ndarray of float32, shape (n, k)
        ids : numpy.ndarray of int64 or of str objects, shape (n, k)
        """

        def search_part(part: Array) -> tuple[Array, Array]:
            launch = Launch(self._runtime, until)
            with launch.lock, launch:
                scores, positions = decoded(search(launch, part), k)
                return scores, self._ids.at(positions)

        rows = self._checked(queries, "queries", until)
        check_room((len(rows), k), np.int64)
        # The launches of the parts are inside this one, which keeps the lock until the last part.
        # So no other thread changes the index between two parts.
        whole = Launch(self._runtime, until)
        with whole.lock, whole:
            self._finish(whole)
            return in_halves(rows, search_part, _halves)

    @abstractmethod
    def _add(self, launch: Launch, rows: Array, names: Array) -> None:
        """Add checked vectors with checked ids."""

    @abstractmethod
    def _removal(self, launch: Launch, positions: Array) -> Callable[[], None]:
        """Allocate memory to remove the vectors at some positions; return a function that does."""

    @abstractmethod
    def _contents(self) -> Container:
        """Return the contents of the file that `save` writes."""


def _halves(queries: Array) -> Halves[Array, tuple[Array, Array]] | None:
    """Split queries in halves; a single query cannot be split."""
    middle = len(queries) // 2
    if not middle:
        return None
    return (queries[:middle], queries[middle:]), lambda found: (
        np.concatenate([scores for scores, _ in found]),
        np.concatenate([ids for _, ids in found]),
    )
