"""Zeros in linear memory, in rows of padded length."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from flashwasm.runtime.runtime import Runtime

    Array = NDArray[Any]


def padded(n: int) -> int:
    """Return the length of a row of n numbers in linear memory: the next multiple of four."""
    return -(-n // 4) * 4


class Block:
    """An array of zeros in linear memory, and its address."""

    __slots__ = ("address", "array")

    def __init__(self, runtime: Runtime, shape: tuple[int, ...]) -> None:
        with runtime.lock:
            runtime.check_open()
            self.array, self.address = runtime.arena.array(shape)
        self.array[...] = 0
