"""Reading the file of an index, with checks of everything on which the index relies."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, NoReturn, cast

import numpy as np

from flashwasm.errors import CorruptFileError
from flashwasm.search.external_ids import IdTable
from flashwasm.search.parameters import DTYPES
from flashwasm.search.stored_vectors import LARGEST
from flashwasm.storage.file_paths import checked_path
from flashwasm.storage.file_reading import read_container

if TYPE_CHECKING:
    from collections.abc import Mapping
    from os import PathLike

    from numpy.typing import NDArray

    from flashwasm.kernel_table import Metric
    from flashwasm.search.parameters import IndexDType
    from flashwasm.storage.file_format import Container

    Array = NDArray[Any]


class CheckedFile:
    """Contents of a file. Each parameter and array is checked when it is read.

    Parameters
    ----------
    path : str or os.PathLike
        Path of the file.
    kind : str
        Expected kind of contents, for example "flat-index".
    """

    def __init__(self, path: str | PathLike[str], kind: str) -> None:
        self._path = checked_path(path)
        self._container: Container = read_container(self._path, kind)

    def refuse(self, reason: str) -> NoReturn:
        """Raise a CorruptFileError that names the file and the reason."""
        message = f"{self._path}: the file contradicts itself: {reason}"
        raise CorruptFileError(message)

    def number(self, name: str, least: int, most: int) -> int:
        """Return a parameter; refuse the file unless it is an integer in the given range."""
        value = self._container.parameters.get(name)
        if type(value) is not int or not least <= value <= most:
            self.refuse(f"{name} is {value!r}, not an integer from {least} to {most}")
        return value

    @property
    def parameters(self) -> Mapping[str, Any]:
        """All parameters of the file: numbers and strings by name."""
        return self._container.parameters

    def text(self, name: str, pattern: str = ".*") -> str:
        """Return a parameter; refuse the file unless it is a string that matches ``pattern``."""
        value = self.parameters.get(name)
        if not isinstance(value, str) or not re.fullmatch(pattern, value, re.DOTALL):
            self.refuse(f"{name} is {value!r:.80}, not a string of the form {pattern}")
        return value

    def section(self, name: str, dtype: str, shape: tuple[int | None, ...]) -> Array:
        """Return an array; refuse another dtype or shape. None in ``shape`` allows any length."""
        array = self._container.sections.get(name)
        if array is None:
            self.refuse(f"there is no section {name!r}")
        fits = array.ndim == len(shape) and all(
            wanted in (None, size) for wanted, size in zip(shape, array.shape, strict=True)
        )
        if array.dtype != np.dtype(dtype) or not fits:
            self.refuse(f"section {name!r} is {array.dtype} of shape {array.shape}")
        return array


class IndexFile(CheckedFile):
    """Contents of the file of an index.

    Parameters
    ----------
    path : str or os.PathLike
        Path of the file.
    kind : str
        Expected kind of index, for example "flat-index".
    """

    def __init__(self, path: str | PathLike[str], kind: str) -> None:
        super().__init__(path, kind)
        metric, dtype = self._container.metric, self._container.dtype
        if metric not in LARGEST or dtype not in DTYPES:
            self.refuse(f"metric {metric!r}, dtype {dtype!r}")
        self.metric: Metric = metric
        self.dtype: IndexDType = cast("IndexDType", dtype)

    def vectors(self, dim: int) -> Array:
        """Return the vectors; refuse the file if one is not finite or a distance could overflow."""
        rows = self.section("vectors", "<f4", (None, dim))
        below = LARGEST[self.metric]
        if rows.size and not (rows.max() < below and rows.min() > -below):
            self.refuse("a vector is not finite")
        return rows

    def ids(self, positions: Array) -> IdTable:
        """Return the file's ids, assigned to the vectors at these positions, in this order."""
        count, text = len(positions), "id_text" in self._container.sections
        table = IdTable("str" if text else "")
        if text:
            ids = self._strings(count)
        else:
            ids = self.section("ids", "<i8", (count,)).astype(np.int64)
        if len(set(ids.tolist())) != count:
            self.refuse("two vectors have the same id")
        table.assign(positions, ids)
        table.next = self.number("next_id", table.next, 2**63)
        return table

    def _strings(self, count: int) -> Array:
        """Return ids that are strings, from one section with their text and one with their ends.

        For example, "up" and "down" are stored as the UTF-8 text "updown" and the ends [2, 6].
        """
        text = self.section("id_text", "|u1", (None,)).tobytes()
        ends = self.section("id_ends", "<i8", (count,))
        starts = np.concatenate([[0], ends])[:-1]
        if count and (ends[-1] != len(text) or (ends < starts).any()):
            self.refuse("the ids do not end where they should")
        ids = np.empty(count, object)
        try:
            ids[:] = [text[i:j].decode() for i, j in zip(starts, ends, strict=True)]
        except UnicodeDecodeError:
            self.refuse("an id is not UTF-8 text")
        return ids


def id_sections(table: IdTable, positions: Array) -> dict[str, Array]:
    """Return the sections for the ids of the vectors at some positions."""
    ids = table.at(positions)
    if table.kind != "str":
        return {"ids": ids}
    encoded = [one.encode() for one in ids]
    lengths = np.array([len(one) for one in encoded], np.int64)
    text = np.frombuffer(b"".join(encoded), np.uint8)
    return {"id_text": text, "id_ends": np.cumsum(lengths)}
