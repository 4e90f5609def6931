"""A comparison of a process's memory, objects and files before and after many mixed calls."""

from __future__ import annotations

import faulthandler
import gc
import json
import os
import sys
import tracemalloc
from pathlib import Path
from random import Random
from typing import TYPE_CHECKING, NamedTuple

import flashwasm as fw
from bench.reliability.allocation_faults import allocation_fails
from bench.reliability.arena_audit import audit_runtime
from bench.reliability.bad_inputs import is_refused
from bench.reliability.index_owner import IndexOwner
from bench.reliability.prepared_calls import prepared_calls

if TYPE_CHECKING:
    from bench.reliability.prepared_calls import PreparedCall

__all__ = ["Flatness", "Holdings", "main", "measure_flatness"]

# Number of counted calls for each call that fills caches and pools before the measurement.
_WARM_UP = 4


# Maximum growth of each figure, over any number of calls. Linear memory grows when a call needs
# more than any before it. The system reserves memory for a process in large pieces.
_MOST_GROWTH = {
    "in_use": 0,
    "reserved": 1 << 24,
    "objects": 300,
    "traced": 1 << 18,
    "descriptors": 0,
    "resident": 1 << 26,
}


class Holdings(NamedTuple):
    """Memory, objects and files of the process at one moment.

    Attributes
    ----------
    in_use, reserved : int
        Bytes of linear memory that are allocated, and that exist.
    objects : int
        Python objects that the garbage collector tracks.
    traced : int
        Bytes that Python's allocators have allocated since the measurement began.
    descriptors : int
        Open file descriptors; 0 if the system does not list them.
    resident : int
        Bytes of the process that are in memory; 0 if the system does not state them.
    """

    in_use: int
    reserved: int
    objects: int
    traced: int
    descriptors: int
    resident: int

    @classmethod
    def of(cls, runtime: fw.Runtime) -> Holdings:
        """Return the current figures of the process and a runtime."""
        gc.collect()
        stats = runtime.stats()
        listing, sizes = Path("/proc/self/fd"), Path("/proc/self/statm")
        linux = listing.is_dir()
        return cls(
            stats.bytes_in_use,
            stats.bytes_reserved,
            len(gc.get_objects()),
            tracemalloc.get_traced_memory()[0],
            len(list(listing.iterdir())) if linux else 0,
            int(sizes.read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE") if linux else 0,
        )


class Flatness(NamedTuple):
    """Figures before and after the calls, and the number of wrong results."""

    calls: int
    wrong: int
    before: Holdings
    after: Holdings

    def grown(self) -> dict[str, int]:
        """Return the growth of each figure."""
        pairs = zip(Holdings._fields, self.before, self.after, strict=True)
        return {name: after - before for name, before, after in pairs}

    def failures(self) -> list[str]:
        """Return a line for each figure that has grown too much, and for wrong results."""
        found = [
            f"{name} grew by {growth} in {self.calls} calls"
            for name, growth in self.grown().items()
            if growth > _MOST_GROWTH[name]
        ]
        return [*found, f"{self.wrong} wrong results"] if self.wrong else found


def measure_flatness(calls: int, seed: int = 0) -> Flatness:
    """Make valid, bad, timed-out and out-of-memory calls, and calls of indexes, in this process.

    Parameters
    ----------
    calls : int
        Number of calls between the two moments. Before them, each prepared call is made once, and
        then a quarter as many random calls.
    seed : int, default 0
        Seed of all random choices.
    """
    random = Random(seed)
    with fw.Runtime(threads=2) as runtime:
        prepared = prepared_calls(random, runtime, 14)
        tracemalloc.start()
        try:
            # The first call of each kind may import modules, which stay in memory.
            for call in prepared:
                call.is_right(runtime, random)
                is_refused(call, runtime, random)
            for _ in range(calls // _WARM_UP):
                _call(random.choice(prepared), runtime, random)
            # The number of vectors in indexes varies, so each count begins without indexes.
            _use_indexes(runtime, random, calls // 100)
            before, wrong = Holdings.of(runtime), 0
            for _ in range(calls):
                wrong += not _call(random.choice(prepared), runtime, random)
            wrong += _use_indexes(runtime, random, calls // 100)
            after = Holdings.of(runtime)
        finally:
            tracemalloc.stop()
        audit_runtime(runtime)
    return Flatness(calls, wrong, before, after)


def _use_indexes(runtime: fw.Runtime, random: Random, times: int) -> int:
    """Use indexes and a cache, drop them, and return the number of wrong results."""
    with fw.ShardedIndex("flat", 24, shard_size=300, threads=1) as shared:
        owner = IndexOwner(runtime, shared, 1, random)
        wrong = sum(not owner.use() for _ in range(times))
        owner.close()
    return wrong


def _call(call: PreparedCall, runtime: fw.Runtime, random: Random) -> bool:
    """Make one call of a random kind, and return True if its result or error is right."""
    kind = random.randrange(6)
    if kind == 0:
        return is_refused(call, runtime, random)
    try:
        if kind == 1:
            return call.is_right(runtime, random, timeout=random.uniform(0, 1e-3))
        if kind == 2:
            with allocation_fails(runtime, random.randint(1, 4), lasting=True):
                return call.is_right(runtime, random)
        return call.is_right(runtime, random)
    except (fw.DeadlineExceeded, fw.OutOfMemoryError):
        return True


def main(calls: int, seed: int) -> None:
    """Measure in this process, and print a line of JSON as a shift of the soak does.

    Parameters
    ----------
    calls : int
        Number of calls.
    seed : int
        Seed of all random choices.
    """
    faulthandler.enable()
    found = measure_flatness(calls, seed)
    counts = {"calls": calls, "wrong results": found.wrong, "growth": len(found.failures())}
    line = {"done": True, "counts": counts, "failures": found.failures(), "grown": found.grown()}
    sys.stdout.write(json.dumps(line) + "\n")


if __name__ == "__main__":
    main(int(sys.argv[1]), int(sys.argv[2]))
