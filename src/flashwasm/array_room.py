"""Room for arrays in the process's own memory, outside linear memory."""

from __future__ import annotations

import math
import os
from typing import TYPE_CHECKING, Any

import numpy as np

from flashwasm.errors import OutOfMemoryError

if TYPE_CHECKING:
    from numpy.typing import DTypeLike, NDArray

# Elements up to which an array is looked through without a question.
_MANY = 1 << 28


def new_array(shape: tuple[int, ...], dtype: DTypeLike = np.float32) -> NDArray[Any]:
    """Return a new array outside linear memory, its contents undefined.

    Raise OutOfMemoryError if the operating system does not give so much memory.
    """
    itemsize = np.dtype(dtype).itemsize
    # An operating system may promise more memory than there is, and end the process later.
    if math.prod(shape) > _MANY and itemsize * math.prod(shape) > _physical_bytes():
        raise no_room(shape, itemsize)
    try:
        return np.empty(shape, dtype)
    except (MemoryError, ValueError):
        raise no_room(shape, itemsize) from None


def _physical_bytes() -> float:
    """Return the bytes of memory that the machine has; infinity where nobody tells."""
    try:
        return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    except (AttributeError, ValueError, OSError):
        return math.inf


def check_room(shape: tuple[int, ...], dtype: DTypeLike = np.float32) -> None:
    """Raise OutOfMemoryError if there is no memory for an array of a shape.

    An array that repeats one element has any size in no memory. Before such an array is looked
    through, this asks whether an array that depends on it could be made at all.
    """
    if math.prod(shape) > _MANY:
        new_array(shape, dtype)


def no_room(shape: tuple[int, ...], itemsize: int = 4) -> OutOfMemoryError:
    """Return the error for an array that the process has no memory for."""
    size = itemsize * math.prod(shape)
    message = f"memory is full: {size} bytes asked for, for an array of shape {shape}"
    return OutOfMemoryError(size, message=message)
