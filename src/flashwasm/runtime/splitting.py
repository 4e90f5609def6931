"""Splitting a problem in halves if linear memory is too small for all of it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeAlias, TypeVar

from flashwasm.array_room import new_array
from flashwasm.errors import OutOfMemoryError
from flashwasm.runtime.copies import copy_in_pieces

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from numpy.typing import NDArray

    Array = NDArray[Any]
    # The operands of a part of the result, and the array to write that part to, or None for a new
    # array.
    Part = tuple[tuple[Array, ...], Array | None]

Problem = TypeVar("Problem")
Result = TypeVar("Result")
# The parts of a problem, and a function that joins the list of their results.
Halves: TypeAlias = "tuple[Sequence[Problem], Callable[[list[Result]], Result]]"


def in_halves(
    problem: Problem,
    compute: Callable[[Problem], Result],
    halve: Callable[[Problem], Halves[Problem, Result] | None],
) -> Result:
    """Compute a problem at once or, if linear memory is too small for it, in halves.

    Halves that are still too large are split again. The parts are computed one after another, in
    the order in which ``halve`` returns them.

    Parameters
    ----------
    problem : object
        The problem, in any form that the two functions understand.
    compute : callable
        Function that computes a problem's result. If it raises OutOfMemoryError, it must not have
        changed anything that its caller can see.
    halve : callable
        Function that returns a problem's parts, and a function that joins the list of their
        results. It returns None for a problem that cannot be split.

    Raises
    ------
    OutOfMemoryError
        If a part that cannot be split does not fit into linear memory.
    """
    try:
        return compute(problem)
    except OutOfMemoryError:
        halves = halve(problem)
        if halves is None:
            raise
    parts, join = halves
    return join([in_halves(part, compute, halve) for part in parts])


def in_parts(
    compute: Callable[[Part], Array],
    operands: tuple[Array, ...],
    shape: tuple[int, ...],
    axes: int,
    out: Array | None,
    between: Callable[[], None],
) -> Array:
    """Compute an array at once or, if linear memory is too small for it, in halves of an axis.

    Parameters
    ----------
    compute : callable
        Function that computes a part and returns it. Its argument is a pair: the operands of the
        part, and the array to write to, or None for a new array.
    operands : tuple of numpy.ndarray
        The arrays whose first axes are those of the result. They are split in the same way.
    shape : tuple of int
        Shape of the result.
    axes : int
        Number of leading axes of the result that may be split.
    out : numpy.ndarray, optional
        The array to write the result to. None means a new array.
    between : callable
        Function to call between two pieces of a copy. An exception that it raises ends the call.
    """

    def halve(part: Part) -> Halves[Part, Array] | None:
        """Split the operands, and create the array to which the halves are written."""
        arrays, target = part
        size = shape if target is None else target.shape
        axis = axis_to_split(size[:axes])
        if axis is None:
            return None
        # The parts go to a new array, because `out` may overlap an operand that a later part still
        # reads.
        result = new_array(size)
        halves: list[Part] = [
            (tuple(x[i] for x in arrays), result[i]) for i in halves_of(size, axis)
        ]
        return halves, lambda _: copied_to(target, result, between)

    return in_halves((operands, out), compute, halve)


def axis_to_split(shape: tuple[int, ...]) -> int | None:
    """Return the first axis with at least two entries, or None if there is none.

    Halves of the first such axis of a contiguous array are contiguous too. The kernel can then read
    a half of a resident array in place, without a copy.
    """
    return next((axis for axis, size in enumerate(shape) if size > 1), None)


def halves_of(shape: tuple[int, ...], axis: int) -> list[tuple[slice, ...]]:
    """Return the two indices that select the halves of an array along an axis."""
    before, middle = (slice(None),) * axis, shape[axis] // 2
    return [(*before, slice(0, middle)), (*before, slice(middle, shape[axis]))]


def copied_to(out: Array | None, result: Array, between: Callable[[], None]) -> Array:
    """Return the result, copied to ``out`` if that is given.

    ``between`` is called between two pieces of the copy, as in `in_parts`.
    """
    if out is None:
        return result
    copy_in_pieces(out, result, between)
    return out
