"""Attention with extreme values of the running maximum, the running sum or a mask."""

import numpy as np
import pytest

import flashwasm as fw
from attention_checks import assert_close_to_oracle, check_attention
from flashwasm.oracles import bounds
from sample_arrays import assert_same_bits, normal

LOWEST = np.finfo(np.float32).min
QUERIES, KEYS = 40, 300


def operands(queries=QUERIES, keys=KEYS, dim=16):
    return normal(2, queries, dim), normal(2, keys, dim, seed=1), normal(2, keys, 9, seed=2)


def assert_mean(out, v):
    """Fail unless each row is the mean of the values."""
    bound = bounds.gamma(2 * v.shape[-2] + 4) * np.abs(v).mean(axis=-2, keepdims=True)
    mean = v.mean(axis=-2, keepdims=True, dtype=np.float64)
    bounds.assert_close(out, np.broadcast_to(mean, out.shape), bound)


@pytest.mark.parametrize("hide", ["boolean", "-inf", "window"])
@pytest.mark.parametrize("hidden", [64, 128, 200])
def test_leading_blocks_that_no_query_sees(runtime, hide, hidden):
    """The running maximum is -inf until the first key that counts."""
    visible = np.arange(KEYS) >= hidden
    options = {
        "boolean": {"mask": visible},
        "-inf": {"mask": np.where(visible, 0, -np.inf).astype(np.float32)},
        "window": {"causal": KEYS - QUERIES, "window": (KEYS - QUERIES - hidden, None)},
    }[hide]
    check_attention(*operands(), **options, runtime=runtime)


@pytest.mark.parametrize("hidden", [64, 128, 200])
def test_leading_blocks_at_the_lowest_float(runtime, hidden):
    """The first key that counts rescales the sums over the keys before it to exactly zero."""
    q, k, v = operands()
    lowest = np.where(np.arange(KEYS) < hidden, LOWEST, np.float32(0))
    out, lse = fw.attention(q, k, v, mask=lowest, return_lse=True, runtime=runtime)
    assert_close_to_oracle(out, lse, q, k, v, mask=lowest == 0)


def test_leading_blocks_that_some_queries_of_a_group_see(runtime):
    mask = np.ones((QUERIES, KEYS), bool)
    for query in range(QUERIES):
        mask[query, : query % 5 * 64] = False
    check_attention(*operands(), mask=mask, runtime=runtime)


@pytest.mark.parametrize("top", [60, 1000, 10_000])
@pytest.mark.parametrize("order", ["ascending", "descending", "block by block", "level"])
def test_logits_in_any_order(runtime, top, order):
    """Scores are integers of up to 10,000, so products are exact and only later steps round."""
    _, _, v = operands()
    ramp = np.linspace(-top, top, KEYS).round()
    steps = np.where(np.arange(KEYS) // 64 % 2 == 0, top, -top) - np.arange(KEYS) % 3
    logits = {
        "ascending": ramp,
        "descending": ramp[::-1],
        "block by block": steps,
        "level": np.full(KEYS, top),
    }[order]
    k = np.broadcast_to(logits[:, None], (2, KEYS, 1)).astype(np.float32)
    for sign in (1, -1):
        q = np.full((2, QUERIES, 1), sign, np.float32)
        out, _ = check_attention(q, k, v, scale=1.0, runtime=runtime)
        if order == "level":
            assert_mean(out, v)


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("lengths", [(0, 1), (63, 64), (65, 300)])
@pytest.mark.parametrize("causal", [False, "bottom_right"])
def test_keys_past_a_length_never_count(runtime, value, lengths, causal):
    q, k, v = (normal(2, 3, n, 16, seed=n) for n in (QUERIES, KEYS, KEYS))
    options = {"kv_lengths": np.array(lengths), "causal": causal}
    expected = check_attention(q, k, v, **options, runtime=runtime)
    for entry, length in enumerate(lengths):
        k[entry, :, length:], v[entry, :, length:] = value, value
    actual = fw.attention(q, k, v, return_lse=True, runtime=runtime, **options)
    for one, other in zip(actual, expected, strict=True):
        assert_same_bits(one, other)


def test_a_row_of_the_lowest_float_is_a_mean(runtime):
    """A score added to the lowest float rounds to it, so all keys have the same weight."""
    q, k, v = operands()
    mask = np.zeros((QUERIES, KEYS), np.float32)
    plain = fw.attention(q, k, v, mask=mask, runtime=runtime)
    mask[::3] = LOWEST
    out, lse = fw.attention(q, k, v, mask=mask, return_lse=True, runtime=runtime)
    assert_mean(out[:, ::3], v)
    assert (lse[:, ::3] == LOWEST).all()
    assert_same_bits(out[:, 1::3], plain[:, 1::3])


@pytest.mark.parametrize(("queries", "keys"), [(0, 0), (0, 70), (5, 0)])
@pytest.mark.parametrize("option", ["plain", "boolean", "additive", "causal", "window", "sinks"])
def test_no_queries_or_no_keys(runtime, queries, keys, option):
    q, k, v = operands(queries, keys)
    options = {
        "plain": {},
        "boolean": {"mask": np.ones((queries, keys), bool)},
        "additive": {"mask": np.zeros((queries, keys), np.float32)},
        "causal": {"causal": "bottom_right"},
        "window": {"window": (3, 3)},
        "sinks": {"sinks": np.float32([0.5, -np.inf])},
    }[option]
    out, lse = check_attention(q, k, v, **options, runtime=runtime)
    assert out.shape == (2, queries, 9)
    assert not out.any()
    # A sink counts in the log-sum-exp even if there is no key.
    alone = options.get("sinks", np.full(2, -np.inf, np.float32))
    assert_same_bits(lse, np.repeat(alone[:, None], queries, axis=1))


@pytest.mark.parametrize("how", ["window", "lengths", "mask and window"])
def test_rows_that_see_nothing_are_zeros(runtime, how):
    q, k, v = (normal(2, 3, n, 16, seed=n) for n in (QUERIES, KEYS, KEYS))
    v[:] = np.nan
    options = {
        "window": {"window": (3, -1), "causal": -QUERIES},
        "lengths": {"kv_lengths": np.array([0, 0])},
        "mask and window": {"mask": np.tri(QUERIES, KEYS, -1, bool), "window": (0, 0)},
    }[how]
    out, lse = fw.attention(q, k, v, return_lse=True, runtime=runtime, **options)
    assert_same_bits(out, np.zeros_like(out))
    assert (lse == -np.inf).all()


@pytest.mark.parametrize("queries", [1, 3, 40])
def test_weights_below_the_smallest_normal_number_may_be_zero(runtime, queries):
    """Only the error of the weight is multiplied by the value, however large that is."""
    q, k, v = operands(queries, 24)
    depths = np.linspace(85, 105, 24, dtype=np.float32)
    depths[5] = 0
    v[:, 5] = 0
    check_attention(q * 0, k, v * 1000, mask=-depths, runtime=runtime)
