"""Calls that another thread cancels, alone or by closing the runtime."""

import asyncio
import threading
from time import sleep

import numpy as np
import pytest

import flashwasm as fw
from flashwasm.runtime import locks
from sample_arrays import assert_same_bits, normal

# A call that would take minutes, whatever the machine.
LONG = np.broadcast_to(np.float32(1), (64, 100_000, 64))


def begun(runtime, call):
    """Start a call on another thread; when it runs, return the thread and the errors it raises."""
    errors = []

    def work():
        try:
            call()
        except fw.FlashWasmError as error:
            # A traceback would keep the call's arrays alive.
            errors.append(error.with_traceback(None))

    thread = threading.Thread(target=work)
    thread.start()
    while thread.is_alive() and runtime.lock.acquire(blocking=False):
        runtime.lock.release()
        sleep(1e-3)
    return thread, errors


@pytest.mark.parametrize("threads", [1, 2])
def test_a_running_call_is_cancelled(threads):
    with fw.Runtime(threads=threads) as rt:
        x = rt.asarray(normal(1, 200_000, 64))
        held = rt.stats().bytes_in_use
        thread, errors = begun(rt, lambda: fw.attention(x, x, x, runtime=rt))
        rt.cancel()
        thread.join(60)
        assert not thread.is_alive()
        assert [type(error) for error in errors] == [fw.Cancelled]
        assert "attention was cancelled" in str(errors[0])
        assert rt.stats().bytes_in_use == held
        assert_same_bits(fw.vecadd([1.0], [2.0], runtime=rt), np.float32([3]))


def test_a_waiting_call_is_cancelled_too(monkeypatch):
    waiting = threading.Event()

    def held(*arguments):
        waiting.set()
        return locks.held(*arguments)

    with fw.Runtime(threads=1) as rt:
        thread, errors = begun(rt, lambda: fw.attention(LONG[:1], LONG[:1], LONG[:1], runtime=rt))
        # Each call asks this function for the lock when it begins.
        monkeypatch.setattr("flashwasm.runtime.launch.held", held)
        other, others = begun(rt, lambda: fw.vecadd([1.0], [2.0], runtime=rt))
        assert waiting.wait(60)
        rt.cancel()
        for one in (thread, other):
            one.join(60)
            assert not one.is_alive()
        assert [type(error) for error in errors + others] == [fw.Cancelled] * 2


def test_a_call_in_parts_is_cancelled_as_a_whole():
    with fw.Runtime(threads=1, max_memory=1 << 27) as rt:
        thread, errors = begun(rt, lambda: fw.attention(LONG, LONG, LONG, runtime=rt))
        rt.cancel()
        thread.join(60)
        assert not thread.is_alive()
        assert [type(error) for error in errors] == [fw.Cancelled]


def test_closing_can_cancel():
    rt = fw.Runtime(threads=1)
    thread, errors = begun(rt, lambda: fw.attention(LONG[:1], LONG[:1], LONG[:1], runtime=rt))
    rt.close(cancel=True)
    thread.join(60)
    assert [type(error) for error in errors] == [fw.Cancelled]
    with pytest.raises(fw.ClosedError):
        fw.vecadd([1.0], [2.0], runtime=rt)


def test_an_asyncio_task_that_gives_up_ends_its_call():
    async def main(rt):
        x = LONG[:1]
        task = asyncio.create_task(asyncio.to_thread(fw.attention, x, x, x, runtime=rt))
        while not task.done() and rt.lock.acquire(blocking=False):
            rt.lock.release()
            await asyncio.sleep(1e-3)
        try:
            await asyncio.wait_for(asyncio.shield(task), 0.2)
        except asyncio.TimeoutError:
            rt.cancel()
        with pytest.raises(fw.Cancelled):
            await task

    with fw.Runtime(threads=1) as rt:
        asyncio.run(main(rt))
        assert_same_bits(fw.vecadd([1.0], [2.0], runtime=rt), np.float32([3]))
