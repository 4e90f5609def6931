"""Arrays in linear memory that grow: a call that ends early leaves them as they were."""

import contextlib
import itertools

import numpy as np
import pytest

import flashwasm as fw
from bench.reliability.allocation_faults import allocation_fails
from flashwasm.errors import DeadlineExceeded
from flashwasm.runtime.work_limits import MOST_ELEMENTS
from flashwasm.search.growable_array import GrowableArray

# Rows of 64 floats that are copied in several pieces.
SEVERAL = 16 * MOST_ELEMENTS // 64


def ended_at(call):
    """Return a function that raises an error when it is called for that time."""
    calls = iter(range(1, 10_000))

    def between():
        if next(calls) == call:
            raise DeadlineExceeded("the time is over")

    return between


@pytest.mark.parametrize("call", [1, 3, 6])
def test_growing_can_end_between_two_pieces(call):
    with fw.Runtime(threads=1) as runtime:
        array = GrowableArray(runtime.arena, (64,), np.float32)
        array.reserve(SEVERAL)
        array.all[:] = np.arange(SEVERAL)[:, None]
        before, in_use = array.all.copy(), runtime.stats().bytes_in_use
        with pytest.raises(DeadlineExceeded):
            array.reserve(2 * SEVERAL, ended_at(call))
        assert array.all.tobytes() == before.tobytes()
        assert runtime.stats().bytes_in_use == in_use
        array.reserve(2 * SEVERAL, lambda: None)
        assert array.all[:SEVERAL].tobytes() == before.tobytes()
        assert not array.all[SEVERAL:].any()


@pytest.mark.parametrize("kind", [fw.FlatIndex, fw.HNSWIndex])
def test_an_index_looks_at_the_time_while_it_makes_room(kind, monkeypatch):
    """Clearing room for gigabytes takes seconds."""
    reserve = GrowableArray.reserve
    missing = []

    def watched(self, rows, between=None):
        if between is None:
            missing.append(rows)
        reserve(self, rows, between)

    with fw.Runtime(threads=1) as runtime:
        index = kind(8, runtime=runtime)
        monkeypatch.setattr(GrowableArray, "reserve", watched)
        index.add(np.eye(8, dtype=np.float32))
    assert not missing


@pytest.mark.parametrize("dtype", ["float32", "int8"])
@pytest.mark.parametrize("kind", [fw.FlatIndex, fw.HNSWIndex])
def test_removing_after_an_addition_without_memory_does_all_or_nothing(kind, dtype):
    """The addition leaves rows in the host's memory. Removing has to move them back first."""
    for failing, again in itertools.product(range(1, 6), range(1, 5)):
        with fw.Runtime(threads=1) as runtime:
            index = kind(8, metric="l2", dtype=dtype, runtime=runtime)
            index.add(np.tile(np.eye(8, dtype=np.float32), (16, 1)))
            ends = contextlib.suppress(fw.OutOfMemoryError)
            with ends, allocation_fails(runtime, failing, lasting=True):
                index.add(np.ones((400, 8), np.float32))
            before, removed = len(index), 1
            with allocation_fails(runtime, again, lasting=True):
                try:
                    index.remove([3])
                except fw.OutOfMemoryError:
                    removed = 0
            assert len(index) == before - removed
            assert (3 in index) == (not removed)
