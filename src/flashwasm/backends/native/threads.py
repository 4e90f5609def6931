"""Threads of the backend `native`: each computes one piece after another, by a BLAS of one thread.

A BLAS with threads of its own waits for all of them at the end of each product. On a busy machine
this was nine times slower than pieces that no thread waits for.
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
    """Threads that compute pieces of a call, and the limit on those of BLAS.

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
        # Number of calls that run now, and the limit that the first of them has set.
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
        """Run tasks in any order, on as many threads as a call may use.

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
                # A helper that has not begun would wait for calls of other threads.
                wait([helper for helper in helpers if not helper.cancel()])
            for helper in helpers:
                if not helper.cancelled():
                    helper.result()
        finally:
            self._leave()

    def _helpers(self, work: _Work, count: int) -> list[Future[None]]:
        """Let helper threads begin, as many as asked for."""
        try:
            return [self._pool.submit(work.run) for _ in range(count)]
        except RuntimeError:  # The interpreter is ending: the calling thread does all the work.
            return []

    def _enter(self) -> None:
        """Hold BLAS to one thread from the first call that runs on."""
        with self._lock:
            if self._calls == 0:
                self._limit = self._libraries.limit(limits=1)
            self._calls += 1

    def _leave(self) -> None:
        """Give BLAS its threads back after the last call that runs."""
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
        """Run the tasks that no other thread has taken, with a check before each."""
        with np.errstate(all="ignore"):
            while (task := self._next()) is not None:
                if check is not None:
                    check()
                task()

    def stop(self) -> None:
        """Leave the tasks that no thread has taken."""
        with self._lock:
            self._tasks = iter(())

    def _next(self) -> Task | None:
        with self._lock:
            return next(self._tasks, None)
