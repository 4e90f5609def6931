"""Checks of arguments that are arrays of integers: indices, offsets and lengths."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from flashwasm.array_room import check_room
from flashwasm.errors import DTypeError, IndexRangeError, ShapeError
from flashwasm.summaries import number_of
from flashwasm.validation import as_array, shown

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

    Array = NDArray[Any]


def integers(x: ArrayLike, name: str, expected: str = "integers") -> Array:
    """Return ``x`` as an array of integers.

    If a list has an integer that int64 cannot represent, the array may contain Python's integers.
    They compare like others, so the caller's check of their range finds the integer.

    Parameters
    ----------
    x : array_like of int
        The argument. An empty list is an array of integers too.
    name, expected : str
        Its name, and the values that are accepted, for the message of an error.
    """
    array = as_array(x, name)
    if array.dtype.kind in "iu":
        return array
    if array.size == 0 and array.dtype.kind == "f":
        return array.astype(np.int64)
    if isinstance(x, (list, tuple)) and array.dtype.kind in "fO":
        # NumPy makes floats of [2**63, 5], and objects of [2**64, 5].
        numbers = np.array(x, object)
        if all(map(_is_integer, numbers.flat)):
            try:
                return numbers.astype(np.int64)
            except OverflowError:
                return numbers
    message = f"{name}: expected {expected}, got {array.dtype}"
    raise DTypeError(message)


def _is_integer(value: object) -> bool:
    """Return True for an integer of Python or NumPy, but not for True and False."""
    return isinstance(value, (int, np.integer)) and not isinstance(value, bool)


def indices(ids: ArrayLike, name: str, count: int) -> Array:
    """Return ``ids`` as integers in [0, ``count``); negative ids count from the end."""
    array = integers(ids, name)
    if array.size == 0:
        return array
    check_room(array.shape)
    lowest, highest = int(array.min()), int(array.max())
    if lowest < -count or highest >= count:
        outside = highest if highest >= count else lowest
        message = f"{name}: index {shown(outside)} is out of range for {number_of(count, 'rows')}"
        raise IndexRangeError(message)
    return np.where(array < 0, array + count, array) if lowest < 0 else array


def sequence_offsets(cu_seqlens: ArrayLike, name: str, total: int) -> Array:
    """Return offsets of packed sequences; raise unless they rise from 0 to at most ``total``."""
    offsets = integers(cu_seqlens, name)
    if offsets.ndim != 1 or len(offsets) == 0:
        message = f"{name}: expected shape (n + 1,), got {offsets.shape}"
        raise ShapeError(message)
    check_room(offsets.shape)
    if offsets[0] != 0 or offsets[-1] > total or (offsets[1:] < offsets[:-1]).any():
        given = shown(offsets, str)
        message = f"{name}: expected offsets that rise from 0 to at most {total}, got {given}"
        raise IndexRangeError(message)
    return offsets


def key_lengths(kv_lengths: ArrayLike, keys: int) -> Array:
    """Return the argument ``kv_lengths`` as int64; raise unless all are from 0 to ``keys``."""
    lengths = integers(kv_lengths, "kv_lengths")
    if lengths.size and not 0 <= int(lengths.min()) <= int(lengths.max()) <= keys:
        given = shown(lengths, str)
        message = f"kv_lengths: expected lengths from 0 to {keys}, the number of keys, got {given}"
        raise ShapeError(message)
    return lengths.astype(np.int64)
