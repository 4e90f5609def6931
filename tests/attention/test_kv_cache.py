"""KVCache: the numbers it stores, the bits of attention on it, and the input it refuses."""

import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

import flashwasm as fw
from flashwasm.flash_attention.schedule import ROW_QUERIES
from flashwasm.oracles import bounds, reference
from sample_arrays import assert_same_bits, layouts, normal

DTYPES = ["float32", "float16", "int8"]
SIZES = [(1, 16, 16), (3, 5, 3), (64, 64, 64), (65, 8, 33), (700, 40, 24), (1100, 64, 20)]


def filled(runtime, dtype, k, v, *, capacity=None, steps=None, batch=1):
    """Return a cache with keys and values, appended in pieces of the sizes given, then the rest."""
    heads, length, dim = k.shape[-3:]
    cache = fw.KVCache(
        heads,
        dim,
        capacity or length,
        dv=v.shape[-1],
        dtype=dtype,
        batch=batch,
        runtime=runtime,
    )
    begin = 0
    for step in [*(steps or []), length]:
        end = min(begin + step, length)
        cache.append(k[..., begin:end, :], v[..., begin:end, :])
        begin = end
    return cache


def quantised(x):
    """Round each row to multiples of 1/127 of its greatest magnitude, as int8 storage does."""
    scale = np.abs(x).max(axis=-1, keepdims=True) / np.float32(127)
    return np.rint(x / np.where(scale > 0, scale, 1)).astype(np.float32) * scale


STORED = {"float32": lambda x: x, "float16": lambda x: x.astype(np.float16), "int8": quantised}


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize(("length", "dim", "value_dim"), SIZES)
def test_it_stores_the_appended_rows(one_thread, dtype, length, dim, value_dim):
    k, v = normal(2, length, dim), normal(2, length, value_dim, seed=1)
    cache = filled(one_thread, dtype, k, v, capacity=length + 9, steps=[1, 0, 2, 30, 1])
    held_k, held_v = cache.numpy()
    np.testing.assert_array_equal(held_k, STORED[dtype](k)[None].astype(np.float32))
    np.testing.assert_array_equal(held_v, STORED[dtype](v)[None].astype(np.float32))
    assert len(cache) == length
    assert held_k.dtype == held_v.dtype == np.float32


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("queries", [1, ROW_QUERIES, ROW_QUERIES + 1, 20])
@pytest.mark.parametrize(("length", "dim", "value_dim"), SIZES)
def test_attention_is_that_of_the_stored_numbers(runtime, dtype, queries, length, dim, value_dim):
    k, v = normal(2, length, dim), normal(2, length, value_dim, seed=1)
    q = normal(4, queries, dim, seed=2)
    cache = filled(runtime, dtype, k, v, capacity=length + 5)
    out, lse = cache.attention(q, causal="bottom_right", return_lse=True)
    held_k, held_v = (x[0] for x in cache.numpy())
    expected, expected_lse = reference.attention(q, held_k, held_v, causal="bottom_right")
    bound_of = bounds.attention_int8 if dtype == "int8" else bounds.attention
    bound, bound_lse = bound_of(q, held_k, held_v, causal="bottom_right")
    bounds.assert_close(out, expected, bound)
    bounds.assert_close(lse, expected_lse, bound_lse)


@pytest.mark.parametrize("dtype", ["float32", "float16"])
@pytest.mark.parametrize("queries", [1, 3, 40])
def test_bits_are_those_of_attention_on_arrays(runtime, dtype, queries):
    k, v = normal(2, 1100, 24), normal(2, 1100, 40, seed=1)
    q = normal(6, queries, 24, seed=2)
    options = {"window": (700, 0), "causal": "bottom_right", "softcap": 4.0, "sinks": normal(6)}
    cache = filled(runtime, dtype, k, v)
    held_k, held_v = (x[0] for x in cache.numpy())
    assert_same_bits(
        cache.attention(q, **options), fw.attention(q, held_k, held_v, runtime=runtime, **options)
    )


