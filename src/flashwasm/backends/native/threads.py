"""Threads of the backend `native`. Each computes one piece after another with a one-thread BLAS.

A multithreaded BLAS waits for all its threads at the end of each product. On a busy machine this
was nine times slower than independent pieces.
"""

from __future__ import annotations

import os
import threading
from concurrent.futures import Future, ThreadPoolExecutor, wait
from typing import TYPE_CHECKING, Any

import numpy as np

from flashwasm.optional_packages import optional_module

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from flashwasm.backends.backend import Limits

    Task = Callable[[], None]

__all__ = ["Threads"]


class Threads:
    """Threads that compute pieces of a call, and the limit on BLAS's own threads.

    Raises
    ------
    CapabilityError
        If threadpoolctl is not installed.
    """

    def __init__(self) -> None:
        module = optional_module("threadpoolctl", extra="native")
        self._libraries: Any = module.ThreadpoolController().select(user_api="blas")
        self._pool = ThreadPoolExecutor(os.cpu_count() or 1, "flashwasm-native")
        self._lock = threading.Lock()
        # Number of running calls, and the limit that the first of them has set.
        self._calls = 0
        self._limit: Any = None

    def blas(self) -> str:
        """Return the names and versions of the BLAS libraries in this process."""
        found = [
            f"{library['internal_api']} {library.get('version') or 'of unknown version'}"
            for library in self._libraries.info()
        ]
        return ", ".join(sorted(set(found))) or "a BLAS that threadpoolctl does not know"

    def run(self, tasks: Sequence[Task], limits: Limits) -> None:
        """Run tasks in any order, on the threads that a call may use.

        Parameters
        ----------
        tasks : sequence of callable
            Pieces of some milliseconds each, which write to different places.
        limits : Limits
            Limits of the call.
        """
        self._enter()
        try:
            work = _Work(tasks)
            helpers = self._helpers(work, min(limits.threads, len(tasks)) - 1)
            try:
                work.run(limits.check)
            finally:
                work.stop()
                # Cancel a helper that has not started: it may be waiting behind calls of other
                # threads.
                wait([helper for helper in helpers if not helper.cancel()])
            for helper in helpers:
                if not helper.cancelled():
                    helper.result()
        finally:
            self._leave()

    def _helpers(self, work: _Work, count: int) -> list[Future[None]]:
        """Start up to ``count`` helper threads."""
        try:
            return [self._pool.submit(work.run) for _ in range(count)]
        except RuntimeError:  # The interpreter is exiting, so the calling thread does all the work.
            return []

    def _enter(self) -> None:
        """Limit BLAS to one thread when the first call starts."""
        with self._lock:
            if self._calls == 0:
                self._limit = self._libraries.limit(limits=1)
            self._calls += 1

    def _leave(self) -> None:
        """Remove the limit on BLAS after the last running call."""
        with self._lock:
            self._calls -= 1
            if self._calls == 0:
                self._limit.restore_original_limits()


class _Work:
    """The tasks of one call, which threads take one after another."""

    def __init__(self, tasks: Sequence[Task]) -> None:
        self._tasks = iter(tasks)
        self._lock = threading.Lock()

    def run(self, check: Callable[[], None] | None = None) -> None:
        """Run tasks until none is left, with a check before each."""
        with np.errstate(all="ignore"):
            while (task := self._next()) is not None:
                if check is not None:
                    check()
                task()

    def stop(self) -> None:
        """Drop the tasks that no thread has started."""
        with self._lock:
            self._tasks = iter(())

    def _next(self) -> Task | None:
        with self._lock:
            return next(self._tasks, None)
