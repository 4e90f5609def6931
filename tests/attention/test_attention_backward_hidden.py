"""Hidden keys and values never affect a gradient, even if they are NaN or infinite."""

import numpy as np
import pytest

import flashwasm as fw
from attention_gradients import assert_all_same_bits, check_gradients, for_oracle, gradients, qkv
from flashwasm.oracles import reference
from sample_arrays import assert_same_bits


@pytest.mark.parametrize("how", ["boolean", "additive", "causal", "no keys", "no queries"])
def test_queries_and_keys_without_a_counterpart_have_no_gradient(runtime, how):
    q, k, v = qkv(20, 70)
    options = {
        "boolean": {"mask": np.zeros((20, 70), bool)},
        "additive": {"mask": np.full((20, 70), -np.inf, np.float32)},
        "causal": {"causal": -20},
    }.get(how, {})
    if how == "no keys":
        k, v = k[..., :0, :], v[..., :0, :]
    elif how == "no queries":
        q = q[..., :0, :]
    else:
        q[:], k[:], v[:] = np.nan, np.inf, np.nan
    _, actual = gradients(q, k, v, runtime=runtime, **options)
    assert_all_same_bits(actual, [np.zeros_like(x) for x in (q, k, v)])


@pytest.mark.parametrize("shape", [(0, 2, 5, 8), (2, 0, 5, 8)])
def test_no_batch_and_no_heads(runtime, shape):
    x = np.ones(shape, np.float32)
    _, actual = gradients(x, x, x, runtime=runtime)
    assert [g.shape for g in actual] == [shape] * 3
    # An empty batch of queries, with keys that have no batch axis.
    q, k = np.ones((0, 2, 5, 8), np.float32), np.ones((2, 6, 8), np.float32)
    _, actual = gradients(q, k, k, runtime=runtime)
    assert_all_same_bits(actual, [q, np.zeros_like(k), np.zeros_like(k)])


@pytest.mark.parametrize("poison", [np.nan, np.inf, -np.inf, 3e38])
@pytest.mark.parametrize("how", ["boolean", "additive", "causal", "window", "lengths"])
def test_hidden_keys_never_reach_a_gradient(runtime, how, poison):
    q, k, v = qkv(90, 150, leading=(1,))
    hidden, visible = [0, 1, 63, 64, 100, 149], np.ones(150, bool)
    visible[hidden] = False
    options = {"mask": visible}
    if how == "additive":
        options = {"mask": np.where(visible, 0, -np.inf).astype(np.float32)}
    elif how != "boolean":
        hidden = list(range(120, 150))
        options = {"causal": {"causal": 30}, "window": {"window": (None, 30)}}.get(how, {})
        options = options or {"kv_lengths": [120]}
    expected = check_gradients(q, k, v, runtime=runtime, **options)
    k[..., hidden, :], v[..., hidden, :] = poison, poison
    _, actual = gradients(q, k, v, runtime=runtime, **options)
    assert_all_same_bits(actual, expected)
    assert not actual[1][..., hidden, :].any()
    assert not actual[2][..., hidden, :].any()


@pytest.mark.parametrize("poison", [np.nan, np.inf, -np.inf, 3e38])
@pytest.mark.parametrize("which", ["q", "k", "v", "dout"])
@pytest.mark.parametrize("how", ["boolean", "causal", "window", "dropout"])
def test_rows_that_do_not_see_a_bad_one_are_untouched(runtime, how, which, poison):
    """A bad row reaches the queries that see it and the keys that these see, and no others."""
    q, k, v = qkv(90, 150, leading=(), heads=2, key_heads=1)
    past = np.arange(150) - np.arange(90)[:, None]
    blocks = np.arange(90)[:, None] // 9 == np.arange(150) // 15
    options, sees = {
        "boolean": ({"mask": blocks}, blocks),
        "causal": ({"causal": -60}, past <= -60),
        "window": ({"window": (5, 5)}, abs(past) <= 5),
        "dropout": ({"mask": blocks, "dropout": 0.5, "seed": 1}, blocks),
    }[how]
    dout, clean = gradients(q, k, v, runtime=runtime, **options)
    {"q": q, "k": k, "v": v, "dout": dout}[which][0, 20 if which in "kv" else 80, 3:5] = poison
    out, lse = fw.attention(q, k, v, return_lse=True, runtime=runtime, **options)
    actual = fw.attention_backward(dout, q, k, v, out, lse, runtime=runtime, **options)
    queries = np.zeros((2, 90), bool)
    if which in "kv":
        queries[:] = sees[:, 20]
    else:
        queries[0, 80] = True
    keys = (queries @ sees).any(axis=0, keepdims=True)
    assert 0 < queries.sum() < 90
    assert 0 < keys.sum() < 100
    for a, c, reached in zip(actual, clean, (queries, keys, keys), strict=True):
        assert_same_bits(a[~reached], c[~reached])
    if np.isnan(poison):
        options = for_oracle(q[None], k[None], options)
        options |= {"kept": options["kept"][0]} if how == "dropout" else {}
        expected = reference.attention_backward(dout, q, k, v, **options)
        for a, e in zip(actual, expected, strict=True):
            np.testing.assert_array_equal(np.isnan(a), np.isnan(e))
