"""A comparison of what a process holds before and after many mixed calls."""

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

# Share of the calls that fill caches and pools before anything is measured.
_WARM_UP = 4


# Most that each figure may grow by, over any number of calls. Linear memory grows when a call needs
# more than any before it, and memory that the system holds ready for a process comes in large
# pieces.
_MOST_GROWTH = {
    "in_use": 0,
    "reserved": 1 << 24,
    "objects": 300,
    "traced": 1 << 18,
    "descriptors": 0,
    "resident": 1 << 26,
}


class Holdings(NamedTuple):
    """Memory, objects and files that the process holds at one moment.

    Attributes
    ----------
    in_use, reserved : int
        Bytes of linear memory that are handed out, and that exist.
    objects : int
        Python objects that the garbage collector knows.
    traced : int
        Bytes that Python's allocators have handed out since the measurement began.
    descriptors : int
        Open file descriptors; 0 where the system does not list them.
    resident : int
        Bytes of the process that are in memory; 0 where the system does not say.
    """

    in_use: int
    reserved: int
    objects: int
    traced: int
    descriptors: int
    resident: int

    @classmethod
    def of(cls, runtime: fw.Runtime) -> Holdings:
        """Return what the process and a runtime hold now."""
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
    """Holdings before and after the calls, and the number of wrong results."""

    calls: int
    wrong: int
    before: Holdings
    after: Holdings

    def grown(self) -> dict[str, int]:
        """Return by how much each figure has grown."""
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
    """Make mixed calls in this process: right, bad, out of time, out of memory, and of indexes.

    Parameters
    ----------
    calls : int
        Number of calls between the two moments. Each prepared call, and a quarter as many, come
        before.
    seed : int, default 0
        Seed of all that is drawn.
    """
    random = Random(seed)
    with fw.Runtime(threads=2) as runtime:
        prepared = prepared_calls(random, runtime, 14)
        tracemalloc.start()
        try:
            # What a call imports when it is made for the first time stays.
            for call in prepared:
                call.is_right(runtime, random)
                is_refused(call, runtime, random)
            for _ in range(calls // _WARM_UP):
                _call(random.choice(prepared), runtime, random)
            # Indexes hold more or fewer vectors as time goes on, so each count begins without any.
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
    """Use indexes and a cache, drop them, and return how many results were wrong."""
    with fw.ShardedIndex("flat", 24, shard_size=300, threads=1) as shared:
        owner = IndexOwner(runtime, shared, 1, random)
        wrong = sum(not owner.use() for _ in range(times))
        owner.close()
    return wrong


def _call(call: PreparedCall, runtime: fw.Runtime, random: Random) -> bool:
    """Make one call of some kind, and return True if it did what it should."""
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
        Seed of all that is drawn.
    """
    faulthandler.enable()
    found = measure_flatness(calls, seed)
    counts = {"calls": calls, "wrong results": found.wrong, "growth": len(found.failures())}
    line = {"done": True, "counts": counts, "failures": found.failures(), "grown": found.grown()}
    sys.stdout.write(json.dumps(line) + "\n")


if __name__ == "__main__":
    main(int(sys.argv[1]), int(sys.argv[2]))
