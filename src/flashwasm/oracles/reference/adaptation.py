"""Oracles of low-rank adaptation and of whitening."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from flashwasm.oracles.arrays import float64

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import ArrayLike

    from flashwasm.oracles.arrays import Array


def lora_apply(x: ArrayLike, a: ArrayLike, b: ArrayLike, scale: float) -> Array:
    """Return x + scale B A x for each row, or scale B A x if the dimensions differ."""
    x, a, b = float64(x), float64(a), float64(b)
    change: Array = scale * (x @ a.T) @ b.T
    return x + change if a.shape[1] == len(b) else change


def lora_logits(
    a: Array,
    b: Array,
    scale: float,
    x: ArrayLike,
    candidates: ArrayLike,
    *,
    temperature: float,
    metric: str,
    adapted: bool,
    threshold: float = 0.0,
) -> Array:
    """Return (score - threshold) / temperature for each candidate.

    The score compares the candidate with the adapted x. If ``adapted`` is true, the candidate is
    adapted first, too.
    """
    (y,) = lora_apply(float64(x)[None], a, b, scale)
    c = float64(candidates)
    c = lora_apply(c, a, b, scale) if adapted else c
    scores = c @ y
    if metric == "cosine":
        lengths = np.linalg.norm(c, axis=1) * np.linalg.norm(y)
        scores = np.divide(scores, lengths, out=np.zeros_like(scores), where=lengths > 0)
    logits: Array = (scores - threshold) / temperature
    return logits


def lora_log_probabilities(kind: str, logits: Array) -> Array:
    """Return the log-probability of each label.

    If the loss is contrastive, the labels are the candidates, else "rejected" and "accepted".
    """
    if kind == "contrastive":
        shifted = logits - logits.max()
        probabilities: Array = shifted - np.log(np.exp(shifted).sum())
        return probabilities
    return -np.logaddexp(0, [-logits[0], logits[0]])


def lora_loss(
    kind: str,
    a: Array,
    b: Array,
    scale: float,
    x: ArrayLike,
    candidates: ArrayLike,
    *,
    label: int = 0,
    reward: float = 1.0,
    **options: Any,
) -> float:
    """Return the loss of one sample."""
    if kind == "regression":
        (y,) = lora_apply(float64(x)[None], a, b, scale)
        return float(reward * ((y - float64(candidates)[0]) ** 2).sum() / 2)
    logits = lora_logits(a, b, scale, x, candidates, **options)
    return float(-reward * lora_log_probabilities(kind, logits)[label])


def gradient(f: Callable[..., Any], *arrays: ArrayLike) -> list[Array]:
    """Return central differences of f with respect to each element of each array."""
    step = 1e-5
    points = [np.array(x, np.float64) for x in arrays]
    gradients = [np.empty(np.shape(f(*points)) + x.shape) for x in points]
    for x, g in zip(points, gradients, strict=True):
        for i in np.ndindex(x.shape):
            center = x[i]
            x[i] = center + step
            above = f(*points)
            x[i] = center - step
            g[(..., *i)] = (above - f(*points)) / (2 * step)
            x[i] = center
    return gradients


def lora_fisher(
    kind: str,
    a: Array,
    b: Array,
    scale: float,
    x: ArrayLike,
    candidates: ArrayLike,
    *,
    reward: float = 1.0,
    **options: Any,
) -> list[Array]:
    """Return the diagonal of one sample's Fisher information with respect to A and to B."""
    if kind == "regression":
        row = float64(x)[None]
        slopes = gradient(lambda a, b: lora_apply(row, a, b, scale)[0], a, b)
        return [reward * (g**2).sum(axis=0) for g in slopes]

    def log_probabilities(a: Array, b: Array) -> Array:
        logits = lora_logits(a, b, scale, x, candidates, **options)
        return lora_log_probabilities(kind, logits)

    p = np.exp(log_probabilities(a, b))
    slopes = gradient(log_probabilities, a, b)
    return [reward * np.einsum("l,lij->ij", p, g**2) for g in slopes]


def whitening(vectors: ArrayLike, shrinkage: float, power: float) -> tuple[Array, Array]:
    """Return the mean of vectors and the symmetric matrix that whitens them, with shrinkage."""
    x = float64(vectors)
    covariance = np.atleast_2d(np.cov(x.T, bias=True))
    isotropic = np.trace(covariance) / len(covariance) * np.eye(len(covariance))
    values, axes = np.linalg.eigh((1 - shrinkage) * covariance + shrinkage * isotropic)
    matrix: Array = axes * values ** (-power / 2) @ axes.T
    return x.mean(axis=0), matrix
