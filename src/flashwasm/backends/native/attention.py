"""Flash attention in NumPy: each block of queries processes one block of keys after another.

It uses the online softmax of Milakov & Gimelshein, 2018, as in Dao et al., "FlashAttention", 2022.
Memory beyond inputs and output is one block of scores per thread. In the comments below, H is the
number of key heads in a block, G the number of query heads per key head, n the number of queries,
and c the number of keys.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from flashwasm.array_room import new_array

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from numpy.typing import NDArray

    from flashwasm.backends.backend import AttentionWork, Limits
    from flashwasm.backends.native.threads import Threads

    Array = NDArray[Any]

__all__ = ["attend"]

# Rows of scores in one block (H G n), and number of its scores: half a megabyte, which fits into
# the cache of a core.
_ROWS = 256
_SCORES = 1 << 17
_LONGEST = 1 << 14
_SHORTEST = 128


class _Block(NamedTuple):
    """The queries that one task computes."""

    entry: int
    heads: slice  # Key heads.
    queries: slice


def attend(work: AttentionWork, threads: Threads, limits: Limits) -> tuple[Array, Array | None]:
    """Compute attention as `flashwasm.backends.backend.Backend.attention` specifies."""
    shape = work.q.shape[:-1]
    out = new_array((*shape, work.v.shape[-1]))
    lse = new_array(shape) if work.with_lse else None
    blocks = _blocks(work, limits.threads)
    tasks: list[Callable[[], None]] = [partial(_attend, work, block, out, lse) for block in blocks]
    threads.run(tasks, limits)
    return out, lse


def _blocks(work: AttentionWork, threads: int) -> Iterator[_Block]:
    """Cut the work into blocks of about `_ROWS` rows: some queries of one or more heads."""
    batch, heads, queries, _ = work.q.shape
    key_heads = work.k.shape[1]
    if not heads * queries * key_heads:
        return
    group = heads // key_heads
    step = max(_ROWS // group, 16)
    # If there are few queries, every thread gets its own heads.
    most = -(-batch * key_heads // threads)
    together = min(max(_ROWS // (group * min(queries, step)), 1), most)
    for entry in range(batch):
        for head in range(0, key_heads, together):
            for i in range(0, queries, step):
                yield _Block(
                    entry,
                    slice(head, min(head + together, key_heads)),
                    slice(i, min(i + step, queries)),
                )


def _attend(work: AttentionWork, block: _Block, out: Array, lse: Array | None) -> None:
    """Compute one block of queries, and write it to its place in the results."""
    group = work.q.shape[1] // work.k.shape[1]
    heads = slice(block.heads.start * group, block.heads.stop * group)
    place = (block.entry, heads, block.queries)
    q = work.q[place] * np.float32(work.scale)
    count, n, dim = q.shape
    q = q.reshape(-1, group * n, dim)
    top: Any = np.float32(-np.inf)
    total: Any = np.float32(0)
    if work.sinks is not None:
        sinks = np.repeat(work.sinks[heads], n).reshape(len(q), group * n, 1)
        top, total = sinks, np.ones_like(sinks)
    acc: Array | None = None
    for keys in _key_blocks(work, block, len(q) * group * n):
        scores = q @ work.k[block.entry, block.heads, keys].swapaxes(1, 2)
        hides = _modify(work, block, heads, keys, scores.reshape(len(q), group, n, -1))
        greatest = np.maximum(top, scores.max(axis=-1, keepdims=True))
        base = np.where(np.isneginf(greatest), np.float32(0), greatest)
        hidden = np.isneginf(scores) if hides and not _finite(work, block, keys) else None
        scores -= base
        weights = np.exp(scores, out=scores)
        before = np.exp(top - base)
        total = total * before + weights.sum(axis=-1, keepdims=True)
        values = _weighted(weights, work.v[block.entry, block.heads, keys], hidden)
        acc = values if acc is None else np.add(np.multiply(acc, before, out=acc), values, out=acc)
        top = greatest
    # If a row sees no key, its total stays zero, or that of its sink.
    if acc is None:
        out[place] = 0
    else:
        acc /= np.where(total == 0, np.float32(1), total)
        out[place] = acc.reshape(count, n, -1)
    if lse is not None:
        lse[place] = np.broadcast_to(top + np.log(total), (len(q), group * n, 1)).reshape(count, n)


def _key_blocks(work: AttentionWork, block: _Block, rows: int) -> Iterator[slice]:
    """Yield the blocks of keys that a query of the block may see according to its position."""
    diagonal = int(work.diagonals[block.entry])
    first = max(block.queries.start + diagonal - work.before, 0)
    last = min(block.queries.stop + diagonal + work.after, int(work.lengths[block.entry]))
    step = min(max(_SCORES // rows, _SHORTEST), _LONGEST)
    for j in range(first, last, step):
        yield slice(j, min(j + step, last))


def _modify(work: AttentionWork, block: _Block, heads: slice, keys: slice, scores: Array) -> bool:
    """Apply the options to scores (H, G, n, c) in place; return True if some may be hidden.

    A hidden score is -inf.
    """
    if work.softcap:
        cap = np.float32(work.softcap)
        np.tanh(np.divide(scores, cap, out=scores), out=scores)
        scores *= cap
    diagonal = int(work.diagonals[block.entry])
    # Distances of the keys from the diagonals of the first and of the last query.
    from_first = keys.stop - 1 - block.queries.start - diagonal
    from_last = keys.start - (block.queries.stop - 1) - diagonal
    banded = from_first > work.after or -from_last > work.before
    if banded or work.alibi is not None:
        queries = np.arange(block.queries.start, block.queries.stop)[:, None]
        distance = np.arange(keys.start, keys.stop) - queries - diagonal
        if work.alibi is not None:
            slopes = work.alibi[heads].reshape(*scores.shape[:2], 1, 1)
            scores -= slopes * np.abs(distance).astype(np.float32)
        if banded:
            outside = (distance > work.after) | (distance < -work.before)
            np.copyto(scores, np.float32(-np.inf), where=outside)
    if work.mask is None:
        return bool(banded)
    mask = _part_of_mask(work.mask, block, heads, keys)
    if mask.shape[0] > 1:
        mask = mask.reshape(*scores.shape[:2], *mask.shape[1:])
    if mask.dtype == np.bool_:
        np.copyto(scores, np.float32(-np.inf), where=~mask)
    else:
        scores += mask
        # The sum of NaN and -inf is NaN, but a mask of -inf must hide every score.
        np.copyto(scores, np.float32(-np.inf), where=np.isneginf(mask))
    return True


def _part_of_mask(mask: Array, block: _Block, heads: slice, keys: slice) -> Array:
    """Return the part (heads, n, c) of a mask for a block; axes may have length 1."""
    entry = block.entry if mask.shape[0] > 1 else 0
    axes = zip((heads, block.queries, keys), mask.shape[1:], strict=True)
    index: Any = (entry, *(some if size > 1 else slice(None) for some, size in axes))
    part: Array = mask[index]
    return part


def _finite(work: AttentionWork, block: _Block, keys: slice) -> bool:
    """Return True if all values of a block are known to be finite."""
    return bool(np.isfinite(work.v[block.entry, block.heads, keys].sum()))


def _weighted(weights: Array, values: Array, hidden: Array | None) -> Array:
    """Return the products of weights (H, G n, c) with values (H, c, Dv).

    With ``hidden``, a value that is not finite affects only the rows that see it. A plain product
    would turn its product with a weight of zero into NaN.
    """
    if hidden is None:
        product: Array = weights @ values
        return product
    finite = np.isfinite(values)
    result = weights @ np.where(finite, values, np.float32(0))
    for head, key in np.argwhere(~finite.all(axis=-1)):
        odd = np.where(finite[head, key], np.float32(0), values[head, key])
        part = np.where(odd == 0, odd, weights[head, :, key, None] * odd)
        result[head] += np.where(hidden[head, :, key, None], np.float32(0), part)
    return result