@pytest.mark.parametrize("queries", [1, 3])
@pytest.mark.parametrize("special", [np.inf, -np.inf, np.nan, 6e-8, -0.0, 65504.0])
@pytest.mark.parametrize(("operand", "column"), [("k", 3), ("v", 3), ("v", 20), ("v", 37)])
def test_halves_of_every_kind_have_the_bits_of_floats(runtime, operand, column, special, queries):
    """Infinity, NaN, the smallest number, a negative zero and the greatest number of float16.

    Columns 3 and 20 of the values lie in panels that are checked together, 37 in one of its own.
    """
    arrays = {"k": normal(2, 150, 24), "v": normal(2, 150, 40, seed=1)}
    arrays[operand][:, 97, column] = special
    cache = filled(runtime, "float16", arrays["k"], arrays["v"])
    held_k, held_v = (x[0] for x in cache.numpy())
    q = normal(4, queries, 24, seed=2)
    for options in ({}, {"causal": 90}, {"mask": normal(1, 1, 150, seed=4) > 0}):
        expected = fw.attention(q, held_k, held_v, runtime=runtime, **options)
        assert_same_bits(cache.attention(q, **options), expected)


@pytest.mark.parametrize("options", [{"scale": 3e30}, {"dropout": 0.9999999, "seed": 3}])
def test_halves_with_great_factors_have_the_bits_of_floats(runtime, options):
    """Numbers that overflow if they are multiplied by 2^112, as other queries and weights are."""
    k, v, q = normal(2, 150, 16), normal(2, 150, 32, seed=1), normal(4, 1, 16, seed=2)
    cache = filled(runtime, "float16", k, v)
    held_k, held_v = (x[0] for x in cache.numpy())
    expected = fw.attention(q, held_k, held_v, runtime=runtime, **options)
    assert_same_bits(cache.attention(q, **options), expected)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("queries", [1, 2])
def test_decoding_of_resident_queries_has_the_bits_of_a_launch(runtime, dtype, queries):
    """The second call takes the prepared one, and goes on when keys are appended or removed."""
    k, v, q = normal(2, 700, 24), normal(2, 700, 40, seed=1), normal(4, queries, 24, seed=2)
    cache = filled(runtime, dtype, k[:, :640], v[:, :640], capacity=700)
    resident, out = runtime.asarray(q), runtime.empty((4, queries, 40))
    for length in (640, 640, 641, 700, 3, 0):
        cache.append(k[:, len(cache) : length], v[:, len(cache) : length])
        cache.truncate(length)
        expected = cache.attention(q, timeout=60)
        assert_same_bits(cache.attention(resident), expected)
        assert cache.attention(resident, out=out) is out
        assert_same_bits(out, expected)
        assert_same_bits(cache.attention(resident, causal=False), expected)
    with pytest.raises(fw.ShapeError, match="out"):
        cache.attention(resident, out=out[:1])


@pytest.mark.parametrize("dtype", DTYPES)
def test_decoding_gives_the_bits_of_prefill(runtime, dtype):
    """One query at a time, while the cache grows, has the bits of all queries at the end."""
    k, v, q = normal(2, 600, 16), normal(2, 600, 16, seed=1), normal(4, 600, 16, seed=2)
    whole = filled(runtime, dtype, k, v).attention(q, causal="top_left")
    cache = filled(runtime, dtype, k[:, :500], v[:, :500], capacity=600)
    for i in range(500, 600, 9):
        cache.truncate(min(500, len(cache)))
        cache.append(k[:, 500 : i + 1], v[:, 500 : i + 1])
        assert_same_bits(cache.attention(q[:, i : i + 1])[:, 0], whole[:, i])


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize(
    "options",
    [
        {"mask": normal(1, 7, 1100, seed=4) > 0},
        {"mask": np.where(normal(7, 1100, seed=5) > 0, normal(7, 1100), -np.inf)},
        {"alibi_slopes": [0.1, 0.2, 0.0, 1.0], "causal": 1000},
        {"dropout": 0.25, "seed": 5},
        {"kv_lengths": 901, "sinks": [0.0, 1.0, -1.0, -np.inf], "scale": 0.3},
    ],
    ids="-".join,
)
def test_options_act_as_on_arrays(runtime, dtype, options):
    k, v, q = normal(2, 1100, 16), normal(2, 1100, 16, seed=1), normal(4, 7, 16, seed=2)
    cache = filled(runtime, dtype, k, v)
    held_k, held_v = (x[0] for x in cache.numpy())
    expected = fw.attention(q, held_k, held_v, runtime=runtime, **options)
    actual = cache.attention(q, **options)
    if dtype == "int8":
        np.testing.assert_allclose(actual, expected, rtol=1e-4, atol=2e-6)
    else:
        assert_same_bits(actual, expected)
    one = cache.attention(q[:, -1:], **last_row(options))
    if "dropout" not in options:  # The weights that are dropped depend on the query's number.
        assert_same_bits(one[:, 0], actual[:, -1])


