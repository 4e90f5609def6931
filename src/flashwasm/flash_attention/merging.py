"""Attention over the union of several sets of keys, from the result for each set."""

from __future__ import annotations

from itertools import islice
from typing import TYPE_CHECKING, Any

import numpy as np

from flashwasm.array_room import check_room
from flashwasm.errors import DTypeError, ShapeError
from flashwasm.summaries import number_of
from flashwasm.validation import floats

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import ArrayLike, NDArray

    Array = NDArray[Any]

# Maximum number of results to merge. An array without elements could be a sequence of any length.
_MOST_SETS = 1 << 20


def merge_attention(
    outs: Sequence[ArrayLike], lses: Sequence[ArrayLike]
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Merge results of attention that the same queries computed over disjoint sets of keys.

    The result equals attention over the union of the sets. It is the sum of exp(lse_i - lse) out_i,
    where lse is the logarithm of the sum of exp(lse_i).

    Parameters
    ----------
    outs : sequence of array_like of float, shape (..., L, Dv)
        Outputs, one for each set of keys; at least one.
    lses : sequence of array_like of float, shape (..., L)
        Log-sum-exps, one for each set. They must not include sinks, which would be counted once for
        each set.

    Returns
    -------
    out : numpy.ndarray of float32, shape (..., L, Dv)
        Merged output. If a query sees no key of any set, its row is zeros.
    lse : numpy.ndarray of float32, shape (..., L)
        Merged log-sum-exp; -inf if the query sees no key.

    Raises
    ------
    ShapeError, DTypeError, OutOfMemoryError

    Notes
    -----
    The sums are computed in float64, in the order of ``outs``. The formula is that of the online
    softmax (Milakov & Gimelshein, 2018).

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
        got = f"{number_of(len(values), 'outs')} and {number_of(len(weights), 'lses')}"
        raise ShapeError(f"lses: expected as many as outs, at least one, got {got}")
    for i, (x, w) in enumerate(zip(values, weights, strict=True)):
        if x.shape != values[0].shape:
            message = f"outs[{i}]: expected shape {values[0].shape}, as outs[0] has, got {x.shape}"
            raise ShapeError(message)
        if w.shape != x.shape[:-1]:
            message = f"lses[{i}]: expected shape {x.shape[:-1]}, that of its out, got {w.shape}"
            raise ShapeError(message)
    check_room((len(weights), *values[0].shape), np.float64)
    with np.errstate(all="ignore"):
        return _merged(values, np.stack([w.astype(np.float64) for w in weights]))


def _merged(values: list[Array], weights: Array) -> tuple[Array, Array]:
    """Return the mean of outputs weighted by exp(lse), and the logarithm of the weights' sum."""
    greatest = weights.max(axis=0)
    origin = np.where(np.isneginf(greatest), 0.0, greatest)
    shares = np.exp(weights - origin)
    total = shares.sum(axis=0)
    seen = total > 0
    divisor = np.where(seen, total, 1.0)[..., None]
    out = np.zeros(values[0].shape, np.float64)
    for x, share in zip(values, shares, strict=True):
        # If the query sees no key of a set, the output for that set has weight 0. It is left out
        # instead of multiplied, because NaN times 0 would be NaN.
        out += np.where(share[..., None] > 0, x.astype(np.float64) * share[..., None], 0.0)
    lse = np.where(np.isnan(total) | seen, origin + np.log(total), -np.inf)
    result = np.where(np.isnan(total)[..., None], np.nan, out / divisor)
    return result.astype(np.float32), lse.astype(np.float32)


def _sequence(arrays: Sequence[ArrayLike], name: str) -> list[ArrayLike]:
    """Return a sequence of arrays as a list."""
    try:
        listed = list(islice(arrays, _MOST_SETS + 1))
    except TypeError:
        message = f"{name}: expected a sequence of arrays, got {type(arrays).__name__}"
        raise DTypeError(message) from None
    if len(listed) > _MOST_SETS:
        message = f"{name}: expected at most {_MOST_SETS} results, got more"
        raise ShapeError(message)
    return listed
