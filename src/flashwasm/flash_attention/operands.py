"""Where attention's operands lie in linear memory."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from flashwasm.kernel_table import MASK_ADDITIVE, MASK_BOOLEAN, MASK_NONE, STORED_ROWS

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from flashwasm.flash_attention.problem import Problem, Storage
    from flashwasm.runtime.arena import Arena
    from flashwasm.runtime.launch import Launch

    Array = NDArray[Any]


class Operand:
    """An operand in linear memory: where each leading index's matrices begin."""

    def __init__(
        self, address: int, strides: tuple[int, ...], shape: tuple[int, ...], itemsize: int = 4
    ) -> None:
        self._address = address
        self._itemsize = itemsize
        # An axis of length one repeats, whatever its stride.
        self.strides = strides
        if 1 in shape:
            self.strides = tuple([0 if n == 1 else s for s, n in zip(strides, shape, strict=True)])

    def at(self, index: tuple[int, ...]) -> int:
        """Return the address for a leading index."""
        address = self._address
        for i, stride in zip(index, self.strides, strict=False):
            address += self._itemsize * i * stride
        return address


class Keys(NamedTuple):
    """Keys and values, and their scales where they have some."""

    k: Operand
    v: Operand
    k_scales: Operand | None = None
    v_scales: Operand | None = None


def put_keys(op: Launch, p: Problem) -> Keys:
    """Put keys and values, those of a cache where they lie."""
    storage = p.storage
    if storage.located is not None:
        return storage.located
    if storage.kind == STORED_ROWS:
        return Keys(*(Operand(*op.place_rows(x), x.shape) for x in (p.k, p.v)))
    return locate_keys(op.runtime.arena, p.k, p.v, storage)


def locate_keys(arena: Arena, k: Array, v: Array, storage: Storage) -> Keys:
    """Return where a cache's keys, values and scales lie."""
    operands = []
    for x in (k, v, storage.k_scales, storage.v_scales):
        if x is None:
            continue
        address = arena.offset_of(x)
        assert address is not None  # noqa: S101 - the cache made it there.
        strides = tuple(s // x.itemsize for s in x.strides)
        operands.append(Operand(address, strides, x.shape, x.itemsize))
    return Keys(*operands)


def put_mask(op: Launch, p: Problem) -> tuple[Operand | None, int]:
    """Put the mask as it is, its axes of length one unrepeated."""
    if p.mask is None:
        return None, MASK_NONE
    kind = MASK_BOOLEAN if p.mask.dtype == np.bool_ else MASK_ADDITIVE
    dtype = np.dtype(np.bool_ if kind == MASK_BOOLEAN else np.float32)
    address = op.place(p.mask, dtype)
    strides = np.ones(p.mask.ndim, np.int64)
    strides[:-1] = np.cumprod(p.mask.shape[:0:-1])[::-1]
    return Operand(address, tuple(map(int, strides)), p.mask.shape, dtype.itemsize), kind
