"""What both kinds of index have in common."""

from __future__ import annotations

from abc import ABC, abstractmethod
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from flashwasm import validation
from flashwasm.kernel_table import METRICS
from flashwasm.runtime.launch import Launch
from flashwasm.runtime.runtime import checked_runtime
from flashwasm.runtime.splitting import in_halves
from flashwasm.search.external_ids import IdTable
from flashwasm.search.parameters import DTYPES, checked_dim
from flashwasm.search.stored_vectors import LARGEST
from flashwasm.storage.file_format import Container
from flashwasm.storage.file_writing import write_container
from flashwasm.validation import choice

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from os import PathLike

    from numpy.typing import ArrayLike, NDArray

    from flashwasm.runtime.runtime import Runtime
    from flashwasm.runtime.splitting import Halves
    from flashwasm.storage.file_format import Container

    Array = NDArray[Any]


class Index(ABC):
    """Vectors by id, and their file.

    Parameters
    ----------
    dim, metric, dtype, runtime
        As the indexes have them.
    """

    # Seconds; None is what the runtime allows.
    _time_to_remove: float | None = None

    def __init__(self, dim: int, metric: str, dtype: str, runtime: Runtime | None) -> None:
        self.dim = checked_dim(dim)
        self.metric = choice(metric, "metric", tuple(METRICS))
        self.dtype = choice(dtype, "dtype", DTYPES)
        self._runtime = checked_runtime(runtime)
        self._ids = IdTable()
        # What is left to do of a change: an interruption may come between any two of its steps.
        # It may be begun again, and whatever uses the index next does it first.
        self._unfinished: Callable[[Launch], None] | None = None

    def __len__(self) -> int:
        return len(self._names)

    def __contains__(self, one: object) -> bool:
        """Return whether an id is in the index."""
        return one in self._names

    @property
    def ids(self) -> Array:
        """The ids, in the order of their vectors' places: int64, or str in an object array."""
        return self._names.at(self._positions())

    @property
    def _names(self) -> IdTable:
        if self._unfinished is not None:
            with self._operation(None):
                pass
        return self._ids

    def add(
        self, vectors: ArrayLike, ids: ArrayLike | None = None, *, timeout: float | None = None
    ) -> None:
        """Add vectors.

        Where time runs out or Ctrl-C interrupts, an `HNSWIndex` has the first of them, a
        `FlatIndex` all or none.

        Parameters
        ----------
        vectors : array_like of float, shape (n, dim)
            Finite; for "dot" and "l2" with components below 2**55 in magnitude.
        ids : array_like of int or of str, shape (n,), optional
            What to call them. None numbers them on from the greatest number so far.
        timeout : float, optional
            Seconds.

        Raises
        ------
        ShapeError
            If an id is given twice or is in the index. Nothing is added then.
        DTypeError, OutOfMemoryError, DeadlineExceeded, ClosedError
        """
        rows = self._checked(vectors, "vectors")
        with self._operation(timeout) as op:
            self._add(op, rows, self._ids.new(ids, len(rows)))

    def remove(self, ids: ArrayLike) -> None:
        """Remove vectors.

        A `FlatIndex` moves those after them up, in the same order. An `HNSWIndex` links those anew
        that were linked with them; their places are taken by the next vectors that are added.

        Parameters
        ----------
        ids : array_like of int or of str, or a set
            Which.

        Raises
        ------
        IndexRangeError
            If one is not in the index. Nothing is removed then.
        ShapeError, DTypeError, DeadlineExceeded, ClosedError
        """
        with self._operation(self._time_to_remove) as op:
            positions = self._ids.find(ids)
            if len(positions):
                self._remove(op, positions)

    @contextmanager
    def _operation(self, timeout: float | None) -> Iterator[Launch]:
        """Open an operation on the index as the last change should have left it."""
        with Launch(self._runtime, timeout) as op:
            self._finish(op)
            yield op

    def _finish(self, op: Launch) -> None:
        if self._unfinished is not None:
            self._unfinished(op)
            self._unfinished = None

    def _checked(self, x: ArrayLike, name: str) -> Array:
        """Return vectors that the metric's distances do not overflow with."""
        return validation.vectors(x, name, self.dim, LARGEST[self.metric])

    def save(self, path: str | PathLike[str]) -> None:
        """Write the index to a file, which is replaced as a whole or not at all.

        Parameters
        ----------
        path : path
            The file.

        Raises
        ------
        OSError, ClosedError
        """
        with self._operation(None):
            write_container(Path(path), self._contents())

    @abstractmethod
    def _add(self, op: Launch, rows: Array, names: Array) -> None:
        """Add checked vectors with ids that are new."""

    @abstractmethod
    def _remove(self, op: Launch, positions: Array) -> None:
        """Remove the vectors at positions, at least one."""

    @abstractmethod
    def _positions(self) -> Array:
        """Return the positions of the vectors, in order."""

    @abstractmethod
    def _contents(self) -> Container:
        """Return what the file holds."""


def in_parts(search: Callable[[Array], tuple[Array, Array]], queries: Array) -> tuple[Array, Array]:
    """Search for all queries at once or, where linear memory is too small for it, in halves."""

    def halve(some: Array) -> Halves[Array, tuple[Array, Array]] | None:
        middle = len(some) // 2
        if not middle:
            return None
        return (some[:middle], some[middle:]), lambda found: (
            np.concatenate([scores for scores, _ in found]),
            np.concatenate([ids for _, ids in found]),
        )

    return in_halves(queries, search, halve)
