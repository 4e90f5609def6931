"""Conversion of operands to float64, for the oracles."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from numpy.typing import ArrayLike

Array = NDArray[Any]


def float64(x: ArrayLike) -> Array:
    """Return an operand in float64."""
    return np.asarray(x, np.float64)


def magnitudes(x: ArrayLike) -> Array:
    """Return the absolute values of an operand in float64."""
    absolute: Array = np.abs(np.asarray(x, np.float64))
    return absolute


def normalized_axes(x: Array, axis: int) -> tuple[int, ...]:
    """Return the axes of a norm: ``axis`` and all axes after it."""
    return tuple(range(axis % x.ndim, x.ndim))
