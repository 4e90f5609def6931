"""The baseline: attention over a stored matrix of scores, in the same sandbox."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from flashwasm.errors import ShapeError
from flashwasm.flash_attention.problem import checked_problem
from flashwasm.kernel_table import ATTENTION_MATERIALIZED
from flashwasm.runtime.launch import Launch
from flashwasm.runtime.runtime import checked_runtime
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
    """Attention as matmul, softmax and matmul, one head at a time on the calling thread.

    It runs the same matmul and softmax kernels as everything else, so what `attention` gains over
    it is gained by not storing the scores.

    Parameters
    ----------
    q, k, v : array_like of float, shape (H, L, D), (H, S, D), (H, S, Dv)
        Operands with as many heads each.
    scale : float, optional
        Factor of the scores. None means 1 / sqrt(D).
    out, runtime, timeout
        As for `attention`.

    Returns
    -------
    numpy.ndarray of float32, shape (H, L, Dv)

    Raises
    ------
    ShapeError, DTypeError, OutOfMemoryError, DeadlineExceeded, ClosedError
    """
    rt = checked_runtime(runtime)
    problem = checked_problem(q, k, v, scale=scale)
    if problem.lead or problem.group != 1:
        message = f"q: expected shape (H, L, D) with the heads of k, got {np.shape(q)}"
        raise ShapeError(message)
    checked_out(out, problem.shape)
    heads, length, dim = problem.q.shape
    keys, value_dim = problem.v.shape[-2:]
    with Launch(rt, timeout) as op:
        at = [op.place(x) for x in (problem.q, problem.k, problem.v)]
        scores, _ = op.scratch((length, keys))
        to = op.place_result(problem.shape, out)
        sizes = (length * dim, keys * dim, keys * value_dim)
        for h in range(heads):
            starts = [a + 4 * h * n for a, n in zip(at, sizes, strict=True)]
            result = to + 4 * h * length * value_dim
            sizes_and_scale = (length, keys, dim, value_dim, problem.rules.scale)
            op.run_once(ATTENTION_MATERIALIZED, (*starts, scores, result, *sizes_and_scale))
        return op.finish()
