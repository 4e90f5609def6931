"""Attention computed in chunks, according to the blocks and the strategy of a configuration."""

from __future__ import annotations

import math
import secrets
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from flashwasm.array_room import check_room
from flashwasm.backends.registry import OTHER_BACKENDS, SANDBOX
from flashwasm.errors import ShapeError
from flashwasm.flash_attention.attention import attention
from flashwasm.flash_attention.merging import merge_attention
from flashwasm.ops import matmul, softmax
from flashwasm.runtime.runtime import Runtime
from flashwasm.summaries import number_of
from flashwasm.validation import broadcast

if TYPE_CHECKING:
    from flashwasm.backends.registry import BackendName
    from flashwasm.qe.workloads.configuration import BlockConfig, FlashAttentionConfig

__all__ = ["ChunkedAttention", "Operands", "checked_operands", "result_shape"]

Array = npt.NDArray[Any]


@dataclass(frozen=True)
class Operands:
    """Queries, keys and values of one call, with four axes each.

    Attributes
    ----------
    q : numpy.ndarray, shape (B, Hq, Lq, D)
        Queries.
    k, v : numpy.ndarray, shape (B, Hk, Lk, D) and (B, Hk, Lk, Dv)
        Keys and values; Hk divides Hq.
    causal : bool
        True if query i attends only to the keys up to i + Lk - Lq.
    """

    q: Array
    k: Array
    v: Array
    causal: bool

    @property
    def group(self) -> int:
        """Number of query heads that share a key head."""
        heads: int = self.q.shape[1]
        key_heads: int = self.k.shape[1]
        return heads // max(key_heads, 1)

    @property
    def offset(self) -> int | None:
        """Lk - Lq: query i attends to keys up to i plus this offset. None without a causal mask."""
        return self.k.shape[2] - self.q.shape[2] if self.causal else None

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape of the result, ``(B, Hq, Lq, Dv)``."""
        return (*self.q.shape[:3], self.v.shape[3])

    @property
    def flops(self) -> int:
        """Floating-point operations of the two matrix products."""
        b, h, queries, dim = self.q.shape
        count: int = 2 * b * h * queries * self.k.shape[2] * (dim + self.v.shape[3])
        return count


@dataclass(frozen=True)
class _Piece:
    """The part of a result that one call computes: batch entries, key heads and queries."""

    batch: slice
    key_heads: slice
    queries: slice


def checked_operands(q: Array, k: Array, v: Array, *, causal: bool = False) -> Operands:
    """Reshape arrays of two or more axes to four axes. The kernels check everything else."""
    for name, array in (("q", q), ("k", k), ("v", v)):
        if array.ndim < 2:
            raise ShapeError(f"{name}: expected at least 2 axes, got shape {array.shape}")
    given = f"{k.shape}, {v.shape}"
    arrays = [x[None] if x.ndim == 2 else x for x in (q, k, v)]
    leading = {name: x.shape[:-3] for name, x in zip("qkv", arrays, strict=True)}
    lead = broadcast(leading, "leading axes")
    for x in arrays:
        check_room((*lead, *x.shape[-3:]))
    q, k, v = (
        np.broadcast_to(x, (*lead, *x.shape[-3:])).reshape(math.prod(lead), *x.shape[-3:])
        for x in arrays
    )
    heads, key_heads = q.shape[1], k.shape[1]
    if key_heads == 0 or heads % key_heads or v.shape[1] != key_heads:
        raise ShapeError(
            f"q: expected a multiple of the {number_of(key_heads, 'heads')} of k and v, "
            f"got {heads} (v has {v.shape[1]})"
        )
    if k.shape[2] != v.shape[2] or q.shape[3] != k.shape[3]:
        raise ShapeError(f"k, v: expected keys (Lk, {q.shape[3]}) and as many values, got {given}")
    return Operands(q, k, v, causal)


def result_shape(o: Operands, *arrays: Array) -> tuple[int, ...]:
    """Return the shape of the result with the same axes as the caller's arrays."""
    lead = np.broadcast_shapes(*(x.shape[:-3] for x in arrays))
    heads = o.shape[1:2] if max(x.ndim for x in arrays) > 2 else ()
    return (*lead, *heads, *o.shape[2:])


