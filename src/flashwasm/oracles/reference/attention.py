"""Oracles of attention, its scores, its gradient and its dropout."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from flashwasm.oracles.arrays import float64

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import ArrayLike

    from flashwasm.oracles.arrays import Array

    # The values that `flashwasm.attention` accepts for `causal`.
    Causal = bool | str | int | Array


def causal_offset(causal: Causal, queries: int, keys: int) -> int | Array | None:
    """Return the offset with which query i sees the keys up to i + offset; None for all keys."""
    if causal is False:
        return None
    if isinstance(causal, str):
        return {"top_left": 0, "bottom_right": keys - queries}[causal]
    return 0 if causal is True else causal


def attention_scores(
    q: ArrayLike,
    k: ArrayLike,
    *,
    stage: str = "bias",
    causal: Causal = False,
    mask: ArrayLike | None = None,
    scale: float | None = None,
    window: tuple[int | None, int | None] | None = None,
    softcap: float | None = None,
    alibi_slopes: ArrayLike | None = None,
    kv_lengths: ArrayLike | None = None,
) -> Array:
    """Return the scores, of shape (..., Hq, Lq, Lk), after a stage of their computation.

    From the stage "bias" on, the score is minus infinity if the query does not see the key. The
    stage "softmax" returns the weights, which are zero for such keys.
    """
    q, k = float64(q), float64(k)
    queries, keys = q.shape[-2], k.shape[-2]
    if q.ndim > 2:
        k = np.repeat(k, q.shape[-3] // k.shape[-3], axis=-3)
    with np.errstate(all="ignore"):
        scores: Array = (q @ np.swapaxes(k, -1, -2)) * (
            q.shape[-1] ** -0.5 if scale is None else scale
        )
        if softcap and stage != "raw":
            scores = softcap * np.tanh(scores / softcap)
    if stage in {"raw", "softcap"}:
        return scores
    lengths: Any = keys if kv_lengths is None else np.asarray(kv_lengths)[..., None, None, None]
    if isinstance(causal, str) and causal == "bottom_right":
        offset = lengths - queries
    else:
        fixed = causal_offset(causal, queries, keys)
        offset = np.asarray(0 if fixed is None else fixed)
        offset = offset[..., None, None, None] if offset.ndim else offset
    distance = np.arange(keys) - np.arange(queries)[:, None] - offset
    visible = (np.arange(keys) < lengths) & (distance <= 0 if causal is not False else True)
    left, right = (None, None) if window is None else window
    visible = visible & (True if left is None or left == -1 else distance >= -left)
    visible = visible & (True if right is None or right == -1 else distance <= right)
    if alibi_slopes is not None:
        scores = scores - float64(alibi_slopes)[:, None, None] * np.abs(distance)
    if mask is not None:
        mask = np.asarray(mask)
        visible = visible & (mask if mask.dtype == bool else ~np.isneginf(float64(mask)))
        scores = scores if mask.dtype == bool else np.where(visible, scores, 0) + mask
    scores = np.where(visible, scores, -np.inf)
    if stage == "bias":
        return scores
    greatest = scores.max(axis=-1, keepdims=True, initial=-np.inf)
    e = np.exp(scores - np.where(np.isneginf(greatest), 0, greatest))
    total = e.sum(axis=-1, keepdims=True)
    return np.where(total == 0, 0, e / np.where(total == 0, 1, total))


def attention(
    q: ArrayLike,
    k: ArrayLike,
    v: ArrayLike,
    *,
    sinks: ArrayLike | None = None,
    kept: Array | None = None,
    **options: Any,
) -> tuple[Array, Array]:
    """Return softmax(scores) v and the log-sum-exp of the scores, computed row by row.

    A row is computed only from the keys that its query sees, so a NaN in another key or value
    cannot change the result. ``kept`` contains the factors of dropout, by which the weights are
    multiplied.
    """
    scores = attention_scores(q, k, **options)
    v = float64(v)
    if np.ndim(q) > 2:
        v = np.repeat(v, scores.shape[-3] // v.shape[-3], axis=-3)
    v = np.broadcast_to(v, (*scores.shape[:-2], *v.shape[-2:]))
    out = np.zeros((*scores.shape[:-1], v.shape[-1]))
    lse = np.full(scores.shape[:-1], -np.inf)
    for row in np.ndindex(*scores.shape[:-1]):
        seen = ~np.isneginf(scores[row])
        s = scores[row][seen]
        every = s if sinks is None else np.append(s, float(np.asarray(sinks)[row[-2]]))
        if len(s) or np.isfinite(every).any():
            with np.errstate(all="ignore"):
                greatest = every.max()
                e, total = np.exp(s - greatest), np.exp(every - greatest).sum()
                weights = e / total if kept is None else e / total * kept[row][seen]
                out[row] = weights @ v[row[:-1]][seen]
                lse[row] = greatest + np.log(total)
    return out, lse


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
    """Return the gradients of sum(dout * out) with respect to q, k and v, computed row by row.

    With weights p and out = p v, the gradient of a weight is dp = dout v, and that of a score is
    p (dp - p . dp).
    """
    scores = attention_scores(q, k, **options)
    cap, scale = options.get("softcap"), options.get("scale")
    scale = np.shape(q)[-1] ** -0.5 if scale is None else scale
    slope = np.ones(scores.shape)
    if cap:
        slope = slope - (attention_scores(q, k, **options | {"stage": "softcap"}) / cap) ** 2
    _, lse = attention(q, k, v, sinks=sinks, **options)
    shapes = [np.shape(x) for x in (q, k, v)]
    group = 1 if np.ndim(q) == 2 else shapes[0][-3] // shapes[1][-3]
    q, k, v, dout = float64(q), float64(k), float64(v), float64(dout)
    if q.ndim > 2:
        k, v = (np.repeat(x, group, axis=-3) for x in (k, v))
    q, k, v = (np.broadcast_to(x, (*scores.shape[:-2], *x.shape[-2:])) for x in (q, k, v))
    dq, dk, dv = (np.zeros(x.shape) for x in (q, k, v))
    for row in np.ndindex(*scores.shape[:-1]):
        head, (seen,) = row[:-1], np.nonzero(~np.isneginf(scores[row]))
        factors = np.ones(len(seen)) if kept is None else kept[row][seen]
        with np.errstate(all="ignore"):
            p = np.exp(scores[row][seen] - lse[row])
            dp = factors * (v[head][seen] @ dout[row])
            ds = p * (dp - p @ dp) * slope[row][seen] * scale
            dq[row] = ds @ k[head][seen]
            dk[head][seen] += np.outer(ds, q[row])
            dv[head][seen] += np.outer(p * factors, dout[row])
    return summed(dq, shapes[0]), summed(dk, shapes[1]), summed(dv, shapes[2])


def summed(gradient: Array, shape: tuple[int, ...]) -> Array:
    """Return a gradient in the shape of its operand.

    The gradient of a key head is the sum over its query heads. The gradient of an operand that was
    broadcast along an axis is the sum along that axis.
    """
    if len(shape) > 2:
        *lead, heads, rows, columns = gradient.shape
        grouped = gradient.reshape(*lead, shape[-3], heads // shape[-3], rows, columns)
        gradient = grouped.sum(axis=-3)
    full = (1,) * (gradient.ndim - len(shape)) + shape
    axes = tuple(i for i, n in enumerate(full) if n == 1 and gradient.shape[i] != 1)
    total: Array = gradient.sum(axis=axes, keepdims=True).reshape(shape)
    return total


def philox(counter: Sequence[ArrayLike], key: tuple[int, int]) -> list[Array]:
    """Return four words of Philox 4x32-10 for each counter (Salmon et al., 2011)."""
    words, (low, high) = [np.asarray(word, np.uint64) for word in counter], key
    mask = np.uint64(0xFFFFFFFF)
    for _ in range(10):
        first, third = words[0] * np.uint64(0xD2511F53), words[2] * np.uint64(0xCD9E8D57)
        words = [
            (third >> np.uint64(32)) ^ words[1] ^ np.uint64(low),
            third & mask,
            (first >> np.uint64(32)) ^ words[3] ^ np.uint64(high),
            first & mask,
        ]
        low, high = (low + 0x9E3779B9) & 0xFFFFFFFF, (high + 0xBB67AE85) & 0xFFFFFFFF
    return words


def kept_weights(shape: tuple[int, int, int, int], p: float, seed: int) -> Array:
    """Return the factor of each weight (batch, heads, queries, keys) under dropout.

    The factor is 0 where the weight is dropped and 1 / (1 - p) where it is kept.
    """
    b, h, i, j = np.indices(shape)
    words = philox((j // 4, i, h, b), (seed & 0xFFFFFFFF, seed >> 32))
    return np.where(np.choose(j % 4, words) >= round(p * 2**32), 1 / (1 - p), 0)
