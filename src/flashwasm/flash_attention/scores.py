"""The whole matrix of attention scores, for inspection and tests."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal, TypeAlias, get_args

import numpy as np

from flashwasm.array_room import check_room
from flashwasm.flash_attention.inputs import checked_inputs
from flashwasm.flash_attention.options import ScoreOptions, completed, shows_options
from flashwasm.ops import matmul
from flashwasm.runtime.default_runtime import checked_runtime
from flashwasm.validation import choice

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray
    from typing_extensions import Unpack

    from flashwasm.flash_attention.inputs import AttentionInputs
    from flashwasm.runtime.runtime import Runtime

    Array = NDArray[Any]

Stage: TypeAlias = Literal["raw", "softcap", "bias", "softmax"]
_STAGES = get_args(Stage)


@shows_options(ScoreOptions)
def attention_scores(
    q: ArrayLike,
    k: ArrayLike,
    *,
    stage: Stage = "softmax",
    runtime: Runtime | None = None,
    timeout: float | None = None,
    **options: Unpack[ScoreOptions],
) -> NDArray[np.float32]:
    """Compute the scores of every query with every key, as a whole matrix.

    Use it for inspection and tests: the matrix has Lq times Lk elements for each head, and
    `attention` never stores it.

    Parameters
    ----------
    q : array_like of float, shape (..., Hq, Lq, D)
        Queries. An array of two axes is one head.
    k : array_like of float, shape (..., Hk, Lk, D)
        Keys. Query head h reads key head ``h // (Hq // Hk)``.
    **options : ScoreOptions
        The options of `flashwasm.flash_attention.options.ScoreOptions`.
    stage : {"raw", "softcap", "bias", "softmax"}, default "softmax"
        Last step to compute. "raw" multiplies the products by ``scale``. "softcap" then applies the
        bound. "bias" then subtracts ALiBi, adds the mask, and sets hidden keys to -inf. "softmax"
        then turns the scores into weights.
    runtime : Runtime, optional
        Runtime that computes the products; NumPy computes the rest. None means the default one.
    timeout : float, optional
        Maximum duration of the products in seconds. None means the runtime's timeout.

    Returns
    -------
    numpy.ndarray of float32, shape (..., Hq, Lq, Lk)
        The scores. With "softmax", each row sums to 1; to less than 1 if there are sinks; and to 0
        if its query sees no key.

    Raises
    ------
    ShapeError, DTypeError, OutOfMemoryError, DeadlineExceeded, Cancelled, ClosedError

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
    inputs = checked_inputs(q, k, k, completed(options, ScoreOptions, attention_scores))
    heads, queries, dim = inputs.q.shape[-3:]
    key_heads, keys = inputs.k.shape[-3:-1]
    check_room((*inputs.lead, heads, queries, keys))
    # The query heads that share a key head form more rows of one product.
    rows = inputs.q.reshape(*inputs.q.shape[:-3], key_heads, inputs.group * queries, dim)
    with np.errstate(over="ignore", under="ignore", invalid="ignore"):
        scaled = rows.astype(np.float32) * np.float32(inputs.modifiers.scale)
    product = matmul(scaled, inputs.k.swapaxes(-1, -2), runtime=rt, timeout=timeout)
    by_heads = np.array(product).reshape(*product.shape[:-3], heads, queries, keys)
    scores = np.broadcast_to(by_heads, (*inputs.lead, heads, queries, keys))
    # Scores that overflow become infinite and undefined scores become NaN, without a warning.
    with np.errstate(over="ignore", under="ignore", invalid="ignore"):
        result = _staged(inputs, scores, stage)
    return result if inputs.head_axis else result[0]


def _staged(inputs: AttentionInputs, scores: Array, stage: Stage) -> Array:
    """Return the scores after the step ``stage``."""
    modifiers = inputs.modifiers
    if stage != "raw" and modifiers.softcap:
        cap = np.float32(modifiers.softcap)
        scores = cap * np.tanh(scores / cap)
    if stage in {"raw", "softcap"}:
        return np.array(scores, np.float32)
    queries, keys = scores.shape[-2:]
    # Distance of each key past each query's diagonal, for each leading index.
    rows = np.arange(queries)[:, None] + inputs.diagonals[..., None, None, None]
    past = np.arange(keys) - rows
    hidden = (past > modifiers.after) | (past < -modifiers.before)
    hidden = hidden | (np.arange(keys) >= inputs.lengths[..., None, None, None])
    if modifiers.alibi is not None:
        scores = scores - modifiers.alibi[:, None, None] * np.abs(past).astype(np.float32)
    if inputs.mask is not None and inputs.mask.dtype == np.bool_:
        hidden = hidden | ~inputs.mask
    elif inputs.mask is not None:
        scores = scores + inputs.mask.astype(np.float32)
        hidden = hidden | np.isneginf(inputs.mask)
    scores = np.where(hidden, np.float32(-np.inf), scores).astype(np.float32)
    return scores if stage == "bias" else _weights(scores, modifiers.sinks)


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
