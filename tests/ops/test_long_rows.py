"""Rows, sums and sequences too long for one call: splitting them does not change the bits."""

import numpy as np
import pytest

import flashwasm as fw
from flashwasm.kernel_table import LAYER_NORM, MATMUL, MEAN_POOL, RMS_NORM, SOFTMAX
from flashwasm.runtime.work_limits import LONGEST_CHAIN, MOST_ELEMENTS
from sample_arrays import SPECIAL, assert_same_bits, normal

LONG = MOST_ELEMENTS + 4099


def in_one_call(runtime, kernel, operands, shape, *sizes):
    """Return the result of one call of a kernel on whole rows."""
    placed = [None if x is None else runtime.asarray(x) for x in operands]
    out = runtime.empty(shape)
    addresses = [0 if x is None else runtime.arena.offset_of(x) for x in (*placed, out)]
    assert runtime.kernel_calls[kernel]((*addresses, *sizes)) == 0
    return out


@pytest.fixture(scope="module")
def rows():
    x = normal(2, LONG)
    x[1, 5::100_003] = np.resize(SPECIAL[3:], x[1, 5::100_003].shape)
    return x


def test_softmax(runtime, rows):
    expected = in_one_call(runtime, SOFTMAX, (rows,), rows.shape, *rows.shape)
    assert_same_bits(fw.softmax(rows, runtime=runtime), expected)
    in_place = runtime.asarray(rows)
    fw.softmax(in_place, out=in_place, runtime=runtime)
    assert_same_bits(in_place, expected)


@pytest.mark.parametrize("special", [np.nan, np.inf, -np.inf])
def test_softmax_of_special_values(runtime, special):
    x = np.full((1, LONG), -np.inf, np.float32)
    x[0, -1] = special
    expected = in_one_call(runtime, SOFTMAX, (x,), x.shape, *x.shape)
    assert_same_bits(fw.softmax(x, runtime=runtime), expected)


@pytest.mark.parametrize("given", [(False, False), (True, False), (False, True), (True, True)])
def test_layer_norm(runtime, rows, given):
    shared = [normal(LONG, seed=i) if used else None for i, used in enumerate(given)]
    expected = in_one_call(
        runtime, LAYER_NORM, (rows, *shared), rows.shape, *rows.shape, np.float32(1e-5)
    )
    assert_same_bits(fw.layer_norm(rows, *shared, runtime=runtime), expected)


@pytest.mark.parametrize("weighted", [False, True])
def test_rms_norm(runtime, rows, weighted):
    weight = normal(LONG, seed=3) if weighted else None
    expected = in_one_call(
        runtime, RMS_NORM, (rows, weight), rows.shape, *rows.shape, np.float32(1e-5)
    )
    assert_same_bits(fw.rms_norm(rows, weight, runtime=runtime), expected)


@pytest.mark.parametrize("normalize", [False, True])
@pytest.mark.parametrize(
    ("shape", "offsets"),
    [
        ((2 * LONG, 1), [0, 3, 3, LONG, LONG + 7, 2 * LONG]),
        ((3, LONG), [0, 0, 2, 3]),
        ((LONG // 50, 100), [0, LONG // 50]),
    ],
)
def test_mean_pool(runtime, shape, offsets, normalize):
    x, table = normal(*shape), np.int32(offsets)
    result = (len(offsets) - 1, shape[1])
    expected = in_one_call(runtime, MEAN_POOL, (x, table), result, *result, normalize)
    actual = fw.mean_pool(x, offsets, normalize=normalize, runtime=runtime)
    assert_same_bits(actual, expected)


@pytest.mark.parametrize(("m", "n"), [(1, 1), (3, 8), (5, 3), (1, 17)])
@pytest.mark.parametrize("with_bias", [False, True])
def test_matmul(runtime, m, n, with_bias):
    k = 2 * LONGEST_CHAIN + 513
    a, b = normal(m, k), normal(k, n)
    a[0, 7] = np.inf
    bias = normal(n) if with_bias else None
    sizes = (m, n, k, k, 1, n, 1, n)
    expected = in_one_call(runtime, MATMUL, (a, b, bias), (m, n), *sizes)
    assert_same_bits(fw.matmul(a, b, bias=bias, runtime=runtime), expected)
    transposed = runtime.asarray(np.ascontiguousarray(b.T)).T
    assert_same_bits(fw.matmul(a, transposed, bias=bias, runtime=runtime), expected)


def test_embedding(runtime):
    table = normal(3, LONG)
    assert_same_bits(fw.embedding([2, -3], table, runtime=runtime), table[[2, 0]])


def test_rotary_embedding_of_many_heads(runtime):
    x = normal(1, MOST_ELEMENTS // 8 + 5, 1, 8)
    angles = normal(1, 1, 4), normal(1, 1, 4, seed=1)
    whole = fw.rotary_embedding(x, *angles, runtime=runtime)
    parts = [
        fw.rotary_embedding(x[:, i : i + 1], *angles, runtime=runtime) for i in (0, 70_000, 131_076)
    ]
    for part, i in zip(parts, (0, 70_000, 131_076), strict=True):
        assert_same_bits(part, whole[:, i : i + 1])


def test_long_rows_on_several_threads(threaded_runtime, one_thread, rows):
    expected = fw.layer_norm(rows, runtime=one_thread)
    assert_same_bits(fw.layer_norm(rows, runtime=threaded_runtime), expected)
