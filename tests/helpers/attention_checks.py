"""Operands of attention, and its comparison with the oracle."""

import flashwasm as fw
from flashwasm.oracles import bounds, reference
from sample_arrays import assert_same_bits, normal


def qkv(*, queries, keys, dim=16, value_dim=None, leading=(), heads=2, key_heads=None):
    """Return normally distributed operands of attention."""
    value_dim = dim if value_dim is None else value_dim
    key_heads = heads if key_heads is None else key_heads
    return (
        normal(*leading, heads, queries, dim),
        normal(*leading, key_heads, keys, dim, seed=1),
        normal(*leading, key_heads, keys, value_dim, seed=2),
    )


def check_attention(q, k, v, *, runtime=None, **options):
    """Fail unless output and log-sum-exp are within their bounds of the oracle's; return them.

    The output must also have the same bits if the log-sum-exp is not requested.
    """
    out, lse = fw.attention(q, k, v, return_lse=True, runtime=runtime, **options)
    assert_close_to_oracle(out, lse, q, k, v, **options)
    assert_same_bits(fw.attention(q, k, v, runtime=runtime, **options), out)
    return out, lse


def assert_close_to_oracle(out, lse, q, k, v, **options):
    """Fail unless an output and a log-sum-exp are within their bounds of the oracle's."""
    expected_out, expected_lse = reference.attention(q, k, v, **options)
    out_bound, lse_bound = bounds.attention(q, k, v, **options)
    bounds.assert_close(out, expected_out, out_bound)
    bounds.assert_close(lse, expected_lse, lse_bound)
