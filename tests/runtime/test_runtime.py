"""Runtimes: statistics, closing, threads and processes, timeouts, and errors."""

import dataclasses
import gc
import multiprocessing
import os
import threading
import time

import numpy as np
import pytest

import flashwasm as fw
from every_operation import OPERATIONS, in_child
from flashwasm.oracles import bounds
from flashwasm.runtime.launch import Launch
from helper_threads import runtime_with_helpers
from sample_arrays import assert_same_bits, normal


def test_stats():
    with fw.Runtime(threads=1) as rt:
        before = rt.stats()
        fw.matmul(normal(200, 200), normal(200, 200), runtime=rt)
        after = rt.stats()
    assert dataclasses.is_dataclass(after)
    assert after.calls > before.calls == 0
    assert after.kernel_seconds > before.kernel_seconds == 0
    assert after.copy_seconds > before.copy_seconds == 0
    assert after.bytes_in_use == before.bytes_in_use
    # Two operands and a result of 160,000 bytes passed through.
    assert before.bytes_peak < 3 * 160_000 <= after.bytes_peak <= after.bytes_reserved


# Closing a runtime.


@pytest.mark.parametrize("name", OPERATIONS)
def test_operations_on_a_closed_runtime(name):
    rt = fw.Runtime(threads=1)
    rt.close()
    rt.close()
    with pytest.raises(fw.ClosedError):
        OPERATIONS[name](runtime=rt)


def test_every_use_of_a_closed_runtime():
    with fw.Runtime(threads=1) as rt:
        array = rt.asarray(normal(5))
    for use in (lambda: rt.empty(3), lambda: rt.asarray(normal(3)), rt.stats, rt.__enter__):
        with pytest.raises(fw.ClosedError):
            use()
    with pytest.raises(fw.ClosedError):
        rt.asarray(array)
    assert_same_bits(fw.vecadd(array, array), 2 * normal(5))


@pytest.mark.parametrize(
    "end",
    [
        "rt.close()",
        "del rt",
        "rt.close(); del rt; gc.collect()",
        "rt.__exit__(None, None, None)",
        "sys.exit(0)",
    ],
)
def test_no_view_dangles(end):
    """A view that outlived its memory would crash the process, so a child process tries it."""
    code = f"""
import gc, sys, weakref
rt = fw.Runtime(threads=2)
array = rt.asarray(np.arange(100_000, dtype=np.float32))
result = fw.vecadd(array, array, out=rt.empty(array.shape), runtime=rt)
view = result[1::2].reshape(2, -1).T
del result
{end}
gc.collect()
view[...] += 1
others = [fw.Runtime(threads=1).empty(1000) for _ in range(3)]
print(int(view.sum(dtype=float)), int(array.sum(dtype=float)), len(others))
"""
    printed = in_child(code)
    assert end == "sys.exit(0)" or printed.split() == ["5000050000", "4999950000", "3"]


def test_many_runtimes_come_and_go():
    code = """
import gc, threading
for _ in range(60):
    with fw.Runtime(threads=2) as rt:
        a = rt.asarray(np.ones((300, 300), np.float32))
        assert fw.matmul(a, a, runtime=rt)[5, 5] == 300
for _ in range(60):
    rt = fw.Runtime(threads=2, max_memory=64 << 20)
    fw.softmax(np.ones((300, 300), np.float32), runtime=rt)
del rt, a
gc.collect()
print(threading.active_count())
"""
    assert int(in_child(code)) <= 3


def test_default_runtime():
    code = """
first = fw.default_runtime()
assert first is fw.default_runtime()
fw.vecadd([1.0], [2.0])
assert first.stats().calls == 1
first.close()
print(fw.vecadd([1.0], [2.0])[0], fw.default_runtime() is first)
"""
    assert in_child(code).split() == ["3.0", "False"]


def test_import_starts_no_thread():
    assert in_child("import threading\nprint(threading.active_count())") == "1\n"


# Threads and processes.


