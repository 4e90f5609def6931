"""Allocation of arrays in the process's own memory, outside linear memory."""

from __future__ import annotations

import math
import os
from typing import TYPE_CHECKING, Any

import numpy as np

from flashwasm.errors import OutOfMemoryError

if TYPE_CHECKING:
    from numpy.typing import DTypeLike, NDArray

# Number of elements up to which memory is not checked before an allocation.
_MANY = 1 << 28


def new_array(shape: tuple[int, ...], dtype: DTypeLike = np.float32) -> NDArray[Any]:
    """Return a new uninitialised array outside linear memory.

    Raise OutOfMemoryError if the operating system does not provide enough memory.
    """
    itemsize = np.dtype(dtype).itemsize
    # An operating system may promise more memory than there is, and kill the process later.
    if math.prod(shape) > _MANY and itemsize * math.prod(shape) > _physical_bytes():
        raise no_room(shape, itemsize)
    try:
        return np.empty(shape, dtype)
    except (MemoryError, ValueError):
        raise no_room(shape, itemsize) from None


def _physical_bytes() -> float:
    """Return the machine's memory in bytes; infinity if it is not known."""
    try:
        return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    except (AttributeError, ValueError, OSError):
        return math.inf


def check_room(shape: tuple[int, ...], dtype: DTypeLike = np.float32) -> None:
    """Raise OutOfMemoryError if there is not enough memory for an array of a shape.

    A broadcast array can have any size without using memory. Call this before reading such an
    array, to check that a result of its size can be allocated at all.
    """
    if math.prod(shape) > _MANY:
        new_array(shape, dtype)


def no_room(shape: tuple[int, ...], itemsize: int = 4) -> OutOfMemoryError:
    """Return the error for an array that does not fit into the process's memory."""
    size = itemsize * math.prod(shape)
    message = f"memory is full: {size} bytes requested for an array of shape {shape}"
    return OutOfMemoryError(size, message=message)
