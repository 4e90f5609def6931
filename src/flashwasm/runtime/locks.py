"""Locks that no exception of a signal's handler, such as KeyboardInterrupt, can leave held."""

from __future__ import annotations

import math
import os
import weakref
from time import monotonic
from typing import TYPE_CHECKING, Any

from flashwasm.errors import DeadlineExceeded

if TYPE_CHECKING:
    from _thread import RLock
    from collections.abc import Callable
    from contextlib import AbstractContextManager
    from types import TracebackType
    from typing import TypeVar

    Lock = TypeVar("Lock")

__all__ = ["TimedLock", "held", "owns", "renewed_after_fork"]

# Objects with an attribute `_lock`, and the functions that make their locks.
_owners: weakref.WeakKeyDictionary[Any, Callable[[], Any]] = weakref.WeakKeyDictionary()


def renewed_after_fork(owner: object, make: Callable[[], Lock]) -> Lock:
    """Return a new lock for an object's attribute ``_lock``; a forked child gets another new one.

    Another thread of the parent may hold the lock at the fork. That thread does not exist in the
    child, where the lock would be held for ever.

    Parameters
    ----------
    owner : object
        The object.
    make : callable
        Function that makes a lock.
    """
    _owners[owner] = make
    return make()


def _after_fork() -> None:
    """Give all objects new locks, in a forked child process."""
    for owner, make in list(_owners.items()):
        owner._lock = make()  # noqa: SLF001 - `renewed_after_fork` says so to the owner.


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)


def held(lock: RLock, until: float) -> AbstractContextManager[object]:
    """Return a context manager that holds a lock, and waits for it until a deadline at most.

    Parameters
    ----------
    lock : threading.RLock
        The lock.
    until : float
        Time by ``monotonic`` until which to wait; infinity means without limit.
    """
    return lock if until == math.inf else TimedLock(lock, until)


def owns(lock: RLock) -> bool:
    """Return True if the calling thread holds a lock."""
    # Every RLock has this method, which `threading.Condition` relies on too.
    owned: bool = lock._is_owned()  # type: ignore[attr-defined]  # noqa: SLF001 - see above.
    return owned


class TimedLock:
    """A context manager that waits for a lock until a deadline at most.

    ``with`` finds the method ``__exit__`` of the instance, which is the lock's own. It is written
    in C: a method that is written in Python could be interrupted before its first statement, and
    the lock would be held for ever.

    Parameters
    ----------
    lock : threading.RLock
        The lock.
    deadline : float
        Time by ``monotonic`` until which to wait.
    """

    __slots__ = ("__exit__", "_deadline", "_lock")

    __exit__: Callable[
        [type[BaseException] | None, BaseException | None, TracebackType | None], None
    ]

    def __init__(self, lock: RLock, deadline: float) -> None:
        self._lock = lock
        self._deadline = deadline
        self.__exit__ = lock.__exit__

    def __enter__(self) -> None:
        """Wait for the lock.

        Raises
        ------
        DeadlineExceeded
            If another thread holds the lock until the deadline.
        """
        lock = self._lock
        nested = owns(lock)
        try:
            acquired = lock.acquire(timeout=max(self._deadline - monotonic(), 0))
        except BaseException:
            # The exception may have come just after the lock was acquired.
            if not nested and owns(lock):
                lock.release()
            raise
        if not acquired:
            message = "another call was not done before the timeout"
            raise DeadlineExceeded(message)