def test_one_runtime_serves_many_threads(threaded_runtime):
    runtime = threaded_runtime
    a, b = normal(130, 300), normal(300, 70)
    x = normal(301, 300)
    product, probabilities = fw.matmul(a, b, runtime=runtime), fw.softmax(x, runtime=runtime)
    failures = []

    def work():
        try:
            for _ in range(30):
                assert_same_bits(fw.matmul(a, b, runtime=runtime), product)
                assert_same_bits(fw.softmax(x, runtime=runtime), probabilities)
                resident = runtime.asarray(x)
                assert_same_bits(fw.softmax(resident, runtime=runtime), probabilities)
        except BaseException as error:  # noqa: BLE001 - it is reported by the main thread.
            failures.append(error)

    threads = [threading.Thread(target=work) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not failures


def test_tasks_of_helper_threads_are_counted():
    x = normal(301, 997)
    with fw.Runtime(threads=1) as alone:
        fw.softmax(x, runtime=alone)
        assert alone.workers.helper_tasks == 0
    with runtime_with_helpers(2) as rt:
        calls = rt.stats().calls
        fw.softmax(x, runtime=rt)
        # Each of these tasks is one call. The calling thread may take none of them.
        assert 0 < rt.workers.helper_tasks <= rt.stats().calls - calls
        counted = rt.workers.helper_tasks
        fw.softmax(x[:5], runtime=rt)
        assert rt.workers.helper_tasks == counted


@pytest.mark.parametrize("threads", [2, 3, 4])
def test_operations_without_tasks(threads):
    """An operation on empty arrays has no tasks. The next one must still wait for its own."""
    x = normal(12, 300, 64)
    with fw.Runtime(threads=threads) as rt:
        expected = fw.attention(x, x, x, runtime=rt)
        for _ in range(3):
            fw.attention(x[:, :0], x, x, runtime=rt)
            fw.softmax(x[:0], runtime=rt)
            fw.matmul(x[:0], x[0].T, runtime=rt)
            assert_same_bits(fw.attention(x, x, x, runtime=rt), expected)


def test_closing_while_others_work():
    rt = fw.Runtime(threads=2)
    a = normal(300, 300)
    ends = []

    def work():
        try:
            while True:
                fw.matmul(a, a, runtime=rt)
        except fw.ClosedError:
            ends.append("closed")

    threads = [threading.Thread(target=work) for _ in range(3)]
    for thread in threads:
        thread.start()
    time.sleep(0.05)
    rt.close()
    for thread in threads:
        thread.join(300)
    assert ends == ["closed"] * 3


FORK = """
import os, time
x = np.linspace(-3, 3, 100_000, dtype=np.float32)
rt = fw.Runtime(threads=2)
expected = fw.gelu(x)
fw.gelu(x, runtime=rt)
child = os.fork()
if child == 0:
    code = 1
    try:
        try:
            fw.gelu(x, runtime=rt)
        except fw.ClosedError:
            code = 0 if (fw.gelu(x) == expected).all() else 2
    finally:
        os._exit(code)
deadline = time.monotonic() + 300
while time.monotonic() < deadline:
    done, status = os.waitpid(child, os.WNOHANG)
    if done:
        break
    time.sleep(0.02)
else:
    os.kill(child, 9)
    status = "hung"
print(status, (fw.gelu(x, runtime=rt) == expected).all())
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="the platform has no fork")
def test_fork():
    """The parent's runtimes are closed in the child, which gets a default one of its own."""
    assert in_child(FORK).split() == ["0", "True"]


@pytest.mark.parametrize(
    "method", sorted({"fork", "spawn", "forkserver"} & set(multiprocessing.get_all_start_methods()))
)
def test_process_pool(method):
    code = f"""
import multiprocessing
if __name__ == "__main__":
    fw.vecadd([1.0], [1.0])
    context = multiprocessing.get_context({method!r})
    with context.Pool(2) as pool:
        x = [np.full((50, 50), i, np.float32) for i in range(4)]
        print(*[y[0, 0] for y in pool.starmap_async(fw.matmul, zip(x, x)).get(300)])
"""
    assert in_child(code).split() == ["0.0", "50.0", "200.0", "450.0"]


def test_interrupt():
    """Ctrl-C ends a long operation before most of it is done; the runtime is usable after it."""
    code = """
import signal
x = np.ones((12, 8192, 128), np.float32)
rt = fw.Runtime(threads=2)
x, out = rt.asarray(x), rt.empty(x.shape)
fw.attention(x[:, :8], x, x, runtime=rt)
out[...] = np.nan
signal.signal(signal.SIGALRM, signal.default_int_handler)
try:
    signal.setitimer(signal.ITIMER_REAL, 0.2)
    fw.attention(x, x, x, out=out, runtime=rt)
except KeyboardInterrupt:
    print("interrupted", np.isnan(out).mean())
print(fw.vecadd([1.0], [2.0], runtime=rt)[0])
"""
    word, left, after = in_child(code).split()
    assert word == "interrupted"
    assert float(left) > 0.5
    assert after == "3.0"


@pytest.mark.parametrize("raised", [KeyboardInterrupt, ZeroDivisionError])
def test_no_helper_works_on_after_an_interruption(monkeypatch, raised):
    """A signal's handler raises an exception just after a helper thread has begun its work."""
    # So much work that a helper which went on would still be at it after the pause below.
    x = normal(1600, 1600)
    with fw.Runtime(threads=2) as rt:
        right = fw.matmul(x, x, runtime=rt)
        operand, out = rt.asarray(x), rt.empty(x.shape)
        started = rt.workers._started  # noqa: SLF001 - the exception is to come inside it.

        def interrupted(count):
            for queue in started(count):
                yield queue
                time.sleep(0.01)
                raise raised

        # On a loaded machine, a helper may be done with everything before the exception comes.
        for _ in range(20):
            out[...] = np.nan
            with monkeypatch.context() as patch:
                patch.setattr(rt.workers, "_started", interrupted)
                with pytest.raises(raised):
                    fw.matmul(operand, operand, out=out, runtime=rt)
            left = out.copy()
            if np.isnan(left).any():
                break
        time.sleep(0.2)
        assert_same_bits(out, left)
        assert np.isnan(left).any()
        assert_same_bits(fw.matmul(x, x, runtime=rt), right)


def test_fewer_threads_do_the_same_work(monkeypatch):
    def refused(_):
        message = "can't start new thread"
        raise RuntimeError(message)

    x = normal(700, 700)
    monkeypatch.setattr(threading.Thread, "start", refused)
    with fw.Runtime(threads=3) as rt, fw.Runtime(threads=1) as alone:
        assert_same_bits(fw.matmul(x, x, runtime=rt), fw.matmul(x, x, runtime=alone))


@pytest.mark.skipif(not hasattr(os, "fork"), reason="limits are POSIX")
def test_too_few_addresses():
    """The error names the limit that leaves less than 4 GiB of addresses."""
    code = """
import resource
resource.setrlimit(resource.RLIMIT_AS, (6 << 30, 6 << 30))
runtimes = [fw.Runtime(threads=1)]
try:
    runtimes.append(fw.Runtime(threads=1))
except fw.CapabilityError as error:
    print(error)
print(fw.vecadd([1.0], [2.0], runtime=runtimes[0])[0])
"""
    line, after = in_child(code).splitlines()
    assert "ulimit -v" in line
    assert after == "3.0"


# Timeouts.


@pytest.mark.parametrize("threads", [1, 2])
@pytest.mark.parametrize("where", ["call", "runtime"])
def test_a_call_ends_at_its_timeout(threads, where):
    x = normal(12, 4096, 64)
    limit = {"timeout": 0.02}
    with fw.Runtime(threads=threads, **(limit if where == "runtime" else {})) as rt:
        out = rt.empty(x.shape)
        out[...] = np.nan
        with pytest.raises(fw.DeadlineExceeded) as caught:
            fw.attention(x, x, x, out=out, runtime=rt, **(limit if where == "call" else {}))
        assert isinstance(caught.value, TimeoutError)
        assert np.isnan(out).mean() > 0.5, "most of the call was done after its timeout"
        # The error's traceback refers to the result, too.
        del caught, out
        gc.collect()
        assert rt.stats().bytes_in_use == 0
        assert_same_bits(fw.vecadd(x[0], x[0], runtime=rt, timeout=60), x[0] + x[0])


PARTS = normal(48, 700, 64)


@pytest.mark.parametrize(
    "call",
    [
        lambda **where: fw.attention(PARTS, PARTS, PARTS, **where),
        lambda **where: fw.attention_backward(*[PARTS] * 5, PARTS[..., 0], **where),
        lambda **where: fw.matmul(PARTS, PARTS.swapaxes(-1, -2), **where),
        lambda **where: fw.softmax(PARTS, **where),
        lambda **where: fw.cosine_top_k(PARTS[0], PARTS.reshape(-1, 64), 3, **where),
    ],
    ids=["attention", "attention_backward", "matmul", "softmax", "cosine_top_k"],
)
def test_a_timeout_is_for_all_parts_together(monkeypatch, call):
    """The clock stands still, except that a second passes at the beginning of each part."""
    now = [0.0]
    monkeypatch.setattr("flashwasm.runtime.deadline.monotonic", lambda: now[0])
    monkeypatch.setattr("flashwasm.runtime.locks.monotonic", lambda: now[0])
    enter = Launch.__enter__

    def later(operation):
        now[0] += 1
        return enter(operation)

    monkeypatch.setattr(Launch, "__enter__", later)
    with fw.Runtime(threads=1, max_memory=3 << 20) as rt:
        with pytest.raises(fw.DeadlineExceeded):
            call(runtime=rt, timeout=3.5)
        # An attempt that did not fit takes a second too, but does not look at the clock.
        stopped = now[0]
        assert stopped < 12
        call(runtime=rt, timeout=1000.0)
        assert now[0] - stopped > 12


def test_a_calls_timeout_overrides_the_runtimes():
    a = normal(600, 600)
    with fw.Runtime(timeout=1e-6) as rt:
        with pytest.raises(fw.DeadlineExceeded):
            fw.matmul(a, a, runtime=rt)
        fw.matmul(a, a, runtime=rt, timeout=60)


@pytest.mark.parametrize("name", OPERATIONS)
def test_every_operation_takes_a_timeout(runtime, name):
    OPERATIONS[name](runtime=runtime, timeout=60)
    with pytest.raises(ValueError, match="timeout"):
        OPERATIONS[name](runtime=runtime, timeout=-1)


# Wrong arguments, and errors.


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"threads": 0}, ValueError, "threads"),
        ({"threads": -2}, ValueError, "threads"),
        ({"threads": 1.5}, TypeError, "threads"),
        ({"threads": True}, TypeError, "threads"),
        ({"variant": "avx512"}, ValueError, "variant.*avx512"),
        ({"variant": None}, TypeError, "variant"),
        ({"max_memory": 0}, ValueError, "max_memory"),
        ({"max_memory": "1G"}, TypeError, "max_memory"),
        ({"threads": 1025}, ValueError, "threads: expected at most 1024, got 1025$"),
        ({"max_memory": 1000}, fw.OutOfMemoryError, "max_memory: expected at least .* got 1000$"),
        ({"timeout": 0}, ValueError, "timeout"),
        ({"timeout": -1}, ValueError, "timeout"),
        ({"timeout": float("nan")}, ValueError, "timeout"),
        ({"timeout": "1s"}, TypeError, "timeout"),
    ],
)
def test_wrong_options(options, error, message):
    with pytest.raises(error, match=message):
        fw.Runtime(**{"threads": 1, **options})


