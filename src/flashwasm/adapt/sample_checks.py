"""What the arguments of this package have in common."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from flashwasm.errors import ShapeError
from flashwasm.validation import finite_float, floats

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

    Array = NDArray[Any]

_FLOAT32 = np.dtype(np.float32)
# Numbers in these bounds, and quotients of two, are neither zero nor infinite in float32.
SMALLEST, LARGEST = 1e-15, 1e15


def bounded(value: float, name: str, low: float, high: float = LARGEST) -> float:
    """Return a number from ``low`` to ``high``."""
    # The quick way: a step of training takes microseconds.
    if type(value) is float and low <= value <= high:
        return value
    number = finite_float(value, name)
    if not low <= number <= high:
        message = f"{name}: expected a number from {low:g} to {high:g}, got {value!r}"
        raise ShapeError(message)
    return number


def float32_rows(x: ArrayLike, name: str, columns: int, ndim: int) -> Array:
    """Return a vector of ``columns`` floats, or rows of them, as float32."""
    array = x if type(x) is np.ndarray else floats(x, name)
    if array.ndim != ndim or array.shape[-1] != columns:
        expected = f"({columns},)" if ndim == 1 else f"(n, {columns})"
        message = f"{name}: expected shape {expected}, got {array.shape}"
        raise ShapeError(message)
    return array if array.dtype is _FLOAT32 else narrowed(floats(array, name))


def narrowed(array: Array) -> Array:
    """Return an array of floats as float32; what is too large becomes infinite."""
    with np.errstate(over="ignore", under="ignore", invalid="ignore"):
        return array.astype(_FLOAT32, copy=False)
