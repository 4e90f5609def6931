"""Operations large enough for several tasks: helper threads do not change the bits of results."""

import numpy as np
import pytest

import flashwasm as fw
from sample_arrays import normal

ANGLES = np.cos(normal(2, 300, 32)), np.sin(normal(2, 300, 32))
IDS = np.random.default_rng(0).integers(0, 50, (300, 3))
# Sequences of 3 to 17 rows, and some that are empty.
PLACES = np.concatenate([[0, 0, 0], np.cumsum(np.arange(180) * 7 % 15 + 3), [2003, 2003]])


def with_nans(x):
    """Return the array with a NaN in every 997th place."""
    x.reshape(-1)[::997] = np.nan
    return x


# Each has more than 65,536 elements or a million multiply-adds. The sizes do not divide evenly into
# tasks or tiles.
LARGE = {
    "vecadd": lambda **o: fw.vecadd(normal(300_007), normal(300_007, seed=1), **o),
    "vecadd, broadcast": lambda **o: fw.vecadd(normal(301, 1), normal(997), **o),
    "gelu": lambda **o: fw.gelu(normal(300_007), **o),
    "gelu, tanh": lambda **o: fw.gelu(normal(300_007), "tanh", **o),
    "gelu, NaN": lambda **o: fw.gelu(with_nans(normal(300_007)), **o),
    "softmax": lambda **o: fw.softmax(normal(301, 997), **o),
    "softmax, first axis": lambda **o: fw.softmax(normal(301, 997), axis=0, **o),
    "softmax, long rows": lambda **o: fw.softmax(normal(3, 100_003), **o),
    "softmax, NaN": lambda **o: fw.softmax(with_nans(normal(2003, 101)), **o),
    "layer_norm": lambda **o: fw.layer_norm(normal(301, 997), normal(997), normal(997), **o),
    "layer_norm, two axes": lambda **o: fw.layer_norm(normal(43, 70, 101), axis=1, **o),
    "rms_norm": lambda **o: fw.rms_norm(normal(301, 997), normal(997), **o),
    "rms_norm, NaN": lambda **o: fw.rms_norm(with_nans(normal(2003, 101)), **o),
    "embedding": lambda **o: fw.embedding(IDS, normal(50, 384), **o),
    "rotary_embedding": lambda **o: fw.rotary_embedding(normal(2, 7, 300, 64), *ANGLES, **o),
    "rotary_embedding, heads side by side": lambda **o: fw.rotary_embedding(
        normal(2, 300, 7 * 64), *ANGLES, num_heads=7, interleaved=True, **o
    ),
    "mean_pool": lambda **o: fw.mean_pool(normal(2003, 101), PLACES, **o),
    "mean_pool, unit length": lambda **o: fw.mean_pool(
        normal(2003, 101), PLACES, normalize=True, **o
    ),
    "matmul": lambda **o: fw.matmul(normal(131, 301), normal(301, 71), bias=normal(71), **o),
    "matmul, batch": lambda **o: fw.matmul(normal(2, 130, 300), normal(2, 300, 70), **o),
    "matmul, one row": lambda **o: fw.matmul(normal(1, 2003), normal(2003, 1501), **o),
    "matmul, NaN": lambda **o: fw.matmul(with_nans(normal(131, 301)), normal(301, 71), **o),
}


@pytest.mark.parametrize("name", LARGE)
def test_bits_do_not_depend_on_threads(threaded_runtime, one_thread, name):
    actual, expected = LARGE[name](runtime=threaded_runtime), LARGE[name](runtime=one_thread)
    np.testing.assert_array_equal(actual.view(np.uint32), expected.view(np.uint32))


@pytest.mark.parametrize("name", LARGE)
def test_bits_in_linear_memory_do_not_depend_on_threads(threaded_runtime, one_thread, name):
    expected = LARGE[name](runtime=one_thread)
    out = threaded_runtime.empty(expected.shape)
    assert LARGE[name](out=out, runtime=threaded_runtime) is out
    np.testing.assert_array_equal(np.array(out).view(np.uint32), expected.view(np.uint32))


@pytest.mark.parametrize("metric", ["cosine", "dot", "l2"])
@pytest.mark.parametrize("k", [1, 10, 1000])
def test_neighbours_do_not_depend_on_threads(threaded_runtime, one_thread, metric, k):
    """Each task finds the best rows of a piece of the corpus. Many rows are equal, so they tie."""
    queries, corpus = normal(5, 101), normal(5003, 101, seed=1)
    corpus[1::7] = corpus[0]
    corpus[3::500] = np.nan
    options = {"metric": metric}
    scores, rows = fw.cosine_top_k(queries, corpus, k, **options, runtime=threaded_runtime)
    expected, expected_rows = fw.cosine_top_k(queries, corpus, k, **options, runtime=one_thread)
    np.testing.assert_array_equal(scores.view(np.uint32), expected.view(np.uint32))
    np.testing.assert_array_equal(rows, expected_rows)


@pytest.mark.parametrize("name", ["vecadd", "gelu", "softmax", "layer_norm", "rms_norm"])
def test_in_place_by_several_threads(threaded_runtime, one_thread, name):
    x = normal(301, 997)
    function = (lambda x, **o: fw.vecadd(x, x, **o)) if name == "vecadd" else getattr(fw, name)
    expected = function(x, runtime=one_thread)
    resident = threaded_runtime.asarray(x)
    function(resident, out=resident, runtime=threaded_runtime)
    np.testing.assert_array_equal(np.array(resident), expected)
