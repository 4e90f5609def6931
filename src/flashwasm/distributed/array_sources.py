"""Sources from which parts of arrays are cut: arrays, .npy files and dask arrays."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from os import PathLike
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from flashwasm.distributed.executors import is_dask_array
from flashwasm.errors import DTypeError, ShapeError
from flashwasm.storage.file_paths import checked_path
from flashwasm.storage.npy_file import read_npy
from flashwasm.summaries import number_of
from flashwasm.validation import as_array, is_float

__all__ = ["ArraySource", "FilePart", "loaded", "source_of"]

Array = npt.NDArray[Any]


@dataclass(frozen=True)
class FilePart:
    """A part of an array in a .npy file. The worker reads the file.

    Parameters
    ----------
    path : str
        Absolute path of the file, which must be valid for the worker too.
    axis : int
        Axis to cut, counted from the end.
    start, stop : int
        Start and end of the part on that axis.
    """

    path: str
    axis: int
    start: int
    stop: int

    def load(self) -> Array:
        """Read the part. The rest of the file is not read."""
        return np.array(_cut(read_npy(Path(self.path)), self.axis, self.start, self.stop))


@dataclass(frozen=True)
class ArraySource:
    """An array, and the axis along which it is cut.

    Attributes
    ----------
    shape : tuple of int
        Shape of the array.
    axis : int
        Axis to cut, counted from the end.
    cut : callable
        Function that returns the part between two positions, in the form that is sent to a worker.
    """

    shape: tuple[int, ...]
    axis: int
    cut: Callable[[int, int], Any]

    @property
    def length(self) -> int:
        """Length of the axis to cut."""
        return int(self.shape[self.axis])

    def part(self, start: int, stop: int) -> Callable[[], Any]:
        """Return a function that cuts a part, which a `Call` evaluates when it is sent."""
        return partial(self.cut, start, stop)


def source_of(array: Any, name: str, axis: int) -> ArraySource:
    """Return the source of an argument.

    Parameters
    ----------
    array : array_like, str, os.PathLike or dask.array.Array
        The argument: an array of floats, the path of a .npy file, or a dask array.
    name : str
        Name of the argument, for errors.
    axis : int
        Axis to cut, counted from the end.

    Raises
    ------
    DTypeError
        If the array does not consist of floats, or has too few axes.
    ShapeError
        If the shape of a dask array is not known.
    CorruptFileError, OSError
        If the file cannot be read.
    """
    if isinstance(array, (str, PathLike)):
        path = checked_path(array, name)
        found = read_npy(path)
        whole = str(path.resolve())
        _check(found, name, axis)
        return ArraySource(
            found.shape, axis, lambda start, stop: FilePart(whole, axis, start, stop)
        )
    found = array if is_dask_array(array) else as_array(array, name)
    _check(found, name, axis)
    return ArraySource(found.shape, axis, lambda start, stop: _cut(found, axis, start, stop))


def loaded(part: Any) -> Array:
    """Return a part as an array, in the worker."""
    return part.load() if isinstance(part, FilePart) else np.asarray(part)


def _cut(array: Any, axis: int, start: int, stop: int) -> Any:
    """Return a part of an array along an axis that is counted from the end."""
    return array[(..., slice(start, stop), *[slice(None)] * (-axis - 1))]


def _check(array: Any, name: str, axis: int) -> None:
    """Raise an error unless an array consists of floats, and has the axis to cut."""
    if not is_float(array.dtype):
        raise DTypeError(f"{name}: expected floats, got {array.dtype}")
    # Dask uses NaN for lengths that it does not know.
    if any(map(math.isnan, array.shape)):
        raise ShapeError(
            f"{name}: expected a dask array of known shape, got {array.shape}; call its method "
            "compute_chunk_sizes first"
        )
    if array.ndim < -axis:
        raise DTypeError(
            f"{name}: expected at least {number_of(-axis, 'axes')}, got shape {array.shape}"
        )
