"""Threads that run a kernel's tasks, each on an instance of its own."""

from __future__ import annotations

import queue
import threading
from collections import deque
from time import monotonic
from typing import TYPE_CHECKING

from flashwasm.errors import DeadlineExceeded, FlashWasmError
from flashwasm.kernels import STATUS_BAD_INDEX, STATUS_OK

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from flashwasm.host.instance import Instance
    from flashwasm.kernels import Kernel

    # Calls that follow each other on one instance.
    Task = Sequence[Sequence[float]]


class _Job:
    """Tasks of one kernel, taken one at a time by whoever is free."""

    def __init__(self, kernel: Kernel, tasks: Iterable[Task], deadline: float | None) -> None:
        self._kernel = kernel
        self._tasks = deque(tasks)
        self._deadline = deadline
        self._stopped = False
        self._left: list[Instance] = []  # Instances whose threads are done with this job.
        self._leaving: queue.SimpleQueue[None] = queue.SimpleQueue()
        self.error: BaseException | None = None

    def stop(self) -> None:
        """Let each worker finish the call it is in, and begin no other."""
        self._stopped = True

    def work(self, instance: Instance) -> None:
        """Run tasks until none is left; keep the first error and let the others stop."""
        try:
            while not self._stopped:
                try:
                    task = self._tasks.popleft()
                except IndexError:
                    return
                for arguments in task:
                    self._check_deadline()
                    if self._stopped:
                        return
                    check_status(self._kernel, instance.call(self._kernel, arguments))
        except BaseException as error:  # noqa: BLE001 - it is raised again by the calling thread.
            self.error = self.error or error
            self.stop()

    def leave(self, instance: Instance) -> None:
        """Say that a helper is done with this job."""
        self._left.append(instance)
        self._leaving.put(None)

    def wait(self, helpers: int) -> None:
        """Wait until so many helpers have left. An interruption stops them, then is let through."""
        interruption: BaseException | None = None
        # The count decides, not the messages: an interruption may swallow one of those.
        while len(self._left) < helpers:
            try:
                self._leaving.get()
            except KeyboardInterrupt as error:  # noqa: PERF203 - that is what the loop is for.
                self.stop()
                interruption = error
        if interruption is not None:
            raise interruption

    def _check_deadline(self) -> None:
        if self._deadline is not None and monotonic() > self._deadline:
            message = f"{self._kernel.operation} did not finish within its timeout"
            raise DeadlineExceeded(message)


def check_status(kernel: Kernel, status: int) -> None:
    """Raise for a status that the checks at the door should have kept from arising."""
    if status == STATUS_OK:
        return
    reason = "an index out of range" if status == STATUS_BAD_INDEX else "an argument"
    message = f"{kernel.export} refused {reason}"
    raise FlashWasmError(message)


def _serve(instance: Instance, jobs: queue.SimpleQueue[_Job | None]) -> None:
    """Be a helper: take jobs until None comes."""
    while (job := jobs.get()) is not None:
        job.work(instance)
        job.leave(instance)
        del job


class Workers:
    """The calling thread and ``len(instances) - 1`` threads beside it.

    Only one thread may call at a time. The threads start when they are first of use and hold no
    reference to this object.
    """

    def __init__(self, instances: Sequence[Instance]) -> None:
        self._instances = instances
        self._jobs: list[queue.SimpleQueue[_Job | None]] = []

    @property
    def first(self) -> Instance:
        """The calling thread's instance."""
        return self._instances[0]

    def run(self, kernel: Kernel, tasks: Sequence[Task], deadline: float | None) -> None:
        """Run all tasks of a kernel and return when the last has ended.

        Raises
        ------
        DeadlineExceeded
            If time runs out between two calls.
        KernelTrap, FlashWasmError
            If a call fails.
        """
        job = _Job(kernel, tasks, deadline)
        helpers = min(len(self._instances), len(tasks)) - 1
        for jobs in self._started(helpers):
            jobs.put(job)
        try:
            job.work(self._instances[0])
        finally:
            job.wait(helpers)
        if job.error is not None:
            raise job.error

    def _started(self, count: int) -> list[queue.SimpleQueue[_Job | None]]:
        """Return the first ``count`` helpers' queues, starting those that do not run yet."""
        while len(self._jobs) < count:
            jobs: queue.SimpleQueue[_Job | None] = queue.SimpleQueue()
            instance = self._instances[len(self._jobs) + 1]
            threading.Thread(
                target=_serve, args=(instance, jobs), name="flashwasm", daemon=True
            ).start()
            self._jobs.append(jobs)
        return self._jobs[:count]

    def stop(self) -> None:
        """End the threads."""
        for jobs in self._jobs:
            jobs.put(None)
        self._jobs.clear()
