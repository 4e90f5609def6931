"""One runtime used by many threads at once: results, cancellation, and closing during calls."""

import contextlib
import gc
import threading

import numpy as np
import pytest

import flashwasm as fw
from sample_arrays import assert_same_bits, normal

THREADS = 8


def in_threads(count, work):
    """Run ``work(number)`` on several threads that begin together; raise the first error."""
    start, errors = threading.Barrier(count), []

    def run(number):
        start.wait()
        try:
            work(number)
        except BaseException as error:  # noqa: BLE001 - it is raised below.
            errors.append(error)

    threads = [threading.Thread(target=run, args=[number]) for number in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
        assert not thread.is_alive()
    if errors:
        raise errors[0]


def calls_of(number):
    """Return calls on operands that are one thread's own, as functions of the runtime."""
    rows = 40 + 17 * number
    a, b = normal(rows, 96, seed=number), normal(96, 70, seed=number + 100)
    q = normal(3, rows, 32, seed=number + 200)
    return [
        lambda rt: fw.matmul(a, b, runtime=rt),
        lambda rt: fw.softmax(rt.asarray(a), runtime=rt).copy(),
        lambda rt: fw.layer_norm(a, out=np.empty_like(a), runtime=rt),
        lambda rt: fw.attention(q, q, q, causal=True, runtime=rt),
        lambda rt: fw.cosine_top_k(a[:5], a, 4, runtime=rt)[1],
    ]


@pytest.mark.parametrize("threads", [1, 2])
def test_each_thread_gets_its_own_results(threads):
    """The operands of each thread differ from those of all others in values and in shape."""
    calls = [calls_of(number) for number in range(THREADS)]
    with fw.Runtime(threads=1) as alone:
        expected = [[call(alone) for call in mine] for mine in calls]

    with fw.Runtime(threads=threads) as rt:

        def work(number):
            for _ in range(8):
                for call, right in zip(calls[number], expected[number], strict=True):
                    np.testing.assert_array_equal(call(rt), right)

        in_threads(THREADS, work)
        gc.collect()
        assert rt.stats().bytes_in_use == 0


def test_a_call_that_is_cancelled_among_many_leaves_the_others_right():
    calls = [calls_of(number) for number in range(THREADS)]
    with fw.Runtime(threads=2) as rt:
        expected = [[call(rt) for call in mine] for mine in calls]
        ended = threading.Event()

        def work(number):
            if number == 0:
                while not ended.wait(0.002):
                    rt.cancel()
                return
            try:
                for _ in range(5):
                    for call, right in zip(calls[number], expected[number], strict=True):
                        with contextlib.suppress(fw.Cancelled):
                            np.testing.assert_array_equal(call(rt), right)
            finally:
                if number == 1:
                    ended.set()

        in_threads(THREADS, work)
        gc.collect()
        assert rt.stats().bytes_in_use == 0
        assert_same_bits(calls[3][0](rt), expected[3][0])


def test_closing_waits_for_the_call_that_runs():
    x = normal(4, 3000, 64)
    with fw.Runtime(threads=1) as alone:
        expected = fw.attention(x, x, x, runtime=alone)
    rt = fw.Runtime(threads=2)
    results = []
    thread = threading.Thread(target=lambda: results.append(fw.attention(x, x, x, runtime=rt)))
    thread.start()
    while thread.is_alive() and rt.lock.acquire(blocking=False):
        rt.lock.release()
    rt.close()
    thread.join(60)
    assert_same_bits(results[0], expected)
    for use in (lambda: fw.vecadd([1.0], [2.0], runtime=rt), rt.stats, lambda: rt.empty(3)):
        with pytest.raises(fw.ClosedError, match="the runtime is closed"):
            use()
    rt.close()