def last_row(options):
    """Return the same options for the last of the seven queries alone."""
    changed = dict(options)
    if "mask" in changed:
        changed["mask"] = changed["mask"][..., -1:, :]
    if "causal" in changed:
        changed["causal"] += 6
    return changed


@pytest.mark.parametrize("dtype", DTYPES)
def test_batches_and_threads_change_no_bit(threaded_runtime, one_thread, dtype):
    k, v, q = normal(3, 2, 1300, 16), normal(3, 2, 1300, 8, seed=1), normal(3, 2, 1, 16, seed=2)
    lengths = [1300, 700, 0]
    several, one = (
        filled(runtime, dtype, k, v, batch=3).attention(q, kv_lengths=lengths)
        for runtime in (threaded_runtime, one_thread)
    )
    assert_same_bits(several, one)
    assert (one[2] == 0).all()
    alone = filled(threaded_runtime, dtype, k[1], v[1]).attention(q[1], kv_lengths=700)
    assert_same_bits(alone, one[1])


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("queries", [1, 9])
def test_hidden_keys_never_reach_the_result(runtime, dtype, bad, queries):
    k, v, q = normal(1, 130, 16), normal(1, 130, 16, seed=1), normal(1, queries, 16, seed=2)
    seen = np.ones(130, np.bool_)
    seen[[3, 64, 100, 129]] = False
    expected = filled(runtime, dtype, k, v).attention(q, mask=seen)
    k[:, ~seen], v[:, ~seen] = bad, bad
    assert_same_bits(filled(runtime, dtype, k, v).attention(q, mask=seen), expected)
    assert np.isnan(filled(runtime, dtype, k, v).attention(q)).all()


@pytest.mark.parametrize("dtype", DTYPES)
def test_a_full_cache_refuses_and_stays_as_it_was(one_thread, dtype):
    k, v, q = normal(1, 10, 8), normal(1, 10, 8, seed=1), normal(1, 1, 8, seed=2)
    cache = filled(one_thread, dtype, k, v, capacity=12)
    before, held = cache.attention(q), cache.numpy()
    with pytest.raises(
        fw.ShapeError, match="at most 2 keys, since the cache holds 10 of 12, got 3"
    ):
        cache.append(k[:, :3], v[:, :3])
    with pytest.raises(fw.ShapeError, match="v: expected 2 rows"):
        cache.append(k[:, :2], v[:, :1])
    assert len(cache) == 10
    assert_same_bits(cache.attention(q), before)
    np.testing.assert_array_equal(cache.numpy(), held)
    cache.append(k[:, :2], v[:, :2])
    assert len(cache) == 12


