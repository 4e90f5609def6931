"""Bounds of attention and of its gradient."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from flashwasm.oracles import reference
from flashwasm.oracles.arrays import float64, magnitudes
from flashwasm.oracles.bounds.rounding import (
    EXPONENTIAL,
    OF_KERNELS,
    SMALLEST_NORMAL,
    SMALLEST_SUBNORMAL,
    TANH,
    UNIT_ROUNDOFF,
    gamma,
)

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import ArrayLike

    from flashwasm.oracles.arrays import Array
    from flashwasm.oracles.bounds.rounding import Exponential

    Options = Mapping[str, Any]


def _score_error(q: ArrayLike, k: ArrayLike, scores: Array, options: Options) -> Array:
    """Bound the error of scores before the exponential.

    The bound is the sum of gamma(D + 3) scale |q|.|k|, of the error of tanh if scores are capped,
    and of the rounding errors when a mask or ALiBi is added.
    """
    absolute_q, absolute_k = magnitudes(q), magnitudes(k)
    dim, scale = absolute_q.shape[-1], options.get("scale")
    reach = reference.attention_scores(
        absolute_q, absolute_k, scale=None if scale is None else abs(scale)
    )
    error: Array = gamma(dim + 3) * np.broadcast_to(reach, scores.shape)
    seen = ~np.isneginf(scores)
    if options.get("softcap"):
        capped = reference.attention_scores(q, k, **{**options, "stage": "softcap"})
        error = error + TANH * np.abs(capped)
    if options.get("mask") is not None and np.asarray(options["mask"]).dtype != bool:
        mask = float64(options["mask"])
        error = error + 2 * UNIT_ROUNDOFF * np.where(np.isneginf(mask), 0, np.abs(mask))
    if options.get("alibi_slopes") is not None:
        plain = {name: value for name, value in options.items() if name != "alibi_slopes"}
        without = reference.attention_scores(q, k, **plain)
        moved = np.where(seen, scores, 0) - np.where(seen, without, 0)
        error = error + 3 * UNIT_ROUNDOFF * np.abs(moved)
    return error


def attention(
    q: ArrayLike,
    k: ArrayLike,
    v: ArrayLike,
    *,
    sinks: ArrayLike | None = None,
    kept: Array | None = None,
    exponential: Exponential = OF_KERNELS,
    **options: Any,
) -> tuple[Array, Array]:
    """Bound the output and the log-sum-exp, given the error of the exponential.

    If a score is off by d, its weight is off by a factor of exp(d). A weight below the smallest
    normal number may be zero. The sum of the weights and their product with v are chains over the
    keys.
    """
    scores = reference.attention_scores(q, k, **options)
    score_error = _score_error(q, k, scores, options)
    seen = ~np.isneginf(scores)
    top = np.where(seen, scores, -np.inf).max(axis=-1, keepdims=True, initial=-np.inf)
    extra: Any = -np.inf if sinks is None else float64(sinks)[:, None, None]
    top = np.maximum(top, extra)
    top = np.where(np.isneginf(top), 0, top)
    depth = np.where(seen, top - scores, 0)
    weights = np.where(seen, np.exp(-depth), 0)
    total = weights.sum(axis=-1, keepdims=True) + np.exp(extra - top)
    divisor = np.where(total == 0, 1, total)
    p, lost = weights / divisor, np.where(seen, SMALLEST_NORMAL / divisor, 0)
    exponent = score_error + exponential.error(depth)
    term = np.where(seen, np.expm1(exponent), 0)
    mean = (p * term).sum(axis=-1, keepdims=True)
    if sinks is not None:
        # A sink has an exponential too, whose error grows with the sink's depth below the maximum.
        sink_depth = np.where(np.isfinite(top - extra), top - extra, 0)
        mean = mean + exponential.error(sink_depth)
    absolute_v = magnitudes(v)
    if np.ndim(q) > 2:
        absolute_v = np.repeat(absolute_v, scores.shape[-3] // absolute_v.shape[-3], axis=-3)
    # For each block of keys, the sums so far are multiplied by an exponential, which is another
    # chain.
    chain = gamma(2 * scores.shape[-1] + 4) + exponential.relative
    # Dropout multiplies each weight once, with a factor that was rounded.
    roundings = chain if kept is None else chain + gamma(2)
    weight_error = p * (term + mean + roundings) + lost
    out = (weight_error if kept is None else weight_error * kept) @ absolute_v
    out = out + SMALLEST_NORMAL
    logarithm = np.abs(top[..., 0]) + np.log(np.maximum(total[..., 0], 1))
    lse = mean[..., 0] + chain + 3 * UNIT_ROUNDOFF * logarithm
    return out, lse


def attention_int8(q: ArrayLike, k: ArrayLike, v: ArrayLike, **options: Any) -> tuple[Array, Array]:
    """Bound attention on keys and values in int8, with a scale for each row.

    The kernel rounds a query to integers, in steps of at most 2^-29 of its greatest magnitude. It
    rounds the weights of a block, times the scales of its values, in the same way. Sums of integers
    are exact. A value is at most 127 times its scale.
    """
    out, lse = attention(q, k, v, **options)
    q, k, v = magnitudes(q), magnitudes(k), magnitudes(v)
    scale = q.shape[-1] ** -0.5 if options.get("scale") is None else abs(options["scale"])
    score = 2.0**-29 * scale * q.max() * k.sum(axis=-1).max(initial=0)
    greatest = v.max(initial=0)
    return out + (2 * score + 2.0**-29 * k.shape[-2]) * greatest, lse + 2 * score


def _weights_and_error(
    q: ArrayLike, k: ArrayLike, lse: Array, lse_error: Array, options: Options
) -> tuple[Array, Array]:
    """Return exp(score - lse), and a bound of its error, from lse and a bound of its error."""
    scores = reference.attention_scores(q, k, **options)
    seen = ~np.isneginf(scores)
    lse, lse_error = lse[..., None], lse_error[..., None]
    depth = np.where(seen, lse - scores, 0)
    shift = _score_error(q, k, scores, options) + lse_error
    shift = shift + gamma(4) * (np.abs(depth) + shift) + EXPONENTIAL
    p = np.where(seen, np.exp(-depth), 0)
    return p, np.where(seen, p * np.expm1(shift) + 2 * SMALLEST_NORMAL, 0)


def _slope_and_error(
    q: ArrayLike, k: ArrayLike, options: Options
) -> tuple[Array | float, Array | float]:
    """Return the derivative of the capped score, and a bound of its error."""
    cap = options.get("softcap")
    if not cap:
        return 1.0, 0.0
    softcap_stage = {**options, "stage": "softcap"}
    capped = reference.attention_scores(q, k, **softcap_stage)
    ratio = np.abs(capped) / cap
    off = _score_error(q, k, capped, softcap_stage) / cap + gamma(2) * ratio
    return 1 - ratio**2, 2 * ratio * off + off**2 + gamma(2)


def _terms(rows: int, shape: tuple[int, ...], lead: tuple[int, ...]) -> int:
    """Return the number of terms of a sum over rows and over leading axes that were broadcast."""
    own = (1,) * (len(lead) + 3 - len(shape)) + shape
    return rows * int(np.prod([n for n, m in zip(lead, own, strict=False) if m == 1]))


@np.errstate(over="ignore", invalid="ignore")
def attention_backward(
    dout: ArrayLike,
    q: ArrayLike,
    k: ArrayLike,
    v: ArrayLike,
    *,
    sinks: ArrayLike | None = None,
    kept: Array | None = None,
    **options: Any,
) -> tuple[Array, Array, Array]:
    """Bound dq, dk and dv, given the output and the log-sum-exp that the kernels compute.

    dp and delta are chains over Dv. ds is their difference e, times the weight and the slope of the
    cap. The gradients are chains of such terms over the keys, or over all queries of a key.
    """
    shapes = [np.shape(x) for x in (q, k, v)]
    factors: Any = 1.0 if kept is None else kept
    out, lse = reference.attention(q, k, v, sinks=sinks, kept=kept, **options)
    out_error, lse_error = attention(q, k, v, sinks=sinks, kept=kept, **options)
    p, p_error = _weights_and_error(q, k, lse, lse_error, options)
    slope, slope_error = _slope_and_error(q, k, options)
    scale = shapes[0][-1] ** -0.5 if options.get("scale") is None else abs(options["scale"])
    q, dout, absolute_dout = magnitudes(q), float64(dout), magnitudes(dout)
    group = p.shape[-3] // shapes[1][-3] if q.ndim > 2 else 1
    k, v = magnitudes(k), float64(v)
    if group > 1:
        k, v = (np.repeat(x, group, axis=-3) for x in (k, v))
    chain = gamma(v.shape[-1] + 5)
    dp = factors * (dout @ np.swapaxes(v, -1, -2))
    delta = (dout * out).sum(axis=-1, keepdims=True)
    e_error = chain * factors * (absolute_dout @ np.swapaxes(np.abs(v), -1, -2))
    delta_error = absolute_dout * (out_error + chain * (np.abs(out) + out_error))
    e, e_error = np.abs(dp - delta), e_error + delta_error.sum(axis=-1, keepdims=True)
    e_error = e_error + gamma(2) * (e + e_error)
    ds = scale * p * e * slope
    above = scale * (p + p_error) * (e + e_error) * (slope + slope_error) * (1 + gamma(5))
    above = above + 4 * SMALLEST_SUBNORMAL
    weight, above_weight = p * factors, (p + p_error) * factors * (1 + gamma(2))
    lead, (queries, keys) = p.shape[:-3], p.shape[-2:]

    def product(true: Array, most: Array, x: Array, shape: tuple[int, ...], rows: int) -> Array:
        terms = gamma(_terms(rows, shape, lead) + 1)
        error = (most - true) @ x + terms * (most @ x) + SMALLEST_NORMAL
        return reference.summed(np.broadcast_to(error, (*p.shape[:-2], *error.shape[-2:])), shape)

    ds_t, above_t, weight_t, above_weight_t = (
        np.swapaxes(x, -1, -2) for x in (ds, above, weight, above_weight)
    )
    return (
        product(ds, above, k, shapes[0], keys),
        product(ds_t, above_t, q, shapes[1], group * queries),
        product(weight_t, above_weight_t, absolute_dout, shapes[2], group * queries),
    )
