"""Flash attention on a GPU: the parts of a call, and the shader's arguments for each."""

from __future__ import annotations

from itertools import product
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from flashwasm.backends.gpu.device import shader
from flashwasm.backends.gpu.extent import BLOCK, largest_extent
from flashwasm.backends.gpu.parts import slices
from flashwasm.kernel_table import ATTENTION_OPEN

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

    from flashwasm.backends.backend import AttentionWork, Limits
    from flashwasm.backends.gpu.device import Binding, Device
    from flashwasm.backends.gpu.extent import Extent

    Array = NDArray[Any]

__all__ = ["attention"]

_LOWEST = np.finfo(np.float32).min
_GREATEST = float(np.finfo(np.float32).max)
_NO_KEY = np.iinfo(np.int32).max


class _Part(NamedTuple):
    """Slices of the batch entries, the key heads and their query heads, and the queries."""

    batch: slice
    key_heads: slice
    heads: slice
    queries: slice

    @property
    def at(self) -> tuple[slice, slice, slice]:
        """Index of the part into arrays (B, Hq, Lq, ...)."""
        return self.batch, self.heads, self.queries

    @property
    def blocks(self) -> int:
        """Number of blocks of queries, each of one head."""
        batch, heads, queries = (len(range(some.start, some.stop)) for some in self.at)
        return batch * heads * -(-queries // BLOCK)


def attention(device: Device, work: AttentionWork, limits: Limits) -> tuple[Array, Array | None]:
    """Return the output, and the log-sum-exp or None.

    Parameters
    ----------
    device : Device
        The device that computes it.
    work : AttentionWork
        Operands and options.
    limits : Limits
        Limits of the call.
    """
    out = np.empty((*work.q.shape[:3], work.v.shape[3]), np.float32)
    lse = np.empty(out.shape[:3], np.float32)
    if lse.size == 0:
        return out, lse if work.with_lse else None
    extent = largest_extent(work, device)
    source, careful = _source(work), _has_special_values(work.v)
    held: tuple[int, ...] = ()
    for part in _parts(work, extent):
        rows = _write_rows(device, work, part)
        for keys in slices(work.k.shape[2], extent.keys):
            limits.check()
            wanted = (part.batch.start, part.key_heads.start, keys.start)
            if held != wanted:
                # Wait for the previous writes, so that their copies do not accumulate in memory.
                device.wait()
                k = device.write("k", work.k[part.batch, part.key_heads, keys])
                v = device.write("v", work.v[part.batch, part.key_heads, keys])
                held = wanted
            mask, strides = _write_mask(device, work, part, keys)
            parameters = _parameters(work, part, keys, strides, careful=careful)
            operands = (
                rows.q,
                k,
                v,
                rows.bounds,
                mask,
                rows.slopes,
                rows.state,
                rows.result,
            )
            device.run(source, parameters, operands, part.blocks, written=2)
        out[part.at] = device.read(rows.result, out[part.at].shape, np.float32)
        if work.with_lse:
            state = device.read(rows.state, (*lse[part.at].shape, 2), np.float32)
            with np.errstate(divide="ignore"):
                lse[part.at] = state[..., 0] + np.log(state[..., 1])
    return out, lse if work.with_lse else None


class _Rows(NamedTuple):
    """Operands that belong to the queries of a part."""

    q: Binding
    bounds: Binding
    slopes: Binding
    state: Binding
    result: Binding


def _source(work: AttentionWork) -> str:
    """Return the shader for the values' number of slices, rounded up to a power of two.

    There are few shaders, because compiling one takes a second on some devices.
    """
    needed = max(-(-work.v.shape[3] // BLOCK), 1)
    slices_of_values = 1 << (needed - 1).bit_length()
    return shader("workgroups", "elementary", "attention", VALUE_SLICES=slices_of_values)


def _has_special_values(x: Array) -> bool:
    """Return True if an array contains infinities or NaN, or numbers whose sum overflows.

    A finite sum proves that all numbers are finite, and needs no array of booleans.
    """
    with np.errstate(all="ignore"):
        return not np.isfinite(x.sum())


def _parts(work: AttentionWork, extent: Extent) -> Iterator[_Part]:
    """Yield the parts of a call. Parts with the same keys are consecutive."""
    batch, heads, queries, _ = work.q.shape
    group = heads // work.k.shape[1]
    for entries, key_heads, some in product(
        slices(batch, extent.batch),
        slices(work.k.shape[1], extent.key_heads),
        slices(queries, extent.queries),
    ):
        own = slice(key_heads.start * group, key_heads.stop * group)
        yield _Part(entries, key_heads, own, some)


def _write_rows(device: Device, work: AttentionWork, part: _Part) -> _Rows:
    """Write the operands of a part's queries to the device, and make room for their output."""
    q = work.q[part.at]
    # The greatest score so far, and the sum of weights. A sink counts as a score before all keys.
    state = np.zeros((*q.shape[:3], 2), np.float32)
    state[..., 0] = _LOWEST
    if work.sinks is not None:
        sinks = work.sinks[part.heads, None]
        state[..., 0] = np.where(np.isneginf(sinks), _LOWEST, sinks)
        state[..., 1] = ~np.isneginf(sinks)
    slopes = np.zeros(1, np.float32) if work.alibi is None else work.alibi[part.heads]
    return _Rows(
        q=device.write("q", q),
        bounds=device.write("bounds", _bounds(work, part)),
        slopes=device.write("slopes", slopes),
        state=device.write("state", state),
        result=device.room("result", 2 * state.size * work.v.shape[3]),
    )


def _bounds(work: AttentionWork, part: _Part) -> Array:
    """Return the range of keys that each query sees and its diagonal, then the same per block."""
    keys = work.k.shape[2]
    diagonals = np.arange(part.queries.start, part.queries.stop) + work.diagonals[part.batch, None]
    high = np.broadcast_to(work.lengths[part.batch, None], diagonals.shape)
    low = np.zeros_like(diagonals)
    if work.before < ATTENTION_OPEN:
        low = np.clip(diagonals - work.before, 0, keys)
    if work.after < ATTENTION_OPEN:
        high = np.clip(diagonals + work.after + 1, 0, high)
    low = np.where(low < high, low, _NO_KEY)
    high = np.where(low < high, high, 0)
    entries, count = diagonals.shape
    blocks = -(-count // BLOCK)
    missing = ((0, 0), (0, blocks * BLOCK - count))
    by_block = (entries, blocks, BLOCK)
    lowest = np.pad(low, missing, constant_values=_NO_KEY).reshape(by_block).min(axis=2)
    highest = np.pad(high, missing).reshape(by_block).max(axis=2)
    bounds = np.zeros((diagonals.size + lowest.size, 4), np.int32)
    bounds[: diagonals.size, 0] = low.ravel()
    bounds[: diagonals.size, 1] = high.ravel()
    bounds[: diagonals.size, 2] = np.clip(diagonals, -_NO_KEY // 2, _NO_KEY // 2).ravel()
    bounds[diagonals.size :, 0] = lowest.ravel()
    bounds[diagonals.size :, 1] = highest.ravel()
    return bounds


def _write_mask(
    device: Device, work: AttentionWork, part: _Part, keys: slice
) -> tuple[Binding, list[int]]:
    """Write the part of the mask, and return its strides, which are 0 along broadcast axes."""
    if work.mask is None:
        return device.room("mask", 0), [0, 0, 0, 0]
    index = tuple(
        some if size > 1 else slice(None)
        for some, size in zip((*part.at, keys), work.mask.shape, strict=True)
    )
    mask = np.ascontiguousarray(work.mask[index])
    strides = [
        stride // mask.itemsize if size > 1 else 0
        for stride, size in zip(mask.strides, work.mask.shape, strict=True)
    ]
    return device.write("mask", mask), strides


def _parameters(
    work: AttentionWork, part: _Part, keys: slice, strides: list[int], *, careful: bool
) -> tuple[int | float, ...]:
    """Return the fields of ``Params`` of attention.wgsl after the first."""
    heads = part.heads.stop - part.heads.start
    softcap = float(work.softcap)
    return (
        -(-(part.queries.stop - part.queries.start) // BLOCK),
        heads,
        heads // (part.key_heads.stop - part.key_heads.start),
        part.queries.stop - part.queries.start,
        keys.stop - keys.start,
        keys.start,
        work.q.shape[3],
        work.v.shape[3],
        int(keys.start == 0),
        int(keys.stop == work.k.shape[2]),
        *strides,
        0 if work.mask is None else 1 if work.mask.dtype == np.bool_ else 2,
        int(work.alibi is not None),
        int(careful),
        float(work.scale),
        softcap,
        min(1 / softcap, _GREATEST) if softcap else 0.0,
    )
