"""Attention over the union of key sets, from its results on each."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from flashwasm.errors import DTypeError, ShapeError
from flashwasm.validation import floats

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import ArrayLike, NDArray

    Array = NDArray[Any]


def merge_attention(outs: Sequence[ArrayLike], lses: Sequence[ArrayLike]) -> tuple[Array, Array]:
    """Join results of attention of the same queries to disjoint sets of keys.

    Parameters
    ----------
    outs : sequence of array_like of float, shape (..., L, Dv)
        The result for each set, any number of them.
    lses : sequence of array_like of float, shape (..., L)
        The log-sum-exp for each, without sinks.

    Returns
    -------
    out : numpy.ndarray of float32, shape (..., L, Dv)
        Zeros where no set had a key to see.
    lse : numpy.ndarray of float32, shape (..., L)
        -inf there.

    Raises
    ------
    ShapeError, DTypeError

    Notes
    -----
    sum of exp(lse_i - lse) out_i, with lse the logarithm of the sum of exp(lse_i), computed in
    float64 in the order given.

    Examples
    --------
    >>> import numpy as np
    >>> import flashwasm as fw
    >>> q, k, v = np.random.default_rng(0).standard_normal((3, 6, 4), np.float32)
    >>> parts = [fw.attention(q, k[s], v[s], return_lse=True) for s in (slice(2), slice(2, 6))]
    >>> out, lse = fw.merge_attention(*zip(*parts))
    >>> bool(np.allclose(out, fw.attention(q, k, v), atol=1e-6))
    True
    """
    values = [floats(x, f"outs[{i}]", at_least=1) for i, x in enumerate(_sequence(outs, "outs"))]
    weights = [floats(x, f"lses[{i}]") for i, x in enumerate(_sequence(lses, "lses"))]
    if not values or len(values) != len(weights):
        message = f"lses: expected as many as outs, at least one, got {len(values)} outs and "
        raise ShapeError(message + f"{len(weights)} lses")
    for i, (x, w) in enumerate(zip(values, weights, strict=True)):
        if x.shape != values[0].shape:
            message = f"outs[{i}]: expected shape {values[0].shape}, as outs[0] has, got {x.shape}"
            raise ShapeError(message)
        if w.shape != x.shape[:-1]:
            message = f"lses[{i}]: expected shape {x.shape[:-1]}, that of its out, got {w.shape}"
            raise ShapeError(message)
    with np.errstate(all="ignore"):
        return _merged(values, np.stack([w.astype(np.float64) for w in weights]))


def _merged(values: list[Array], weights: Array) -> tuple[Array, Array]:
    """Return the weighted mean of checked results and the logarithm of the weights' sum."""
    greatest = weights.max(axis=0)
    origin = np.where(np.isneginf(greatest), 0.0, greatest)
    shares = np.exp(weights - origin)
    total = shares.sum(axis=0)
    seen = total > 0
    divisor = np.where(seen, total, 1.0)[..., None]
    out = np.zeros(values[0].shape, np.float64)
    for x, share in zip(values, shares, strict=True):
        # A part that saw nothing has share 0; what it holds must not count.
        out += np.where(share[..., None] > 0, x.astype(np.float64) * share[..., None], 0.0)
    lse = np.where(np.isnan(total) | seen, origin + np.log(total), -np.inf)
    result = np.where(np.isnan(total)[..., None], np.nan, out / divisor)
    return result.astype(np.float32), lse.astype(np.float32)


def _sequence(arrays: Sequence[ArrayLike], name: str) -> list[ArrayLike]:
    """Return arrays as a list, or raise where they are none."""
    try:
        return list(arrays)
    except TypeError:
        message = f"{name}: expected a sequence of arrays, got {type(arrays).__name__}"
        raise DTypeError(message) from None
