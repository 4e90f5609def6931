"""Attention in pieces: the result does not depend on blocks, strategy or stored scores."""

import numpy as np
import pytest

import flashwasm as fw

rng = np.random.default_rng(0)
# Rounding of a float32 sum of at most 300 products of standard normal numbers in another order.
TOLERANCE = 1e-5


def normal(*shape):
    return rng.standard_normal(shape).astype(np.float32)


K, V = normal(2, 2, 90, 16), normal(2, 2, 90, 24)
SIZES = [
    {},
    {"heads_per_block": 1, "query_chunk_size": 7, "kv_chunk_size": 11, "matmul_block_size": 5},
    {"heads_per_block": 3, "query_chunk_size": 70, "kv_chunk_size": 90},
]


@pytest.mark.parametrize("sizes", SIZES, ids=["defaults", "small", "exact"])
@pytest.mark.parametrize("fused", [True, False])
@pytest.mark.parametrize("causal", [True, False])
@pytest.mark.parametrize("workload", ["test-similarity", "code-embedding", "coverage-analysis"])
@pytest.mark.parametrize("queries", [70, 120])
def test_blocks_and_strategies_do_not_change_the_result(
    make, workload, causal, fused, sizes, queries
):
    attention = make(workload, blocks=sizes, fused_softmax=fused, use_causal_mask=causal)
    q = normal(2, 4, queries, 16)
    expected = fw.attention(q, K, V, causal="bottom_right" if causal else False)
    flash = attention.compute_flash_attention(q, K, V)
    baseline = attention.compute_baseline_attention(q, K, V)
    assert flash.shape == baseline.shape == expected.shape
    assert np.isfinite(flash).all()
    assert np.abs(flash - expected).max() <= TOLERANCE
    assert np.abs(baseline - expected).max() <= TOLERANCE


@pytest.mark.parametrize(
    "shapes",
    [
        [(5, 8), (7, 8), (7, 4)],
        [(2, 5, 8), (1, 7, 8), (1, 7, 8)],
        [(3, 1, 2, 5, 8), (4, 2, 7, 8), (2, 7, 8)],
        [(2, 0, 8), (2, 7, 8), (2, 7, 8)],
        [(2, 5, 8), (2, 0, 8), (2, 0, 8)],
    ],
    ids=str,
)
def test_shapes_broadcast_as_those_of_attention(make, shapes):
    q, k, v = (normal(*shape) for shape in shapes)
    result = make().compute_flash_attention(q, k, v)
    expected = fw.attention(q, k, v)
    assert result.shape == expected.shape
    assert np.allclose(result, expected, rtol=0, atol=TOLERANCE)


@pytest.mark.parametrize(
    ("shapes", "message"),
    [
        ([(5,), (7, 8), (7, 8)], "q: expected at least 2 axes"),
        ([(3, 5, 8), (2, 7, 8), (2, 7, 8)], "q: expected a multiple of the 2 heads"),
        ([(2, 5, 8), (2, 7, 8), (2, 6, 8)], "k, v: expected keys"),
        ([(2, 5, 8), (2, 7, 9), (2, 7, 8)], "k, v: expected keys"),
        ([(2, 1, 5, 8), (3, 1, 7, 8), (3, 1, 7, 8)], "do not broadcast"),
    ],
)
def test_shapes_that_are_refused(make, shapes, message):
    with pytest.raises(fw.ShapeError, match=message):
        make().compute_flash_attention(*(normal(*shape) for shape in shapes))
    with pytest.raises(fw.DTypeError, match="q: expected float32"):
        make().compute_flash_attention(np.ones((5, 8), int), K, V)
