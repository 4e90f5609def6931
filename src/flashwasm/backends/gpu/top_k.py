"""Exact search on a GPU: scores are computed in blocks, and each block keeps its best."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from flashwasm.backends.gpu.device import shader
from flashwasm.backends.gpu.parts import halved_until, slices
from flashwasm.backends.gpu.products import run_scores

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from flashwasm.backends.backend import Limits, Metric
    from flashwasm.backends.gpu.device import Binding, Device

    Array = NDArray[Any]

__all__ = ["top_k"]

# Number of scores of a row that a workgroup sorts, as in best_of_block.wgsl.
_BLOCK = 1024
# Number of queries in a block of scores, as in product.wgsl.
_QUERIES = 64
# Sorting a score takes about as long as this many products.
_SORTING = 64
_SIGN = np.uint32(1 << 31)
_KEY_OF_NAN = np.uint32(0xFFFFFFFE)


def top_k(
    device: Device, queries: Array, corpus: Array, k: int, metric: Metric, limits: Limits
) -> tuple[Array, Array]:
    """Return the k best scores (n, k) and their rows (n, k) for each query.

    A candidate is an integer of 64 bits: its upper half is the key that orders its score, and its
    lower half is the row. The smallest candidates are therefore the best, and among equal scores
    the lowest row comes first.
    """
    (n, dim), count = queries.shape, len(corpus)
    best = np.empty((n, 0), np.uint64)

    def fits(sizes: list[int]) -> bool:
        some, rows = sizes
        blocks = -(-rows // _BLOCK)
        most = max(some * dim, rows * dim, some * rows, 2 * some * blocks * min(k, _BLOCK))
        products: int = some * rows * (dim + _SORTING)
        return 4 * most <= device.most_bytes and products <= device.most_products

    step, rows = halved_until(fits, [n, count], (_QUERIES, _BLOCK))
    for part in slices(count, rows):
        vectors = device.write("corpus", corpus[part])
        if metric == "cosine":
            _make_unit(device, vectors, part.stop - part.start, dim)
        found = []
        for some in slices(n, step):
            limits.check()
            wanted = device.write("queries", queries[some])
            shape = (some.stop - some.start, part.stop - part.start, dim)
            if metric == "cosine":
                _make_unit(device, wanted, shape[0], dim)
            scores = run_scores(device, wanted, vectors, shape, metric)
            found.append(_smallest(_best_of_blocks(device, scores, shape, k), k))
        candidates = np.concatenate(found) + np.uint64(part.start)
        best = _smallest(np.concatenate([best, candidates], axis=1), k)
    return _scores_of((best >> np.uint64(32)).astype(np.uint32)), (
        best & np.uint64(0xFFFFFFFF)
    ).astype(np.int64)


def _make_unit(device: Device, vectors: Binding, count: int, dim: int) -> None:
    """Divide vectors by their lengths, in place."""
    device.run(shader("workgroups", "row_sums", "unit_rows"), (dim,), (vectors,), count)


def _best_of_blocks(device: Device, scores: Binding, shape: tuple[int, int, int], k: int) -> Array:
    """Return the candidates of each query: the best of each block of its scores."""
    n, rows, _ = shape
    blocks, kept = -(-rows // _BLOCK), min(k, _BLOCK)
    result = device.room("result", 8 * n * blocks * kept)
    source = shader("workgroups", "elementary", "best_of_block")
    device.run(source, (blocks, rows, kept), (scores, result), n * blocks)
    pairs = device.read(result, (n, blocks * kept, 2), "<u4").astype(np.uint64)
    return pairs[..., 1] << np.uint64(32) | pairs[..., 0]


def _smallest(candidates: Array, k: int) -> Array:
    """Return the k smallest candidates of each row in order, or all if there are fewer."""
    if candidates.shape[1] > k:
        candidates = np.partition(candidates, k - 1, axis=1)[:, :k]
    return np.sort(candidates, axis=1)


def _scores_of(keys: Array) -> Array:
    """Return the scores of keys, whose order best_of_block.wgsl explains."""
    ordered = ~keys
    bits = np.where(ordered & _SIGN, ordered ^ _SIGN, ~ordered)
    scores = bits.astype(np.uint32).view(np.float32)
    return np.where(keys == _KEY_OF_NAN, np.float32(np.nan), scores)
