"""Gradients of attention to test: operands, options, and the comparison with the oracle."""

import functools
import pickle

import numpy as np

import flashwasm as fw
from flashwasm.oracles import bounds, reference
from sample_arrays import assert_same_bits, normal

HEADS, KEY_HEADS = 4, 2

OPTIONS = {
    "plain": {},
    "causal": {"causal": "bottom_right"},
    "offset": {"causal": -3},
    "window": {"window": (20, 70)},
    "window left": {"window": (9, None)},
    "window right": {"window": (-1, 3)},
    "window of one": {"window": (0, 0)},
    "causal window": {"window": (30, 30), "causal": "bottom_right"},
    "scale": {"scale": -0.4},
    "softcap": {"softcap": 1.5},
    "alibi": {"alibi_slopes": np.float32([0.5, 0.25, 0.0, -0.1])},
    "sinks": {"sinks": np.float32([0, 3, -2, -np.inf])},
    "lengths": {"kv_lengths": np.array([50, 0])},
    "causal lengths": {"kv_lengths": np.array([50, 17]), "causal": "bottom_right"},
    "offsets": {"causal": np.array([4, -30])},
    "dropout": {"dropout": 0.4, "seed": 2**40 + 3},
}


def qkv(queries=75, keys=139, dim=12, value_dim=9, leading=(2,), heads=HEADS, key_heads=KEY_HEADS):
    return (
        normal(*leading, heads, queries, dim),
        normal(*leading, key_heads, keys, dim, seed=1),
        normal(*leading, key_heads, keys, value_dim, seed=2),
    )


def for_oracle(q, k, options):
    """Return the options, with dropout replaced by the factors of the weights."""
    options = dict(options)
    p, seed = options.pop("dropout", 0), options.pop("seed", None)
    if p:
        options["kept"] = reference.kept_weights((*q.shape[:-1], k.shape[-2]), p, seed)
    return options


def gradients(q, k, v, *, runtime=None, **options):
    """Return a gradient of the output, and the package's gradients for it."""
    out, lse = fw.attention(q, k, v, return_lse=True, runtime=runtime, **options)
    dout = normal(*out.shape, seed=3)
    return dout, fw.attention_backward(dout, q, k, v, out, lse, runtime=runtime, **options)


def expected_and_allowed(dout, q, k, v, options):
    """Return the oracle's gradients and their bounds, computed once for all runtimes."""
    return _expected_and_allowed(pickle.dumps(((dout, q, k, v), options)))


@functools.cache
def _expected_and_allowed(pickled):
    operands, options = pickle.loads(pickled)  # noqa: S301 - it was pickled just above.
    return (
        reference.attention_backward(*operands, **options),
        bounds.attention_backward(*operands, **options),
    )


def check_gradients(q, k, v, *, runtime=None, **options):
    """Fail unless the gradients are within their bounds of the oracle's; return them."""
    dout, actual = gradients(q, k, v, runtime=runtime, **options)
    expected, allowed = expected_and_allowed(dout, q, k, v, for_oracle(q, k, options))
    for a, e, bound in zip(actual, expected, allowed, strict=True):
        bounds.assert_close(a, e, bound)
    return actual


def assert_all_same_bits(actual, expected):
    for a, e in zip(actual, expected, strict=True):
        assert_same_bits(np.ascontiguousarray(a), np.ascontiguousarray(e))
