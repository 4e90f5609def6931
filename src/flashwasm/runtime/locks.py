"""Locks that stay usable if a signal handler raises an exception such as KeyboardInterrupt."""

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

# Objects with an attribute `_lock`, and the functions that create their locks.
_owners: weakref.WeakKeyDictionary[Any, Callable[[], Any]] = weakref.WeakKeyDictionary()


def renewed_after_fork(owner: object, make: Callable[[], Lock]) -> Lock:
    """Return a new lock for an object's attribute ``_lock``; a forked child replaces it.

    Another thread of the parent may hold the lock at the time of the fork. That thread does not
    exist in the child, so the lock would never be released there.

    Parameters
    ----------
    owner : object
        The object.
    make : callable
        Function that creates a lock.
    """
    _owners[owner] = make
    return make()


def _after_fork() -> None:
    """Give all objects new locks, in a forked child process."""
    for owner, make in list(_owners.items()):
        owner._lock = make()  # noqa: SLF001 - `renewed_after_fork` documents it.


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)


def held(lock: RLock, until: float) -> AbstractContextManager[object]:
    """Return a context manager that acquires a lock, and waits for it no longer than a deadline.

    Parameters
    ----------
    lock : threading.RLock
        The lock.
    until : float
        Time of ``monotonic`` until which to wait; infinity means no limit.
    """
    return lock if until == math.inf else TimedLock(lock, until)


def owns(lock: RLock) -> bool:
    """Return True if the calling thread holds a lock."""
    # Every RLock has this method, which `threading.Condition` relies on too.
    owned: bool = lock._is_owned()  # type: ignore[attr-defined]  # noqa: SLF001 - see above.
    return owned


class TimedLock:
    """A context manager that waits for a lock no longer than a deadline.

    ``with`` calls the instance's ``__exit__``, which is the lock's own method, written in C. A
    method in Python could be interrupted before its first statement, and the lock would never be
    released.

    Parameters
    ----------
    lock : threading.RLock
        The lock.
    deadline : float
        Time of ``monotonic`` until which to wait.
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
            If another thread still holds the lock at the deadline.
        """
        lock = self._lock
        nested = owns(lock)
        try:
            acquired = lock.acquire(timeout=max(self._deadline - monotonic(), 0))
        except BaseException:
            # The exception may have occurred just after the lock was acquired.
            if not nested and owns(lock):
                lock.release()
            raise
        if not acquired:
            message = "another call did not finish before the timeout"
            raise DeadlineExceeded(message)
