"""Flash attention on a GPU."""

import numpy as np
import pytest

from attention_checks import qkv
from gpu_calls import attend, check_attention
from sample_arrays import assert_same_bits, normal

pytestmark = pytest.mark.usefixtures("gpu")


def _four_axes(**sizes):
    return qkv(leading=(1,), **sizes)


@pytest.mark.parametrize("keys", [1, 31, 32, 33, 64, 100])
@pytest.mark.parametrize("queries", [1, 32, 33])
def test_lengths_below_at_and_above_a_block(queries, keys):
    check_attention(*_four_axes(queries=queries, keys=keys, dim=8))


@pytest.mark.parametrize(
    ("dim", "value_dim"), [(1, 1), (31, 33), (32, 32), (33, 31), (65, 64), (256, 63), (16, 256)]
)
def test_dimensions_below_at_and_above_a_slice(dim, value_dim):
    check_attention(*_four_axes(queries=5, keys=40, dim=dim, value_dim=value_dim))


@pytest.mark.parametrize(("heads", "key_heads"), [(6, 6), (6, 2), (6, 1)])
def test_query_heads_share_key_heads(heads, key_heads):
    operands = qkv(leading=(3,), queries=7, keys=9, heads=heads, key_heads=key_heads)
    check_attention(*operands)


OPTIONS = [
    {"causal": "top_left"},
    {"causal": "bottom_right"},
    {"causal": -30},
    {"causal": np.array([-3, 70])},
    {"kv_lengths": np.array([0, 61]), "causal": "bottom_right"},
    {"window": (3, None)},
    {"window": (None, 2)},
    {"window": (40, 5), "causal": 10},
    {"softcap": 0.7},
    {"scale": -0.3},
    {"scale": 0.0},
    {"alibi_slopes": np.float32([0.5, -0.25])},
    {"sinks": np.float32([1.5, -np.inf])},
    {"mask": normal(2, 1, 50, 70) > 0},
    {"mask": normal(70) > 0},
    {"mask": np.arange(50)[:, None] % 3 > 0},
    {"mask": normal(2, 50, 70)},
    {"mask": np.where(normal(1, 2, 1, 70) > 0, np.float32(-np.inf), normal(1, 2, 1, 70))},
    {"mask": np.full((50, 70), np.float32(-1000))},
    {
        "causal": "bottom_right",
        "window": (35, 0),
        "softcap": 2.0,
        "alibi_slopes": np.float32([0.1, 0.2]),
        "sinks": np.float32([0.5, -1]),
        "kv_lengths": np.array([70, 33]),
        "mask": normal(50, 70) > -1,
    },
]


@pytest.mark.parametrize("options", OPTIONS, ids="+".join)
def test_each_option_and_the_bits_of_parts(gpu, options):
    """Batch entries, heads, queries and keys are all cut here."""
    operands = qkv(leading=(2,), queries=50, keys=70)
    whole = check_attention(*operands, **options)
    for most_bytes in (6000, 2500):
        gpu.most_bytes = most_bytes
        for actual, expected in zip(attend(*operands, **options), whole, strict=True):
            assert_same_bits(actual, expected)


def test_a_row_does_not_depend_on_the_rows_beside_it():
    q, k, v = qkv(leading=(2,), queries=70, keys=90)
    whole, lse = attend(q, k, v, causal=5)
    some = attend(q[:1, :, 40:45], k[:1], v[:1], causal=45)
    assert_same_bits(some[0], whole[:1, :, 40:45])
    assert_same_bits(some[1], lse[:1, :, 40:45])


def test_a_query_that_sees_no_key_gets_zeros():
    q, k, v = qkv(leading=(1,), queries=40, keys=50)
    out, lse = check_attention(q, k, v, causal=-35)
    assert not out[:, :, :35].any()
    assert np.isneginf(lse[:, :, :35]).all()
    assert out[:, :, 35:].all()
    out, lse = check_attention(q, k[:, :, :0], v[:, :, :0])
    assert not out.any()
    assert np.isneginf(lse).all()


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize(
    "options",
    [
        {"mask": np.arange(70) < 45},
        {"mask": np.where(np.arange(70) < 45, np.float32(0), np.float32(-np.inf))},
        {"causal": -5},
        {"window": (2, 2)},
        {"kv_lengths": np.array([45])},
    ],
    ids=lambda options: next(iter(options)),
)
def test_what_a_query_does_not_see_never_reaches_it(options, value):
    q, k, v = qkv(leading=(1,), queries=41, keys=70)
    clean = attend(q, k, v, **options)
    k[:, :, 45:], v[:, :, 45:] = value, value
    for actual, expected in zip(attend(q, k, v, **options), clean, strict=True):
        assert_same_bits(actual, expected)


def test_nan_in_what_a_query_sees_gives_nan():
    q, k, v = qkv(leading=(1,), queries=40, keys=50)
    v[0, 0, 20, 3] = np.nan
    k[0, 1, 30] = np.nan
    q[0, 0, 5] = np.nan
    out, lse = attend(q, k, v, causal=0)
    expected = np.zeros(out.shape, bool)
    expected[0, 0, 20:, 3] = expected[0, 1, 30:] = expected[0, 0, 5] = True
    np.testing.assert_array_equal(np.isnan(out), expected)
    np.testing.assert_array_equal(np.isnan(lse[0, 1]), np.arange(40) >= 30)


def test_an_infinite_value_that_is_seen_is_infinite():
    q, k, v = qkv(leading=(1,), queries=3, keys=40)
    v[0, 0, 2, 5] = np.inf
    out, _ = check_attention(q, k, v)
    assert np.isposinf(out[0, 0, :, 5]).all()


def test_large_scores_do_not_overflow():
    q, k, v = qkv(leading=(1,), queries=33, keys=65)
    check_attention(100 * q, 100 * k, v)


def test_the_lowest_float_in_a_mask_takes_part():
    """Each score is absorbed by it, so all keys weigh the same."""
    operands = qkv(leading=(1,), queries=3, keys=40)
    out, _ = attend(*operands, mask=np.full(40, np.finfo(np.float32).min))
    assert_same_bits(out, attend(*operands, scale=0.0)[0])


def test_many_keys():
    """A driver on the CPU leaves loops after 65,535 iterations: see `Device.most_iterations`."""
    q, k = np.zeros((1, 1, 1, 256), np.float32), np.zeros((1, 1, 4000, 256), np.float32)
    out, lse = attend(q, k, k + 1)
    np.testing.assert_allclose(out, 1, rtol=1e-5)
    np.testing.assert_allclose(lse, np.log(4000), rtol=1e-6)


def test_empty_operands():
    q, k, v = qkv(leading=(1,), queries=0, keys=5)
    out, lse = attend(q, k, v)
    assert out.shape == (1, 2, 0, 16)
    assert lse.shape == (1, 2, 0)
    q, k, v = qkv(leading=(1,), queries=3, keys=5)
    assert attend(q, k, v[..., :0])[0].shape == (1, 2, 3, 0)
    check_attention(q[..., :0], k[..., :0], v, scale=1.0)
