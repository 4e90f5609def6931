"""A shift of the soak: a process whose threads make calls and are disturbed."""

from __future__ import annotations

import faulthandler
import gc
import sys
import threading
import time
import traceback
from contextlib import suppress
from random import Random
from typing import TYPE_CHECKING

import flashwasm as fw
from bench.reliability.allocation_faults import allocation_fails
from bench.reliability.arena_audit import audit_runtime
from bench.reliability.bad_inputs import is_refused
from bench.reliability.disturbances import Disturber
from bench.reliability.index_owner import IndexOwner
from bench.reliability.prepared_calls import prepared_calls
from bench.reliability.tally import Tally

if TYPE_CHECKING:
    from bench.reliability.prepared_calls import PreparedCall

__all__ = ["main"]

_CALLERS = 3
# Longest timeout of a call, in seconds: most calls take less than a millisecond, so many end early.
_LONGEST = 2e-3
# Longest collection of garbage by another thread, in seconds.
_LONGEST_COLLECTION = 3.0


class Caller(threading.Thread):
    """A thread that makes calls until the shift ends, and compares each result.

    Parameters
    ----------
    shift : Shift
        The shift to which the thread belongs.
    number : int
        Number of the thread.
    """

    def __init__(self, shift: Shift, number: int) -> None:
        super().__init__(daemon=True)
        self._shift, self._random = shift, Random(f"{shift.seed} {number}")
        self._own = fw.Runtime(threads=1)
        self._owner = IndexOwner(self._own, shift.shared_index, number, self._random)

    def run(self) -> None:
        """Make calls until the shift ends."""
        tally = self._shift.tally
        kinds = (self._right, self._right, self._bad, self._timed, self._without_memory, self._use)
        while not self._shift.over.is_set():
            try:
                self._random.choice(kinds)(self._random.choice(self._shift.calls))
            except fw.Cancelled:
                tally.add("cancelled")
            except BaseException:  # noqa: BLE001 - the soak looks for unexpected errors.
                tally.fail("unexpected errors", traceback.format_exc(limit=-4))
            tally.add("calls")
        self._owner.close()
        del self._owner
        self._shift.close(self._own)

    def _right(self, call: PreparedCall) -> None:
        """Call in the shared runtime."""
        self._compare(call, self._shift.runtime)

    def _bad(self, call: PreparedCall) -> None:
        """Call with a bad argument."""
        self._shift.tally.add("bad inputs")
        if not is_refused(call, self._shift.runtime, self._random):
            self._shift.tally.fail("bad inputs accepted", call.name)

    def _timed(self, call: PreparedCall) -> None:
        """Call with a timeout that may be too short."""
        try:
            self._compare(call, self._shift.runtime, self._random.uniform(0, _LONGEST))
        except fw.DeadlineExceeded:
            self._shift.tally.add("timeouts")

    def _without_memory(self, call: PreparedCall) -> None:
        """Call while an allocation fails, and again."""
        nth, lasting = self._random.randint(1, 6), self._random.random() < 0.5
        with (
            allocation_fails(self._own, nth, lasting=lasting) as fault,
            suppress(fw.OutOfMemoryError),
        ):
            self._compare(call, self._own)
        self._shift.tally.add("failed allocations", int(fault.happened))
        self._compare(call, self._own)

    def _use(self, _: PreparedCall) -> None:
        """Use indexes and a cache."""
        if not self._owner.use():
            self._shift.tally.fail("wrong results", "an index or a cache")

    def _compare(
        self, call: PreparedCall, runtime: fw.Runtime, timeout: float | None = None
    ) -> None:
        """Call, and count a wrong result."""
        if not call.is_right(runtime, self._random, timeout):
            self._shift.tally.fail("wrong results", call.name)


class Shift:
    """Threads that make calls for some seconds, and a main thread that disturbs them.

    Parameters
    ----------
    seed : int
        Seed of all that is drawn.
    calls : int, default 28
        Number of different calls.

    Attributes
    ----------
    seed : int
        That seed.
    tally : Tally
        Counts so far.
    over : threading.Event
        Set when the threads should end.
    runtime : Runtime
        Runtime that all threads use.
    shared_index : ShardedIndex
        Index that all threads use.
    calls : list of PreparedCall
        Calls to draw from.
    """

    def __init__(self, seed: int, calls: int = 28) -> None:
        self.seed, self.tally, self.over = seed, Tally(), threading.Event()
        self.runtime = fw.Runtime(threads=2)
        self.shared_index = fw.ShardedIndex("flat", 24, shard_size=300, threads=1)
        self.calls = prepared_calls(Random(seed), self.runtime, calls)

    def run(self, seconds: float) -> None:
        """Run the threads for some seconds; then check for lost bytes."""
        end = time.monotonic() + seconds
        callers = [Caller(self, number) for number in range(_CALLERS)]
        for caller in callers:
            caller.start()
        disturber = Disturber(self.runtime, self.calls, self.tally, Random(self.seed))
        while time.monotonic() < end:
            try:
                disturber.disturb()
            except KeyboardInterrupt:
                # The timer fired while it was being switched off.
                self.tally.add("signals")
            except BaseException:  # noqa: BLE001 - as in `Caller.run`.
                self.tally.fail("unexpected errors", traceback.format_exc(limit=-4))
            self.tally.report(done=False)
        self.over.set()
        for caller in callers:
            caller.join()
        self.shared_index.close()
        del callers, caller
        self.calls.clear()
        self.close(self.runtime)

    def close(self, runtime: fw.Runtime) -> None:
        """Close a runtime after its arrays are gone, and count the bytes that it has lost."""
        end = time.monotonic() + _LONGEST_COLLECTION
        gc.collect()
        # The call did nothing if another thread was collecting, which may have taken the arrays.
        while runtime.stats().bytes_in_use and time.monotonic() < end:
            time.sleep(0.01)
            gc.collect()
        try:
            audit_runtime(runtime)
        except AssertionError as error:
            self.tally.fail("unexpected errors", str(error))
        lost = runtime.stats().bytes_in_use
        if lost:
            self.tally.fail("bytes leaked", f"with {runtime.threads} threads", lost)
        runtime.close()


def main(seed: int, seconds: float) -> None:
    """Run a shift in this process, and print its counts while it runs.

    Parameters
    ----------
    seed : int
        Seed of all that is drawn.
    seconds : float
        Duration of the threads' work.
    """
    faulthandler.enable()
    shift = Shift(seed)
    shift.run(seconds)
    shift.tally.report(done=True)


if __name__ == "__main__":
    main(int(sys.argv[1]), float(sys.argv[2]))
