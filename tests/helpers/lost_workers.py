"""Calls whose first worker is killed, as if its machine failed or ran out of memory."""

import os
import signal
from pathlib import Path


def kill_once(marker):
    """Kill this process, unless the file ``marker`` shows that a process was killed before."""
    try:
        with Path(marker).open("x"):
            pass
    except FileExistsError:
        return
    os.kill(os.getpid(), signal.SIGKILL)


def killed_once(marker, function, *arguments):
    """Return the result of a call whose first worker is killed."""
    kill_once(marker)
    return function(*arguments)


class LosesOneWorker:
    """An executor that loses the worker of one of its calls.

    Parameters
    ----------
    executor : LocalWorkers
        The executor.
    marker : pathlib.Path
        File that is created when the worker is lost.
    at : int
        Number of calls before the lost one.
    """

    def __init__(self, executor, marker, at=2):
        self._executor, self._marker, self._left = executor, str(marker), at
        self.threads = executor.threads

    def submit(self, function, *arguments):
        """Submit a call; the call after ``at`` others kills its worker."""
        self._left -= 1
        if self._left == -1:
            return self._executor.submit(killed_once, self._marker, function, *arguments)
        return self._executor.submit(function, *arguments)


def always_killed(*_arguments):
    """Kill this process."""
    os.kill(os.getpid(), signal.SIGKILL)
