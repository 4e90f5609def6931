"""Cases of attention."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np

from flashwasm.bench.case import EPS, Case, normal
from flashwasm.bench.operations.rowwise import softmax
from flashwasm.flash_attention.attention import attention

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Array = NDArray[Any]


def _attention(q: Array, k: Array, v: Array) -> Array:
    scale = q.dtype.type(q.shape[-1] ** -0.5)
    result: Array = softmax(q @ k.swapaxes(-1, -2) * scale) @ v
    return result


def _causal_attention(q: Array, k: Array, v: Array) -> Array:
    scores = q @ k.swapaxes(-1, -2) * q.dtype.type(q.shape[-1] ** -0.5)
    later = np.triu(np.ones(scores.shape[-2:], np.bool_), 1)
    scores[..., later] = -np.inf
    result: Array = softmax(scores) @ v
    return result


def attention_by_heads(q: Array, k: Array, v: Array, *, causal: bool = False) -> Array:
    """Attention one head at a time, in place: quicker, since one head's scores stay in cache."""
    out = np.empty_like(q)
    later = np.triu(np.ones((q.shape[1], k.shape[1]), np.bool_), 1)
    for head in range(len(q)):
        scores = (q[head] * q.dtype.type(q.shape[-1] ** -0.5)) @ k[head].T
        if causal:
            scores[later] = -np.inf
        scores -= scores.max(axis=-1, keepdims=True)
        np.exp(scores, out=scores)
        np.divide(scores @ v[head], scores.sum(axis=-1, keepdims=True), out=out[head])
    return out


def attention_case(heads: int, length: int, dim: int, *, causal: bool = False) -> Case:
    """Return attention of ``heads`` heads over as many keys as queries."""

    def run(q: Array, k: Array, v: Array, **options: Any) -> Array:
        result = attention(q, k, v, causal=causal, **options)
        assert isinstance(result, np.ndarray)  # noqa: S101 - no log-sum-exp was asked for.
        return result

    return Case(
        operation="attention",
        size=f"{heads}x{length}x{dim}" + (" causal" if causal else ""),
        make=normal(*[(heads, length, dim)] * 3),
        run=run,
        baseline=_causal_attention if causal else _attention,
        oracle=partial(attention_by_heads, causal=causal),
        tolerance=64 * EPS,
        work=4.0 * heads * length * length * dim / (2 if causal else 1),
        unit="GFLOP/s",
        baseline_name="NumPy: matmul, softmax, matmul over stored scores",
        options={"causal": causal},
    )
