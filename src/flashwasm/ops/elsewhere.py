"""Operations on a backend outside the sandbox, from checked operands to the caller's array."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np

from flashwasm.backends.choice import limits_of, record
from flashwasm.runtime.deadline import checker
from flashwasm.runtime.splitting import copied_to
from flashwasm.validation import checked_out

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from flashwasm.backends.backend import Backend, Metric
    from flashwasm.runtime.runtime import Runtime

    Array = NDArray[Any]

__all__ = ["float32", "layer_norm", "multiply", "search", "softmax"]


def float32(x: Array) -> Array:
    """Return an array as contiguous float32; numbers outside its range become infinite or zero."""
    with np.errstate(over="ignore", under="ignore", invalid="ignore"):
        return np.ascontiguousarray(x, np.float32).reshape(x.shape)


def multiply(
    backend: Backend,
    rt: Runtime,
    operands: tuple[Array, Array, Array | None],
    shape: tuple[int, ...],
    out: Array | None,
    timeout: float | None,
) -> Array:
    """Multiply checked matrices, add a bias, and return the result in the caller's shape."""
    a, b, bias = operands
    record(rt, backend, "matmul", () if bias is None else ("bias",))
    check = checker(rt, timeout, "matmul")
    # A float32 view is not copied, whatever its strides: BLAS reads a transposed matrix in place.
    left, right = (x if x.dtype == np.float32 else float32(x) for x in (a, b))
    added = None if bias is None else float32(bias)
    result = backend.matmul(left, right, added, limits_of(rt, check))
    return copied_to(out, result.reshape(shape), check)


def softmax(
    backend: Backend, rt: Runtime, x: Array, out: Array | None, timeout: float | None
) -> Array:
    """Compute softmax along the last axis."""
    checked_out(out, x.shape)
    record(rt, backend, "softmax")
    check = checker(rt, timeout, "softmax")
    result = backend.softmax(_rows(x, x.shape[-1]), limits_of(rt, check))
    return copied_to(out, result.reshape(x.shape), check)


def layer_norm(
    backend: Backend,
    rt: Runtime,
    x: Array,
    parameters: tuple[Array | None, ...],
    columns: int,
    eps: float,
    out: Array | None,
    timeout: float | None,
) -> Array:
    """Normalise over the last axes, which have ``columns`` elements together."""
    checked_out(out, x.shape)
    names = ("weight", "bias")
    used = [name for name, p in zip(names, parameters, strict=True) if p is not None]
    record(rt, backend, "layer_norm", used)
    check = checker(rt, timeout, "layer_norm")
    weight, bias = (None if p is None else float32(p).reshape(-1) for p in parameters)
    rows = _rows(x, columns)
    result = backend.layer_norm(rows, weight, bias, eps, limits_of(rt, check))
    return copied_to(out, result.reshape(x.shape), check)


def search(
    backend: Backend,
    rt: Runtime,
    operands: tuple[Array, Array],
    k: int,
    metric: Metric,
    timeout: float | None,
) -> tuple[Array, Array]:
    """Search for the k rows of a corpus that score highest with each query."""
    record(rt, backend, "cosine_top_k", (metric,))
    check = checker(rt, timeout, "cosine_top_k")
    queries, corpus = map(float32, operands)
    return backend.top_k(queries, corpus, k, metric, limits_of(rt, check))


def _rows(x: Array, columns: int) -> Array:
    """Return an array as contiguous float32 rows of ``columns`` elements."""
    rows = math.prod(x.shape) // columns if columns else 0
    return float32(x).reshape(rows, columns)
