"""The change of a suite's embeddings by feedback: whitening, then a low-rank adapter."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from flashwasm.adapt import LoRAAdapter, Whitening
from flashwasm.errors import ShapeError

if TYPE_CHECKING:
    from flashwasm.runtime.runtime import Runtime

__all__ = ["Adaptation", "prior", "unit"]

Array = npt.NDArray[Any]


@dataclass(frozen=True)
class Adaptation:
    """Whitening and adapter, which change embeddings before their cosines are taken.

    Parameters
    ----------
    whitening : Whitening
        Whitening of the suite as it was when the adapter was trained.
    adapter : LoRAAdapter
        Adapter that was trained with feedback.
    """

    whitening: Whitening
    adapter: LoRAAdapter

    def __call__(self, vectors: Array) -> Array:
        """Return the changed vectors ``(n, dim)`` in float32, scaled to length one."""
        runtime = self.adapter.runtime
        return unit(self.adapter.apply(self.whitening.apply(vectors, runtime=runtime)))

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
    """Return the whitening of a suite without feedback, and the vectors after it, of length one.

    It is half of a full whitening (power 0.5). The fewer vectors there are for their dimension, the
    more their covariance is shrunk towards a multiple of the identity.
    """
    n, dim = vectors.shape
    if n < 2:
        raise ShapeError(f"vectors: expected at least two tests, got {n}")
    shrinkage = dim / (n + dim)
    whitening = Whitening.fit(vectors, shrinkage=shrinkage, power=0.5, runtime=runtime)
    return whitening, unit(whitening.apply(vectors, runtime=runtime))


def unit(rows: Array) -> Array:
    """Return rows scaled to length one. A row of zeros stays."""
    lengths = np.linalg.norm(rows, axis=1, keepdims=True)
    scaled: Array = rows / np.where(lengths == 0, 1, lengths)
    return scaled
