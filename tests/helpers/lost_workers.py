"""Calls whose worker is killed the first time, as by a machine that fails or runs out of memory."""

import os
import signal
from pathlib import Path


def kill_once(marker):
    """End this process without a word, unless the file ``marker`` says that it was done before."""
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
        File that is made when the worker is lost.
    at : int
        Number of calls before the one that is lost.
    """

    def __init__(self, executor, marker, at=2):
        self._executor, self._marker, self._left = executor, str(marker), at
        self.threads = executor.threads

    def submit(self, function, *arguments):
        """Submit a call, or in its turn one that kills its worker."""
        self._left -= 1
        if self._left == -1:
            return self._executor.submit(killed_once, self._marker, function, *arguments)
        return self._executor.submit(function, *arguments)


def always_killed(*_arguments):
    """End this process without a word."""
    os.kill(os.getpid(), signal.SIGKILL)
