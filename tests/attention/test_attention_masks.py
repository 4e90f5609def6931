"""Masks of attention: their shapes and types; hidden keys never affect the result."""

import numpy as np
import pytest

import flashwasm as fw
from attention_checks import check_attention, qkv
from flashwasm.oracles import bounds
from sample_arrays import FLOAT_TYPES, assert_same_bits, normal


@pytest.mark.parametrize(
    "shape",
    [
        (20, 70),
        (1, 70),
        (20, 1),
        (70,),
        (4, 20, 70),
        (2, 1, 20, 70),
        (2, 4, 20, 70),
        (2, 4, 1, 1),
        (),
    ],
)
@pytest.mark.parametrize("kind", [bool, np.float32])
@pytest.mark.parametrize("causal", [False, "bottom_right"])
def test_masks_broadcast(runtime, shape, kind, causal):
    mask = normal(*shape) if kind is np.float32 else normal(*shape) > -0.5
    operands = qkv(queries=20, keys=70, leading=(2,), heads=4, key_heads=2)
    check_attention(*operands, mask=mask, causal=causal, runtime=runtime)


@pytest.mark.parametrize("dtype", FLOAT_TYPES)
def test_additive_mask_types(runtime, dtype):
    mask = normal(20, 70).astype(dtype)
    mask[:, 3] = -np.inf
    operands = qkv(queries=20, keys=70)
    expected = fw.attention(*operands, mask=mask.astype(np.float32), runtime=runtime)
    assert_same_bits(fw.attention(*operands, mask=mask, runtime=runtime), expected)


def test_minus_infinity_hides_as_false_does(runtime):
    operands = qkv(queries=40, keys=150)
    visible = normal(40, 150) > 0
    additive = np.where(visible, np.float32(0), np.float32(-np.inf))
    out, lse = fw.attention(*operands, mask=visible, return_lse=True, runtime=runtime)
    other_out, other_lse = fw.attention(*operands, mask=additive, return_lse=True, runtime=runtime)
    assert_same_bits(other_out, out)
    assert_same_bits(other_lse, lse)


def test_lowest_float_as_mask(runtime):
    """Some libraries hide a key by adding the lowest float. Beside others its weight is zero."""
    operands = qkv(queries=9, keys=70)
    visible = normal(9, 70) > 0
    additive = np.where(visible, np.float32(0), np.finfo(np.float32).min)
    expected = fw.attention(*operands, mask=visible, runtime=runtime)
    actual = fw.attention(*operands, mask=additive, runtime=runtime)
    bounds.assert_close(actual, expected, bounds.attention(*operands, mask=visible)[0])


@pytest.mark.parametrize("how", ["boolean", "additive", "causal", "no keys"])
def test_rows_that_see_nothing_are_zeros(runtime, how):
    q, k, v = qkv(queries=20, keys=70)
    v[:] = np.nan if how != "causal" else v
    options = {
        "boolean": {"mask": np.zeros((20, 70), bool)},
        "additive": {"mask": np.full((20, 70), -np.inf, np.float32)},
        "causal": {"causal": -20},
        "no keys": {},
    }[how]
    if how == "no keys":
        k, v = k[:, :0], v[:, :0]
    out, lse = fw.attention(q, k, v, return_lse=True, runtime=runtime, **options)
    assert_same_bits(out, np.zeros((2, 20, 16), np.float32))
    assert (lse == -np.inf).all()


@pytest.mark.parametrize("poison", [np.nan, np.inf, -np.inf, 3e38])
@pytest.mark.parametrize("how", ["boolean", "additive", "causal"])
def test_hidden_keys_never_reach_the_result(runtime, how, poison):
    q, k, v = qkv(queries=30, keys=150, heads=1)
    hidden = [0, 1, 63, 64, 100, 149]
    visible = np.ones(150, bool)
    options = {"mask": visible}
    if how == "causal":
        hidden, options = list(range(40, 150)), {"causal": 10}
    elif how == "additive":
        options = {"mask": np.where(visible, 0, -np.inf).astype(np.float32)}
    if how != "causal":
        options["mask"][hidden] = False if how == "boolean" else -np.inf
    expected = check_attention(q, k, v, runtime=runtime, **options)
    k[:, hidden], v[:, hidden] = poison, poison
    actual = fw.attention(q, k, v, return_lse=True, runtime=runtime, **options)
    assert_same_bits(actual[0], expected[0])
    assert_same_bits(actual[1], expected[1])


def test_a_key_that_is_hidden_from_some_rows_only(runtime):
    """Key 5 and value 90 are NaN. Only the rows that see one of them become NaN."""
    q, k, v = qkv(queries=30, keys=150, heads=1)
    mask = normal(30, 150) > 0
    expected, _ = check_attention(q, k, v, mask=mask, runtime=runtime)
    k[0, 5], v[0, 90] = np.nan, np.nan
    actual = fw.attention(q, k, v, mask=mask, runtime=runtime)
    touched = mask[:, 5] | mask[:, 90]
    assert 0 < touched.sum() < 30
    assert np.isnan(actual[0, touched]).all()
    assert_same_bits(actual[:, ~touched], expected[:, ~touched])


def test_a_causal_rule_and_its_mask_give_the_same_bits(runtime):
    """A causal rule, the same rule as a mask, and no rule: equal where they hide the same keys."""
    operands = qkv(queries=150, keys=150)
    triangle = np.tri(150, dtype=bool)
    expected = fw.attention(*operands, causal=True, runtime=runtime)
    assert_same_bits(fw.attention(*operands, mask=triangle, runtime=runtime), expected)
    everything = fw.attention(*operands, runtime=runtime)
    assert_same_bits(fw.attention(*operands, causal=1000, runtime=runtime), everything)
