"""What an adapter has in linear memory: its weights, and the samples that it learned from."""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from flashwasm.runtime.runtime import Runtime

    Array = NDArray[Any]

# The structures of wasm/abi.h: addresses, counts and factors of an adapter; what begins a sample.
_ADAPTER = struct.Struct("<6I3i3f")
_HEADER = struct.Struct("<5i3f32x")
HEADER_FLOATS = _HEADER.size // 4
_FIRST_CANDIDATES = 8
_WORD = (1 << 64) - 1


def padded(n: int) -> int:
    """Return the length of a row as it lies: a multiple of four."""
    return -(-n // 4) * 4


class Block:
    """Zeros in linear memory, and where they begin."""

    __slots__ = ("address", "array")

    def __init__(self, runtime: Runtime, shape: tuple[int, ...]) -> None:
        with runtime.lock:
            runtime.check_open()
            self.array, self.address = runtime.arena.array(shape)
        self.array[...] = 0


class Weights:
    """Weights, moments, Fisher information and anchor, each in one block, and their structure.

    Parameters
    ----------
    runtime : Runtime
        Where they lie.
    in_dim, out_dim, rank : int
        Shapes of A and B.
    factors : tuple of float
        scale, shrink and ewc_lambda.
    adam : bool
        Whether there are moments.
    """

    def __init__(
        self,
        runtime: Runtime,
        in_dim: int,
        out_dim: int,
        rank: int,
        factors: tuple[float, float, float],
        *,
        adam: bool,
    ) -> None:
        self._runtime = runtime
        self._sizes, self._factors = (in_dim, out_dim, rank), factors
        self.shape = (rank * (padded(in_dim) + padded(out_dim)),)
        self._outputs: Block | None = None
        self._structure = Block(runtime, (_ADAPTER.size // 4,))
        self._blocks = {"weights": self._block()}
        if adam:
            self._blocks |= {"first": self._block(), "second": self._block()}
        self._pack()

    @property
    def address(self) -> int:
        """Where the structure is."""
        return self._structure.address

    @property
    def nbytes(self) -> int:
        """Bytes of linear memory."""
        blocks = [*self._blocks.values(), self._structure]
        blocks += [] if self._outputs is None else [self._outputs]
        return sum(block.array.nbytes for block in blocks)

    def a(self) -> Array:
        """Return A over its block, shape (rank, in_dim)."""
        in_dim, _, rank = self._sizes
        rows = self._blocks["weights"].array[: rank * padded(in_dim)]
        return rows.reshape(rank, padded(in_dim))[:, :in_dim]

    def b(self) -> Array:
        """Return B over its block, shape (out_dim, rank)."""
        in_dim, out_dim, rank = self._sizes
        rows = self._blocks["weights"].array[rank * padded(in_dim) :]
        return rows.reshape(rank, padded(out_dim))[:, :out_dim].T

    def reserve(self, candidates: int) -> None:
        """Make room for the outputs of a sample."""
        shape = (2 * (1 + candidates), padded(self._sizes[1]))
        self._outputs = Block(self._runtime, shape)
        self._pack()

    def shrink(self, share: float) -> None:
        """Set by how much of themselves the weights shrink in a step."""
        scale, _, ewc_lambda = self._factors
        self._factors = (scale, share, ewc_lambda)
        self._pack()

    def hold(self, fisher: Array) -> None:
        """Add Fisher information, and remember the weights as they are."""
        if "fisher" not in self._blocks:
            self._blocks |= {"fisher": self._block(), "anchor": self._block()}
            self._pack()
        self._blocks["fisher"].array += fisher
        self._blocks["anchor"].array[:] = self._blocks["weights"].array

    def arrays(self) -> dict[str, Array]:
        """Return what is learned, by name."""
        return {name: block.array for name, block in self._blocks.items()}

    def restore(self, arrays: dict[str, Array]) -> None:
        """Take what ``arrays`` returned once."""
        for name, array in arrays.items():
            if name not in self._blocks:
                self._blocks[name] = self._block()
            self._blocks[name].array[:] = array
        self._pack()

    def _block(self) -> Block:
        return Block(self._runtime, self.shape)

    def _pack(self) -> None:
        """Write the structure anew, since an address changed."""
        names = ("weights", "first", "second", "fisher", "anchor")
        found = [self._blocks[name].address if name in self._blocks else 0 for name in names]
        outputs = 0 if self._outputs is None else self._outputs.address
        _ADAPTER.pack_into(
            self._structure.array.data, 0, *found, outputs, *self._sizes, *self._factors
        )


class Samples:
    """The sample that is learned now, and a fair draw from those since the last consolidation.

    Parameters
    ----------
    runtime : Runtime
        Where they lie.
    stride : int
        Floats of a row.
    kept : int
        How many to keep.
    seed : int
        What decides which.
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
        """Return for how many candidates to reserve where so many are needed."""
        return max(candidates, 2 * self.capacity, _FIRST_CANDIDATES)

    def reserve(self, capacity: int) -> None:
        """Make room for samples of so many candidates."""
        width = HEADER_FLOATS + (1 + capacity) * self._stride
        blocks = [Block(self._runtime, (n, width)) for n in (1, self._kept) if n]
        for block, before in zip(blocks, self._blocks, strict=False):
            block.array[:, : before.array.shape[1]] = before.array
        self._blocks = blocks
        self._now, self.address = blocks[0].array[0], blocks[0].address
        self.rows = self._now[HEADER_FLOATS:].reshape(1 + capacity, self._stride)
        self.capacity = capacity

    def describe(self, loss: int, candidates: int, *numbers: float) -> None:
        """Write what comes before the rows of the sample that is learned now."""
        self._used = HEADER_FLOATS + (1 + candidates) * self._stride
        _HEADER.pack_into(self._now, 0, loss, candidates, *numbers)

    def keep(self) -> None:
        """Count the sample, and keep it or not: each so far with the same chance."""
        place = self.seen
        self.seen += 1
        if place >= self._kept:
            place = _hashed(self._seed, place) * self.seen >> 64
        if place < self._kept:
            self._blocks[1].array[place, : self._used] = self._now[: self._used]

    def forget(self) -> None:
        """Begin to draw anew."""
        self.seen = 0

    def addresses(self) -> list[int]:
        """Return where the samples are that were kept."""
        count = min(self.seen, self._kept)
        if not count:
            return []
        block = self._blocks[1]
        return [block.address + i * block.array.strides[0] for i in range(count)]

    def array(self) -> Array:
        """Return the samples that were kept, as words."""
        count = min(self.seen, self._kept)
        words: Array = self._blocks[1].array[:count].view(np.uint32)
        return words

    def restore(self, seen: int, words: Array) -> None:
        """Take what ``array`` returned once."""
        self.reserve((words.shape[1] - HEADER_FLOATS) // self._stride - 1)
        self._blocks[1].array[: len(words), : words.shape[1]] = words.view(np.float32)
        self.seen = seen

    @property
    def nbytes(self) -> int:
        """Bytes of linear memory."""
        return sum(block.array.nbytes for block in self._blocks)


def _hashed(seed: int, n: int) -> int:
    """Return 64 bits that look random: the finalizer of SplitMix64."""
    z = (seed + n * 0x9E3779B97F4A7C15) & _WORD
    z = (z ^ z >> 30) * 0xBF58476D1CE4E5B9 & _WORD
    z = (z ^ z >> 27) * 0x94D049BB133111EB & _WORD
    return z ^ z >> 31
