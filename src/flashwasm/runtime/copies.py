"""Copies between arrays, in pieces: timeouts and Ctrl-C are checked between two pieces."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from flashwasm.runtime.work_limits import MOST_ELEMENTS

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from numpy.typing import NDArray

    Array = NDArray[Any]

__all__ = ["copy_in_pieces"]


def copy_in_pieces(target: Array, source: Array, between: Callable[[], None] | None = None) -> None:
    """Copy an array to another array, which must not share memory with it.

    Parameters
    ----------
    target : numpy.ndarray
        Array to write to. If float64 is converted to float32, numbers that are too large become
        infinite.
    source : numpy.ndarray
        Array of the same shape, or one that broadcasts to it.
    between : callable, optional
        Function to call before each piece. An exception that it raises ends the copy.
    """
    most = _most_elements(target)
    if target.size <= most and target.dtype == source.dtype:
        target[...] = source
        return
    with np.errstate(over="ignore", under="ignore", invalid="ignore"):
        for to, piece in _pieces(target, np.broadcast_to(source, target.shape), most):
            if between is not None:
                between()
            np.copyto(to, piece, casting="unsafe")


def _most_elements(target: Array) -> int:
    """Return the number of elements in a piece, fewer if they are longer than a float32."""
    return max(4 * MOST_ELEMENTS // max(target.itemsize, 4), 1)


def _pieces(target: Array, source: Array, most: int) -> Iterator[tuple[Array, Array]]:
    """Yield pieces of at most ``most`` elements of two arrays of the same shape."""
    if target.size <= most:
        yield target, source
        return
    axis = next(i for i, size in enumerate(target.shape) if size > 1)
    before = (slice(None),) * axis
    step = max(1, most * target.shape[axis] // target.size)
    for begin in range(0, target.shape[axis], step):
        index = (*before, slice(begin, begin + step))
        yield from _pieces(target[index], source[index], most)
