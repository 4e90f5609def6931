"""Parts of arrays that do not fit into a buffer."""

from __future__ import annotations

from collections.abc import Callable

__all__ = ["halved_until", "slices"]


def slices(count: int, step: int) -> list[slice]:
    """Return slices of at most ``step`` elements that cover ``count`` elements; at least one."""
    found = [slice(i, min(i + step, count)) for i in range(0, count, max(step, 1))]
    return found or [slice(0, 0)]


def halved_until(
    fits: Callable[[list[int]], bool], sizes: list[int], units: tuple[int, ...]
) -> list[int]:
    """Halve the axes of a computation until a part of it fits.

    Parameters
    ----------
    fits : callable
        Function of the sizes that returns True if a part of these sizes can be computed at once.
    sizes : list of int
        Length of each axis.
    units : tuple of int
        For each axis, the unit of which its length stays a multiple. Of the axes that are longer
        than their unit, the axis with the most units is halved.

    Returns
    -------
    list of int
        The lengths of a part.
    """
    sizes = list(sizes)
    while not fits(sizes):
        axis = max(range(len(sizes)), key=lambda i: sizes[i] / units[i])
        if sizes[axis] <= units[axis]:
            break
        sizes[axis] = -(-sizes[axis] // (2 * units[axis])) * units[axis]
    return sizes
