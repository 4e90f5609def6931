"""Blocks of linear memory that NumPy arrays keep alive."""

from __future__ import annotations

import weakref
from typing import Any

import numpy as np


class Block(weakref.ref[np.ndarray[tuple[Any, ...], np.dtype[Any]]]):
    """A weak reference to an array over a block of linear memory.

    When the array is deleted, the block returns to the arena. No view can outlive the array: the
    base of a view is the array itself, because the array's own base is a buffer, not another array.

    Attributes
    ----------
    offset, size : int
        Address of the block in linear memory, and its length in bytes.
    key : int
        The array's ``id``.
    owned : bool
        True once the block belongs to the array, and no longer to the call that creates the array.
    """

    __slots__ = ("key", "offset", "owned", "size")

    offset: int
    size: int
    key: int
    owned: bool
