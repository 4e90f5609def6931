"""The matrix that attention never stores, for inspection and tests."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from flashwasm.flash_attention.problem import checked_problem
from flashwasm.ops import matmul
from flashwasm.runtime.runtime import checked_runtime
from flashwasm.validation import choice

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

    from flashwasm.flash_attention.attention_options import Causal, Window
    from flashwasm.flash_attention.problem import Problem
    from flashwasm.runtime.runtime import Runtime

    Array = NDArray[Any]

_STAGES = ("raw", "softcap", "bias", "softmax")


def attention_scores(
    q: ArrayLike,
    k: ArrayLike,
    *,
    stage: str = "softmax",
    causal: Causal = False,
    mask: ArrayLike | None = None,
    scale: float | None = None,
    window: Window | None = None,
    softcap: float | None = None,
    alibi_slopes: ArrayLike | None = None,
    sinks: ArrayLike | None = None,
    kv_lengths: ArrayLike | None = None,
    runtime: Runtime | None = None,
    timeout: float | None = None,
) -> Array:
    """Scores of every query with every key, as a whole matrix.

    `attention` never stores these. This is for looking at them; memory grows with Lq times Lk.

    Parameters
    ----------
    q : array_like of float, shape (..., Hq, Lq, D)
        Queries; two axes are one head.
    k : array_like of float, shape (..., Hk, Lk, D)
        Keys.
    stage : {"raw", "softcap", "bias", "softmax"}, default "softmax"
        After which step: scaled products; then softcap; then ALiBi and masks, with -inf for what is
        hidden; then weights.
    causal, mask, scale, window, softcap, alibi_slopes, sinks, kv_lengths
        As for `attention`.
    runtime : Runtime, optional
        Where the products are computed; the other steps are NumPy's.
    timeout : float, optional
        Seconds.

    Returns
    -------
    numpy.ndarray of float32, shape (..., Hq, Lq, Lk)
        With "softmax", rows sum to 1, to less with sinks, and to 0 where there is no key to see.

    Raises
    ------
    ShapeError, DTypeError, OutOfMemoryError, DeadlineExceeded, ClosedError

    Examples
    --------
    >>> import numpy as np
    >>> import flashwasm as fw
    >>> q = k = np.zeros((2, 4), np.float32)
    >>> fw.attention_scores(q, k, causal="top_left").tolist()
    [[1.0, 0.0], [0.5, 0.5]]
    """
    choice(stage, "stage", _STAGES)
    rt = checked_runtime(runtime)
    problem = checked_problem(
        *(q, k, k),
        causal=causal,
        mask=mask,
        scale=scale,
        window=window,
        softcap=softcap,
        alibi_slopes=alibi_slopes,
        sinks=sinks,
        kv_lengths=kv_lengths,
    )
    heads, queries, dim = problem.q.shape[-3:]
    key_heads, keys = problem.k.shape[-3:-1]
    # The query heads of a key head are more rows of one product.
    rows = problem.q.reshape(*problem.q.shape[:-3], key_heads, problem.group * queries, dim)
    with np.errstate(over="ignore", under="ignore", invalid="ignore"):
        scaled = rows.astype(np.float32) * np.float32(problem.rules.scale)
    product = matmul(scaled, problem.k.swapaxes(-1, -2), runtime=rt, timeout=timeout)
    by_heads = np.array(product).reshape(*product.shape[:-3], heads, queries, keys)
    scores = np.broadcast_to(by_heads, (*problem.lead, heads, queries, keys))
    # What is too large becomes infinite and what is undefined NaN, without a word.
    with np.errstate(over="ignore", under="ignore", invalid="ignore"):
        result = _staged(problem, scores, stage)
    return result[0] if not problem.lead and np.ndim(q) == np.ndim(k) == 2 else result


def _staged(problem: Problem, scores: Array, stage: str) -> Array:
    """Return the scores after a step."""
    rules = problem.rules
    if stage != "raw" and rules.softcap:
        cap = np.float32(rules.softcap)
        scores = cap * np.tanh(scores / cap)
    if stage in {"raw", "softcap"}:
        return np.array(scores, np.float32)
    queries, keys = scores.shape[-2:]
    # How far each key lies past each query's diagonal, for each leading index.
    rows = np.arange(queries)[:, None] + problem.diagonals[..., None, None, None]
    past = np.arange(keys) - rows
    hidden = (past > rules.after) | (past < -rules.before)
    hidden = hidden | (np.arange(keys) >= problem.lengths[..., None, None, None])
    if rules.alibi is not None:
        scores = scores - rules.alibi[:, None, None] * np.abs(past).astype(np.float32)
    if problem.mask is not None and problem.mask.dtype == np.bool_:
        hidden = hidden | ~problem.mask
    elif problem.mask is not None:
        scores = scores + problem.mask.astype(np.float32)
        hidden = hidden | np.isneginf(problem.mask)
    scores = np.where(hidden, np.float32(-np.inf), scores).astype(np.float32)
    return scores if stage == "bias" else _weights(scores, rules.sinks)


def _weights(scores: Array, sinks: Array | None) -> Array:
    """Return the softmax of rows, zeros for rows of -inf."""
    greatest = scores.max(axis=-1, keepdims=True, initial=-np.inf)
    if sinks is not None:
        greatest = np.maximum(greatest, sinks[:, None, None])
    origin = np.where(np.isneginf(greatest), np.float32(0), greatest)
    exponentials = np.exp(scores - origin)
    total = exponentials.sum(axis=-1, keepdims=True)
    if sinks is not None:
        total = total + np.exp(sinks[:, None, None] - origin)
    result: Array = np.where(total == 0, 0, exponentials / np.where(total == 0, 1, total))
    return result.astype(np.float32)
