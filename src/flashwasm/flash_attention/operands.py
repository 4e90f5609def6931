"""The operands of attention in linear memory: their addresses and strides."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from flashwasm.kernel_table import MASK_ADDITIVE, MASK_BOOLEAN, MASK_NONE, STORED_ROWS

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from numpy.typing import NDArray

    from flashwasm.runtime.arena import Arena
    from flashwasm.runtime.launch import Launch

    Array = NDArray[Any]


class Operand:
    """An array in linear memory, from which a call of the kernel reads one matrix for each head.

    Parameters
    ----------
    address : int
        Address of the first element; 0 for an operand that is absent.
    strides : tuple of int
        Elements from one entry to the next, for each axis.
    shape : tuple of int
        Sizes of the same axes. An axis of length one is broadcast, so its stride becomes 0.
    itemsize : int, default 4
        Bytes of an element.
    """

    def __init__(
        self, address: int, strides: tuple[int, ...], shape: tuple[int, ...], itemsize: int = 4
    ) -> None:
        self.address = address
        self.itemsize = itemsize
        self.strides = strides
        if 1 in shape:
            self.strides = tuple([0 if n == 1 else s for s, n in zip(strides, shape, strict=True)])


# An operand that was not given. Its address is 0 at every index.
ABSENT = Operand(0, (0, 0, 0), (0, 0, 0))


class PlacedKeys(NamedTuple):
    """Keys and values in linear memory, and the scales of their rows if they have any."""

    k: Operand
    v: Operand
    k_scales: Operand = ABSENT
    v_scales: Operand = ABSENT


class Operands(NamedTuple):
    """All operands of the kernel, in the order of its structure."""

    q: Operand
    k: Operand
    v: Operand
    out: Operand
    lse: Operand = ABSENT
    mask: Operand = ABSENT
    alibi: Operand = ABSENT
    sinks: Operand = ABSENT
    k_scales: Operand = ABSENT
    v_scales: Operand = ABSENT

    def at(self, index: tuple[int, ...]) -> list[int]:
        """Return the address of each operand's matrices at an index into the leading axes."""
        return addresses_at(self, index)


def addresses_at(operands: Iterable[Operand], index: tuple[int, ...]) -> list[int]:
    """Return the addresses of operands at an index into their first axes."""
    addresses = []
    for x in operands:
        address = x.address
        for i, stride in zip(index, x.strides, strict=False):
            address += x.itemsize * i * stride
        addresses.append(address)
    return addresses


class KVStorage(NamedTuple):
    """The format in which keys and values are stored.

    Attributes
    ----------
    kind : int
        A member of ``enum storage`` in wasm/abi.h.
    capacity : int
        Number of keys for which there is room. It is set only for a cache.
    k_scales, v_scales : numpy.ndarray or None
        Factor of each stored row, shape (..., Hk, capacity), for the int8 format.
    placed : PlacedKeys or None
        The addresses, if they are already known.
    """

    kind: int = STORED_ROWS
    capacity: int = 0
    k_scales: Array | None = None
    v_scales: Array | None = None
    placed: PlacedKeys | None = None

    def part(self, cut: Callable[[Array], Array]) -> KVStorage:
        """Return the storage of some leading indices or heads, without addresses."""
        if self.k_scales is None or self.v_scales is None:
            return self._replace(placed=None)
        return self._replace(k_scales=cut(self.k_scales), v_scales=cut(self.v_scales), placed=None)


# The storage of keys and values that the user passes: rows of float32.
ROWS = KVStorage()


def place_keys(launch: Launch, k: Array, v: Array, storage: KVStorage) -> PlacedKeys:
    """Return keys and values in linear memory. The keys and values of a cache are already there."""
    if storage.placed is not None:
        return storage.placed
    if storage.kind == STORED_ROWS:
        return PlacedKeys(place_rows(launch, k), place_rows(launch, v))
    return keys_of_cache(launch.runtime.arena, k, v, storage)


def keys_of_cache(arena: Arena, k: Array, v: Array, storage: KVStorage) -> PlacedKeys:
    """Return the places of a cache's keys, values and scales in linear memory."""
    return PlacedKeys(
        k=_resident(arena, k),
        v=_resident(arena, v),
        k_scales=_resident(arena, storage.k_scales),
        v_scales=_resident(arena, storage.v_scales),
    )


def _resident(arena: Arena, x: Array | None) -> Operand:
    """Return the operand of a resident array, or the absent operand for None."""
    if x is None:
        return ABSENT
    address = arena.offset_of(x)
    if address is None:
        message = "expected an array in linear memory"
        raise RuntimeError(message)
    return Operand(address, tuple([s // x.itemsize for s in x.strides]), x.shape, x.itemsize)


def place_rows(launch: Launch, x: Array) -> Operand:
    """Return float32 rows in linear memory."""
    address, strides = launch.place_rows(x)
    return Operand(address, strides, x.shape)


def place_vector(launch: Launch, x: Array | None) -> Operand:
    """Return an option that is a vector, which is the same for all leading indices."""
    return ABSENT if x is None else Operand(launch.place_parameter(x), (), ())


def mask_kind(mask: Array | None) -> int:
    """Return the kernel's number for the kind of a mask."""
    if mask is None:
        return MASK_NONE
    return MASK_BOOLEAN if mask.dtype == np.bool_ else MASK_ADDITIVE


def place_mask(launch: Launch, mask: Array | None) -> Operand:
    """Return a mask in linear memory.

    Axes of length one are not expanded: a mask of shape (1, 1, keys) occupies the memory of one
    row.
    """
    if mask is None:
        return ABSENT
    dtype = np.dtype(np.bool_ if mask.dtype == np.bool_ else np.float32)
    return contiguous(launch.place(mask, dtype), mask.shape, dtype.itemsize)


def contiguous(address: int, shape: tuple[int, ...], itemsize: int = 4) -> Operand:
    """Return the operand of a C-contiguous array at an address."""
    strides = [1]
    for size in shape[:0:-1]:
        strides.append(strides[-1] * size)
    return Operand(address, tuple(strides[::-1]), shape, itemsize)
