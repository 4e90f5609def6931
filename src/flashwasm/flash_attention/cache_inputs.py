"""Checks of the keys, values and queries that a cache receives."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from flashwasm.errors import ShapeError
from flashwasm.summaries import number_of
from flashwasm.validation import floats, narrowed

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

    Array = NDArray[Any]

# Number of axes of stored rows: batch, heads, keys, columns.
AXES = 4


def checked_pair(
    k: ArrayLike, v: ArrayLike, sizes: tuple[int, int], dims: tuple[int, int], dtype: str
) -> tuple[Array, Array]:
    """Return keys and as many values as float32 with a batch axis.

    Parameters
    ----------
    k, v : array_like of float
        Keys and values.
    sizes : (int, int)
        The cache's batch, and its number of heads.
    dims : (int, int)
        The cache's number of columns of keys, and that of values.
    dtype : str
        Format in which the cache stores numbers.
    """
    keys = _checked_rows(k, "k", (*sizes, dims[0]), dtype)
    values = _checked_rows(v, "v", (*sizes, dims[1]), dtype)
    if values.shape[2] != keys.shape[2]:
        rows = number_of(keys.shape[2], "rows")
        message = f"v: expected {rows}, as many as k has, got shape {values.shape}"
        raise ShapeError(message)
    return keys, values


def _checked_rows(x: ArrayLike, name: str, sizes: tuple[int, int, int], dtype: str) -> Array:
    """Return keys or values as float32 of shape (batch, heads, n, columns)."""
    batch, heads, columns = sizes
    array = floats(x, name, at_least=AXES - 1)
    if array.ndim == AXES - 1 and batch == 1:
        array = array[None]
    if array.ndim != AXES or (*array.shape[:2], array.shape[3]) != sizes:
        message = f"{name}: expected shape ({batch}, {heads}, n, {columns}), got {np.shape(x)}"
        raise ShapeError(message)
    if dtype == "float16":
        _check_range(array, name)
    return narrowed(array)


def check_queries(q: Array, batch: int, heads: int, dim: int) -> None:
    """Raise ShapeError unless queries fit a cache's batch, number of heads and head dimension."""
    query_heads = q.shape[-3] if q.ndim > 2 else 1
    batch_fits = batch == 1 or q.shape[-4:-3] in {(), (1,), (batch,)}
    if q.shape[-1] != dim or query_heads % heads or not batch_fits:
        lead = f"{batch}, " if batch > 1 else ""
        message = (
            f"q: expected shape ({lead}Hq, Lq, {dim}), where Hq is a multiple of {heads}, "
            f"got {q.shape}"
        )
        raise ShapeError(message)


def _check_range(x: Array, name: str) -> None:
    """Raise ShapeError if a finite number is too large for float16."""
    largest = float(np.finfo(np.float16).max)
    finite = np.abs(np.where(np.isfinite(x), x, 0.0)).max(initial=0.0)
    if finite > largest:
        message = (
            f"{name}: expected magnitudes up to {largest:g}, the limit of float16, got {finite:g}"
        )
        raise ShapeError(message)
