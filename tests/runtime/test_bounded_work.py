"""The work of one kernel call is limited, because timeouts and Ctrl-C have to wait for it."""

import numpy as np
import pytest

import flashwasm as fw
from flashwasm.kernel_table import (
    ATTENTION,
    COSINE_TOP_K,
    EMBEDDING,
    FLAT_SEARCH,
    LAYER_NORM,
    MATMUL,
    MEAN_POOL,
    MEAN_POOL_PIECE,
    NORM_PIECE,
    RMS_NORM,
    ROTARY_EMBEDDING,
    SOFTMAX,
    SOFTMAX_PIECE,
    VECADD,
)
from flashwasm.runtime.work_limits import MOST_ELEMENTS, MOST_PRODUCTS, MOST_READ
from recorded_calls import recorded_calls

HUGE = 300_000_000


@pytest.fixture
def large():
    """Return a runtime of one thread that calls no kernel, and the list of its calls."""
    with fw.Runtime(threads=1) as rt, recorded_calls(rt) as calls:
        yield rt, calls


def elements(kernel, arguments):
    """Return the elements that a call goes through, a short row counting as eight."""
    if kernel in (SOFTMAX, LAYER_NORM, RMS_NORM):
        at = {SOFTMAX: 2, LAYER_NORM: 4, RMS_NORM: 3}[kernel]
        return arguments[at] * max(arguments[at + 1], 8)
    if kernel is MEAN_POOL_PIECE:
        return max(arguments[3], 1) * max(arguments[4], 1)
    if kernel is EMBEDDING:
        return arguments[3] * max(arguments[5], 8)
    if kernel is ROTARY_EMBEDDING:
        return arguments[4] * arguments[5] * arguments[6]
    return arguments[{SOFTMAX_PIECE: 3, NORM_PIECE: 5, VECADD: 3}[kernel]]


@pytest.mark.parametrize("shape", [(1, HUGE), (HUGE, 1), (HUGE // 2, 2), (2, HUGE // 2)])
@pytest.mark.parametrize("operation", [fw.softmax, fw.layer_norm, fw.rms_norm, fw.gelu])
def test_rows(large, operation, shape):
    rt, calls = large
    x = rt.empty(shape)
    operation(x, out=x, runtime=rt)
    passes = {fw.softmax: 3, fw.layer_norm: 3, fw.rms_norm: 2, fw.gelu: 1}[operation]
    if operation is fw.gelu:
        sizes = [arguments[2] for _, arguments in calls]
    else:
        sizes = [elements(*call) for call in calls]
    assert max(sizes) <= MOST_ELEMENTS
    assert sum(sizes) >= HUGE * (passes if shape[1] > MOST_ELEMENTS else 1)


@pytest.mark.parametrize("shape", [(HUGE, 1), (1, HUGE), (HUGE // 64, 64)])
def test_mean_pool(large, shape):
    rt, calls = large
    fw.mean_pool(rt.empty(shape), [0, shape[0]], normalize=True, runtime=rt)
    assert {kernel for kernel, _ in calls} == {MEAN_POOL_PIECE}
    assert max(elements(*call) for call in calls) <= MOST_ELEMENTS


def test_mean_pool_of_empty_sequences(large):
    rt, calls = large
    out = rt.empty((1000, 100_000))
    fw.mean_pool(rt.empty((0, 100_000)), np.zeros(1001, int), out=out, runtime=rt)
    assert sum(arguments[3] for _, arguments in calls) == 1000
    assert max(arguments[3] * arguments[4] for _, arguments in calls) <= 2 * MOST_ELEMENTS
    assert {kernel for kernel, _ in calls} == {MEAN_POOL}


@pytest.mark.parametrize(
    ("m", "k", "n"),
    [
        (1, HUGE, 1),
        (3, HUGE // 8, 7),
        (128, 2_000_000, 128),
        (1, 17_000, 17_000),
        (17_000, 17_000, 1),
        (HUGE, 1, 1),
        (15_000, 2, 15_000),
        (5000, 5000, 5000),
    ],
)
def test_matmul(large, m, k, n):
    rt, calls = large
    fw.matmul(rt.empty((m, k)), rt.empty((k, n)), out=rt.empty((m, n)), runtime=rt)
    done = 0
    for kernel, (*_, rows, columns, depth, _, _, _, _, _) in calls:
        assert kernel is MATMUL
        # A tile of the kernel has 4 x 8 elements: it may be more than half empty.
        assert max(rows, 16) * max(columns, 16) * max(depth, 16) <= MOST_PRODUCTS
        done += rows * columns * depth
    assert done == m * k * n


@pytest.mark.parametrize("k", [1, 10, 5000, 100_000])
@pytest.mark.parametrize(("queries", "rows", "dim"), [(1, 30_000, 16_384), (300, 400_000, 128)])
def test_top_k(large, queries, rows, dim, k):
    rt, calls = large
    k = min(k, rows)
    fw.cosine_top_k(rt.empty((queries, dim)), rt.empty((rows, dim)), k, runtime=rt)
    done = 0
    for kernel, (*_, some, of_rows, width, _, _, _, _) in calls:
        assert kernel is COSINE_TOP_K
        assert some * of_rows * width <= MOST_PRODUCTS
        assert of_rows * width <= MOST_READ
        done += some * of_rows
    assert done == queries * rows


@pytest.mark.parametrize(
    ("queries", "dim", "k"), [(1, 16_384, 1), (300, 16_384, 10), (300, 8, 4096)]
)
def test_flat_search(large, queries, dim, k):
    rt, calls = large
    index = fw.FlatIndex(dim, metric="dot", runtime=rt)
    index.add(np.zeros((40_000 if dim == 8 else 2000, dim), np.float32))
    calls.clear()
    index.search(np.zeros((queries, dim), np.float32), k)
    level = 0 if k < 100 else 100
    for kernel, (*_, count, begin, end, width, _, _) in calls:
        assert kernel is FLAT_SEARCH
        assert count * (end - begin) * (width + level) <= 2 * MOST_PRODUCTS
    assert sum(a[-6] * (a[-4] - a[-5]) for _, a in calls) == queries * len(index)


def test_embedding_and_rotary_embedding(large):
    rt, calls = large
    table = rt.empty((HUGE, 1))
    ids = rt.asarray(np.arange(3_000_000, dtype=np.int32))
    fw.embedding(ids, table, out=rt.empty((len(ids), 1)), runtime=rt)
    x = rt.empty((1, 10_000_000, 1, 8))
    angles = rt.empty((1, 1, 4)), rt.empty((1, 1, 4))
    fw.rotary_embedding(x, *angles, out=x, runtime=rt)
    assert {kernel for kernel, _ in calls} == {EMBEDDING, ROTARY_EMBEDDING}
    assert max(elements(*call) for call in calls) <= MOST_ELEMENTS


@pytest.mark.parametrize("packed", [False, True])
def test_attention(large, packed):
    rt, calls = large
    length = 30_000
    x = rt.empty((length, 2, 256) if packed else (2, length, 256))
    if packed:
        fw.attention_varlen(x, x, x, [0, length], [0, length], out=x.copy(), runtime=rt)
    else:
        fw.attention(x, x, x, runtime=rt)
    assert {kernel for kernel, _ in calls} == {ATTENTION}
    done = 0
    for _, arguments in calls:
        head, head_end, _, query, query_end, key, key_end = arguments[11:18]
        pairs = (head_end - head) * (query_end - query) * (key_end - key)
        assert pairs * 2 * 256 <= 2 * MOST_PRODUCTS
        done += pairs
    assert done == 2 * length**2
