"""Faults in the allocation of memory: the n-th request fails, as if memory had run out."""

from __future__ import annotations

import sys
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import numpy as np

from flashwasm.errors import OutOfMemoryError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from flashwasm.runtime.runtime import Runtime

__all__ = ["Fault", "allocation_fails", "growth_fails", "numpy_fails"]

# Functions of NumPy that make the arrays of the host.
_MAKERS = ("empty", "zeros", "full", "arange", "concatenate", "ascontiguousarray")


class Fault:
    """A fault of the n-th request of some kind, and of all later ones if it is lasting.

    Parameters
    ----------
    nth : int
        Number of the request, from 1.
    lasting : bool
        True if all later requests fail as well.

    Attributes
    ----------
    happened : bool
        True after the fault has happened.
    """

    def __init__(self, nth: int, *, lasting: bool) -> None:
        self._left, self._lasting = nth, lasting
        self.happened = False

    def comes(self) -> bool:
        """Count one more request, and return True if it fails."""
        self._left -= 1
        if self._left > 0 or (self._left < 0 and not self._lasting):
            return False
        self.happened = True
        return True


@contextmanager
def allocation_fails(runtime: Runtime, nth: int, *, lasting: bool) -> Iterator[Fault]:
    """Make a runtime's n-th allocation raise OutOfMemoryError, within a ``with`` statement.

    Parameters
    ----------
    runtime : Runtime
        The runtime.
    nth : int
        Number of the allocation, from 1.
    lasting : bool
        True if all later ones fail as well.
    """
    arena, fault = runtime.arena, Fault(nth, lasting=lasting)
    take = arena._take  # every allocation goes through this method.

    def failing_take(size: int, owner: list[tuple[int, int]]) -> int:
        if fault.comes():
            raise OutOfMemoryError(size, arena.own + arena.in_use, arena.limit)
        return take(size, owner)

    with _replaced(arena, "_take", failing_take):
        yield fault


@contextmanager
def growth_fails(runtime: Runtime, nth: int, *, lasting: bool) -> Iterator[Fault]:
    """Make the n-th growth of a runtime's linear memory fail, within a ``with`` statement.

    Parameters
    ----------
    runtime : Runtime
        The runtime.
    nth : int
        Number of the growth, from 1.
    lasting : bool
        True if all later ones fail as well.
    """
    memory, fault = runtime.arena._memory, Fault(nth, lasting=lasting)  # only the arena grows it.
    grow_to = memory.grow_to
    with _replaced(memory, "grow_to", lambda pages: not fault.comes() and grow_to(pages)):
        yield fault


@contextmanager
def numpy_fails(nth: int) -> Iterator[Fault]:
    """Make the n-th array that the package creates with NumPy raise MemoryError.

    Parameters
    ----------
    nth : int
        Number of the array, from 1. Arrays that other packages make are not counted.
    """
    fault = Fault(nth, lasting=False)

    def failing(make: Callable[..., Any]) -> Callable[..., Any]:
        def make_or_fail(*arguments: Any, **options: Any) -> Any:
            caller = sys._getframe(1).f_globals.get(
                "__name__", ""
            )  # the only way to know the caller.
            if caller.startswith("flashwasm") and fault.comes():
                raise MemoryError("Unable to allocate an array")
            return make(*arguments, **options)

        return make_or_fail

    makers = {name: getattr(np, name) for name in _MAKERS}
    try:
        for name, make in makers.items():
            setattr(np, name, failing(make))
        yield fault
    finally:
        for name, make in makers.items():
            setattr(np, name, make)


@contextmanager
def _replaced(thing: object, name: str, method: Callable[..., Any]) -> Iterator[None]:
    """Replace a method of one object, within a ``with`` statement."""
    setattr(thing, name, method)
    try:
        yield
    finally:
        delattr(thing, name)
