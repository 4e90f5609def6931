"""What a runtime promises about memory, life and death, threads, time and errors."""

import dataclasses
import gc
import subprocess
import sys
import threading
import time

import numpy as np
import pytest

import bounds
import flashwasm as fw
import reference
from samples import assert_same_bits, layouts, normal

MIB = 1 << 20
# Every operation once, as (name, function of a runtime and an `out`), for what all must do alike.
TABLE, IDS = normal(50, 24), np.arange(12) * 4
ANGLES = np.cos(normal(1, 12, 4)), np.sin(normal(1, 12, 4))
OPERATIONS = {
    "matmul": lambda **o: fw.matmul(normal(12, 30), normal(30, 24), **o),
    "vecadd": lambda **o: fw.vecadd(normal(12, 24), normal(12, 24, seed=1), **o),
    "softmax": lambda **o: fw.softmax(normal(12, 24), **o),
    "layer_norm": lambda **o: fw.layer_norm(normal(12, 24), **o),
    "rms_norm": lambda **o: fw.rms_norm(normal(12, 24), **o),
    "gelu": lambda **o: fw.gelu(normal(12, 24), **o),
    "embedding": lambda **o: fw.embedding(IDS, TABLE, **o),
    "rotary_embedding": lambda **o: fw.rotary_embedding(normal(1, 3, 12, 8), *ANGLES, **o),
    "cosine_top_k": lambda **o: fw.cosine_top_k(normal(5, 24), TABLE, 7, **o),
    "attention": lambda **o: fw.attention(normal(2, 12, 24), *normal(2, 2, 12, 24), **o),
}
WITH_OUT = sorted(OPERATIONS.keys() - {"cosine_top_k"})


def in_child(code, *, timeout=60):
    """Run code in a fresh interpreter; return what it prints; fail where it dies or hangs."""
    prelude = "import numpy as np\nimport flashwasm as fw\n"
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", prelude + code],
        capture_output=True,
        text=True,
        timeout=timeout,
        check=False,
    )
    assert done.returncode == 0, f"status {done.returncode}\n{done.stdout}{done.stderr}"
    return done.stdout


# Arrays in linear memory


@pytest.mark.parametrize("dtype", [np.float32, np.float64, np.int32, np.int8, bool, "f4,i2"])
@pytest.mark.parametrize("shape", [(), 5, (0,), (3, 4), (2, 0, 3)])
def test_empty(runtime, shape, dtype):
    array = runtime.empty(shape, dtype)
    assert array.shape == np.empty(shape).shape
    assert array.dtype == np.dtype(dtype)
    assert array.flags.writeable
    assert array.flags.c_contiguous
    assert runtime.holds(array) or not array.size


def test_asarray_copies_once(runtime):
    source = normal(30, 40)
    for _, relaid in layouts(source):
        array = runtime.asarray(relaid)
        np.testing.assert_array_equal(array, source)
        assert runtime.holds(array)
        assert runtime.asarray(array) is array
    array[:] = 0
    assert source.any()


@pytest.mark.parametrize("shape", [-1, (3, -2), (2.5,), "3"])
def test_wrong_shapes(runtime, shape):
    with pytest.raises((ValueError, TypeError)):
        runtime.empty(shape)


def test_objects_do_not_go_into_linear_memory(runtime):
    with pytest.raises(fw.DTypeError, match="object"):
        runtime.empty(3, object)
    with pytest.raises(fw.DTypeError, match="object"):
        runtime.asarray([None, "x"], object)


