"""The argument `backend`: where it is accepted, and its effect on `out`, limits and statistics."""

import threading

import numpy as np
import pytest

import flashwasm as fw
from sample_arrays import assert_same_bits, normal

A, B = normal(40, 30), normal(30, 20, seed=1)
CALLS = {
    "attention": lambda **given: fw.attention(A, A, A, **given),
    "matmul": lambda **given: fw.matmul(A, B, **given),
    "softmax": lambda **given: fw.softmax(A, **given),
    "layer_norm": lambda **given: fw.layer_norm(A, **given),
    "cosine_top_k": lambda **given: fw.cosine_top_k(A, A, 3, **given)[0],
}


@pytest.fixture(params=CALLS)
def call(request):
    return CALLS[request.param]


def test_the_sandbox_is_the_default(call):
    with fw.Runtime(threads=1) as rt:
        expected = call(runtime=rt)
        assert_same_bits(call(runtime=rt, backend="wasm-simd"), expected)
        assert rt.backend == "wasm-simd"
        assert rt.stats().backend_calls == {}


def test_a_runtime_names_the_backend_of_its_calls(call):
    with fw.Runtime(threads=1, backend="native") as rt:
        call(runtime=rt)
        assert rt.stats().backend_calls == {"native": 1}
        assert rt.stats().calls == 0
        assert_same_bits(call(runtime=rt, backend="wasm-simd"), call())
        assert rt.stats().calls > 0
    with pytest.raises(fw.ClosedError):
        call(runtime=rt)


def test_operations_without_the_argument_stay_in_the_sandbox():
    with fw.Runtime(threads=1, backend="native") as rt:
        assert_same_bits(fw.gelu(A, runtime=rt), fw.gelu(A))
        assert_same_bits(fw.rms_norm(A, runtime=rt), fw.rms_norm(A))
        assert rt.stats().backend_calls == {}


def test_deterministic_refuses_bits_that_nobody_promises(call):
    with pytest.raises(fw.CapabilityError, match=r"deterministic: the backend 'native' promises"):
        fw.Runtime(threads=1, backend="native", deterministic=True)
    with fw.Runtime(threads=1, deterministic=True) as rt:
        with pytest.raises(fw.CapabilityError, match=r"deterministic: .*'hybrid', which then runs"):
            call(runtime=rt, backend="native")
        assert_same_bits(call(runtime=rt, backend="hybrid"), call())
        assert rt.stats().backend_calls == {}


def test_an_option_that_the_backend_lacks_is_named():
    message = (
        r"dropout: the backend 'native' does not support this option of attention; 'wasm-simd' does"
    )
    with pytest.raises(fw.CapabilityError, match=message):
        fw.attention(A, A, A, dropout=0.5, seed=1, backend="native")
    fw.attention(A, A, A, dropout=0.0, seed=1, backend="native")


@pytest.mark.parametrize("backend", ["native", "hybrid"])
@pytest.mark.parametrize("resident", [False, True], ids=["outside", "resident"])
def test_out_may_be_an_operand(one_thread, backend, resident):
    def fresh():
        square = normal(30, 30)
        return one_thread.asarray(square) if resident else square

    given = {"backend": backend, "runtime": one_thread}
    for call in (
        lambda x, out: fw.matmul(x, x, out=out, **given),
        lambda x, out: fw.softmax(x, out=out, **given),
        lambda x, out: fw.softmax(x, 0, out=out, **given),
        lambda x, out: fw.layer_norm(x, out=out, **given),
        lambda x, out: fw.attention(x, x, x, out=out, **given),
    ):
        expected = np.array(call(fresh(), None))
        x = fresh()
        assert call(x, x) is x
        np.testing.assert_allclose(x, expected, rtol=1e-4, atol=1e-5)


def test_a_wrong_out_is_refused_as_in_the_sandbox():
    for call in (CALLS["matmul"], CALLS["softmax"], CALLS["layer_norm"], CALLS["attention"]):
        with pytest.raises(fw.ShapeError, match="out: expected shape"):
            call(out=np.zeros((2, 2), np.float32), backend="native")


def test_several_threads_compute_what_one_does():
    q, k, v = (normal(3, 700, 32, seed=seed) for seed in range(3))
    a, b = normal(1500, 400), normal(400, 300, seed=1)
    with fw.Runtime(threads=3, backend="native") as rt:
        found = fw.attention(q, k, v, runtime=rt, causal=True, window=(600, None))
        product = fw.matmul(a, b, runtime=rt)
        norm = fw.layer_norm(a, runtime=rt)
    expected = fw.attention(q, k, v, causal=True, window=(600, None))
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(product, fw.matmul(a, b), rtol=1e-4, atol=1e-4)
    np.testing.assert_allclose(norm, fw.layer_norm(a), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("threads", [1, 2])
def test_a_deadline_and_cancel_end_a_call(threads):
    q = normal(8, 2000, 16)
    with fw.Runtime(threads=threads, backend="native") as rt:
        # The window keeps the call from PyTorch, where it is installed.
        with pytest.raises(fw.DeadlineExceeded, match="attention did not finish"):
            fw.attention(q, q, q, window=(1500, 1500), runtime=rt, timeout=1e-9)
        big = normal(24, 4000, 16)
        timer = threading.Timer(0.05, rt.cancel)
        timer.start()
        with pytest.raises(fw.Cancelled, match="attention was cancelled"):
            fw.attention(big, big, big, window=(3900, 3900), runtime=rt)
        timer.join()
        # The backend is usable afterwards.
        np.testing.assert_allclose(fw.softmax(A, runtime=rt), fw.softmax(A), rtol=1e-4, atol=1e-6)


def test_calls_of_several_threads_at_once(call):
    expected = call()
    found = []
    with fw.Runtime(threads=2, backend="native") as rt:
        callers = [
            threading.Thread(target=lambda: found.extend(call(runtime=rt) for _ in range(20)))
            for _ in range(4)
        ]
        for caller in callers:
            caller.start()
        for caller in callers:
            caller.join()
        assert rt.stats().backend_calls == {"native": 80}
    assert len(found) == 80
    for result in found:
        np.testing.assert_allclose(result, expected, rtol=1e-4, atol=1e-5)
