"""Calls of the backend "gpu" through its own interface, and their comparison with the oracle."""

import backend_bounds
import flashwasm as fw
from flashwasm.backends.backend import Limits
from flashwasm.oracles import bounds, reference

UNLIMITED = Limits(threads=1, check=lambda: None)


def attend(q, k, v, **options):
    """Return output and log-sum-exp of attention."""
    return fw.attention(q, k, v, return_lse=True, backend="gpu", **options)


def check_attention(q, k, v, **options):
    """Fail unless output and log-sum-exp are within their bounds of the oracle's; return them."""
    out, lse = attend(q, k, v, **options)
    expected_out, expected_lse = reference.attention(q, k, v, **options)
    out_bound, lse_bound = backend_bounds.attention("gpu", q, k, v, **options)
    bounds.assert_close(out, expected_out, out_bound)
    bounds.assert_close(lse, expected_lse, lse_bound)
    return out, lse
