"""Bound of low-rank adaptation."""

from __future__ import annotations

from typing import TYPE_CHECKING

from flashwasm.oracles.arrays import magnitudes
from flashwasm.oracles.bounds.rounding import SMALLEST_SUBNORMAL, gamma

if TYPE_CHECKING:
    from numpy.typing import ArrayLike

    from flashwasm.oracles.arrays import Array


def lora_apply(x: ArrayLike, a: ArrayLike, b: ArrayLike, scale: float) -> Array:
    """Bound the error of x + scale B A x.

    The result is computed by a sum over the input's components, a sum over the ranks, and the
    addition of x. Every product and every addition is rounded.
    """
    x, a, b = magnitudes(x), magnitudes(a), magnitudes(b)
    products = abs(scale) * (x @ a.T) @ b.T
    terms = a.shape[1] + len(a) + 4
    error: Array = gamma(terms) * (products + x.max(axis=-1, keepdims=True))
    return error + SMALLEST_SUBNORMAL
