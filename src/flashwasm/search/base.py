"""What both kinds of index have in common."""

from __future__ import annotations

from abc import ABC, abstractmethod
from pathlib import Path
from typing import TYPE_CHECKING

from flashwasm.container import Container, write_container
from flashwasm.operation import Operation
from flashwasm.runtime import checked_runtime
from flashwasm.search.ids import IdTable

if TYPE_CHECKING:
    from os import PathLike

    from flashwasm.runtime import Runtime


class Index(ABC):
    """Vectors by id, and their file."""

    def __init__(self, runtime: Runtime | None) -> None:
        self._runtime = checked_runtime(runtime)
        self._ids = IdTable()

    def __len__(self) -> int:
        return len(self._ids)

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
