"""Threads that run a kernel's tasks, each on an instance of its own."""

from __future__ import annotations

import queue
import threading
from collections import deque
from time import monotonic
from typing import TYPE_CHECKING

from flashwasm.errors import DeadlineExceeded, FlashWasmError
from flashwasm.kernel_table import STATUS_BAD_INDEX, STATUS_OK

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from flashwasm.host.instance import Instance
    from flashwasm.kernel_table import Kernel

    # Calls that follow each other on one instance.
    Task = Sequence[Sequence[float]]


class _Job:
    """Tasks of one kernel, taken one at a time by whoever is free."""

    def __init__(self, kernel: Kernel, tasks: Iterable[Task], deadline: float | None) -> None:
        self._kernel = kernel
        self._tasks = deque(tasks)
        self._deadline = deadline
        self._stopped = False
        self._inside: list[Instance] = []  # Those that may be in a task.
        self._leaving: queue.SimpleQueue[None] = queue.SimpleQueue()
        # Numbers of tasks that helper threads took. Appending is atomic, unlike adding to a number.
        self.helped: list[int] = []
        self.error: BaseException | None = None

    def work(self, instance: Instance) -> int:
        """Run tasks until none is left, and return how many this thread took.

        The first error of all threads is kept, and makes the others stop.
        """
        taken = 0
        try:
            while not self._stopped:
                try:
                    task = self._tasks.popleft()
                except IndexError:
                    break
                taken += 1
                for arguments in task:
                    self._check_deadline()
                    if self._stopped:
                        break
                    check_status(self._kernel, instance.call(self._kernel, arguments))
        except BaseException as error:  # noqa: BLE001 - it is raised again by the calling thread.
            self.error = self.error or error
            self._stopped = True
        return taken

    def help(self, instance: Instance) -> None:
        """Work as a helper: be known to be inside from before the first task until it is left."""
        self._inside.append(instance)
        try:
            self.helped.append(self.work(instance))
        finally:
            self._inside.remove(instance)
            self._leaving.put(None)

    def end(self) -> None:
        """Let nobody take another task, and wait for the helpers that are in one.

        What a signal's handler raises stops them, and goes on when they have left.
        """
        # Whoever comes in from here on finds nothing to do, so those who are inside now are all.
        self._tasks.clear()
        interruption: BaseException | None = None
        while self._inside:
            try:
                self._leaving.get()
            except BaseException as error:  # noqa: BLE001, PERF203 - it is raised below.
                self._stopped = True
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
        job.help(instance)
        del job


class Workers:
    """The calling thread and ``len(instances) - 1`` threads beside it.

    Only one thread may call at a time. The threads start when they are first of use and hold no
    reference to this object.

    Attributes
    ----------
    helper_tasks : int
        Number of tasks so far that ran on a helper thread, not on the calling one.
    """

    def __init__(self, instances: Sequence[Instance]) -> None:
        self._instances = instances
        self._jobs: list[queue.SimpleQueue[_Job | None]] = []
        self._last: _Job | None = None
        self.helper_tasks = 0

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
        self._last = job
        try:
            for jobs in self._started(helpers):
                jobs.put(job)
            job.work(self._instances[0])
        finally:
            self.settle()
        if job.error is not None:
            raise job.error

    def settle(self) -> None:
        """Wait for helpers that were left behind by an interruption.

        What a signal's handler raises may end ``run`` between any two of its steps.
        """
        if self._last is not None:
            self._last.end()
            self.helper_tasks += sum(self._last.helped)
            self._last = None

    def _started(self, count: int) -> list[queue.SimpleQueue[_Job | None]]:
        """Return the first ``count`` helpers' queues, starting those that do not run yet."""
        while len(self._jobs) < count:
            jobs: queue.SimpleQueue[_Job | None] = queue.SimpleQueue()
            instance = self._instances[len(self._jobs) + 1]
            helper = threading.Thread(
                target=_serve, args=(instance, jobs), name="flashwasm", daemon=True
            )
            try:
                helper.start()
            except RuntimeError:  # No more threads are to be had: fewer do the same work.
                break
            self._jobs.append(jobs)
        return self._jobs[:count]

    def stop(self) -> None:
        """End the threads."""
        for jobs in self._jobs:
            jobs.put(None)
        self._jobs.clear()
