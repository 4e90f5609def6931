"""Workers: the threads that run a kernel's tasks, each with its own instance."""

from __future__ import annotations

import os
import queue
import threading
from itertools import chain, islice
from typing import TYPE_CHECKING

from flashwasm.errors import FlashWasmError
from flashwasm.kernel_table import STATUS_BAD_INDEX, STATUS_OK

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from flashwasm.host.instance import Instance
    from flashwasm.kernel_table import Kernel

    # The arguments of successive calls on one thread.
    Task = Iterable[Sequence[float]]
    Check = Callable[[str], None]

# Maximum number of threads of a runtime: far more than a machine has CPUs, and few enough that the
# stacks and workspaces take only about a quarter of the greatest linear memory.
MOST_THREADS = 1024


def available_cpus() -> int:
    """Return the number of CPUs that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def _never(operation: str) -> None:
    """Replace the check of a job that has ended and makes no more calls."""


class _Job:
    """Tasks of one kernel. Each thread takes the next task whenever it has finished one.

    Tasks may be generated while others run, so there may be more of them than fit into memory.
    """

    def __init__(self, kernel: Kernel, tasks: Iterable[Task], check: Check) -> None:
        self._kernel = kernel
        self._tasks = iter(tasks)
        # Number of tasks taken so far.
        self.taken = 0
        # Only one thread at a time may advance the generator of tasks.
        self._making = threading.Lock()
        self._check = check
        self._stopped = False
        # Instances of the helper threads that may be in a task.
        self._inside: list[Instance] = []
        self._leaving: queue.SimpleQueue[None] = queue.SimpleQueue()
        # Numbers of tasks that helper threads took, and of calls that all threads made. They are
        # lists because appending is atomic, unlike adding to a number.
        self.helped: list[int] = []
        self.calls: list[int] = []
        self.error: BaseException | None = None

    def work(self, instance: Instance) -> int:
        """Run tasks until none is left, and return the number of tasks that this thread took.

        The first error in any thread is stored and stops the other threads.
        """
        taken = calls = 0
        try:
            while not self._stopped:
                with self._making:
                    task = next(self._tasks, None)
                    self.taken += task is not None
                if task is None:
                    break
                taken += 1
                for arguments in task:
                    self._check(self._kernel.operation)
                    if self._stopped:
                        break
                    calls += 1
                    check_status(self._kernel, instance.call(self._kernel, arguments))
        except BaseException as error:  # noqa: BLE001 - the calling thread raises it again.
            self.error = self.error or error
            self._stopped = True
        self.calls.append(calls)
        return taken

    def help(self, instance: Instance) -> None:
        """Run tasks on a helper thread, and register it so that `end` waits for it."""
        self._inside.append(instance)
        try:
            self.helped.append(self.work(instance))
        finally:
            self._inside.remove(instance)
            self._leaving.put(None)

    def end(self) -> None:
        """Drop the remaining tasks, and wait for the helper threads that are running one.

        A signal handler may raise an exception meanwhile, such as KeyboardInterrupt. The helpers
        then stop after their current call, and the exception is raised when all have stopped.
        """
        # A helper thread that starts the job after this finds no tasks.
        self._tasks = iter(())
        interruption: BaseException | None = None
        while self._inside:
            try:
                self._leaving.get()
            except BaseException as error:  # noqa: BLE001, PERF203 - raised below; waits are slow.
                self._stopped = True
                interruption = error
        # A helper thread keeps the job alive until it takes the job out of its queue. The check
        # refers to the call's arrays, which must not be kept alive that long.
        self._check = _never
        if interruption is not None:
            raise interruption


def check_status(kernel: Kernel, status: int) -> None:
    """Raise FlashWasmError if a kernel rejected its arguments.

    Arguments are checked before a kernel is called, so this is a bug in flashwasm.
    """
    if status == STATUS_OK:
        return
    reason = "an index out of range" if status == STATUS_BAD_INDEX else "an argument"
    message = f"{kernel.export} refused {reason}"
    raise FlashWasmError(message)


def _serve(instance: Instance, jobs: queue.SimpleQueue[_Job | None]) -> None:
    """Help with jobs, on a helper thread, until the queue yields None."""
    while (job := jobs.get()) is not None:
        job.help(instance)
        del job


class Workers:
    """The calling thread and up to ``len(instances) - 1`` helper threads.

    Only one thread may call at a time. A helper thread starts when there is a task for it for the
    first time. It has no reference to this object, which can therefore be garbage-collected while
    helpers wait for work.

    Parameters
    ----------
    instances : sequence of Instance
        An instance for each thread, the calling thread's first.

    Attributes
    ----------
    helper_tasks : int
        Number of tasks so far that ran on helper threads.
    """

    def __init__(self, instances: Sequence[Instance]) -> None:
        self._instances = instances
        self._jobs: list[queue.SimpleQueue[_Job | None]] = []
        self._last: _Job | None = None
        self.helper_tasks = 0
        # Number of helper threads to which the last job was offered.
        self.offered = 0

    @property
    def first(self) -> Instance:
        """The calling thread's instance."""
        return self._instances[0]

    def run(self, kernel: Kernel, tasks: Iterable[Task], check: Check) -> int:
        """Run all tasks of a kernel, wait for them, and return the number of calls.

        Parameters
        ----------
        kernel : Kernel
            The kernel.
        tasks : iterable of iterable of sequence of float
            The arguments of the calls of each task.
        check : callable
            Function to call before each kernel call, on the same thread, with the name of the
            operation. It raises an error if the work must end.

        Raises
        ------
        DeadlineExceeded, Cancelled
            If ``check`` raises the error.
        KernelTrap, FlashWasmError
            If a call fails.
        """
        tasks = iter(tasks)
        # Start no more helpers than there are tasks. The calling thread takes one of these.
        first = list(islice(tasks, len(self._instances)))
        job = _Job(kernel, chain(first, tasks), check)
        self._last = job
        try:
            self.offered = max(len(first) - 1, 0)
            for jobs in self._started(self.offered):
                jobs.put(job)
            job.work(self._instances[0])
        finally:
            self.settle()
        try:
            if job.error is not None:
                raise job.error
        finally:
            # The error's traceback refers to the job. Break this cycle, so that the arrays of the
            # call are freed without the garbage collector.
            job.error = None
        return sum(job.calls)

    def settle(self) -> None:
        """Wait until no helper thread runs a task of the last job.

        A signal handler may raise an exception between any two steps of ``run``, which then ends
        without waiting. Code that reuses the memory of its operands must therefore call this first.
        """
        if self._last is not None:
            self._last.end()
            self.helper_tasks += sum(self._last.helped)
            self._last = None

    def _started(self, count: int) -> list[queue.SimpleQueue[_Job | None]]:
        """Return the queues of the first ``count`` helper threads; start missing threads."""
        while len(self._jobs) < count:
            jobs: queue.SimpleQueue[_Job | None] = queue.SimpleQueue()
            instance = self._instances[len(self._jobs) + 1]
            helper = threading.Thread(
                target=_serve, args=(instance, jobs), name="flashwasm", daemon=True
            )
            try:
                helper.start()
            except RuntimeError:  # The system allows no more threads, so fewer share the work.
                break
            self._jobs.append(jobs)
        return self._jobs[:count]

    def stop(self) -> None:
        """End the helper threads."""
        for jobs in self._jobs:
            jobs.put(None)
        self._jobs.clear()
