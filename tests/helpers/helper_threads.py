"""A runtime whose helper threads certainly take part, however the system schedules them."""

from contextlib import contextmanager
from time import monotonic, sleep

import flashwasm as fw

_PATIENCE = 10.0  # Seconds. A test waits this long only if a helper thread never starts.


class _PatientInstance:
    """The calling thread's instance, which waits until a helper thread has taken a task.

    Without it the calling thread may finish all tasks of a small launch before a helper thread
    wakes up, and a test of threads would have tested one thread.
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
            # A job of one task is not offered to helper threads.
            while self._workers.offered and job.taken == 1 and monotonic() < end:
                sleep(1e-5)
        return self._instance.call(kernel, arguments)


@contextmanager
def runtime_with_helpers(threads, **options):
    """Yield a runtime. If work is split into tasks, a helper thread takes at least one of them."""
    with fw.Runtime(threads=threads, **options) as runtime:
        workers = runtime.workers
        first, *others = workers._instances
        workers._instances = [_PatientInstance(first, workers), *others]
        yield runtime
