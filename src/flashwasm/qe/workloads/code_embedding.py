"""One vector of a piece of code: self-attention over its tokens, then pooling."""

from __future__ import annotations

import hashlib
import math
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from flashwasm.errors import DTypeError, ShapeError
from flashwasm.ops import softmax
from flashwasm.validation import as_array, floats

if TYPE_CHECKING:
    from numpy.typing import ArrayLike

    from flashwasm.runtime.runtime import Runtime

__all__ = [
    "POOLINGS",
    "checked_tokens",
    "pool_states",
    "split_heads",
    "token_digest",
    "unit_vector",
]

Array = npt.NDArray[Any]
POOLINGS = ("mean", "cls", "attention")
# Heads of a code embedding's attention have at most so many dimensions each.
_HEAD_DIM = 64


def checked_tokens(
    code_tokens: ArrayLike, position_embeddings: ArrayLike, mask: ArrayLike | None
) -> tuple[Array, Array]:
    """Return tokens with positions added, ``(L, D)``, and which take part, ``(L,)`` bool."""
    tokens = floats(code_tokens, "code_tokens", ndim=2)
    length, dim = tokens.shape
    positions = floats(position_embeddings, "position_embeddings")
    if positions.shape not in {(dim,), (length, dim)}:
        raise ShapeError(
            f"position_embeddings: expected ({dim},) or {(length, dim)}, got {positions.shape}"
        )
    return (tokens + positions).astype(np.float32), _token_mask(mask, length)


def token_digest(x: Array, taken: Array, settings: str) -> bytes:
    """Return what a cached embedding is found by."""
    digest = hashlib.sha256(f"{x.shape}{settings}".encode())
    digest.update(np.ascontiguousarray(x).data)
    digest.update(taken.tobytes())
    return digest.digest()


def _token_mask(mask: ArrayLike | None, length: int) -> Array:
    """Return which tokens take part, ``(L,)`` bool, at least one."""
    if mask is None:
        taken = np.ones(length, np.bool_)
    else:
        taken = as_array(mask, "mask")
        if taken.dtype != np.bool_:
            raise DTypeError(f"mask: expected booleans, got {taken.dtype}")
    if taken.shape != (length,):
        raise ShapeError(f"mask: expected shape ({length},), got {taken.shape}")
    if not taken.any():
        raise ShapeError("mask: expected at least one token that takes part")
    return taken


def split_heads(x: Array) -> Array:
    """Cut states ``(L, D)`` into heads ``(H, L, D / H)`` of at most 64 dimensions."""
    length, dim = x.shape
    width = max(d for d in range(1, min(dim, _HEAD_DIM) + 1) if dim % d == 0)
    return np.ascontiguousarray(x.reshape(length, dim // width, width).swapaxes(0, 1))


def pool_states(states: Array, pooling: str, rt: Runtime) -> Array:
    """Return one vector ``(D,)`` of states ``(L, D)``."""
    if pooling == "cls":
        first: Array = states[0]
        return first
    mean: Array = states.mean(axis=0, dtype=np.float64)
    if pooling == "mean":
        return mean
    logits = (states @ mean / math.sqrt(states.shape[1])).astype(np.float32)
    pooled: Array = softmax(logits, runtime=rt).astype(np.float64) @ states
    return pooled


def unit_vector(pooled: Array) -> Array:
    """Return a vector's direction, in float32."""
    pooled = pooled.astype(np.float64)
    norm = np.linalg.norm(pooled)
    if not np.isfinite(norm) or norm == 0:
        raise ShapeError(
            "code_tokens: their states have no direction (all zero, or not finite), so there "
            "is no unit vector"
        )
    unit: Array = (pooled / norm).astype(np.float32)
    return unit