def test_truncate(one_thread):
    k, v, q = normal(1, 40, 8), normal(1, 40, 8, seed=1), normal(1, 1, 8, seed=2)
    cache = filled(one_thread, "int8", k, v)
    cache.truncate(17)
    assert len(cache) == 17
    assert_same_bits(
        cache.attention(q), filled(one_thread, "int8", k[:, :17], v[:, :17]).attention(q)
    )
    for bad in (18, -1, 1.5, True):
        with pytest.raises((fw.ShapeError, fw.DTypeError), match="n: expected"):
            cache.truncate(bad)
    cache.truncate(0)
    out, lse = cache.attention(q, return_lse=True)
    assert (out == 0).all()
    assert np.isneginf(lse).all()


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("length", [0, 1, 65, 100])
def test_a_copy_has_the_same_bits_and_grows_on_its_own(one_thread, dtype, length):
    k, v, q = normal(2, 2, 100, 24), normal(2, 2, 100, 9, seed=1), normal(2, 4, 1, 24, seed=2)
    cache = filled(one_thread, dtype, k, v, batch=2)
    cache.truncate(length)
    held, expected = cache.numpy(), cache.attention(q)
    copy = cache.copy()
    assert repr(copy) == repr(cache)
    for stored, original in zip(copy.numpy(), held, strict=True):
        assert_same_bits(stored, original)
    assert_same_bits(copy.attention(q), expected)
    cache.truncate(0)
    cache.append(-k, -v)
    assert_same_bits(copy.attention(q), expected)
    copy.append(k[:, :, length:], v[:, :, length:])
    assert_same_bits(copy.attention(q), filled(one_thread, dtype, k, v, batch=2).attention(q))


def test_a_copy_needs_room():
    with fw.Runtime(threads=1, max_memory=6 << 20) as runtime:
        cache = fw.KVCache(2, 64, 2500, runtime=runtime)
        before = runtime.stats().bytes_in_use
        with pytest.raises(fw.OutOfMemoryError):
            cache.copy()
        assert runtime.stats().bytes_in_use == before
    with pytest.raises(fw.ClosedError):
        cache.copy()


def test_accepted_inputs(one_thread):
    k, v, q = normal(1, 20, 8), normal(1, 20, 8, seed=1), normal(2, 1, 8, seed=2)
    expected = filled(one_thread, "float32", k, v).attention(q)
    for name, other in layouts(k):
        assert_same_bits(filled(one_thread, "float32", other, v).attention(q), expected), name
    wide = filled(one_thread, "float32", k.astype(np.float64), v.tolist() and v)
    assert_same_bits(wide.attention(q.astype(np.float64)), expected)
    several = filled(one_thread, "float32", k, v).attention(np.stack([q, q]))
    assert several.shape == (2, 2, 1, 8)
    assert_same_bits(several[1], expected)
    out = np.empty_like(expected)
    assert filled(one_thread, "float32", k, v).attention(q, out=out) is out
    assert_same_bits(out, expected)


def test_bad_input_is_named(one_thread):
    k = normal(2, 3, 8)
    cache = fw.KVCache(2, 8, 10, runtime=one_thread)
    with pytest.raises(fw.ShapeError, match=r"k: expected shape \(1, 2, n, 8\), got \(3, 3, 8\)"):
        cache.append(normal(3, 3, 8), k)
    with pytest.raises(fw.DTypeError, match="v: expected float32"):
        cache.append(k, k.astype(np.int32))
    for wrong in (normal(2, 1, 7), normal(3, 1, 8), normal(1, 8), normal(5, 2, 1, 7)):
        with pytest.raises(fw.ShapeError, match=r"q: expected shape \(Hq, Lq, 8\).*multiple of 2"):
            cache.attention(wrong)
    batch = fw.KVCache(2, 8, 10, batch=3, runtime=one_thread)
    with pytest.raises(fw.ShapeError, match=r"q: expected shape \(3, Hq, Lq, 8\)"):
        batch.attention(normal(2, 4, 1, 8))
    with pytest.raises(fw.ShapeError, match="dtype: expected one of 'float32', 'float16', 'int8'"):
        fw.KVCache(2, 8, 10, dtype="int4")
    with pytest.raises(fw.ShapeError, match="dim: expected at most 256, got 257"):
        fw.KVCache(2, 257, 10)
    with pytest.raises(fw.ShapeError, match="capacity: expected at least 1"):
        fw.KVCache(2, 8, 0)
    half = fw.KVCache(2, 8, 10, dtype="float16", runtime=one_thread)
    with pytest.raises(fw.ShapeError, match="v: expected magnitudes up to 65504"):
        half.append(k, k * 1e6)
    assert len(half) == 0


