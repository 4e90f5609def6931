"""Linear memory as users see it: arrays that lie in it, and operands larger than it."""

import gc

import numpy as np
import pytest

import flashwasm as fw
from every_operation import ANGLES, IDS, OPERATIONS, TABLE, WITH_OUT
from flashwasm.oracles import reference
from helper_threads import runtime_with_helpers
from sample_arrays import assert_same_bits, layouts, normal

MIB = 1 << 20


@pytest.mark.parametrize("dtype", [np.float32, np.float64, np.int32, np.int8, bool, "f4,i2"])
@pytest.mark.parametrize("shape", [(), 5, (0,), (3, 4), (2, 0, 3)])
def test_new_arrays(runtime, shape, dtype):
    for make in (runtime.empty, runtime.zeros):
        array = make(shape, dtype)
        assert array.shape == np.empty(shape).shape
        assert array.dtype == np.dtype(dtype)
        assert array.flags.writeable
        assert array.flags.c_contiguous
        assert runtime.holds(array) or not array.size
    assert array.tobytes() == bytes(array.nbytes)


@pytest.mark.parametrize("dtype", [np.float32, np.float64, np.int8, "f4,i2", "M8[s]", "U3"])
def test_zeros_in_memory_that_was_used(runtime, dtype):
    size = 3 * MIB // np.dtype(dtype).itemsize
    used = runtime.empty(size, dtype)
    used.view(np.uint8)[:] = 255
    del used
    array = runtime.zeros(size, dtype)
    assert array.tobytes() == bytes(array.nbytes)


def test_zeros_keep_the_timeout():
    with fw.Runtime(threads=1, timeout=1e-9) as rt:
        with pytest.raises(fw.DeadlineExceeded, match="zeros did not finish"):
            rt.zeros(10_000_000)
        assert rt.stats().bytes_in_use == 0


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
    """Arrays of changing sizes that come and go in random order take the memory of a few."""
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


