"""Attention in pieces: what the settings' blocks and strategies make of one call."""

from __future__ import annotations

import math
import secrets
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from flashwasm.errors import ShapeError
from flashwasm.flash_attention.attention import attention
from flashwasm.flash_attention.merging import merge_attention
from flashwasm.ops import matmul, softmax
from flashwasm.runtime.runtime import Runtime

if TYPE_CHECKING:
    from collections.abc import Iterator

    from flashwasm.qe.workloads.configuration import BlockConfig, FlashAttentionConfig

__all__ = ["Operands", "Pool", "attend", "materialize", "mean_attention", "operands", "seen_shape"]

Array = npt.NDArray[Any]
# Scores of a head that `mean_attention` stores at once: 4 MB.
_STORED_SCORES = 1 << 20


@dataclass(frozen=True)
class Operands:
    """Queries ``(B, H, L, D)``, keys and values, of as many heads or fewer."""

    q: Array
    k: Array
    v: Array
    causal: bool

    @property
    def group(self) -> int:
        """Query heads that share a key head."""
        heads: int = self.q.shape[1]
        key_heads: int = self.k.shape[1]
        return heads // max(key_heads, 1)

    @property
    def offset(self) -> int | None:
        """Distance of the last key from the last query's diagonal; None where all is seen."""
        return self.k.shape[2] - self.q.shape[2] if self.causal else None

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape of the result."""
        return (*self.q.shape[:3], self.v.shape[3])

    @property
    def products(self) -> int:
        """Floating-point operations of the two matrix products."""
        b, h, queries, dim = self.q.shape
        count: int = 2 * b * h * queries * self.k.shape[2] * (dim + self.v.shape[3])
        return count


@dataclass(frozen=True)
class _Piece:
    batch: slice
    key_heads: slice
    queries: slice


class Pool:
    """Runtimes of one thread each, for pieces that run beside each other.

    Parameters
    ----------
    threads : int
        How many.
    """

    def __init__(self, threads: int) -> None:
        self.runtimes = [Runtime(threads=1) for _ in range(threads)]

    def close(self) -> None:
        """Close the runtimes."""
        for runtime in self.runtimes:
            runtime.close()


def operands(q: Array, k: Array, v: Array, *, causal: bool = False) -> Operands:
    """Bring arrays of two or more axes to four; the kernels check the rest."""
    for name, array in (("q", q), ("k", k), ("v", v)):
        if array.ndim < 2:
            raise ShapeError(f"{name}: expected at least 2 axes, got shape {array.shape}")
    arrays = [x[None] if x.ndim == 2 else x for x in (q, k, v)]
    try:
        lead = np.broadcast_shapes(*(x.shape[:-3] for x in arrays))
    except ValueError as error:
        raise ShapeError(f"leading axes of q, k and v do not broadcast: {error}") from None
    shaped = [
        np.broadcast_to(x, (*lead, *x.shape[-3:])).reshape(math.prod(lead), *x.shape[-3:])
        for x in arrays
    ]
    heads, key_heads = shaped[0].shape[1], shaped[1].shape[1]
    if key_heads == 0 or heads % key_heads or shaped[2].shape[1] != key_heads:
        raise ShapeError(
            f"q: expected a multiple of the {key_heads} heads of k and v, got {heads} "
            f"(v has {shaped[2].shape[1]})"
        )
    if shaped[1].shape[2] != shaped[2].shape[2] or shaped[0].shape[3] != shaped[1].shape[3]:
        raise ShapeError(
            f"k, v: expected keys (Lk, {q.shape[-1]}) and as many values, got {k.shape}, {v.shape}"
        )
    return Operands(shaped[0], shaped[1], shaped[2], causal)


def seen_shape(o: Operands, *arrays: Array) -> tuple[int, ...]:
    """Return the result's shape with the axes that the caller's arrays have."""
    lead = np.broadcast_shapes(*(x.shape[:-3] for x in arrays))
    heads = o.shape[1:2] if max(x.ndim for x in arrays) > 2 else ()
    return (*lead, *heads, *o.shape[2:])


def attend(o: Operands, config: FlashAttentionConfig, runtime: Runtime, pool: Pool | None) -> Array:
    """Compute attention as the settings say.

    ``pool`` is there for "throughput-optimized". Where there are fewer than two pieces for each of
    its threads, some would have nothing to do while others still compute: then the pieces are
    computed one after the other, by all threads together.
    """
    seed = 1 + secrets.randbits(48) if config.dropout_rate else None
    small = config.strategy == "memory-efficient"
    out = np.zeros(o.shape, np.float32)
    pieces = list(_pieces(o, config.blocks, each_batch_entry=pool is not None or small))
    if pool is not None and len(pieces) >= 2 * len(pool.runtimes):
        # One thread a runtime, and pieces dealt out: none waits for another's runtime.
        step = len(pool.runtimes)

        def work(at: int) -> None:
            for n in range(at, len(pieces), step):
                _run(o, pieces[n], config, pool.runtimes[at], out, seed and seed + n)

        with ThreadPoolExecutor(step) as threads:
            list(threads.map(work, range(step)))
        return out
    if not small:
        # Every piece reads the same keys: they are copied into linear memory once.
        q, k, v = (runtime.asarray(x, np.float32) for x in (o.q, o.k, o.v))
        o = Operands(q, k, v, o.causal)
    for n, piece in enumerate(pieces):
        _run(o, piece, config, runtime, out, seed and seed + n)
    return out


def materialize(o: Operands, rows: int, runtime: Runtime) -> Array:
    """Attention over stored scores, ``rows`` of a product at a time: the baseline."""
    q, k, v = (runtime.asarray(x, np.float32) for x in (o.q, o.k, o.v))
    batch, heads, queries, dim = q.shape
    keys = k.shape[2]
    scores = runtime.empty((batch, heads, queries, keys))
    scale = np.float32(dim**-0.5)
    hidden = None
    if o.offset is not None:
        hidden = np.arange(keys) > np.arange(queries)[:, None] + o.offset
    out = np.zeros(o.shape, np.float32)
    for b in range(batch):
        for h in range(heads):
            key_head = h // o.group
            for start in range(0, queries, rows):
                block = slice(start, start + rows)
                part = scores[b, h, block]
                matmul(q[b, h, block], k[b, key_head].T, out=part, runtime=runtime)
                part *= scale
                if hidden is not None:
                    part[hidden[block]] = -np.inf
                softmax(part, out=part, runtime=runtime)
                matmul(part, v[b, key_head], out=out[b, h, block], runtime=runtime)
    if hidden is not None:
        out[:, :, hidden.all(axis=1)] = 0
    return out


def mean_attention(x: Array, blocks: BlockConfig, runtime: Runtime) -> Array:
    """Return the mean, ``(H, D)``, of what self-attention makes of states ``(H, L, D)``.

    It is the mean of the weights times the states, so that no query needs a product of its own with
    them. Scores are stored for a few heads and queries at a time.
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


