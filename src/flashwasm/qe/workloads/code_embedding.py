"""The workload "code-embedding": one unit vector for a piece of code.

Self-attention computes a state for each token. The states are pooled into one vector.
"""

from __future__ import annotations

import hashlib
import math
from typing import TYPE_CHECKING, Any, Literal, TypeAlias, get_args

import numpy as np
import numpy.typing as npt

from flashwasm.array_room import check_room
from flashwasm.errors import DTypeError, ShapeError
from flashwasm.ops import matmul, softmax
from flashwasm.qe.workloads.chunked_attention import checked_operands
from flashwasm.validation import as_array, floats

if TYPE_CHECKING:
    from numpy.typing import ArrayLike

    from flashwasm.qe.workloads.chunked_attention import ChunkedAttention
    from flashwasm.qe.workloads.configuration import BlockConfig, FlashAttentionConfig
    from flashwasm.runtime.runtime import Runtime

__all__ = ["POOLINGS", "checked_tokens", "embed_tokens", "token_digest"]

Array = npt.NDArray[Any]
Pooling: TypeAlias = Literal["mean", "cls", "attention"]
POOLINGS = get_args(Pooling)
# Maximum number of dimensions of one head.
_HEAD_DIM = 64
# Maximum number of scores of one head that the mean pooling stores at once: 4 MB.
_STORED_SCORES = 1 << 20


def checked_tokens(
    code_tokens: ArrayLike, position_embeddings: ArrayLike, mask: ArrayLike | None
) -> tuple[Array, Array]:
    """Return the tokens ``(L, D)`` with their positions added, and a mask ``(L,)`` of bool."""
    tokens = floats(code_tokens, "code_tokens", ndim=2)
    length, dim = tokens.shape
    positions = floats(position_embeddings, "position_embeddings")
    if positions.shape not in {(dim,), (length, dim)}:
        raise ShapeError(
            f"position_embeddings: expected ({dim},) or {(length, dim)}, got {positions.shape}"
        )
    check_room(tokens.shape)
    if not tokens.size:
        raise ShapeError(f"code_tokens: expected at least one number, got shape {tokens.shape}")
    return (tokens + positions).astype(np.float32), _token_mask(mask, length)


def token_digest(x: Array, taken: Array, settings: str) -> bytes:
    """Return a digest of the tokens, the mask and the settings: the key of a cached embedding."""
    digest = hashlib.sha256(f"{x.shape}{settings}".encode())
    digest.update(np.ascontiguousarray(x).data)
    digest.update(taken.tobytes())
    return digest.digest()


def embed_tokens(
    x: Array, pooling: Pooling, config: FlashAttentionConfig, chunked: ChunkedAttention
) -> Array:
    """Return the unit vector ``(D,)`` of tokens ``(L, D)``."""
    heads = _split_heads(x)
    if pooling == "mean" and not config.use_causal_mask and not config.dropout_rate:
        return _unit_vector(_mean_state(heads, config.blocks, chunked.runtime).reshape(-1))
    o = checked_operands(heads, heads, heads, causal=config.use_causal_mask)
    states = chunked.attend(o, config)[0].swapaxes(0, 1).reshape(x.shape)
    return _unit_vector(_pool_states(states, pooling, chunked.runtime))


def _token_mask(mask: ArrayLike | None, length: int) -> Array:
    """Return a mask ``(L,)`` of bool, after a check that it is True for at least one token."""
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


def _split_heads(x: Array) -> Array:
    """Split tokens ``(L, D)`` into heads ``(H, L, D / H)`` of at most 64 dimensions."""
    length, dim = x.shape
    width = max(d for d in range(1, min(dim, _HEAD_DIM) + 1) if dim % d == 0)
    return np.ascontiguousarray(x.reshape(length, dim // width, width).swapaxes(0, 1))


def _mean_state(x: Array, blocks: BlockConfig, runtime: Runtime) -> Array:
    """Return the mean ``(H, D)`` of the states of self-attention over tokens ``(H, L, D)``.

    The mean of the states equals the mean row of the weights times the tokens. So this function
    multiplies only one row with the tokens, instead of one row for each query. It stores the scores
    of a few heads and queries at a time.
    """
    heads, length, dim = x.shape
    states = runtime.asarray(x, np.float32)
    queries = runtime.asarray(x * np.float32(dim**-0.5))
    keys = states.swapaxes(1, 2)
    rows = min(blocks.query_chunk_size, length, max(1, _STORED_SCORES // length))
    stored = runtime.empty(min(blocks.heads_per_block, heads) * rows * length)
    share = np.full((1, rows), 1 / length, np.float32)
    weights = np.zeros((heads, 1, length), np.float32)
    for h in range(0, heads, blocks.heads_per_block):
        head = slice(h, h + blocks.heads_per_block)
        for i in range(0, length, rows):
            asked = queries[head, i : i + rows]
            shape = (*asked.shape[:2], length)
            part = stored[: math.prod(shape)].reshape(shape)
            matmul(asked, keys[head], out=part, runtime=runtime)
            softmax(part, out=part, runtime=runtime)
            weights[head] += matmul(share[:, : shape[1]], part, runtime=runtime)
    return matmul(weights, states, runtime=runtime)[:, 0]


def _pool_states(states: Array, pooling: Pooling, runtime: Runtime) -> Array:
    """Pool states ``(L, D)`` into one vector ``(D,)``."""
    if pooling == "cls":
        first: Array = states[0]
        return first
    mean: Array = states.mean(axis=0, dtype=np.float64)
    if pooling == "mean":
        return mean
    logits = (states @ mean / math.sqrt(states.shape[1])).astype(np.float32)
    pooled: Array = softmax(logits, runtime=runtime).astype(np.float64) @ states
    return pooled


def _unit_vector(pooled: Array) -> Array:
    """Return a vector scaled to length one, in float32."""
    pooled = pooled.astype(np.float64)
    norm = np.linalg.norm(pooled)
    if not np.isfinite(norm) or norm == 0:
        raise ShapeError(
            "code_tokens: their states are all zero or not finite, so they have no unit vector"
        )
    unit: Array = (pooled / norm).astype(np.float32)
    return unit
