"""The map that adapts a suite's embeddings to feedback: whitening, then a low-rank adapter."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy.typing as npt

from flashwasm.adapt import LoRAAdapter, Whitening
from flashwasm.errors import ShapeError
from flashwasm.qe.scoring.embedding_whitening import fit_whitening, unit_rows

if TYPE_CHECKING:
    from flashwasm.runtime.runtime import Runtime

__all__ = ["Adaptation", "prior"]

Array = npt.NDArray[Any]


@dataclass(frozen=True)
class Adaptation:
    """Whitening and adapter, which map embeddings before their cosines are computed.

    Parameters
    ----------
    whitening : Whitening
        Whitening of the suite at the time of training.
    adapter : LoRAAdapter
        Adapter that was trained with feedback.
    """

    whitening: Whitening
    adapter: LoRAAdapter

    def __call__(self, vectors: Array) -> Array:
        """Return the mapped vectors ``(n, dim)`` in float32, scaled to length one."""
        runtime = self.adapter.runtime
        return unit_rows(self.adapter.apply(self.whitening.apply(vectors, runtime=runtime)))

    def save(self, folder: Path) -> None:
        """Write the adaptation into a folder that exists."""
        self.whitening.save(folder / "whitening")
        self.adapter.save(folder / "adapter")

    @classmethod
    def load(cls, folder: Path, runtime: Runtime | None = None) -> Adaptation:
        """Return the adaptation that `save` wrote into a folder."""
        whitening = Whitening.load(folder / "whitening")
        return cls(whitening, LoRAAdapter.load(folder / "adapter", runtime=runtime))


def prior(vectors: Array, runtime: Runtime | None = None) -> tuple[Whitening, Array]:
    """Return a suite's whitening, which needs no feedback, and the whitened unit vectors.

    The suite must have at least two tests.
    """
    if len(vectors) < 2:
        raise ShapeError(f"vectors: expected at least two tests, got {len(vectors)}")
    whitening = fit_whitening(vectors, runtime)
    return whitening, unit_rows(whitening.apply(vectors, runtime=runtime))
