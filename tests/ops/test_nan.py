"""Every NaN that a kernel computes is 0x7fc00000. A copied NaN keeps its bits."""

import functools

import numpy as np
import pytest

import flashwasm as fw
from flashwasm.flash_attention.materialized import materialized_attention
from flashwasm.oracles import reference
from sample_arrays import normal

CANONICAL = 0x7FC00000
# NaNs of both signs, quiet and signalling, with the least, the greatest and other payloads.
NANS = np.array(
    [0xFFC00000, 0x7F800001, 0xFF800001, 0x7FFFFFFF, 0xFFFFFFFF, 0x7FC12345, 0xFFA00000], np.uint32
)
INFINITIES = np.array([0x7F800000, 0xFF800000], np.uint32)


def sprinkled(bits, *shape, every=3, seed=0):
    """Return normal numbers, and replace about one in `every` by one of the bit patterns."""
    x, rng = normal(*shape, seed=seed), np.random.default_rng(seed)
    here = rng.random(shape) < 1 / every
    x.view(np.uint32)[here] = rng.choice(bits, here.sum())
    return x


odd = functools.partial(sprinkled, NANS)
infinite = functools.partial(sprinkled, INFINITIES)

COSINES, SINES = np.cos(normal(1, 11, 6)), np.sin(normal(1, 11, 6))
# Each function takes a function that makes an operand, and options. It returns the operation's
# result and the oracle's.
CASES = {
    "vecadd": lambda x, **o: (
        fw.vecadd(x(75), x(75, seed=1), **o),
        reference.vecadd(x(75), x(75, seed=1)),
    ),
    "matmul": lambda x, **o: (
        fw.matmul(x(37, 30, every=40), normal(30, 29), **o),
        reference.matmul(x(37, 30, every=40), normal(30, 29)),
    ),
    "matmul, one row": lambda x, **o: (
        fw.matmul(normal(1, 30), x(30, 29, every=40), **o),
        reference.matmul(normal(1, 30), x(30, 29, every=40)),
    ),
    "matmul, bias": lambda x, **o: (
        fw.matmul(normal(9, 5), normal(5, 29), bias=x(29), **o),
        reference.matmul(normal(9, 5), normal(5, 29), x(29)),
    ),
    "matmul, bias alone": lambda x, **o: (
        fw.matmul(normal(9, 0), normal(0, 29), bias=x(29), **o),
        reference.matmul(normal(9, 0), normal(0, 29), x(29)),
    ),
    "softmax": lambda x, **o: (
        fw.softmax(x(12, 39, every=40), **o),
        reference.softmax(x(12, 39, every=40)),
    ),
    "layer_norm": lambda x, **o: (
        fw.layer_norm(x(12, 39, every=40), **o),
        reference.layer_norm(x(12, 39, every=40)),
    ),
    "layer_norm, weight and bias": lambda x, **o: (
        fw.layer_norm(normal(3, 39), x(39), x(39, seed=1), **o),
        reference.layer_norm(normal(3, 39), x(39), x(39, seed=1)),
    ),
    "rms_norm": lambda x, **o: (
        fw.rms_norm(x(12, 39, every=40), x(39), **o),
        reference.rms_norm(x(12, 39, every=40), x(39)),
    ),
    "gelu": lambda x, **o: (fw.gelu(x(75), **o), reference.gelu(x(75))),
    "gelu, tanh": lambda x, **o: (
        fw.gelu(x(75), approximate="tanh", **o),
        reference.gelu(x(75), "tanh"),
    ),
    "rotary_embedding": lambda x, **o: (
        fw.rotary_embedding(x(1, 3, 11, 12), COSINES, SINES, **o),
        reference.rotary_embedding(x(1, 3, 11, 12), COSINES, SINES),
    ),
    "rotary_embedding, interleaved": lambda x, **o: (
        fw.rotary_embedding(x(1, 3, 11, 12), COSINES, SINES, interleaved=True, **o),
        reference.rotary_embedding(x(1, 3, 11, 12), COSINES, SINES, interleaved=True),
    ),
    "mean_pool": lambda x, **o: (
        fw.mean_pool(x(12, 39), [0, 5, 6, 12], **o),
        reference.mean_pool(x(12, 39), [0, 5, 6, 12]),
    ),
    "mean_pool, normalized": lambda x, **o: (
        fw.mean_pool(x(12, 39, every=40), [0, 5, 6, 12], normalize=True, **o),
        reference.mean_pool(x(12, 39, every=40), [0, 5, 6, 12], normalize=True),
    ),
    "attention": lambda x, **o: (
        fw.attention(x(2, 13, 8, every=40), *normal(2, 2, 70, 8), **o),
        reference.attention(x(2, 13, 8, every=40), *normal(2, 2, 70, 8))[0],
    ),
    "attention, log-sum-exp": lambda x, **o: (
        fw.attention(x(2, 13, 8, every=40), *normal(2, 2, 70, 8), return_lse=True, **o)[1],
        reference.attention(x(2, 13, 8, every=40), *normal(2, 2, 70, 8))[1],
    ),
    "attention, one query": lambda x, **o: (
        fw.attention(normal(2, 1, 8), normal(2, 70, 8), x(2, 70, 35, every=90), **o),
        reference.attention(normal(2, 1, 8), normal(2, 70, 8), x(2, 70, 35, every=90))[0],
    ),
    "attention_materialized": lambda x, **o: (
        materialized_attention(x(2, 13, 8, every=40), *normal(2, 2, 70, 8), **o),
        reference.attention(x(2, 13, 8, every=40), *normal(2, 2, 70, 8))[0],
    ),
}


def assert_canonical(actual):
    """Fail unless there are NaNs and all of them are the canonical one."""
    found = actual.view(np.uint32)[np.isnan(actual)]
    assert found.size
    assert set(found.tolist()) == {CANONICAL}


# Cases with a bias are left out of the infinities, because an infinite weight or bias makes no NaN.
@pytest.mark.parametrize(
    ("name", "make"),
    [(name, odd) for name in CASES] + [(name, infinite) for name in CASES if "bias" not in name],
    ids=lambda x: x if isinstance(x, str) else ("nans" if x is odd else "infinities"),
)
def test_any_nan_becomes_the_canonical_one(runtime, name, make):
    with np.errstate(all="ignore"):
        actual, expected = CASES[name](make, runtime=runtime)
    np.testing.assert_array_equal(np.isnan(actual), np.isnan(expected))
    assert_canonical(actual)


@pytest.mark.parametrize("metric", ["cosine", "dot", "l2"])
@pytest.mark.parametrize("make", [odd, infinite], ids=["nans", "infinities"])
def test_a_nan_score_of_a_search_is_the_canonical_one(runtime, metric, make):
    corpus = make(43, 17)
    corpus[::2] = normal(22, 17)
    scores, _ = fw.cosine_top_k(infinite(5, 17), corpus, 43, metric=metric, runtime=runtime)
    assert_canonical(scores)


def test_nans_that_are_copied_keep_their_bits(runtime):
    table = odd(50, 39)
    ids = np.arange(49, -1, -3)
    rows = fw.embedding(ids, table, runtime=runtime)
    np.testing.assert_array_equal(rows.view(np.uint32), table[ids].view(np.uint32))
    x = odd(1, 3, 11, 20)
    turned = fw.rotary_embedding(x, COSINES, SINES, rotary_dim=12, runtime=runtime)
    rest = turned[..., 12:].view(np.uint32)
    np.testing.assert_array_equal(rest, x[..., 12:].view(np.uint32))
    assert_canonical(turned[..., :12])
