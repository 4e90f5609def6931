"""The extent of attention that one submission computes at once."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from flashwasm.backends.backend import AttentionWork
    from flashwasm.backends.gpu.device import Device

__all__ = ["BLOCK", "Extent", "largest_extent"]

# Queries and keys of a block, and columns of a slice, as in attention.wgsl.
BLOCK = 32
# Bytes for the bounds of a query.
_BYTES_OF_BOUNDS = 16


@dataclass(frozen=True)
class Extent:
    """Numbers of batch entries, key heads, queries and keys that are computed together."""

    batch: int
    key_heads: int
    queries: int
    keys: int


def largest_extent(work: AttentionWork, device: Device) -> Extent:
    """Return the largest extent within the limits of a device.

    Batch entries and heads are split first. Queries and keys are split only between blocks, where a
    split does not change the order of additions.
    """
    batch, key_heads, keys, dim = work.k.shape
    most_bytes = device.most_bytes
    # Iterations of the shader's loops for a block of keys.
    iterations = 68 * -(-dim // BLOCK) + 51 * -(-work.v.shape[3] // BLOCK) + 72
    keys = min(keys, device.most_iterations // iterations * BLOCK)
    extent = Extent(batch, key_heads, work.q.shape[2], keys)
    while True:
        rows, columns, mask, products = _sizes(work, extent)
        if max(rows, columns, mask) <= most_bytes and products <= device.most_products:
            return extent
        if extent.batch > 1:
            extent = replace(extent, batch=-(-extent.batch // 2))
        elif extent.key_heads > 1:
            extent = replace(extent, key_heads=-(-extent.key_heads // 2))
        elif (
            extent.queries > BLOCK
            and columns <= most_bytes
            and (rows > most_bytes or extent.queries >= extent.keys or extent.keys <= BLOCK)
        ):
            extent = replace(extent, queries=_half(extent.queries))
        elif extent.keys > BLOCK:
            extent = replace(extent, keys=_half(extent.keys))
        else:
            return extent


def _half(count: int) -> int:
    """Return about half of a count, in whole blocks."""
    return -(-count // (2 * BLOCK)) * BLOCK


def _sizes(work: AttentionWork, extent: Extent) -> tuple[int, int, int, int]:
    """Return the bytes of rows, of keys and of the mask, and the number of products."""
    _, heads, _, dim = work.q.shape
    _, key_heads, _, value_dim = work.v.shape
    heads = extent.key_heads * (heads // max(key_heads, 1))
    queries = extent.batch * heads * extent.queries
    rows = max(
        4 * queries * max(dim, value_dim, 2),
        _BYTES_OF_BOUNDS * extent.batch * (extent.queries + extent.queries // BLOCK + 1),
    )
    columns = 4 * extent.batch * extent.key_heads * extent.keys * max(dim, value_dim)
    mask = 0
    if work.mask is not None:
        mask = work.mask.itemsize
        own = (extent.batch, heads, extent.queries, extent.keys)
        for size, most in zip(work.mask.shape, own, strict=True):
            mask *= min(size, most)
    return rows, columns, mask, queries * extent.keys * (dim + value_dim)
