"""Bounds of the operations in `flashwasm.ops`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from flashwasm.oracles import reference
from flashwasm.oracles.arrays import float64, magnitudes, normalized_axes
from flashwasm.oracles.bounds.rounding import (
    OF_KERNELS,
    SMALLEST_NORMAL,
    SMALLEST_SUBNORMAL,
    UNIT_ROUNDOFF,
    gamma,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import ArrayLike

    from flashwasm.oracles.arrays import Array
    from flashwasm.oracles.bounds.rounding import Exponential


def matmul(a: ArrayLike, b: ArrayLike, bias: ArrayLike | None = None) -> Array:
    """Bound a product of matrices: each element is a chain over the inner dimension."""
    a, b = magnitudes(a), magnitudes(b)
    k = a.shape[-1]
    terms = a @ b if bias is None else a @ b + magnitudes(bias)
    error: Array = gamma(k + 1) * terms + (k + 1) * SMALLEST_SUBNORMAL
    return error


def matmul_i8(a: ArrayLike, b: ArrayLike, bias: ArrayLike | None = None) -> Array:
    """Bound a product of rounded operands with exact sums.

    Rounding changes each number in a row of a by at most half of a 127th of the row's range,
    extended to include 0, and each number in a column of b by at most half of a 127th of the
    column's greatest magnitude. A few float roundings are added.
    """
    a, b = float64(a), magnitudes(b)
    low, high = (getattr(a, end)(axis=-1, keepdims=True, initial=0) for end in ("min", "max"))
    half = 0.5 + 256 * UNIT_ROUNDOFF
    a_error = half * (high - low) / 127 + SMALLEST_NORMAL * 2**32
    b_error = half * b.max(axis=0, initial=0) / 127 + SMALLEST_NORMAL
    k = a.shape[-1]
    products = np.abs(a) @ b + a_error * b.sum(axis=0)
    products += np.abs(a).sum(axis=-1, keepdims=True) * b_error + k * a_error * b_error
    terms = np.abs(a) @ b if bias is None else np.abs(a) @ b + magnitudes(bias)
    error: Array = products - np.abs(a) @ b + gamma(6) * (products + terms)
    return error


def softmax(x: ArrayLike, axis: int = -1, *, exponential: Exponential = OF_KERNELS) -> Array:
    """Bound softmax.

    Subtracting the maximum and changing the base each cost a rounding of the exponent. Then come
    the exponential, the sum and the division.
    """
    x = float64(x)
    p = reference.softmax(x, axis)
    depth = x.max(axis=axis, keepdims=True, initial=-np.inf) - x
    term = np.where(p > 0, exponential.error(depth), 0)
    mean = (p * term).sum(axis=axis, keepdims=True)
    error: Array = p * (term + mean + gamma(x.shape[axis] + 2)) + 2 * SMALLEST_SUBNORMAL
    return error


def layer_norm(
    x: ArrayLike,
    weight: ArrayLike | None = None,
    bias: ArrayLike | None = None,
    eps: float = 1e-5,
    axis: int = -1,
) -> Array:
    """Bound layer norm.

    The error of the mean is gamma(n) times the mean magnitude, and every centered element has the
    same error.
    """
    x = float64(x)
    axes = normalized_axes(x, axis)
    n = int(np.prod([x.shape[i] for i in axes]))
    centered = np.abs(x - x.mean(axis=axes, keepdims=True))
    shift = gamma(n + 1) * np.abs(x).mean(axis=axes, keepdims=True)
    variance = (centered**2).mean(axis=axes, keepdims=True) + eps
    # The error of the variance has two parts: the effect of the shifted mean, and the roundings in
    # the sum of n squares. The square root halves the relative error.
    spread = (2 * centered.mean(axis=axes, keepdims=True) * shift + shift**2) / variance
    relative = 0.5 * (spread + gamma(n + 4)) + 5 * UNIT_ROUNDOFF
    error = shift / np.sqrt(variance) + centered / np.sqrt(variance) * relative
    scale = magnitudes(1 if weight is None else weight)
    offset = magnitudes(0 if bias is None else bias)
    rounding = 2 * UNIT_ROUNDOFF * (scale * centered / np.sqrt(variance) + offset)
    total: Array = scale * error + rounding + SMALLEST_SUBNORMAL
    return total


def rms_norm(
    x: ArrayLike, weight: ArrayLike | None = None, eps: float = 1e-5, axis: int = -1
) -> Array:
    """Bound the root-mean-square norm: a sum of n squares, whose error the square root halves."""
    x = float64(x)
    n = int(np.prod([x.shape[i] for i in normalized_axes(x, axis)]))
    relative = 0.5 * gamma(n + 4) + 5 * UNIT_ROUNDOFF
    return np.abs(reference.rms_norm(x, weight, eps, axis)) * relative + SMALLEST_SUBNORMAL


@np.errstate(all="ignore")
def gelu(x: ArrayLike, approximate: str = "none") -> Array:
    """Bound GELU: x (1 - t) above zero and x t below, where the tail t is an exponential of x.

    The exponent, x^2 / 2 or 2 u, has an error of a few units in the last place. The rest of the
    tail needs sixteen roundings. The tanh form may return zero for a tail that would be subnormal.
    """
    a = magnitudes(x)
    y = np.abs(reference.gelu(x, approximate))
    lost: Array | float = 0.0
    if approximate == "tanh":
        exponent, lost = 1.6 * (a + 0.044715 * a**3), a * SMALLEST_NORMAL
    else:
        exponent = 0.5 * a**2
    tail = np.abs(reference.gelu(-a, approximate))
    # A tail that underflows in float64 underflows in float32 too, whatever the error of its
    # exponent.
    growth = np.where(tail == 0, 0, np.expm1((4 * exponent + 16) * UNIT_ROUNDOFF))
    error = growth * tail
    total: Array = error + 3 * UNIT_ROUNDOFF * y + lost + SMALLEST_SUBNORMAL
    return total


def rotary_embedding(x: ArrayLike, cos: ArrayLike, sin: ArrayLike, **options: Any) -> Array:
    """Bound a rotation: each element is a sum of two rounded products."""
    x, cos, sin = magnitudes(x), magnitudes(cos), magnitudes(sin)
    # Rotate the magnitudes in both directions: for each element, the larger of the two results is
    # |cos x1| + |sin x2|.
    forward = reference.rotary_embedding(x, cos, sin, **options)
    backward = reference.rotary_embedding(x, cos, -sin, **options)
    error: Array = gamma(2) * np.maximum(forward, backward) + 2 * SMALLEST_SUBNORMAL
    return error


def mean_pool(x: ArrayLike, cu_seqlens: Sequence[int], *, normalize: bool = False) -> Array:
    """Bound each mean by the magnitudes in its sequence.

    With ``normalize``, the division by the length adds an element's share of the error of the
    length.
    """
    a = magnitudes(x)
    rows = int(np.max(np.diff(cu_seqlens), initial=0))
    error = gamma(rows + 2) * reference.mean_pool(a, cu_seqlens) + SMALLEST_SUBNORMAL
    if not normalize:
        return error
    length = np.linalg.norm(reference.mean_pool(x, cu_seqlens), axis=1, keepdims=True)
    length = np.where(length == 0, 1, length)
    unit = np.abs(reference.mean_pool(x, cu_seqlens, normalize=True))
    along = np.linalg.norm(error, axis=1, keepdims=True) / length
    total: Array = error / length + unit * (along + gamma(a.shape[1] + 4)) + SMALLEST_SUBNORMAL
    return total


def similarity(queries: ArrayLike, corpus: ArrayLike, metric: str = "cosine") -> Array:
    """Bound scores: a chain over the dimension, and for the cosine two norms and two divisions."""
    q, c = magnitudes(queries), magnitudes(corpus)
    dim = q.shape[1]
    error: Array
    if metric == "l2":
        terms = (q**2).sum(1)[:, None] + (c**2).sum(1) + 2 * q @ c.T
        error = gamma(dim + 3) * terms + dim * SMALLEST_SUBNORMAL
    elif metric == "dot":
        error = gamma(dim) * (q @ c.T) + dim * SMALLEST_SUBNORMAL
    else:
        # The square root of each norm halves the error of its sum of squares.
        error = np.broadcast_to(gamma(2 * dim + 6), (len(q), len(c)))
    return error
