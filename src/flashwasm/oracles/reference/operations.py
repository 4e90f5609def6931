"""Oracles of the operations in `flashwasm.ops`: products, norms, elements, lookups, search."""

from __future__ import annotations

import itertools
import math
from typing import TYPE_CHECKING

import numpy as np

from flashwasm.oracles.arrays import float64, normalized_axes

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import ArrayLike

    from flashwasm.oracles.arrays import Array

_erfc = np.vectorize(math.erfc, otypes=[np.float64])


@np.errstate(all="ignore")
def matmul(a: ArrayLike, b: ArrayLike, bias: ArrayLike | None = None) -> Array:
    """Return the matrix product, plus the bias in each row if one is given."""
    product: Array = float64(a) @ float64(b)
    return product if bias is None else product + float64(bias)


def matmul_i8(a: ArrayLike, b: ArrayLike, bias: ArrayLike | None = None) -> Array:
    """Return the exact matrix product, which the product of rounded operands approximates."""
    return matmul(a, b, bias)


@np.errstate(all="ignore")
def vecadd(a: ArrayLike, b: ArrayLike) -> Array:
    """Return the sum, rounded once to float32. A correct result has the same bits."""
    a, b = np.asarray(a, np.float32), np.asarray(b, np.float32)
    total: Array = (float64(a) + float64(b)).astype(np.float32)
    return total


@np.errstate(all="ignore")
def softmax(x: ArrayLike, axis: int = -1) -> Array:
    """Return exp(x) divided by its sum along an axis; the maximum is subtracted first."""
    x = float64(x)
    e = np.exp(x - x.max(axis=axis, keepdims=True, initial=-np.inf))
    result: Array = e / e.sum(axis=axis, keepdims=True)
    return result


@np.errstate(all="ignore")
def layer_norm(
    x: ArrayLike,
    weight: ArrayLike | None = None,
    bias: ArrayLike | None = None,
    eps: float = 1e-5,
    axis: int = -1,
) -> Array:
    """Return x with mean 0 and variance 1 over its last axes, scaled and shifted."""
    x = float64(x)
    axes = normalized_axes(x, axis)
    centered = x - x.mean(axis=axes, keepdims=True)
    y: Array = centered / np.sqrt((centered**2).mean(axis=axes, keepdims=True) + eps)
    y = y if weight is None else y * float64(weight)
    return y if bias is None else y + float64(bias)


@np.errstate(all="ignore")
def rms_norm(
    x: ArrayLike, weight: ArrayLike | None = None, eps: float = 1e-5, axis: int = -1
) -> Array:
    """Return x divided by its root mean square over the last axes, scaled."""
    x = float64(x)
    y: Array = x / np.sqrt((x**2).mean(axis=normalized_axes(x, axis), keepdims=True) + eps)
    return y if weight is None else y * float64(weight)


@np.errstate(all="ignore")
def gelu(x: ArrayLike, approximate: str = "none") -> Array:
    """Return x Phi(x), or its approximation by tanh (Hendrycks and Gimpel, 2016).

    The result at minus infinity is NaN, because it is minus infinity times 0. The factor (1 + tanh
    u) / 2 is computed as 1 / (1 + exp(-2 u)), which stays precise where it is small.
    """
    x = float64(x)
    if approximate == "tanh":
        approximation: Array = x / (1 + np.exp(-2 * math.sqrt(2 / math.pi) * (x + 0.044715 * x**3)))
        return approximation
    exact: Array = x * 0.5 * _erfc(-x / math.sqrt(2))
    return exact


def embedding(ids: ArrayLike, table: ArrayLike) -> Array:
    """Return rows of a table by number, in float32. A correct result has the same bits."""
    rows: Array = np.asarray(table)[np.asarray(ids)].astype(np.float32)
    return rows


def rotary_embedding(
    x: ArrayLike,
    cos: ArrayLike,
    sin: ArrayLike,
    *,
    position_ids: ArrayLike | None = None,
    interleaved: bool = False,
    rotary_dim: int | None = None,
    num_heads: int | None = None,
) -> Array:
    """Rotate pairs of x, as ONNX's RotaryEmbedding-23 defines it.

    The shape of ``x`` is (B, H, L, D), or (B, L, H * D) if ``num_heads`` is given.
    """
    x, cos, sin = float64(x), float64(cos), float64(sin)
    if num_heads is not None:
        batch, length, width = x.shape
        by_heads = x.reshape(batch, length, num_heads, width // num_heads).transpose(0, 2, 1, 3)
        y = rotary_embedding(
            by_heads,
            cos,
            sin,
            position_ids=position_ids,
            interleaved=interleaved,
            rotary_dim=rotary_dim,
        )
        return y.transpose(0, 2, 1, 3).reshape(batch, length, width)
    if position_ids is not None:
        cos, sin = (np.take(angle, np.asarray(position_ids), axis=0) for angle in (cos, sin))
    cosines, sines = cos[:, None], sin[:, None]
    half = (rotary_dim or x.shape[-1]) // 2
    first, second = (
        (slice(0, 2 * half, 2), slice(1, 2 * half, 2))
        if interleaved
        else (slice(0, half), slice(half, 2 * half))
    )
    y = x.copy()
    y[..., first] = cosines * x[..., first] - sines * x[..., second]
    y[..., second] = sines * x[..., first] + cosines * x[..., second]
    return y


@np.errstate(all="ignore")
def mean_pool(x: ArrayLike, cu_seqlens: Sequence[int], *, normalize: bool = False) -> Array:
    """Return the mean of each packed sequence of rows, zeros for an empty one.

    If ``normalize`` is true, each mean is divided by its Euclidean length.
    """
    x = float64(x)
    runs = [x[begin:end] for begin, end in itertools.pairwise(cu_seqlens)]
    means = np.array([run.mean(axis=0) if len(run) else np.zeros(x.shape[1]) for run in runs])
    means = means.reshape(len(runs), x.shape[1])
    if not normalize:
        return means
    lengths = np.linalg.norm(means, axis=1, keepdims=True)
    return np.where(lengths == 0, means, means / lengths)


@np.errstate(all="ignore")
def similarity(queries: ArrayLike, corpus: ArrayLike, metric: str = "cosine") -> Array:
    """Return the score of every query with every row of the corpus; higher means nearer.

    The cosine with a zero vector is 0. The "l2" score is minus the squared distance.
    """
    queries, corpus = float64(queries), float64(corpus)
    dot: Array = queries @ corpus.T
    if metric == "dot":
        return dot
    if metric == "l2":
        distances: Array = ((queries[:, None] - corpus[None]) ** 2).sum(axis=-1)
        return -distances
    norms = np.linalg.norm(queries, axis=1)[:, None] * np.linalg.norm(corpus, axis=1)
    return np.where(norms == 0, 0.0, dot / norms)


def top_k(scores: Array, k: int) -> tuple[Array, Array]:
    """Return the k highest scores of each row and their columns.

    If scores are equal, the lowest column comes first. NaN comes last.
    """
    order = np.argsort(np.where(np.isnan(scores), np.inf, -scores), axis=1, kind="stable")[:, :k]
    return np.take_along_axis(scores, order, axis=1), order