class ChunkedAttention:
    """Attention in pieces, on one runtime or on several at the same time.

    Parameters
    ----------
    runtime : Runtime
        Runtime for pieces that are computed one after the other, each with all threads.
    """

    def __init__(self, runtime: Runtime) -> None:
        self.runtime = runtime
        # Single-threaded runtimes, created by the first call with "throughput-optimized".
        self._pool: list[Runtime] = []

    @property
    def runtimes(self) -> list[Runtime]:
        """All runtimes in use."""
        return [self.runtime, *self._pool]

    def close(self) -> None:
        """Close all runtimes."""
        for runtime in self.runtimes:
            runtime.close()
        self._pool.clear()

    def use_backend(self, name: BackendName) -> None:
        """Set the backend of all runtimes."""
        for runtime in self.runtimes:
            runtime.other_backend = None if name == SANDBOX else name

    def attend(self, o: Operands, config: FlashAttentionConfig) -> Array:
        """Compute attention ``(B, Hq, Lq, Dv)`` according to the settings."""
        # The seed for the dropout of a piece is this seed plus the number of the piece.
        seed = 1 + secrets.randbits(48) if config.dropout_rate else None
        throughput = config.strategy == "throughput-optimized"
        little_memory = config.strategy == "memory-efficient"
        out = np.zeros(o.shape, np.float32)
        pieces = list(_pieces(o, config.blocks, each_batch_entry=throughput or little_memory))
        if throughput and not self._pool:
            self._pool = [
                Runtime(threads=1, backend=config.backend) for _ in range(self.runtime.threads)
            ]
        # With fewer than two pieces for each thread, some threads would be idle while others still
        # compute. Then the pieces are computed in order, each by all threads.
        if throughput and len(pieces) >= 2 * len(self._pool):
            self._attend_side_by_side(o, pieces, config, out, seed)
            return out
        if not little_memory and config.backend not in OTHER_BACKENDS:
            # All pieces read the same operands, so the operands are copied into linear memory once.
            q, k, v = (self.runtime.asarray(x, np.float32) for x in (o.q, o.k, o.v))
            o = Operands(q, k, v, o.causal)
        for n, piece in enumerate(pieces):
            _attend_piece(o, piece, config, self.runtime, out, _nth(seed, n))
        return out

    def attend_materialized(self, o: Operands, config: FlashAttentionConfig) -> Array:
        """Compute attention ``(B, Hq, Lq, Dv)`` over a stored matrix of all scores."""
        return _materialize(o, config.blocks.matmul_block_size, self.runtime)

    def _attend_side_by_side(
        self,
        o: Operands,
        pieces: list[_Piece],
        config: FlashAttentionConfig,
        out: Array,
        seed: int | None,
    ) -> None:
        """Distribute the pieces over the runtimes of the pool, with one Python thread for each."""
        step = len(self._pool)

        def work(at: int) -> None:
            for n in range(at, len(pieces), step):
                _attend_piece(o, pieces[n], config, self._pool[at], out, _nth(seed, n))

        with ThreadPoolExecutor(step) as threads:
            list(threads.map(work, range(step)))


def _materialize(o: Operands, rows: int, runtime: Runtime) -> Array:
    """Compute attention over a stored matrix of scores, ``rows`` queries of a product at a time."""
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


def _pieces(o: Operands, blocks: BlockConfig, *, each_batch_entry: bool) -> Iterator[_Piece]:
    """Split a call into pieces by key heads and queries, and optionally by batch entries."""
    batch, _, queries, _ = o.q.shape
    key_heads = max(1, -(-blocks.heads_per_block // o.group))
    entries = [slice(b, b + 1) for b in range(batch)] if each_batch_entry else [slice(0, batch)]
    for entry in entries:
        for h in range(0, o.k.shape[1], key_heads):
            for i in range(0, queries, blocks.query_chunk_size):
                yield _Piece(entry, slice(h, h + key_heads), slice(i, i + blocks.query_chunk_size))


def _nth(seed: int | None, n: int) -> int | None:
    """Return the seed of the n-th piece; None without dropout."""
    return None if seed is None else seed + n


def _attend_piece(
    o: Operands,
    piece: _Piece,
    config: FlashAttentionConfig,
    runtime: Runtime,
    out: Array,
    seed: int | None,
) -> None:
    """Compute one piece, and write it to its place in ``out``."""
    heads = slice(piece.key_heads.start * o.group, piece.key_heads.stop * o.group)
    q = o.q[piece.batch, heads, piece.queries]
    k, v = o.k[piece.batch, piece.key_heads], o.v[piece.batch, piece.key_heads]
    target = out[piece.batch, heads, piece.queries]
    if config.fused_softmax:
        last_key = None if o.offset is None else o.offset + piece.queries.start
        _attend_key_chunks(q, k, v, last_key, config, runtime, target, seed)
        return
    # `_materialize` assumes that the last query attends to the last key. With a causal mask, each
    # later query attends to one more key, which is masked for this piece. These keys are cut off.
    after = o.q.shape[2] - piece.queries.start - q.shape[2]
    keys = k.shape[2] - after if o.causal else k.shape[2]
    if keys > 0:
        part = Operands(q, k[:, :, :keys], v[:, :, :keys], o.causal)
        target[:] = _materialize(part, config.blocks.matmul_block_size, runtime)


def _attend_key_chunks(
    q: Array,
    k: Array,
    v: Array,
    last_key: int | None,
    config: FlashAttentionConfig,
    runtime: Runtime,
    target: Array,
    seed: int | None,
) -> None:
    """Compute attention to one chunk of keys after another, and merge the results.

    ``last_key`` is the last key that the first query attends to; None without a causal mask.
    """
    step = config.blocks.kv_chunk_size
    parts = []
    for n, start in enumerate(range(0, k.shape[2], step)):
        chunk = slice(start, start + step)
        causal: bool | int = False
        if last_key is not None:
            causal = last_key - start
            if causal + q.shape[2] <= 0:
                break  # The keys of this chunk and of later ones are masked for the whole piece.
        parts.append(
            attention(
                q,
                k[:, :, chunk],
                v[:, :, chunk],
                causal=causal,
                dropout=config.dropout_rate,
                # Each chunk has a different seed, so that it drops different weights.
                seed=None if seed is None else (seed << 15) + n,
                return_lse=True,
                runtime=runtime,
            )
        )
    if len(parts) == 1:
        target[:] = parts[0][0]
    elif parts:
        target[:] = merge_attention([part[0] for part in parts], [part[1] for part in parts])[0]
