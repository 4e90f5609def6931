"""Another thread that changes an object while a test uses it."""

import threading
import time
from contextlib import contextmanager

from flashwasm.runtime.launch import Launch


class SlowLaunch(Launch):
    """A launch before which another thread has the time to change something."""

    def __init__(self, *arguments):
        super().__init__(*arguments)
        time.sleep(0.01)


@contextmanager
def changing(change):
    """Call a function again and again in another thread, within a ``with`` statement."""
    ended, errors = threading.Event(), []

    def run():
        try:
            while not ended.is_set():
                change()
        except BaseException as error:  # noqa: BLE001 - it is raised below.
            errors.append(error)

    thread = threading.Thread(target=run)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join(60)
    assert not thread.is_alive()
    if errors:
        raise errors[0]
