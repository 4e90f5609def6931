"""Calls of the backend "gpu" with checked operands, and bounds of its results.

WGSL lets a division be off by 2.5 units in the last place, and a square root by 4.5. The bounds of
the sandbox's kernels count one rounding, of half a unit, for each. Chains of additions are shorter
here than there.
"""

import numpy as np

from flashwasm.backends.backend import AttentionWork, Limits
from flashwasm.flash_attention.attention import attention
from flashwasm.flash_attention.inputs import checked_inputs
from flashwasm.flash_attention.options import AttentionOptions, completed
from flashwasm.oracles import bounds, reference
from flashwasm.oracles.bounds.rounding import UNIT_ROUNDOFF

UNLIMITED = Limits(threads=1, check=lambda: None)
# Half units in the last place, more than the rounding that the sandbox's bound counts already.
_DIVISION = 4 * UNIT_ROUNDOFF
_ROOT = 8 * UNIT_ROUNDOFF


def attend(gpu, q, k, v, **options):
    """Return output and log-sum-exp of attention on operands of four axes."""
    inputs = checked_inputs(q, k, v, completed(options, AttentionOptions, attention))
    own = inputs.modifiers
    work = AttentionWork(
        q=inputs.q,
        k=inputs.k,
        v=inputs.v,
        mask=inputs.mask,
        diagonals=inputs.diagonals,
        lengths=inputs.lengths,
        before=own.before,
        after=own.after,
        scale=own.scale,
        softcap=own.softcap,
        alibi=own.alibi,
        sinks=own.sinks,
        dropout=0.0,
        seed=0,
        with_lse=True,
    )
    return gpu.attention(work, UNLIMITED)


def check_attention(gpu, q, k, v, **options):
    """Fail unless output and log-sum-exp are within their bounds of the oracle's; return them.

    The bounds are the sandbox's. A block of 32 keys is one chain here. Each block after it costs
    six roundings more, so from two blocks on the chains are far shorter than those that the bound
    counts. Up to 32 keys the division's error takes what the exponential leaves of its share.
    """
    out, lse = attend(gpu, q, k, v, **options)
    expected_out, expected_lse = reference.attention(q, k, v, **options)
    out_bound, lse_bound = bounds.attention(q, k, v, **options)
    bounds.assert_close(out, expected_out, out_bound)
    bounds.assert_close(lse, expected_lse, lse_bound)
    return out, lse


def softmax_bound(x):
    """Bound softmax along the last axis."""
    return bounds.softmax(x) + _DIVISION * reference.softmax(x)


def layer_norm_bound(x, weight=None, bias=None, eps=1e-5):
    """Bound layer norm along the last axis: a division and a root, and one over the length."""
    plain = np.abs(reference.layer_norm(x, None, None, eps))
    scale = 1 if weight is None else np.abs(weight)
    more = (_DIVISION + _ROOT + UNIT_ROUNDOFF) * plain * scale
    return bounds.layer_norm(x, weight, bias, eps) + more


def similarity_bound(queries, corpus, metric):
    """Bound scores. For the cosine both rows are divided by their lengths, which are roots."""
    bound = bounds.similarity(queries, corpus, metric)
    return bound + 2 * (_DIVISION + _ROOT) if metric == "cosine" else bound
