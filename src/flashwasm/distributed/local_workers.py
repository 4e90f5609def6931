"""Worker processes on this machine; a lost process is replaced."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import Executor, Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from multiprocessing import get_context
from types import TracebackType
from typing import Any

from flashwasm.host.workers import MOST_THREADS, available_cpus
from flashwasm.runtime.locks import renewed_after_fork
from flashwasm.summaries import summary
from flashwasm.validation import positive_int

__all__ = ["MOST_WORKERS", "LocalWorkers"]


# Maximum number of processes: as with threads, far more than a machine has CPUs.
MOST_WORKERS = MOST_THREADS


class LocalWorkers(Executor):
    """Process pool that keeps working if one of its processes is killed.

    A `concurrent.futures` pool accepts no more work after one of its processes has ended. This pool
    starts new processes instead. It is a context manager, which waits for the calls and ends the
    processes. If it is left by a KeyboardInterrupt, it does not wait.

    Parameters
    ----------
    workers : int, optional
        Number of processes. None means the number of CPUs that this process may use.
    threads : int, optional
        Number of threads of each worker's runtime. None divides the CPUs equally among the workers.

    Raises
    ------
    ShapeError, DTypeError
        If an argument is not an integer from 1 to 1024.

    Notes
    -----
    The processes are spawned, not forked. A script that uses them must therefore put its own code
    under ``if __name__ == "__main__"``.

    Examples
    --------
    >>> from flashwasm.distributed import LocalWorkers
    >>> with LocalWorkers(2) as workers:  # doctest: +SKIP
    ...     workers.submit(sum, [1, 2]).result()
    3
    """

    def __init__(self, workers: int | None = None, *, threads: int | None = None) -> None:
        count = available_cpus() if workers is None else workers
        self.workers = positive_int(count, "workers", MOST_WORKERS)
        shared = min(max(available_cpus() // self.workers, 1), MOST_THREADS)
        each = shared if threads is None else threads
        self.threads = positive_int(each, "threads", MOST_THREADS)
        self._lock = renewed_after_fork(self, threading.Lock)
        self._pool = self._new_pool()

    def __repr__(self) -> str:
        return summary(self, workers=self.workers, threads=self.threads)

    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
        """Submit a function call to a process, and return the future of its result.

        Parameters
        ----------
        fn : callable
            Function that can be pickled.
        *args, **kwargs
            Arguments of the function.
        """
        with self._lock:
            try:
                return self._pool.submit(fn, *args, **kwargs)
            except BrokenProcessPool:
                self._pool.shutdown(wait=False, cancel_futures=True)
                self._pool = self._new_pool()
                return self._pool.submit(fn, *args, **kwargs)

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:  # noqa: FBT001, FBT002 - as of the base class.
        """End the processes.

        Parameters
        ----------
        wait : bool, default True
            True to wait until the processes have ended.
        cancel_futures : bool, default False
            True to cancel the calls that have not started.
        """
        self._pool.shutdown(wait, cancel_futures=cancel_futures)

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """End the processes; after an interrupt, without waiting for calls that are under way."""
        if kind is not None and issubclass(kind, KeyboardInterrupt):
            # The pool has no public method for this before Python 3.14.
            for process in list((getattr(self._pool, "_processes", None) or {}).values()):
                process.terminate()
            self.shutdown(cancel_futures=True)
        else:
            self.shutdown()

    def _new_pool(self) -> ProcessPoolExecutor:
        """Return a pool of new processes. A fork would copy locks that other threads hold."""
        return ProcessPoolExecutor(self.workers, mp_context=get_context("spawn"))
