"""Checks of the arguments of adapters and of whitening."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from flashwasm.errors import ShapeError
from flashwasm.validation import finite_float, floats, integer, narrowed, shown

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

    Array = NDArray[Any]

_FLOAT32 = np.dtype(np.float32)
# A number in this range, or the quotient of two, is neither zero nor infinite in float32.
SMALLEST, LARGEST = 1e-15, 1e15


def bounded(value: float, name: str, low: float, high: float = LARGEST) -> float:
    """Return a number from ``low`` to ``high``, or raise."""
    # The common case comes first, because a training step takes only microseconds.
    if type(value) is float and low <= value <= high:
        return value
    number = finite_float(value, name)
    if not low <= number <= high:
        message = f"{name}: expected a number from {low:g} to {high:g}, got {value!r}"
        raise ShapeError(message)
    return number


def float32_rows(x: ArrayLike, name: str, columns: int, ndim: int) -> Array:
    """Return a vector (columns,), or rows (n, columns), as float32; raise ShapeError for others."""
    array = x if type(x) is np.ndarray else floats(x, name)
    if array.ndim != ndim or array.shape[-1] != columns:
        expected = f"({columns},)" if ndim == 1 else f"(n, {columns})"
        message = f"{name}: expected shape {expected}, got {array.shape}"
        raise ShapeError(message)
    return array if array.dtype is _FLOAT32 else narrowed(floats(array, name))


def checked_seed(seed: int) -> int:
    """Return a seed of 64 bits, or raise."""
    if not 0 <= integer(seed, "seed") < 1 << 64:
        message = f"seed: expected 0 to 2**64 - 1, got {shown(seed)}"
        raise ShapeError(message)
    return int(seed)