def test_each_error_is_flashwasms_own_and_a_builtin_one():
    """Each error is flashwasm's own, and also the built-in one for such a mistake."""
    for name, builtin in {
        "ShapeError": ValueError,
        "DTypeError": TypeError,
        "OutOfMemoryError": MemoryError,
        "DeadlineExceeded": TimeoutError,
        "KernelTrap": Exception,
        "DeviceError": Exception,
        "ClosedError": Exception,
        "CorruptFileError": Exception,
        "CapabilityError": Exception,
    }.items():
        assert issubclass(getattr(fw, name), fw.FlashWasmError)
        assert issubclass(getattr(fw, name), builtin)
    # The name of earlier releases stays.
    assert fw.CorruptIndexError is fw.CorruptFileError


def test_capabilities():
    found = fw.capabilities()
    assert found.supported
    assert found.simd128
    assert found.relaxed_simd
    assert found.fused_multiply_add
    assert found.threads
    assert found.memory_limit == 1 << 32
    assert found.variant == fw.default_runtime().variant
    assert OPERATIONS.keys() <= set(found.operations)
    assert len(found.module_sha256) == 64
    assert found.measured_speedup is None


@pytest.mark.slow
def test_measured_speedup():
    assert fw.capabilities(measure=True).measured_speedup > 1


def test_variants_agree_within_rounding(runtime):
    q, k, v = normal(2, 100, 32), normal(2, 90, 32, seed=1), normal(2, 90, 32, seed=2)
    bound, _ = bounds.attention(q, k, v)
    actual = fw.attention(q, k, v, runtime=runtime)
    bounds.assert_close(actual, fw.attention(q, k, v).astype(np.float64), 2 * bound)
