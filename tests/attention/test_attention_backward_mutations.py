"""Deliberate mistakes in the gradient are found: the bounds that the tests use are not too wide."""

import numpy as np
import pytest

from attention_gradients import HEADS, OPTIONS, expected_and_allowed, for_oracle, qkv
from flashwasm.oracles import reference
from sample_arrays import normal


def formula(dout, q, k, v, mistake="", **options):
    """Return the gradients by the formula for whole matrices, with one mistake."""
    cap = options.get("softcap")
    out, lse = reference.attention(q, k, v, **options)
    sinks, kept = options.pop("sinks", None), options.pop("kept", 1.0)
    if mistake == "log-sum-exp without sinks" and sinks is not None:
        lse = reference.attention(q, k, v, **options)[1]
    scores = reference.attention_scores(q, k, **options)
    with np.errstate(invalid="ignore"):
        p = np.where(np.isneginf(scores), 0, np.exp(scores - lse[..., None]))
    k, v = (np.repeat(x, 2, axis=-3).astype(np.float64) for x in (k, v))
    scale = 1.0 if mistake == "no scale" else q.shape[-1] ** -0.5
    delta = 0 if mistake == "no delta" else (dout * out).sum(axis=-1, keepdims=True)
    dp = (1.0 if mistake == "dp without dropout" else kept) * (dout @ v.swapaxes(-1, -2))
    ds = p * (dp - delta) * scale
    if cap and mistake != "no slope":
        plain = reference.attention_scores(q, k, softcap=cap, stage="softcap")
        ds = ds * (1 - (plain / cap) ** 2)
    if mistake == "half precision":
        ds = ds.astype(np.float16).astype(np.float64)
    weights = p if mistake == "dv without dropout" else p * kept
    dk, dv = ds.swapaxes(-1, -2) @ q, weights.swapaxes(-1, -2) @ dout
    if mistake == "one head of a group":
        return ds @ k, dk[..., ::2, :, :], dv[..., ::2, :, :]
    dk, dv = (x.reshape(2, 2, 2, *x.shape[-2:]).sum(axis=2) for x in (dk, dv))
    return ds @ k, dk, dv


MISTAKES = ["no scale", "no delta", "no slope", "half precision", "one head of a group"]
MISTAKES += ["log-sum-exp without sinks", "dp without dropout", "dv without dropout"]


@pytest.mark.parametrize("mistake", ["", *MISTAKES])
def test_only_a_formula_without_mistake_is_within_the_bounds(mistake):
    operands = qkv()
    dout, within = normal(2, HEADS, 75, 9, seed=3), True
    for name in ("causal", "softcap", "sinks", "dropout"):
        options = for_oracle(*operands[:2], OPTIONS[name])
        expected, allowed = expected_and_allowed(dout, *operands, options)
        actual = formula(dout, *operands, mistake, **options)
        for a, e, bound in zip(actual, expected, allowed, strict=True):
            within = within and bool((np.abs(a - e) <= bound).all())
    assert within is (mistake == "")