def test_memory_goes_back_with_the_last_view(runtime):
    gc.collect()
    before = runtime.stats().bytes_in_use
    array = runtime.empty((MIB // 4,))
    row = array.reshape(4, -1)[2, ::3]
    assert runtime.stats().bytes_in_use >= before + MIB
    del array
    gc.collect()
    assert runtime.stats().bytes_in_use >= before + MIB
    row[:] = 7
    del row
    gc.collect()
    assert runtime.stats().bytes_in_use == before


def test_freed_memory_is_used_again(runtime):
    """Arrays of changing sizes, live and dying in a random order, never cost more than a few."""
    rng = np.random.default_rng(0)
    live = {}
    for step in range(2000):
        size = int(rng.integers(1, 20_000))
        array = runtime.empty(size)
        array[:] = step
        live[step] = array
        if len(live) > 20:
            key = int(rng.choice(list(live)))
            assert (live.pop(key) == key).all()
    assert all((array == step).all() for step, array in live.items())
    del array
    live.clear()
    gc.collect()
    assert runtime.stats().bytes_reserved < 128 * MIB


@pytest.mark.parametrize("name", OPERATIONS)
def test_operations_on_resident_arrays_copy_nothing(name):
    """Fill linear memory's arrays first; then the copying time may not move."""
    if name in ("cosine_top_k", "rotary_embedding", "embedding", "attention"):
        operands, function = {
            "cosine_top_k": ((normal(5, 24), TABLE), lambda *a, **o: fw.cosine_top_k(*a, 7, **o)),
            "rotary_embedding": ((normal(1, 3, 12, 8), *ANGLES), fw.rotary_embedding),
            "embedding": ((IDS.astype(np.int32), TABLE), fw.embedding),
            "attention": ((normal(2, 12, 24), *normal(2, 2, 12, 24)), fw.attention),
        }[name]
    else:
        function = getattr(fw, name)
        operands = {"matmul": (normal(12, 30), normal(30, 24))}.get(name, (normal(12, 24),))
        operands = (*operands, normal(12, 24, seed=1)) if name == "vecadd" else operands
    with fw.Runtime(threads=1) as rt:
        expected = function(*operands, runtime=rt)
        resident = [rt.asarray(x) for x in operands]
        options = {} if name == "cosine_top_k" else {"out": rt.empty(expected.shape)}
        before = rt.stats()
        actual = function(*resident, runtime=rt, **options)
        after = rt.stats()
        if name != "cosine_top_k":
            assert after.copy_seconds == before.copy_seconds
            assert actual is options["out"]
            assert_same_bits(np.array(actual), expected)
        assert after.calls > before.calls


@pytest.mark.parametrize("name", WITH_OUT)
@pytest.mark.parametrize("resident", [True, False])
def test_out_is_filled_and_returned(runtime, name, resident):
    expected = OPERATIONS[name](runtime=runtime)
    out = runtime.empty(expected.shape) if resident else np.empty(expected.shape, np.float32)
    out[...] = np.nan
    assert OPERATIONS[name](runtime=runtime, out=out) is out
    assert_same_bits(np.array(out), expected)


def overlapping(runtime):
    """Return operations whose `out` lies over part of an input, as functions of that input."""
    angles = np.cos(normal(1, 5, 3)), np.sin(normal(1, 5, 3))
    return {
        "vecadd": lambda x: fw.vecadd(x[:-1], x[1:], out=x[1:], runtime=runtime),
        "vecadd back": lambda x: fw.vecadd(x[:-1], x[1:], out=x[:-1], runtime=runtime),
        "gelu": lambda x: fw.gelu(x[:-1], out=x[1:], runtime=runtime),
        "softmax": lambda x: fw.softmax(x[:-1], out=x[1:], runtime=runtime),
        "layer_norm": lambda x: fw.layer_norm(x[:-1], out=x[1:], runtime=runtime),
        "rms_norm": lambda x: fw.rms_norm(x[:-1], out=x[1:], runtime=runtime),
        "weight": lambda x: fw.rms_norm(x, x[0], out=x, runtime=runtime),
        "matmul": lambda x: fw.matmul(x[:6], x[:6], out=x[:6], runtime=runtime),
        "matmul bias": lambda x: fw.matmul(x[:6], x[6:12], bias=x[1], out=x[:6], runtime=runtime),
        "embedding": lambda x: fw.embedding([3, 2, 1, 0], x, out=x[1:5], runtime=runtime),
        "rotary": lambda x: fw.rotary_embedding(
            x[None, None, :5], *angles, out=x[None, None, 1:6], runtime=runtime
        ),
        "attention": lambda x: fw.attention(x, x, x, out=x, runtime=runtime),
        "attention shifted": lambda x: fw.attention(x[2:], x, x, out=x[1:-1], runtime=runtime),
    }


@pytest.mark.parametrize("resident", [True, False])
@pytest.mark.parametrize("case", overlapping(None))
def test_out_may_lie_over_inputs(runtime, case, resident):
    """As with NumPy's functions, the result is what separate memory would give."""
    x = normal(700, 6)
    apart = overlapping(runtime)[case](np.copy(x)).copy()
    expected = OVERLAPPING_ORACLES[case](x)
    np.testing.assert_allclose(apart, expected, rtol=1e-3, atol=1e-4)
    shared = runtime.asarray(x) if resident else x
    assert_same_bits(np.array(overlapping(runtime)[case](shared)), apart)


OVERLAPPING_ORACLES = {
    "vecadd": lambda x: x[:-1] + x[1:],
    "vecadd back": lambda x: x[:-1] + x[1:],
    "gelu": lambda x: reference.gelu(x[:-1]),
    "softmax": lambda x: reference.softmax(x[:-1]),
    "layer_norm": lambda x: reference.layer_norm(x[:-1]),
    "rms_norm": lambda x: reference.rms_norm(x[:-1]),
    "weight": lambda x: reference.rms_norm(x, x[0]),
    "matmul": lambda x: reference.matmul(x[:6], x[:6]),
    "matmul bias": lambda x: reference.matmul(x[:6], x[6:12], x[1]),
    "embedding": lambda x: x[[3, 2, 1, 0]],
    "rotary": lambda x: reference.rotary_embedding(
        x[None, None, :5], np.cos(normal(1, 5, 3)), np.sin(normal(1, 5, 3))
    ),
    "attention": lambda x: reference.attention(x, x, x)[0],
    "attention shifted": lambda x: reference.attention(x[2:], x, x)[0],
}


def test_arrays_of_another_runtime_are_arrays_like_any(runtime, one_thread):
    a, b = normal(9, 20), normal(20, 5)
    expected = fw.matmul(a, b, runtime=runtime)
    foreign = one_thread.asarray(a), one_thread.asarray(b)
    assert_same_bits(fw.matmul(*foreign, runtime=runtime), expected)


# Statistics


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


# The end of a runtime


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
    """A view that outlived its memory would end the process, so another process tries it."""
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


def test_import_starts_nothing():
    code = "import sys, threading\nprint('wasmtime' in sys.modules and 0, threading.active_count())"
    assert in_child(code).split()[1] == "1"


# Threads and processes


def test_one_runtime_serves_many_threads(runtime):
    a, b = normal(60, 80), normal(80, 50)
    x = normal(30, 90)
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


@pytest.mark.parametrize("threads", [2, 3, 4])
def test_no_work_for_the_workers(threads):
    """An operation without elements has no tasks: the next one must wait for its own."""
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
        thread.join(30)
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
deadline = time.monotonic() + 40
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


@pytest.mark.skipif(not hasattr(__import__("os"), "fork"), reason="the platform has no fork")
def test_fork():
    """The parent's runtimes are closed in the child, which gets a default one of its own."""
    assert in_child(FORK).split() == ["0", "True"]


@pytest.mark.parametrize("method", ["fork", "spawn"])
def test_process_pool(method):
    code = f"""
import multiprocessing
if __name__ == "__main__":
    fw.vecadd([1.0], [1.0])
    context = multiprocessing.get_context({method!r})
    with context.Pool(2) as pool:
        x = [np.full((50, 50), i, np.float32) for i in range(4)]
        print(*[y[0, 0] for y in pool.starmap_async(fw.matmul, zip(x, x)).get(50)])
"""
    if method not in __import__("multiprocessing").get_all_start_methods():
        pytest.skip(f"the platform has no {method}")
    assert in_child(code).split() == ["0.0", "50.0", "200.0", "450.0"]


def test_interrupt():
    """Ctrl-C ends a long operation at once, and the runtime is usable after it."""
    code = """
import signal, time
x = np.ones((12, 8192, 128), np.float32)
rt = fw.Runtime(threads=2)
fw.attention(x[:, :8], x, x, runtime=rt)
signal.setitimer(signal.ITIMER_REAL, 0.2)
signal.signal(signal.SIGALRM, signal.default_int_handler)
start = time.monotonic()
try:
    fw.attention(x, x, x, runtime=rt)
except KeyboardInterrupt:
    print("interrupted", time.monotonic() - start)
print(fw.vecadd([1.0], [2.0], runtime=rt)[0])
"""
    word, seconds, after = in_child(code).split()
    assert word == "interrupted"
    assert float(seconds) < 2
    assert after == "3.0"


# Time


@pytest.mark.parametrize("threads", [1, 2])
@pytest.mark.parametrize("where", ["call", "runtime"])
def test_deadline(threads, where):
    x = normal(12, 4096, 64)
    limit = {"timeout": 0.02}
    with fw.Runtime(threads=threads, **(limit if where == "runtime" else {})) as rt:
        start = time.monotonic()
        with pytest.raises(fw.DeadlineExceeded) as caught:
            fw.attention(x, x, x, runtime=rt, **(limit if where == "call" else {}))
        assert time.monotonic() - start < 2
        assert isinstance(caught.value, TimeoutError)
        gc.collect()
        assert rt.stats().bytes_in_use == 0
        assert_same_bits(fw.vecadd(x[0], x[0], runtime=rt, timeout=60), x[0] + x[0])


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


# Memory


SMALL = 6 * MIB


@pytest.fixture(params=[1, 2])
def small(request):
    """A runtime whose linear memory is smaller than the operands given to it."""
    with fw.Runtime(threads=request.param, max_memory=SMALL) as rt:
        yield rt
        stats = rt.stats()
        assert stats.bytes_reserved <= SMALL
        assert stats.bytes_in_use == 0


@pytest.mark.parametrize(
    ("m", "n", "k", "batch"),
    [(4000, 600, 500, ()), (60, 50, 70, (500,)), (30, 700, 600, (3, 4))],
)
def test_matmul_larger_than_memory(small, one_thread, m, n, k, batch):
    a, b = normal(*batch, m, k), normal(*batch, k, n)
    assert a.nbytes + b.nbytes + 4 * m * n > SMALL
    bias = normal(n)
    actual = fw.matmul(a, b, bias=bias, runtime=small)
    assert_same_bits(actual, fw.matmul(a, b, bias=bias, runtime=one_thread))


@pytest.mark.parametrize("name", ["vecadd", "softmax", "layer_norm", "rms_norm", "gelu"])
@pytest.mark.parametrize("shape", [(3_000_000,), (6000, 500), (7, 100, 4000)])
def test_rows_larger_than_memory(small, one_thread, name, shape):
    if shape == (3_000_000,) and name in ("softmax", "layer_norm", "rms_norm"):
        pytest.skip("a row is not cut: see test_what_does_not_fit")
    x = normal(*shape)
    function = getattr(fw, name)
    operands = (x, x) if name == "vecadd" else (x,)
    expected = function(*operands, runtime=one_thread)
    assert_same_bits(function(*operands, runtime=small), expected)


def test_embedding_larger_than_memory(small):
    table, ids = normal(2000, 200), np.random.default_rng(0).integers(0, 2000, 30_000)
    assert_same_bits(fw.embedding(ids, table, runtime=small), table[ids])


def test_rotary_embedding_larger_than_memory(small, one_thread):
    x = normal(4, 8, 1000, 64)
    angles = np.cos(normal(4, 1000, 32)), np.sin(normal(4, 1000, 32))
    expected = fw.rotary_embedding(x, *angles, runtime=one_thread)
    assert_same_bits(fw.rotary_embedding(x, *angles, runtime=small), expected)


@pytest.mark.parametrize("metric", ["cosine", "dot", "l2"])
def test_corpus_larger_than_memory(small, one_thread, metric):
    queries, corpus = normal(9, 96), normal(30_000, 96)
    actual = fw.cosine_top_k(queries, corpus, 100, metric=metric, runtime=small)
    expected = fw.cosine_top_k(queries, corpus, 100, metric=metric, runtime=one_thread)
    assert_same_bits(actual[0], expected[0])
    np.testing.assert_array_equal(actual[1], expected[1])


@pytest.mark.parametrize("causal", [False, "bottom_right"])
@pytest.mark.parametrize(
    ("leading", "queries", "keys", "dim"),
    [((8, 4), 200, 300, 64), ((2,), 6000, 900, 128), ((3, 40), 20, 500, 64)],
)
def test_attention_larger_than_memory(small, one_thread, leading, queries, keys, dim, causal):
    """More batch entries and heads, more queries, or more key heads than fit."""
    q, k, v = normal(*leading, queries, dim), *(normal(*leading, keys, dim, seed=i) for i in (1, 2))
    assert q.nbytes + k.nbytes + v.nbytes > SMALL
    expected = fw.attention(q, k, v, causal=causal, return_lse=True, runtime=one_thread)
    actual = fw.attention(q, k, v, causal=causal, return_lse=True, runtime=small)
    assert_same_bits(actual[0], expected[0])
    assert_same_bits(actual[1], expected[1])


def test_mask_larger_than_memory(small, one_thread):
    q, k, v = normal(2, 2000, 16), normal(2, 1500, 16), normal(2, 1500, 16, seed=1)
    for mask in (normal(2, 2000, 1500), normal(2, 2000, 1500) > 0):
        expected = fw.attention(q, k, v, mask=mask, runtime=one_thread)
        assert_same_bits(fw.attention(q, k, v, mask=mask, runtime=small), expected)


IN_PARTS_OVER_INPUTS = {
    "vecadd ahead": lambda x, rt: fw.vecadd(x[:-1], x[1:], out=x[1:], runtime=rt),
    "vecadd behind": lambda x, rt: fw.vecadd(x[:-1], x[1:], out=x[:-1], runtime=rt),
    "softmax": lambda x, rt: fw.softmax(x[:-1], out=x[1:], runtime=rt),
    "softmax in place": lambda x, rt: fw.softmax(x, out=x, runtime=rt),
    "weight": lambda x, rt: fw.rms_norm(x, x[0], out=x, runtime=rt),
    "rows of a": lambda x, rt: fw.matmul(x, x[:64], out=x, runtime=rt),
    "keys": lambda x, rt: fw.attention(normal(*x.shape, seed=1), x, x, out=x, runtime=rt),
}


@pytest.mark.parametrize("case", IN_PARTS_OVER_INPUTS)
def test_out_may_lie_over_inputs_of_parts(small, one_thread, case):
    """What one part writes, a later one must not read as an input."""
    x = normal(6000 if case == "keys" else 40_000, 64)
    expected = IN_PARTS_OVER_INPUTS[case](x.copy(), one_thread)
    assert_same_bits(IN_PARTS_OVER_INPUTS[case](x, small), expected)


def test_what_does_not_fit(small):
    """What no part can do without must fit whole: see the guide."""
    keys = normal(1, 20_000, 64)
    for use in (
        lambda: small.empty(SMALL, np.uint8),
        lambda: small.asarray(np.zeros(SMALL, np.uint8)),
        lambda: small.empty(2**40),
        lambda: small.empty((2**40, 2**40)),
        lambda: fw.softmax(normal(3_000_000), runtime=small),
        lambda: fw.matmul(normal(3, 400), normal(400, 5000), runtime=small),
        lambda: fw.embedding([0], normal(20_000, 200), runtime=small),
        lambda: fw.attention(keys[:, :10], keys, keys, runtime=small),
    ):
        with pytest.raises(fw.OutOfMemoryError, match=r"\d+ bytes.*in use.*allowed") as caught:
            use()
        assert isinstance(caught.value, MemoryError)
        assert caught.value.allowed <= SMALL
        assert caught.value.requested > 0
    assert_same_bits(fw.vecadd([1.0], [2.0], runtime=small), np.float32([3]))


def test_memory_kept_by_the_user_leaves_less(one_thread):
    with fw.Runtime(threads=1, max_memory=SMALL) as rt:
        held = rt.empty(3 * MIB, np.uint8)
        x = normal(1000, 500)
        assert_same_bits(fw.softmax(x, runtime=rt), fw.softmax(x, runtime=one_thread))
        with pytest.raises(fw.OutOfMemoryError) as caught:
            rt.empty(3 * MIB, np.uint8)
        assert caught.value.in_use >= held.nbytes


def test_attention_takes_memory_for_its_operands_only():
    """The matrix of scores would be 64 MiB: what is used beyond the operands is O(length)."""
    with fw.Runtime(threads=1) as rt:
        x = normal(4096, 32)
        fw.attention(x, x, x, runtime=rt)
        assert rt.stats().bytes_peak <= 4 * x.nbytes + 64 * 4096


# The door


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"threads": 0}, ValueError, "threads"),
        ({"threads": -2}, ValueError, "threads"),
        ({"threads": 1.5}, TypeError, "threads"),
        ({"threads": True}, TypeError, "threads"),
        ({"variant": "avx512"}, ValueError, "variant.*avx512"),
        ({"variant": None}, ValueError, "variant"),
        ({"max_memory": 0}, ValueError, "max_memory"),
        ({"max_memory": "1G"}, TypeError, "max_memory"),
        ({"max_memory": 1000}, fw.OutOfMemoryError, "allowed"),
        ({"timeout": 0}, ValueError, "timeout"),
        ({"timeout": -1}, ValueError, "timeout"),
        ({"timeout": float("nan")}, ValueError, "timeout"),
        ({"timeout": "1s"}, TypeError, "timeout"),
    ],
)
def test_wrong_options(options, error, message):
    with pytest.raises(error, match=message):
        fw.Runtime(**{"threads": 1, **options})


def test_errors():
    """Each is flashwasm's own, and the built-in one that such a mistake has elsewhere."""
    for name, builtin in {
        "ShapeError": ValueError,
        "DTypeError": TypeError,
        "OutOfMemoryError": MemoryError,
        "DeadlineExceeded": TimeoutError,
        "KernelTrap": Exception,
        "ClosedError": Exception,
        "CorruptIndexError": Exception,
        "CapabilityError": Exception,
    }.items():
        assert issubclass(getattr(fw, name), fw.FlashWasmError)
        assert issubclass(getattr(fw, name), builtin)


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
