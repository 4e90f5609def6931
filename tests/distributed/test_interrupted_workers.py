"""Workers whose context is left by an exception: only an interrupt ends calls under way."""

import os
import threading
import time
from concurrent.futures import BrokenExecutor, CancelledError

import pytest

from flashwasm.distributed import LocalWorkers


def begin(path, pid):
    """Write the number of this process to a file, and then run longer than any test may."""
    path.with_suffix(".part").write_text(str(pid()))
    path.with_suffix(".part").rename(path)
    threading.Event().wait(3600)


def begin_and_end(path):
    """Write a file at the start of a call, and another at its end."""
    path.write_text("")
    while not path.with_suffix(".go").exists():
        time.sleep(0.001)
    path.with_suffix(".end").write_text("")


def wait_for(path):
    while not path.exists():
        time.sleep(0.001)


def test_an_interrupt_ends_the_calls_under_way(tmp_path):
    with pytest.raises(KeyboardInterrupt), LocalWorkers(2) as workers:  # noqa: PT012
        finished = workers.submit(os.getpid)
        assert finished.result() > 0
        calls = [workers.submit(begin, tmp_path / str(i), os.getpid) for i in range(6)]
        for i in (0, 1):
            wait_for(tmp_path / str(i))
        raise KeyboardInterrupt
    assert all(call.done() for call in calls)
    for call in calls:
        with pytest.raises((BrokenExecutor, CancelledError)):
            call.result()
    for i in (0, 1):
        with pytest.raises(ProcessLookupError):
            os.kill(int((tmp_path / str(i)).read_text()), 0)


def test_another_exception_waits_for_the_calls_under_way(tmp_path):
    with pytest.raises(ZeroDivisionError), LocalWorkers(1) as workers:  # noqa: PT012
        workers.submit(begin_and_end, tmp_path / "call")
        wait_for(tmp_path / "call")
        (tmp_path / "call.go").write_text("")
        raise ZeroDivisionError
    assert (tmp_path / "call.end").exists()
