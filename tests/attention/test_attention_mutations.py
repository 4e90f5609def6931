"""Deliberate mistakes in attention are found: the bounds that the tests use are not too wide.

Each mutant is the oracle with one mistake, and is tested on the problems below instead of the
package. It must fail on at least one. The oracle itself, rounded to float32, must pass all.
"""

import functools

import numpy as np
import pytest

from flashwasm.oracles import bounds, reference
from sample_arrays import normal

HEADS, KEY_HEADS = 4, 2


def problem(queries=70, keys=140, dim=16, size=1.0, **options):
    """Return operands and options of attention. The scores grow with the square of `size`."""
    q, k = normal(HEADS, queries, dim) * size, normal(KEY_HEADS, keys, dim, seed=1) * size
    return (q, k, normal(KEY_HEADS, keys, 8, seed=2)), options


SLOPES = np.float32([0.5, 0.25, 0.125, 1])
PROBLEMS = [
    problem(),
    problem(causal="bottom_right"),
    problem(causal="top_left"),
    problem(size=np.float32(20)),
    problem(mask=normal(70, 140, seed=3) > 0.5),
    problem(mask=np.arange(70)[:, None] >= np.ones(140)),
    problem(window=(20, 5)),
    problem(softcap=2.0, mask=normal(70, 140, seed=4)),
    problem(alibi_slopes=SLOPES, causal="bottom_right"),
    problem(sinks=np.float32([0, 1, 2, -1])),
    problem(kv_lengths=np.array(77)),
]


def right(operands, options):
    """Return the oracle's result."""
    return reference.attention(*operands, **options)


def with_options(change):
    """Return a mutant that changes the options, and then computes rightly."""
    return lambda operands, options: reference.attention(*operands, **change(dict(options)))


def offset_by_one(options):
    if isinstance(options.get("causal"), str):
        options["causal"] = {"top_left": 1, "bottom_right": 71}[options["causal"]]
    return options


def without(name):
    return lambda options: {k: v for k, v in options.items() if k != name}


def window_without_right(options):
    if "window" in options:
        options["window"] = (options["window"][0], None)
    return options


def slopes_with_the_other_sign(options):
    if "alibi_slopes" in options:
        options["alibi_slopes"] = -options["alibi_slopes"]
    return options


def tiled_heads(operands, options):
    """Repeat the key heads as 0 1 0 1. Right would be 0 0 1 1."""
    q, k, v = operands
    return reference.attention(q, np.tile(k, (2, 1, 1)), np.tile(v, (2, 1, 1)), **options)


def mean_for_rows_that_see_nothing(operands, options):
    out, lse = right(operands, options)
    mean = np.repeat(operands[2], 2, axis=0).mean(axis=-2, keepdims=True)
    return np.where(np.isneginf(lse)[..., None], mean, out), lse


def weighted(operands, options, weigh):
    """Return the values weighted by what `weigh` computes from the scores and the LSE."""
    sinks = options.pop("sinks", None)
    scores = reference.attention_scores(*operands[:2], **options)
    _, lse = reference.attention(*operands, sinks=sinks, **options)
    with np.errstate(all="ignore"):
        weights = weigh(scores, lse[..., None])
        return np.nan_to_num(weights, nan=7.0) @ np.repeat(operands[2], 2, axis=0), lse


def weights_in_half_precision(operands, options):
    def weigh(scores, lse):
        exact = np.exp(scores - np.where(np.isneginf(lse), 0, lse))
        return exact.astype(np.float16).astype(np.float64)

    return weighted(operands, dict(options), weigh)


def no_maximum_subtracted(operands, options):
    def weigh(scores, lse):
        e = np.exp(scores.astype(np.float32))
        return e / np.where(np.isneginf(lse), 1, e.sum(axis=-1, keepdims=True))

    return weighted(operands, dict(options), weigh)


def logarithm_to_base_two(operands, options):
    out, lse = right(operands, options)
    return out, lse / np.log(2)


def softcap_after_the_bias(operands, options):
    cap, mask = options.get("softcap"), options.get("mask")
    if not cap:
        return right(operands, options)
    scores = cap * np.tanh((reference.attention_scores(*operands[:2], stage="raw") + mask) / cap)
    plain = reference.attention_scores(*operands[:2], stage="softcap", softcap=cap)
    return reference.attention(*operands, softcap=cap, mask=scores - plain)


MUTANTS = {
    "offset by one": with_options(offset_by_one),
    "tiled heads": tiled_heads,
    "mean for rows that see nothing": mean_for_rows_that_see_nothing,
    "weights in half precision": weights_in_half_precision,
    "no maximum subtracted": no_maximum_subtracted,
    "logarithm to base two": logarithm_to_base_two,
    "right side of the window ignored": with_options(window_without_right),
    "window ignored": with_options(without("window")),
    "softcap ignored": with_options(without("softcap")),
    "softcap after the bias": softcap_after_the_bias,
    "slopes with the other sign": with_options(slopes_with_the_other_sign),
    "sinks ignored": with_options(without("sinks")),
    "lengths ignored": with_options(without("kv_lengths")),
    "mask ignored": with_options(without("mask")),
    "scale of one": with_options(lambda options: options | {"scale": 1.0}),
}


@functools.cache
def expected_and_allowed():
    """Return the oracle's output and LSE of each problem, and the bounds of both."""
    return [(right(*given), bounds.attention(*given[0], **given[1])) for given in PROBLEMS]


def passes(attention):
    """Return, for each problem, True if an implementation's result is within the bounds."""
    verdicts = []
    for (operands, options), (expected, allowed) in zip(
        PROBLEMS, expected_and_allowed(), strict=True
    ):
        (expected_out, expected_lse), (out_bound, lse_bound) = expected, allowed
        out, lse = (np.asarray(x).astype(np.float32) for x in attention(operands, options))
        try:
            bounds.assert_close(out, expected_out, out_bound)
            bounds.assert_close(lse, expected_lse, lse_bound)
        except AssertionError:
            verdicts.append(False)
        else:
            verdicts.append(True)
    return verdicts


def test_the_oracle_passes():
    assert all(passes(right))


@pytest.mark.parametrize("name", MUTANTS)
def test_a_mutant_fails(name):
    assert not all(passes(MUTANTS[name]))
