"""Disturbances by a process's main thread: signals, cancellations, closing, and asyncio."""

from __future__ import annotations

import asyncio
import signal
import threading
import time
from contextlib import suppress
from typing import TYPE_CHECKING

import flashwasm as fw

if TYPE_CHECKING:
    from collections.abc import Sequence
    from random import Random

    from bench.reliability.prepared_calls import PreparedCall
    from bench.reliability.tally import Tally

__all__ = ["Disturber"]


class Disturber:
    """Source of disturbances, one at a time, of a runtime that other threads use.

    Parameters
    ----------
    runtime : Runtime
        The runtime.
    calls : sequence of PreparedCall
        Calls to make during disturbances.
    tally : Tally
        Counts to add to.
    random : random.Random
        Generator that draws the disturbances and their moments.
    """

    def __init__(
        self, runtime: fw.Runtime, calls: Sequence[PreparedCall], tally: Tally, random: Random
    ) -> None:
        self._runtime, self._calls, self._tally, self._random = runtime, calls, tally, random
        signal.signal(signal.SIGALRM, signal.default_int_handler)

    def disturb(self) -> None:
        """Make one disturbance of a random kind."""
        self._random.choice((self._interrupt, self._cancel, self._close, self._give_up))()

    def _interrupt(self) -> None:
        """Make signals raise KeyboardInterrupt at random moments of this thread's calls."""
        for _ in range(50):
            call = self._random.choice(self._calls)
            try:
                signal.setitimer(signal.ITIMER_REAL, self._random.uniform(1e-6, 3e-3))
                self._compare(call, self._runtime)
                signal.setitimer(signal.ITIMER_REAL, 0)
            except KeyboardInterrupt:
                self._tally.add("signals")
            except fw.Cancelled:
                self._tally.add("cancelled")
            finally:
                self._stop_timer()

    def _stop_timer(self) -> None:
        """Switch the timer off, although it may fire meanwhile."""
        while True:
            try:
                signal.setitimer(signal.ITIMER_REAL, 0)
            except KeyboardInterrupt:  # noqa: PERF203 - it comes once at most.
                self._tally.add("signals")
            else:
                return

    def _cancel(self) -> None:
        """Cancel the calls of other threads several times."""
        for _ in range(20):
            time.sleep(self._random.uniform(0, 5e-3))
            self._runtime.cancel()
            self._tally.add("cancellations")

    def _close(self) -> None:
        """Close a runtime in which another thread makes calls."""
        runtime, call = fw.Runtime(threads=2), self._random.choice(self._calls)

        def use() -> None:
            with suppress(fw.ClosedError, fw.Cancelled):
                while True:
                    self._compare(call, runtime)

        thread = threading.Thread(target=use, daemon=True)
        thread.start()
        time.sleep(self._random.uniform(0, 0.02))
        runtime.close(cancel=self._random.random() < 0.5)
        thread.join()
        self._tally.add("runtimes closed during calls")

    def _give_up(self) -> None:
        """Abandon calls that run in threads of asyncio."""

        async def use() -> None:
            for _ in range(10):
                call = self._random.choice(self._calls)
                task = asyncio.create_task(asyncio.to_thread(self._compare, call, self._runtime))
                await asyncio.sleep(self._random.uniform(0, 2e-3))
                task.cancel()
                self._runtime.cancel()
                self._tally.add("cancellations")
                with suppress(asyncio.CancelledError, fw.Cancelled):
                    await task

        asyncio.run(use())

    def _compare(self, call: PreparedCall, runtime: fw.Runtime) -> None:
        """Call, and count a wrong result."""
        self._tally.add("calls")
        # Each thread has its own generator.
        if not call.is_right(runtime, type(self._random)(call.name)):
            self._tally.fail("wrong results", call.name)