def test_operands_of_many_sizes_leave_little_behind():
    """Freed blocks are merged before memory grows, or sizes that never repeat would fill it."""
    x = np.zeros(MIB // 4, np.float32)
    with fw.Runtime(threads=1) as rt:
        for rows in range(16 * 1000, MIB // 4, 16 * 15):
            fw.gelu(x[:rows], runtime=rt)
        assert rt.stats().bytes_peak < 2 * MIB
        assert rt.stats().bytes_reserved < 96 * MIB


# matmul_i8 has no argument `runtime`, since its matrix has one: see tests/ops/test_matmul_i8.py.
WITH_RUNTIME = sorted(set(WITH_OUT) - {"matmul_i8"})
OPERANDS = {
    "matmul": (normal(12, 30), normal(30, 24)),
    "vecadd": (normal(12, 24), normal(12, 24, seed=1)),
    "embedding": (IDS.astype(np.int32), TABLE),
    "rotary_embedding": (normal(1, 3, 12, 8), *ANGLES),
    "mean_pool": (normal(12, 24), np.int32([0, 5, 12])),
    "attention": (normal(2, 12, 24), *normal(2, 2, 12, 24)),
}


@pytest.mark.parametrize("name", WITH_RUNTIME)
def test_operations_on_resident_arrays_copy_nothing(name):
    """A call whose operands and result are resident copies nothing and takes no memory."""
    function = getattr(fw, name)
    operands = OPERANDS.get(name, (normal(12, 24),))
    with fw.Runtime(threads=1) as rt:
        expected = function(*operands, runtime=rt)
        resident, out = [rt.asarray(x) for x in operands], rt.empty(expected.shape)
        gc.collect()
        before = rt.stats()
        actual = function(*resident, out=out, runtime=rt)
        after = rt.stats()
        assert actual is out
        assert_same_bits(np.array(out), expected)
        assert after.copy_seconds == before.copy_seconds
        assert after.bytes_in_use == before.bytes_in_use
        assert after.calls > before.calls


@pytest.mark.parametrize("name", WITH_RUNTIME)
def test_results_stay_where_the_operands_are(runtime, name):
    function = getattr(fw, name)
    operands = OPERANDS.get(name, (normal(12, 24),))
    resident = [runtime.asarray(x) for x in operands]
    assert runtime.holds(function(*resident, runtime=runtime))
    assert not runtime.holds(function(*operands, runtime=runtime))


@pytest.mark.parametrize("name", WITH_OUT)
@pytest.mark.parametrize("resident", [True, False])
def test_out_is_filled_and_returned(runtime, name, resident):
    expected = OPERATIONS[name](runtime=runtime)
    out = runtime.empty(expected.shape) if resident else np.empty(expected.shape, np.float32)
    out[...] = np.nan
    assert OPERATIONS[name](runtime=runtime, out=out) is out
    assert_same_bits(np.array(out), expected)


def overlapping(runtime):
    """Return operations whose `out` overlaps an input, as functions of that input."""
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
def test_out_may_overlap_inputs(runtime, case, resident):
    """As with NumPy's functions, the result is the same as with an `out` of its own memory."""
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


def test_arrays_of_another_runtime_are_copied_like_any_others(runtime, one_thread):
    a, b = normal(9, 20), normal(20, 5)
    expected = fw.matmul(a, b, runtime=runtime)
    foreign = one_thread.asarray(a), one_thread.asarray(b)
    assert_same_bits(fw.matmul(*foreign, runtime=runtime), expected)


# Operands larger than linear memory.


SMALL = 6 * MIB


@pytest.fixture(params=[1, 2], ids=lambda threads: f"{threads} threads")
def small(request):
    """Return a runtime whose linear memory is smaller than the operands given to it.

    If it has two threads, the helper thread must get work. Tests whose work is a single task are
    marked `one_thread_only`.
    """
    make = fw.Runtime if request.param == 1 else runtime_with_helpers
    with make(threads=request.param, max_memory=SMALL) as rt:
        yield rt
        if request.param > 1:
            assert rt.workers.helper_tasks, "the work of this test is one task"
        stats = rt.stats()
        assert stats.bytes_reserved <= SMALL
        assert stats.bytes_in_use == 0


one_thread_only = pytest.mark.parametrize("small", [1], indirect=True)


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
@pytest.mark.parametrize("shape", [(6000, 500), (7, 100, 4000)])
def test_rows_larger_than_memory(small, one_thread, name, shape):
    operands = (normal(*shape), normal(*shape, seed=1)) if name == "vecadd" else (normal(*shape),)
    function = getattr(fw, name)
    expected = function(*operands, runtime=one_thread)
    assert_same_bits(function(*operands, runtime=small), expected)


@pytest.mark.parametrize("name", ["vecadd", "gelu"])
def test_an_axis_larger_than_memory(small, one_thread, name):
    operands = [normal(3_000_000)] * (2 if name == "vecadd" else 1)
    expected = getattr(fw, name)(*operands, runtime=one_thread)
    assert_same_bits(getattr(fw, name)(*operands, runtime=small), expected)


def test_embedding_larger_than_memory(small):
    table, ids = normal(2000, 200), np.random.default_rng(0).integers(0, 2000, 30_000)
    assert_same_bits(fw.embedding(ids, table, runtime=small), table[ids])


def test_rotary_embedding_larger_than_memory(small, one_thread):
    x = normal(4, 8, 1000, 64)
    angles = np.cos(normal(4, 1000, 32)), np.sin(normal(4, 1000, 32))
    expected = fw.rotary_embedding(x, *angles, runtime=one_thread)
    assert_same_bits(fw.rotary_embedding(x, *angles, runtime=small), expected)


@pytest.mark.parametrize("normalize", [False, True])
def test_mean_pool_larger_than_memory(small, one_thread, normalize):
    x, starts = normal(20_000, 100), [0, 3, 3, 4_000, 8_000, 8_001, 12_000, 15_500, 19_000]
    assert x.nbytes > SMALL
    expected = fw.mean_pool(x, starts, normalize=normalize, runtime=one_thread)
    out = np.empty_like(expected)
    actual = fw.mean_pool(x, starts, normalize=normalize, out=out, runtime=small)
    assert actual is out
    assert_same_bits(actual, expected)


@one_thread_only
def test_operands_that_do_not_fit_raise_even_if_the_result_is_empty(small):
    with pytest.raises(fw.OutOfMemoryError):
        fw.layer_norm(np.empty((0, 2, 1 << 21)), np.empty(1 << 21), runtime=small)
    wide = np.empty((1, 2, 1 << 14, 128), np.float32)
    with pytest.raises(fw.OutOfMemoryError):
        fw.attention(np.empty((0, 2, 1, 128)), wide, wide, runtime=small)


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
    """There are more batch entries and heads, more queries, or more key heads than fit."""
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
def test_out_may_overlap_inputs_that_are_split(small, one_thread, case):
    """A part must not write where a later part still reads an operand."""
    x = normal(6000 if case == "keys" else 40_000, 64)
    expected = IN_PARTS_OVER_INPUTS[case](x.copy(), one_thread)
    assert_same_bits(IN_PARTS_OVER_INPUTS[case](x, small), expected)


@one_thread_only
def test_an_operand_that_every_part_needs_must_fit_whole(small):
    """Such operands are a row, the table of an embedding, and the keys of a head."""
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


def test_arrays_that_the_user_holds_leave_less_memory(one_thread):
    with fw.Runtime(threads=1, max_memory=SMALL) as rt:
        held = rt.empty(3 * MIB, np.uint8)
        x = normal(1000, 500)
        assert_same_bits(fw.softmax(x, runtime=rt), fw.softmax(x, runtime=one_thread))
        with pytest.raises(fw.OutOfMemoryError) as caught:
            rt.empty(3 * MIB, np.uint8)
        assert caught.value.in_use >= held.nbytes


@pytest.mark.parametrize("threads", [1, 3])
def test_the_error_counts_the_bytes_of_the_threads(threads):
    """The request does not fit, and the message says so: there is less room than `max_memory`."""
    with fw.Runtime(threads=threads, max_memory=5 * MIB) as rt:
        index = fw.FlatIndex(64, runtime=rt)
        with pytest.raises(fw.OutOfMemoryError) as caught:
            index.add(normal(20_000, 64))
        own = rt.stats().bytes_workspace
        assert own <= caught.value.in_use < own + MIB
        assert caught.value.requested <= caught.value.allowed == 5 * MIB
        assert caught.value.in_use + caught.value.requested > caught.value.allowed
        assert f" {caught.value.in_use} in use (with those of the threads)" in str(caught.value)


def test_attention_takes_memory_for_its_operands_only():
    """Memory beyond the operands is O(length). The matrix of scores alone would be 64 MiB."""
    with fw.Runtime(threads=1) as rt:
        x = normal(4096, 32)
        fw.attention(x, x, x, runtime=rt)
        assert rt.stats().bytes_peak <= 4 * x.nbytes + 64 * 4096


def test_memory_grows_in_large_pages_up_to_its_limit():
    with fw.Runtime(threads=1, max_memory=5 * MIB) as rt:
        kept, sizes = [], set()
        while True:
            try:
                kept.append(rt.empty((50_000,)))
            except fw.OutOfMemoryError:
                break
            sizes.add(rt.stats().bytes_reserved)
        assert sizes == {2 * MIB, 4 * MIB, 5 * MIB}
        assert len(kept) * 200_000 > 3 * MIB
