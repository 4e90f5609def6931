"""The baseline for attention: the same result, computed with a stored matrix of scores."""

from __future__ import annotations

from itertools import product
from typing import TYPE_CHECKING, Any

import numpy as np

from flashwasm.errors import ShapeError
from flashwasm.flash_attention.inputs import checked_inputs
from flashwasm.flash_attention.options import DEFAULTS
from flashwasm.kernel_table import ATTENTION_MATERIALIZED
from flashwasm.runtime.default_runtime import checked_runtime
from flashwasm.runtime.launch import Launch
from flashwasm.runtime.work_limits import MOST_PRODUCTS
from flashwasm.validation import checked_out

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

    from flashwasm.runtime.runtime import Runtime

    Array = NDArray[Any]


def materialized_attention(
    q: ArrayLike,
    k: ArrayLike,
    v: ArrayLike,
    *,
    scale: float | None = None,
    out: Array | None = None,
    runtime: Runtime | None = None,
    timeout: float | None = None,
) -> Array:
    """Compute attention as matmul, softmax and matmul, one head at a time on the calling thread.

    It runs the matmul and softmax kernels of this package. Compare `attention` with it to measure
    the gain from not storing the scores.

    Parameters
    ----------
    q : array_like of float, shape (H, L, D)
        Queries.
    k : array_like of float, shape (H, S, D)
        Keys, with as many heads.
    v : array_like of float, shape (H, S, Dv)
        Values, with as many heads.
    scale : float, optional
        Factor of the scores. None means 1 / sqrt(D).
    out : numpy.ndarray of float32, shape (H, L, Dv), optional
        Array to write the output to. None means a new array.
    runtime : Runtime, optional
        Runtime to use. None means the default runtime.
    timeout : float, optional
        Maximum duration of the call in seconds. None means the runtime's timeout.

    Returns
    -------
    numpy.ndarray of float32, shape (H, L, Dv)
        softmax(scale Q Kᵀ) V.

    Raises
    ------
    ShapeError, DTypeError, OutOfMemoryError, DeadlineExceeded, Cancelled, ClosedError
    """
    rt = checked_runtime(runtime)
    inputs = checked_inputs(q, k, v, {**DEFAULTS, "scale": scale})
    if inputs.lead or inputs.group != 1:
        message = f"q: expected shape (H, L, D) with the heads of k, got {np.shape(q)}"
        raise ShapeError(message)
    checked_out(out, inputs.shape)
    heads, length, dim = inputs.q.shape
    keys, value_dim = inputs.v.shape[-2:]
    launch = Launch(rt, timeout)
    with launch.lock, launch:
        q_at, k_at, v_at = (launch.place(x) for x in (inputs.q, inputs.k, inputs.v))
        scores, _ = launch.scratch((length, keys))
        to = launch.place_result(inputs.shape, out)
        step = max(MOST_PRODUCTS // max(keys * max(dim, value_dim), 1), 1)
        for h, i in product(range(heads), range(0, length, step)):
            arguments = (
                q_at + 4 * (h * length + i) * dim,
                k_at + 4 * h * keys * dim,
                v_at + 4 * h * keys * value_dim,
                scores,
                to + 4 * (h * length + i) * value_dim,
                min(step, length - i),
                keys,
                dim,
                value_dim,
                inputs.modifiers.scale,
            )
            launch.run_once(ATTENTION_MATERIALIZED, arguments)
        return launch.finish()
