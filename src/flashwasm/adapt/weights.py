"""The weights of an adapter in linear memory, and the training state of each weight."""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING, Any, NamedTuple

from flashwasm.adapt.block import Block, padded

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from flashwasm.runtime.runtime import Runtime

    Array = NDArray[Any]

# `struct lora` of wasm/abi.h: six addresses, three dimensions, three factors.
_ADAPTER = struct.Struct("<6I3i3f")


class Factors(NamedTuple):
    """Factors of a training step.

    Attributes
    ----------
    scale : float
        Factor of B A x: alpha / rank.
    shrink : float
        Fraction by which a step shrinks the weights: learning rate times weight decay.
    ewc_lambda : float
        Factor of the penalty of elastic weight consolidation.
    """

    scale: float
    shrink: float
    ewc_lambda: float


class Weights:
    """Weights, moments, Fisher information and anchor of an adapter, each in a block of its own.

    The kernels find their addresses in a structure in linear memory.

    Parameters
    ----------
    runtime : Runtime
        Runtime whose linear memory holds them.
    in_dim : int
        Number of columns of A.
    out_dim : int
        Number of rows of B.
    rank : int
        Number of rows of A, and of columns of B.
    factors : Factors
        Factors of a training step.
    adam : bool
        True to allocate the moments of Adam.
    """

    def __init__(
        self,
        runtime: Runtime,
        in_dim: int,
        out_dim: int,
        rank: int,
        factors: Factors,
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
        """Address of the structure."""
        return self._structure.address

    @property
    def nbytes(self) -> int:
        """Number of bytes in linear memory."""
        blocks = [*self._blocks.values(), self._structure]
        blocks += [] if self._outputs is None else [self._outputs]
        return sum(block.array.nbytes for block in blocks)

    def a(self) -> Array:
        """Return a view of A, shape (rank, in_dim)."""
        self._runtime.check_open()
        in_dim, _, rank = self._sizes
        rows = self._blocks["weights"].array[: rank * padded(in_dim)]
        return rows.reshape(rank, padded(in_dim))[:, :in_dim]

    def b(self) -> Array:
        """Return a view of B, shape (out_dim, rank). It is stored transposed."""
        self._runtime.check_open()
        in_dim, out_dim, rank = self._sizes
        rows = self._blocks["weights"].array[rank * padded(in_dim) :]
        return rows.reshape(rank, padded(out_dim))[:, :out_dim].T

    def reserve(self, candidates: int) -> None:
        """Make room for the outputs of a sample with so many candidates, and their gradients."""
        shape = (2 * (1 + candidates), padded(self._sizes[1]))
        self._outputs = Block(self._runtime, shape)
        self._pack()

    def shrink(self, share: float) -> None:
        """Set the fraction by which each step shrinks the weights."""
        self._factors = self._factors._replace(shrink=share)
        self._pack()

    def hold(self, fisher: Array) -> None:
        """Add ``fisher`` to the Fisher information, and make the present weights the anchor."""
        if "fisher" not in self._blocks:
            self._blocks |= {"fisher": self._block(), "anchor": self._block()}
            self._pack()
        self._blocks["fisher"].array += fisher
        self._blocks["anchor"].array[:] = self._blocks["weights"].array

    def arrays(self) -> dict[str, Array]:
        """Return the blocks that training changes, by name, without copies."""
        self._runtime.check_open()
        return {name: block.array for name, block in self._blocks.items()}

    def restore(self, arrays: dict[str, Array]) -> None:
        """Set the blocks to an earlier result of ``arrays``."""
        for name, array in arrays.items():
            if name not in self._blocks:
                self._blocks[name] = self._block()
            self._blocks[name].array[:] = array
        self._pack()

    def _block(self) -> Block:
        """Return a new block of the size of the weights."""
        return Block(self._runtime, self.shape)

    def _pack(self) -> None:
        """Write the structure again, after an address or a factor changed."""
        names = ("weights", "first", "second", "fisher", "anchor")
        found = [self._blocks[name].address if name in self._blocks else 0 for name in names]
        outputs = 0 if self._outputs is None else self._outputs.address
        _ADAPTER.pack_into(
            self._structure.array.data, 0, *found, outputs, *self._sizes, *self._factors
        )
