"""The common file format of indexes of suites, functions and coverage, with its checks."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from flashwasm.search.index_file import CheckedFile
from flashwasm.storage.file_reading import container_kind

__all__ = [
    "COVERAGE_KIND",
    "FUNCTION_KIND",
    "SUITE_KIND",
    "StoredIndex",
    "is_index",
    "json_section",
    "row_sections",
]

Array = npt.NDArray[Any]
SUITE_KIND, FUNCTION_KIND, COVERAGE_KIND = "suite-index", "function-index", "coverage-index"


def is_index(path: str | Path) -> bool:
    """Return True if a path is a file in flashwasm's format, of any kind.

    Parameters
    ----------
    path : str or pathlib.Path
        The path.

    Raises
    ------
    CorruptFileError
        If it is such a file, but truncated, changed or of a later version.
    """
    return Path(path).is_file() and container_kind(Path(path)) is not None


def json_section(document: object) -> Array:
    """Return a document as a JSON section.

    Python represents bytes of a path that are not UTF-8 by surrogates, which JSON's escapes keep.
    """
    return np.frombuffer(json.dumps(document).encode(), np.uint8)


def row_sections(name: str, rows: Sequence[Array]) -> dict[str, Array]:
    """Return rows of ascending integers as two sections: all integers, and the end of each row."""
    ends = np.cumsum([len(row) for row in rows], dtype=np.int64)
    values = np.concatenate(rows) if rows else np.zeros(0)
    return {name: values.astype(np.int64), f"{name}.ends": ends}


class StoredIndex(CheckedFile):
    """An index file. Its methods return the parts, or raise CorruptFileError.

    Parameters
    ----------
    path : str or os.PathLike
        Path of the file.
    kind : str
        Kind that the file must have.
    """

    def has(self, name: str) -> bool:
        """Return True if the file has a section of this name."""
        return name in self._container.sections

    def document(self, name: str) -> Any:
        """Return the document in a section that `json_section` created."""
        try:
            return json.loads(self.section(name, "|u1", (None,)).tobytes())
        except (ValueError, RecursionError):
            self.refuse(f"section {name!r} cannot be read")

    def strings(self, name: str, value: Any) -> list[str]:
        """Return a value after a check that it is a list of strings."""
        if not isinstance(value, list) or not all(isinstance(one, str) for one in value):
            self.refuse(f"{name} is not a list of strings")
        return list(value)

    def pairs(self, name: str, value: Any) -> list[tuple[str, str]]:
        """Return a value after a check that it is a list of pairs of strings."""
        if not isinstance(value, list):
            self.refuse(f"{name} is not a list")
        found = [self.strings(name, pair) for pair in value]
        if any(len(pair) != 2 for pair in found):
            self.refuse(f"{name} is not a list of pairs")
        return [(first, second) for first, second in found]

    def floats(self, name: str, shape: tuple[int | None, ...]) -> Array:
        """Return a float32 section after a check that all numbers are finite."""
        array = self.section(name, "<f4", shape)
        if not np.isfinite(array).all():
            self.refuse(f"section {name!r} has a number that is not finite")
        return array

    def rows(self, name: str, count: int, width: int) -> list[Array]:
        """Return ``count`` rows of numbers below ``width``, which `row_sections` stored."""
        values = self.section(name, "<i8", (None,))
        ends = self.section(f"{name}.ends", "<i8", (count,))
        starts = np.concatenate([np.zeros(1, np.int64), ends[:-1]])[:count]
        if (ends[-1] if count else 0) != len(values) or (ends < starts).any():
            self.refuse(f"the rows of {name!r} do not end where they should")
        inside = np.ones(len(values), np.bool_)
        inside[starts[starts < ends]] = False
        if len(values) and (values.min() < 0 or values.max() >= width):
            self.refuse(f"a number of {name!r} is out of range")
        if (np.diff(values)[inside[1:]] <= 0).any():
            self.refuse(f"a row of {name!r} is not in order")
        return np.split(values, ends[:-1]) if count else []