def test_memory_is_counted_and_goes_back():
    with fw.Runtime(threads=1) as runtime:
        before = runtime.stats().bytes_in_use
        sizes = {}
        for dtype in DTYPES:
            cache = fw.KVCache(4, 64, 1024, dtype=dtype, runtime=runtime)
            sizes[dtype] = runtime.stats().bytes_in_use - before
            assert sizes[dtype] == cache.nbytes
            del cache
            assert runtime.stats().bytes_in_use == before
    assert sizes["float16"] * 2 == sizes["float32"]
    assert sizes["int8"] < 0.27 * sizes["float32"]


def test_a_closed_runtime_is_refused():
    runtime = fw.Runtime(threads=1)
    cache = filled(runtime, "int8", normal(1, 4, 8), normal(1, 4, 8), capacity=6)
    runtime.close()
    with pytest.raises(fw.ClosedError):
        cache.append(normal(1, 1, 8), normal(1, 1, 8))
    with pytest.raises(fw.ClosedError):
        cache.attention(normal(1, 1, 8))


@pytest.mark.parametrize("dtype", ["float32", "float16", "int8"])
def test_an_empty_cache_is_read(runtime, dtype):
    cache = fw.KVCache(2, 9, 23, dv=5, dtype=dtype, runtime=runtime)
    assert [x.shape for x in cache.numpy()] == [(1, 2, 0, 9), (1, 2, 0, 5)]


def test_threads_append_at_once(one_thread):
    """Two threads wait for the runtime; the one that comes second finds no room any more."""
    cache = fw.KVCache(1, 4, 3, runtime=one_thread)
    begun = threading.Barrier(3)

    def append(number):
        begun.wait()
        try:
            cache.append(np.full((1, 2, 4), number), np.full((1, 2, 4), -number))
        except fw.ShapeError as error:
            return str(error)
        return ""

    with ThreadPoolExecutor(2) as pool:
        with one_thread.lock:
            found = [pool.submit(append, number) for number in (1.0, 2.0)]
            begun.wait()
            # Long enough for both to come to the lock.
            time.sleep(0.2)
        messages = sorted(one.result() for one in found)
    assert messages[0] == ""
    assert "the cache holds 2 of 3, got 2" in messages[1]
    keys, values = cache.numpy()
    assert keys.shape == (1, 1, 2, 4)
    assert_same_bits(keys, -values)


@pytest.mark.parametrize("queries", [1, 5])
def test_no_call_sees_half_of_another_threads_change(queries):
    """All values of the cache are equal at any moment, so their mean is one of them."""
    with fw.Runtime(threads=1) as runtime:
        cache = fw.KVCache(2, 8, 64, runtime=runtime)
        found, stop = [], threading.Event()

        def look():
            while not stop.is_set():
                found.append(cache.attention(np.ones((2, queries, 8), np.float32)))

        before = sys.getswitchinterval()
        sys.setswitchinterval(1e-6)
        looking = threading.Thread(target=look)
        looking.start()
        try:
            for i in range(2000):
                count = 10 if i % 2 else 64
                cache.truncate(0)
                cache.append(np.zeros((2, count, 8)), np.full((2, count, 8), float(i)))
        finally:
            stop.set()
            looking.join()
            sys.setswitchinterval(before)
        for out in found:
            assert np.abs(out - np.round(out[0, 0, 0])).max() < 0.01


def test_a_call_waits_for_another_thread_no_longer_than_its_timeout(one_thread):
    cache = filled(one_thread, "float32", normal(1, 4, 8), normal(1, 4, 8))
    held, stop = threading.Event(), threading.Event()

    def hold():
        with cache._lock:  # noqa: SLF001 - as a long call of the other thread does.
            held.set()
            stop.wait(10)

    holding = threading.Thread(target=hold)
    holding.start()
    held.wait(10)
    try:
        with pytest.raises(fw.DeadlineExceeded):
            cache.attention(normal(1, 1, 8), timeout=0.01)
    finally:
        stop.set()
        holding.join()
