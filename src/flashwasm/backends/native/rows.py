"""Softmax and layer norm in NumPy, some rows at a time so that they stay in the cache."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np

from flashwasm.array_room import new_array

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    from flashwasm.backends.backend import Limits
    from flashwasm.backends.native.threads import Threads

    Array = NDArray[Any]

__all__ = ["normalize", "softmax"]

# Elements of one piece, whose operand and result fit into a core's own cache.
_ELEMENTS = 1 << 16


def softmax(x: Array, threads: Threads, limits: Limits) -> Array:
    """Compute softmax as `flashwasm.backends.backend.Backend.softmax` specifies."""
    return _by_rows(_softmax, x, threads, limits)


def normalize(
    x: Array,
    weight: Array | None,
    bias: Array | None,
    eps: float,
    threads: Threads,
    limits: Limits,
) -> Array:
    """Normalise as `flashwasm.backends.backend.Backend.layer_norm` specifies."""
    return _by_rows(partial(_normalize, weight, bias, np.float32(eps)), x, threads, limits)


def _by_rows(
    function: Callable[[Array, Array], None], x: Array, threads: Threads, limits: Limits
) -> Array:
    """Call a function on groups of rows, with the rows and their place in the result."""
    out = new_array(x.shape)
    if x.size:
        step = max(_ELEMENTS // x.shape[1], 1)
        pieces = (slice(i, i + step) for i in range(0, len(x), step))
        threads.run([partial(function, x[piece], out[piece]) for piece in pieces], limits)
    return out


def _softmax(x: Array, out: Array) -> None:
    np.subtract(x, x.max(axis=1, keepdims=True), out=out)
    np.exp(out, out=out)
    out /= out.sum(axis=1, keepdims=True)


def _normalize(
    weight: Array | None, bias: Array | None, eps: np.float32, x: Array, out: Array
) -> None:
    columns = np.float32(x.shape[1])
    np.subtract(x, x.sum(axis=1, keepdims=True) / columns, out=out)
    variance = np.einsum("ij,ij->i", out, out) / columns
    out *= 1 / np.sqrt(variance + eps)[:, None]
    if weight is not None:
        out *= weight
    if bias is not None:
        out += bias
