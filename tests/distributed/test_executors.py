"""Executors of every kind: order of results, limited parallel calls, errors, and lost workers."""

from concurrent.futures import Future, ThreadPoolExecutor

import pytest

import flashwasm as fw
from flashwasm.distributed import LocalWorkers
from flashwasm.distributed.executors import Call, results_in_order, workers_of
from flashwasm.distributed.worker_runtime import WorkerSetup
from lost_workers import always_killed


def test_results_come_in_order_and_few_calls_are_under_way():
    cut = []
    with ThreadPoolExecutor(3) as pool:
        calls = (Call(pow, (lambda i=i: cut.append(i) or i, 2)) for i in range(50))
        results = results_in_order(workers_of(pool), calls)
        assert next(results) == 0
        assert len(cut) < 10
        assert list(results) == [i**2 for i in range(1, 50)]


def test_an_executor_with_submit_alone_will_do():
    class Inline:
        """An executor that calls each function at once."""

        def submit(self, function, *arguments):
            """Return the future of a call."""
            future = Future()
            future.set_result(function(*arguments))
            return future

    assert list(results_in_order(workers_of(Inline()), [Call(abs, (-3,))])) == [3]
    for executor in (None, 1, "pool", ThreadPoolExecutor, object()):
        with pytest.raises(
            fw.DTypeError, match="executor: expected an object with a method submit"
        ):
            workers_of(executor)


def test_the_error_of_a_call_comes_through(local_workers):
    with pytest.raises(ZeroDivisionError):
        list(results_in_order(workers_of(local_workers), [Call(divmod, (1, 0))]))


def test_a_call_that_kills_every_worker_ends_with_an_error():
    with LocalWorkers(1) as workers:
        with pytest.raises(fw.CapabilityError, match=r"several times.* more memory"):
            list(results_in_order(workers_of(workers), [Call(always_killed, ())]))
        assert workers.submit(abs, -3).result() == 3


def test_each_process_keeps_one_runtime(local_workers):
    setup = WorkerSetup.of(workers_of(local_workers))
    seen = {local_workers.submit(_runtime_and_process, setup).result() for _ in range(8)}
    assert len({process for _, process in seen}) == len(seen) <= 2


def _runtime_and_process(setup):
    """Return what tells a runtime from others, and its process."""
    import os  # noqa: PLC0415 - the worker imports it.

    first, again = setup.runtime(), setup.runtime()
    assert first is again
    return id(first), os.getpid()


def test_a_worker_with_other_kernels_says_so():
    setup = WorkerSetup.of(workers_of(ThreadPoolExecutor(1)))
    other = WorkerSetup(setup.threads, setup.variant, "0" * 64)
    with pytest.raises(fw.CapabilityError, match="same release of flashwasm"):
        other.runtime()
