"""Where attention's operands lie in linear memory."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from flashwasm.kernels import MASK_ADDITIVE, MASK_BOOLEAN, MASK_NONE, STORED_ROWS

if TYPE_CHECKING:
    from flashwasm.flash_attention.problem import Problem
    from flashwasm.operation import Operation


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


def put_keys(op: Operation, p: Problem) -> Keys:
    """Put keys and values, those of a cache where they lie."""
    storage = p.storage
    if storage.kind == STORED_ROWS:
        return Keys(*(Operand(*op.put_rows(x), x.shape) for x in (p.k, p.v)))
    stored = (p.k, p.v, storage.k_scales, storage.v_scales)
    return Keys(*(Operand(*op.locate(x), x.shape, x.itemsize) for x in stored if x is not None))


def put_mask(op: Operation, p: Problem) -> tuple[Operand | None, int]:
    """Put the mask as it is, its axes of length one unrepeated."""
    if p.mask is None:
        return None, MASK_NONE
    kind = MASK_BOOLEAN if p.mask.dtype == np.bool_ else MASK_ADDITIVE
    dtype = np.dtype(np.bool_ if kind == MASK_BOOLEAN else np.float32)
    address = op.put(p.mask, dtype)
    strides = np.ones(p.mask.ndim, np.int64)
    strides[:-1] = np.cumprod(p.mask.shape[:0:-1])[::-1]
    return Operand(address, tuple(map(int, strides)), p.mask.shape, dtype.itemsize), kind
