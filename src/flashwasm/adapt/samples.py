"""The samples of an adapter in linear memory: the present sample, and some earlier ones."""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from flashwasm.adapt.block import Block

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from flashwasm.runtime.runtime import Runtime

    Array = NDArray[Any]

# The beginning of `struct lora_sample` of wasm/abi.h: the fields of `SampleHeader`, then 32 unused
# bytes. The length is counted in floats.
_HEADER = struct.Struct("<5i3f32x")
HEADER_FLOATS = _HEADER.size // 4
# Number of candidates for which there is room at first.
_FIRST_CANDIDATES = 8
_WORD = (1 << 64) - 1


class SampleHeader(NamedTuple):
    """Numbers of a sample. They lie before its rows in linear memory, in this order.

    Attributes
    ----------
    loss : int
        Loss to minimise: ``LORA_REGRESSION``, ``LORA_CONTRASTIVE`` or ``LORA_FEEDBACK``.
    candidates : int
        Number of vectors with which the adapted x is compared.
    adapted : int
        1 if the candidates are adapted too, else 0.
    metric : int
        Number of the metric in wasm/abi.h.
    accepted : int
        0 if the candidate was rejected, else 1.
    temperature : float
        Divisor of the scores.
    threshold : float
        Score for which the probability of acceptance is one half.
    reward : float
        Factor of the loss.
    """

    loss: int
    candidates: int = 1
    adapted: int = 0
    metric: int = 0
    accepted: int = 1
    temperature: float = 1.0
    threshold: float = 0.0
    reward: float = 1.0


class Samples:
    """The present sample, and some of the samples since the last consolidation.

    Reservoir sampling keeps each sample since then with the same probability.

    Parameters
    ----------
    runtime : Runtime
        Runtime whose linear memory holds them.
    stride : int
        Number of floats of a row.
    kept : int
        Maximum number of samples to keep; may be 0.
    seed : int
        Seed that decides which samples are kept.
    """

    def __init__(self, runtime: Runtime, stride: int, kept: int, seed: int) -> None:
        self._runtime = runtime
        self._stride = stride
        self._kept = kept
        self._seed = seed
        self.capacity = 0
        self.seen = 0
        self._used = 0
        self._blocks: list[Block] = []

    def grown(self, candidates: int) -> int:
        """Return the capacity to reserve when ``candidates`` do not fit: at least the double.

        The capacity doubles, so that growing samples are not moved each time.
        """
        return max(candidates, 2 * self.capacity, _FIRST_CANDIDATES)

    def reserve(self, capacity: int) -> None:
        """Make room for samples of ``capacity`` candidates, and move the kept samples there."""
        width = HEADER_FLOATS + (1 + capacity) * self._stride
        blocks = [Block(self._runtime, (n, width)) for n in (1, self._kept) if n]
        for block, before in zip(blocks, self._blocks, strict=False):
            block.array[:, : before.array.shape[1]] = before.array
        self._blocks = blocks
        self._now, self.address = blocks[0].array[0], blocks[0].address
        self._rows = self._now[HEADER_FLOATS:].reshape(1 + capacity, self._stride)
        self.capacity = capacity

    def write(self, x: Array, first: Array, others: Array | None) -> None:
        """Write the rows of the present sample: x, then its candidates."""
        rows, columns = self._rows, len(first)
        count = 1 if others is None else 1 + len(others)
        if columns < self._stride:
            # An earlier sample may have had longer rows, and the rest of a row must be zero.
            rows[1 : 1 + count] = 0
        rows[0, : len(x)] = x
        rows[1, :columns] = first
        if others is not None:
            rows[2 : 1 + count, :columns] = others

    def describe(self, header: SampleHeader) -> None:
        """Write the header of the present sample."""
        self._used = HEADER_FLOATS + (1 + header.candidates) * self._stride
        _HEADER.pack_into(self._now, 0, *header)

    def keep(self) -> None:
        """Count the present sample; then keep it, in place of another if necessary, or drop it."""
        place = self.seen
        self.seen += 1
        if place >= self._kept:
            place = _hashed(self._seed, place) * self.seen >> 64
        if place < self._kept:
            self._blocks[1].array[place, : self._used] = self._now[: self._used]

    def forget(self) -> None:
        """Drop the kept samples."""
        self.seen = 0

    def addresses(self) -> list[int]:
        """Return the addresses of the kept samples."""
        count = min(self.seen, self._kept)
        if not count:
            return []
        block = self._blocks[1]
        return [block.address + i * block.array.strides[0] for i in range(count)]

    def array(self) -> Array:
        """Return the kept samples as words of 32 bits, without a copy."""
        count = min(self.seen, self._kept)
        words: Array = self._blocks[1].array[:count].view(np.uint32)
        return words

    def restore(self, seen: int, words: Array) -> None:
        """Set the samples to an earlier result of ``array``, and ``seen`` to its value then."""
        self.reserve((words.shape[1] - HEADER_FLOATS) // self._stride - 1)
        self._blocks[1].array[: len(words), : words.shape[1]] = words.view(np.float32)
        self.seen = seen

    @property
    def nbytes(self) -> int:
        """Number of bytes in linear memory."""
        return sum(block.array.nbytes for block in self._blocks)


def _hashed(seed: int, n: int) -> int:
    """Return the n-th number of 64 bits that SplitMix64 generates from a seed."""
    z = (seed + n * 0x9E3779B97F4A7C15) & _WORD
    z = (z ^ z >> 30) * 0xBF58476D1CE4E5B9 & _WORD
    z = (z ^ z >> 27) * 0x94D049BB133111EB & _WORD
    return z ^ z >> 31
