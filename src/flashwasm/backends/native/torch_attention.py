"""Attention with PyTorch's `scaled_dot_product_attention`, if PyTorch is installed.

PyTorch is not a dependency of flashwasm or of its extras. PyTorch computes only calls without
options, or with a plain causal rule; the other calls are computed block by block in NumPy.
"""

from __future__ import annotations

import threading
from importlib import import_module
from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

import numpy as np

from flashwasm.array_room import new_array

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from flashwasm.backends.backend import AttentionWork, Limits

    Array = NDArray[Any]

__all__ = ["TorchAttention", "is_plain", "torch_version"]

# Multiply-adds of one call of PyTorch, about ten milliseconds. The limits are checked between
# calls.
_PRODUCTS = 1 << 29


def is_plain(work: AttentionWork) -> bool:
    """Return True if a call has no options, or only a causal rule from first query to last key.

    PyTorch multiplies hidden values by a weight of zero, which gives NaN if a value is not finite.
    A causal call is therefore plain only if all its keys and values are finite.
    """
    (_, heads, queries, dim), keys = work.q.shape, work.k.shape[2]
    same_shape = work.k.shape[1] == heads and work.v.shape[-1] == dim
    if not same_shape or work.with_lse or work.softcap or work.q.size == 0 or keys == 0:
        return False
    if any(x is not None for x in (work.mask, work.alibi, work.sinks)):
        return False
    if (work.lengths != keys).any() or work.before < queries + keys:
        return False
    if work.after >= queries + keys:
        return not work.diagonals.any()
    causal = work.after == 0 and queries == keys and not work.diagonals.any()
    return causal and all(bool(np.isfinite(x.sum())) for x in (work.k, work.v))


def torch_version() -> str | None:
    """Return PyTorch's version without importing it, or None if it is not installed."""
    try:
        return version("torch") if find_spec("torch") else None
    except (PackageNotFoundError, ImportError, ValueError):
        return None


class TorchAttention:
    """Attention with PyTorch, which the first call imports."""

    def __init__(self) -> None:
        self._lock = threading.Lock()

    def attend(self, work: AttentionWork, limits: Limits) -> Array:
        """Compute a plain call, some heads at a time; the output has the shape (B, H, Lq, D)."""
        with self._lock:
            torch: Any = import_module("torch")
            before = torch.get_num_threads()
            torch.set_num_threads(limits.threads)
            try:
                return self._attend(torch, work, limits)
            finally:
                torch.set_num_threads(before)

    @staticmethod
    def _attend(torch: Any, work: AttentionWork, limits: Limits) -> Array:
        batch, heads, queries, dim = work.q.shape
        keys = work.k.shape[2]
        causal = work.after == 0
        shapes = ((queries, dim), (keys, dim), (keys, dim))
        flat = [
            x.reshape(1, batch * heads, *shape)
            for x, shape in zip((work.q, work.k, work.v), shapes, strict=True)
        ]
        out = new_array((batch, heads, queries, dim))
        target = out.reshape(1, batch * heads, queries, dim)
        step = max(_PRODUCTS // (2 * queries * keys * dim), limits.threads, 1)
        for head in range(0, batch * heads, step):
            limits.check()
            some = slice(head, head + step)
            q, k, v = (torch.from_numpy(_writable(x[:, some])) for x in flat)
            with torch.inference_mode():
                target[:, some] = torch.nn.functional.scaled_dot_product_attention(
                    q, k, v, is_causal=causal, scale=work.scale
                ).numpy()
        return out


def _writable(x: Array) -> Array:
    """Return an array that PyTorch accepts without a warning, although it never writes to it."""
    return x if x.flags.writeable else x.copy()
