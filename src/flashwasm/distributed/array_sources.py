"""Arrays that parts are cut from: in memory, in a .npy file, or of dask."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from os import PathLike
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from flashwasm.distributed.executors import is_dask_array
from flashwasm.errors import DTypeError
from flashwasm.storage.file_paths import checked_path
from flashwasm.storage.npy_file import read_npy
from flashwasm.validation import as_array, is_float

__all__ = ["ArraySource", "FilePart", "loaded", "source_of"]

Array = npt.NDArray[Any]


@dataclass(frozen=True)
class FilePart:
    """A part of an array in a .npy file, which the worker reads.

    Parameters
    ----------
    path : str
        Absolute path of the file, which is the same for the worker.
    axis : int
        Axis that is cut, counted from the end.
    start, stop : int
        Beginning and end of the part on that axis.
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
        Axis that is cut, counted from the end.
    cut : callable
        Function that returns the part from one position to another, as it is sent to a worker.
    """

    shape: tuple[int, ...]
    axis: int
    cut: Callable[[int, int], Any]

    @property
    def length(self) -> int:
        """Length of the axis that is cut."""
        return int(self.shape[self.axis])

    def part(self, start: int, stop: int) -> Callable[[], Any]:
        """Return a function that cuts a part; a call goes out with what it returns."""
        return partial(self.cut, start, stop)


def source_of(array: Any, name: str, axis: int) -> ArraySource:
    """Return the source of an argument.

    Parameters
    ----------
    array : array_like, str, os.PathLike or dask.array.Array
        The argument: an array of floats, the path of a .npy file, or an array of dask.
    name : str
        Its name, for errors.
    axis : int
        Axis that is cut, counted from the end.

    Raises
    ------
    DTypeError
        If it holds no floats, or has too few axes.
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
    """Raise DTypeError unless an array holds floats, and has the axis that is cut."""
    if not is_float(array.dtype):
        raise DTypeError(f"{name}: expected floats, got {array.dtype}")
    if array.ndim < -axis:
        raise DTypeError(f"{name}: expected at least {-axis} axes, got shape {array.shape}")
