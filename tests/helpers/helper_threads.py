"""A runtime whose helper threads always take part, for any scheduling by the system."""

from contextlib import contextmanager
from time import monotonic, sleep

import flashwasm as fw

_PATIENCE = 10.0  # Seconds. A test waits this long only if a helper thread never starts.


class _PatientInstance:
    """The calling thread's instance, which waits until a helper thread has begun a task.

    Without it, the calling thread may finish all tasks of a small launch before a helper thread
    wakes up. A test of threads would then test only one thread.
    """

    def __init__(self, instance, workers):
        self._instance = instance
        self._workers = workers
        self._seen = None

    def __getattr__(self, name):
        return getattr(self._instance, name)

    def call(self, kernel, arguments):
        job = self._workers._last
        if job is not None and job is not self._seen:
            self._seen = job
            end = monotonic() + _PATIENCE
            # Helper threads do not get jobs of a single task.
            while self._workers.offered and job.taken == 1 and monotonic() < end:
                sleep(1e-5)
        return self._instance.call(kernel, arguments)


@contextmanager
def runtime_with_helpers(threads, **options):
    """Yield a runtime. If work is split into tasks, a helper thread runs at least one of them."""
    with fw.Runtime(threads=threads, **options) as runtime:
        workers = runtime.workers
        first, *others = workers._instances
        workers._instances = [_PatientInstance(first, workers), *others]
        yield runtime
