"""What both kinds of index have in common."""

from __future__ import annotations

from abc import ABC, abstractmethod
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from flashwasm import arrays
from flashwasm.arrays import choice
from flashwasm.container import Container, write_container
from flashwasm.errors import OutOfMemoryError
from flashwasm.kernels import METRICS
from flashwasm.operation import Operation
from flashwasm.runtime import checked_runtime
from flashwasm.search.ids import IdTable
from flashwasm.search.parameters import DTYPES, checked_dim
from flashwasm.search.vectors import LARGEST

if TYPE_CHECKING:
    from collections.abc import Callable
    from os import PathLike

    from numpy.typing import ArrayLike, NDArray

    from flashwasm.runtime import Runtime

    Array = NDArray[Any]


class Index(ABC):
    """Vectors by id, and their file.

    Parameters
    ----------
    dim, metric, dtype, runtime
        As the indexes have them.
    """

    def __init__(self, dim: int, metric: str, dtype: str, runtime: Runtime | None) -> None:
        self.dim = checked_dim(dim)
        self.metric = choice(metric, "metric", tuple(METRICS))
        self.dtype = choice(dtype, "dtype", DTYPES)
        self._runtime = checked_runtime(runtime)
        self._ids = IdTable()

    def __len__(self) -> int:
        return len(self._ids)

    def _checked(self, x: ArrayLike, name: str) -> Array:
        """Return vectors that the metric's distances do not overflow with."""
        return arrays.vectors(x, name, self.dim, LARGEST[self.metric])

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
        with Operation(self._runtime, None):
            write_container(Path(path), self._contents())

    @abstractmethod
    def _contents(self) -> Container:
        """Return what the file holds."""


def in_parts(search: Callable[[Array], tuple[Array, Array]], queries: Array) -> tuple[Array, Array]:
    """Search for all queries, or where linear memory is too small for one half after the other."""
    try:
        return search(queries)
    except OutOfMemoryError:
        if len(queries) < 2:
            raise
    middle = len(queries) // 2
    first, second = (in_parts(search, part) for part in (queries[:middle], queries[middle:]))
    return np.concatenate([first[0], second[0]]), np.concatenate([first[1], second[1]])
