"""Cases of attention."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from flashwasm.benchmarks.case import Case, normal
from flashwasm.benchmarks.cases.rows import softmax
from flashwasm.flash_attention.attention import attention
from flashwasm.oracles import bounds, reference

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    Array = NDArray[Any]


def _attention(q: Array, k: Array, v: Array) -> Array:
    """Return attention, written in NumPy in the most direct way."""
    scale = q.dtype.type(q.shape[-1] ** -0.5)
    result: Array = softmax(q @ k.swapaxes(-1, -2) * scale) @ v
    return result


def _causal_attention(q: Array, k: Array, v: Array) -> Array:
    """Return causal attention, written in NumPy in the most direct way."""
    scores = q @ k.swapaxes(-1, -2) * q.dtype.type(q.shape[-1] ** -0.5)
    later = np.triu(np.ones(scores.shape[-2:], np.bool_), 1)
    scores[..., later] = -np.inf
    result: Array = softmax(scores) @ v
    return result


def attention_by_heads(q: Array, k: Array, v: Array, *, causal: bool = False) -> Array:
    """Return attention in NumPy, one head at a time and in place.

    This is faster than all heads at once, because the scores of one head stay in the cache.
    """
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


def head_by_head(
    function: Callable[..., tuple[Array, ...]], **options: Any
) -> Callable[..., tuple[Array, ...]]:
    """Return a function that calls ``function`` for each head and concatenates the results.

    The oracle and the bounds need several float64 arrays of the size of the scores, which fit into
    memory only for one head at a time.

    Parameters
    ----------
    function : callable
        Function of arrays of shape (1, L, D) that returns several arrays.
    options
        Further options for each call of ``function``.
    """

    def call(*inputs: Array) -> tuple[Array, ...]:
        heads = range(len(inputs[0]))
        parts = [function(*(x[h : h + 1] for x in inputs), **options) for h in heads]
        return tuple(np.concatenate(arrays) for arrays in zip(*parts, strict=True))

    return call


def _exact_attention(q: Array, k: Array, v: Array, *, causal: bool) -> tuple[Array]:
    """Return attention as a composition of float64 oracles.

    The oracle `reference.attention` computes row by row, which takes half a minute for the longest
    cases.
    """
    weights = reference.softmax(reference.attention_scores(q, k, causal=causal))
    return (reference.matmul(weights, v),)


def attention_case(heads: int, length: int, dim: int, *, causal: bool = False) -> Case:
    """Return a case of attention with ``heads`` heads over as many keys as queries."""

    def run(q: Array, k: Array, v: Array, **options: Any) -> Array:
        result: Array = attention(q, k, v, causal=causal, **options)
        return result

    def oracle(*inputs: Array) -> Array:
        return head_by_head(_exact_attention, causal=causal)(*inputs)[0]

    def bound(*inputs: Array) -> Array:
        return head_by_head(bounds.attention, causal=causal)(*inputs)[0]

    return Case(
        operation="attention",
        size=f"{heads}x{length}x{dim}" + (" causal" if causal else ""),
        make=normal(*[(heads, length, dim)] * 3),
        run=run,
        baseline=_causal_attention if causal else _attention,
        oracle=oracle,
        bound=bound,
        work=4.0 * heads * length * length * dim / (2 if causal else 1),
        unit="GFLOP/s",
        baseline_name="NumPy: matmul, softmax, matmul over stored scores",
        options={"causal": causal},
    )