def _pieces(o: Operands, blocks: BlockConfig, *, each_batch_entry: bool) -> Iterator[_Piece]:
    batch, _, queries, _ = o.q.shape
    key_heads = max(1, -(-blocks.heads_per_block // o.group))
    entries = [slice(b, b + 1) for b in range(batch)] if each_batch_entry else [slice(0, batch)]
    for entry in entries:
        for h in range(0, o.k.shape[1], key_heads):
            for i in range(0, queries, blocks.query_chunk_size):
                yield _Piece(entry, slice(h, h + key_heads), slice(i, i + blocks.query_chunk_size))


def _run(
    o: Operands,
    piece: _Piece,
    config: FlashAttentionConfig,
    runtime: Runtime,
    out: Array,
    seed: int | None,
) -> None:
    """Compute one piece into ``out``."""
    heads = slice(piece.key_heads.start * o.group, piece.key_heads.stop * o.group)
    q = o.q[piece.batch, heads, piece.queries]
    k, v = o.k[piece.batch, piece.key_heads], o.v[piece.batch, piece.key_heads]
    target = out[piece.batch, heads, piece.queries]
    if not config.fused_softmax:
        # The piece's own last query is its last key's, but for the queries after it.
        after = o.q.shape[2] - piece.queries.start - q.shape[2]
        keys = k.shape[2] - after if o.causal else k.shape[2]
        if keys > 0:
            part = Operands(q, k[:, :, :keys], v[:, :, :keys], o.causal)
            target[:] = materialize(part, config.blocks.matmul_block_size, runtime)
        return
    step = config.blocks.kv_chunk_size
    parts = []
    for n, start in enumerate(range(0, k.shape[2], step)):
        chunk = slice(start, start + step)
        causal: bool | int = False
        if o.offset is not None:
            causal = o.offset + piece.queries.start - start
            if causal + q.shape[2] <= 0:
                break  # No query of this piece sees a key of this chunk or of a later one.
        parts.append(
            attention(
                *(q, k[:, :, chunk], v[:, :, chunk]),
                causal=causal,
                dropout=config.dropout_rate,
                # Every chunk has its own weights to drop.
                seed=None if seed is None else (seed << 15) + n,
                return_lse=True,
                runtime=runtime,
            )
        )
    if len(parts) == 1:
        target[:] = parts[0][0]
    elif parts:
        target[:] = merge_attention([p[0] for p in parts], [p[1] for p in parts])[0]
