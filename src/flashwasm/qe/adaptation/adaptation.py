"""How a suite's embeddings are adapted to feedback: whitening, then a low-rank change."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from flashwasm.adapt import LoRAAdapter, Whitening
from flashwasm.errors import ShapeError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from flashwasm.qe.adaptation.feedback import Judgement
    from flashwasm.runtime.runtime import Runtime

__all__ = ["Adaptation", "Pairs", "prior", "train"]

Array = npt.NDArray[Any]

# Chosen on networkx; the figures are in docs/guide/test-suites.md.
_RANK = 64
_STEPS = 2500
_LEARNING_RATE = 3e-3
_DECAY = 0.3
# How much holding on to a rejected pair, or to a random one, counts beside drawing an accepted one
# together.
_NEGATIVE = 0.1
# A judgement counts at most so many times as one whose test was certain to be shown.
_HEAVIEST = 10.0
_LAST_RATE = 1e-9


@dataclass(frozen=True)
class Pairs:
    """Judged pairs of tests, by their positions.

    Attributes
    ----------
    query, test : numpy.ndarray of int64, shape (n,)
        Positions.
    accepted : numpy.ndarray of bool, shape (n,)
        Verdicts.
    weight : numpy.ndarray of float64, shape (n,)
        Inverse propensities, clipped at 10.
    """

    query: Array
    test: Array
    accepted: Array
    weight: Array

    @classmethod
    def of(cls, judgements: Sequence[Judgement], find: Callable[[str], int | None]) -> Pairs:
        """Return those judgements of which both tests are still there.

        Parameters
        ----------
        judgements : sequence of Judgement
            Verdicts.
        find : callable
            Takes a node id and returns a position, or None.
        """
        rows = [
            (a, b, judgement.accepted, min(1 / (judgement.propensity or 1.0), _HEAVIEST))
            for judgement in judgements
            for a, b in [(find(judgement.query), find(judgement.test))]
            if a is not None and b is not None and a != b
        ]
        query, test, accepted, weight = zip(*rows, strict=True) if rows else ([],) * 4
        return cls(
            *(np.array(query, np.int64), np.array(test, np.int64)),
            *(np.array(accepted, np.bool_), np.array(weight, np.float64)),
        )

    def __len__(self) -> int:
        return len(self.query)

    def __getitem__(self, chosen: Array) -> Pairs:
        """Return the pairs that a mask or an array of positions chooses."""
        return Pairs(
            self.query[chosen], self.test[chosen], self.accepted[chosen], self.weight[chosen]
        )


@dataclass(frozen=True)
class Adaptation:
    """What is done to embeddings before their cosines are taken.

    Parameters
    ----------
    whitening : Whitening
        Of the suite as it was when the adapter was trained.
    adapter : LoRAAdapter
        What was learned.
    """

    whitening: Whitening
    adapter: LoRAAdapter

    def __call__(self, vectors: Array) -> Array:
        """Return unit vectors ``(n, dim)`` in float32."""
        runtime = self.adapter.runtime
        return unit(self.adapter.apply(self.whitening.apply(vectors, runtime=runtime)))

    def save(self, folder: Path) -> None:
        """Write it into a folder that is there."""
        self.whitening.save(folder / "whitening")
        self.adapter.save(folder / "adapter")

    @classmethod
    def load(cls, folder: Path, runtime: Runtime | None = None) -> Adaptation:
        """Return what `save` wrote."""
        whitening = Whitening.load(folder / "whitening")
        return cls(whitening, LoRAAdapter.load(folder / "adapter", runtime=runtime))


def prior(vectors: Array, runtime: Runtime | None = None) -> tuple[Whitening, Array]:
    """Return what is done to a suite's embeddings without feedback, and the unit vectors of that.

    Half of the whitening, with the covariance shrunk where there are few vectors.
    """
    n, dim = vectors.shape
    if n < 2:
        raise ShapeError(f"vectors: expected at least two tests, got {n}")
    shrinkage = dim / (n + dim)
    whitening = Whitening.fit(vectors, shrinkage=shrinkage, power=0.5, runtime=runtime)
    return whitening, unit(whitening.apply(vectors, runtime=runtime))


def train(prepared: Array, pairs: Pairs, *, seed: int = 0, runtime: Runtime) -> LoRAAdapter:
    """Learn from judged pairs which differences between vectors say nothing.

    Each step regresses the difference of an accepted pair towards zero; that of a rejected pair,
    and that of a random one, towards itself, so that tests stay apart that were told apart. Weight
    decay draws the adapter home to the identity. All of it is quadratic in the change that the
    adapter makes: it has no local optimum in which a few pairs are learned by heart.

    Parameters
    ----------
    prepared : numpy.ndarray of float32, shape (n, dim)
        Vectors of all tests, as `prior` returned them.
    pairs : Pairs
        At least one of them accepted.
    seed : int, default 0
        What decides the order.
    runtime : Runtime
        Where it runs.

    Returns
    -------
    LoRAAdapter

    Notes
    -----
    The optimum of such a step in closed form is the within-class covariance normalisation of
    Hatch, Kajarekar & Stolcke, "Within-class covariance normalization for SVM-based speaker
    recognition", 2006. Weights are those of Horvitz & Thompson, clipped as by Ionides, "Truncated
    importance sampling", 2008.
    """
    rng = np.random.default_rng(seed)
    dim = prepared.shape[1]
    rank = min(_RANK, dim)
    adapter = LoRAAdapter(dim, dim, rank=rank, weight_decay=_DECAY, seed=seed, runtime=runtime)
    accepted, rejected = pairs[pairs.accepted], pairs[~pairs.accepted]
    near = _draws(accepted, rng)
    far = _draws(rejected, rng) if len(rejected) else None
    # Any test but the one itself; tests that were not judged among them, since most are unlike.
    others = rng.integers(1, len(prepared), _STEPS)
    nothing = np.zeros(dim, np.float32)
    for step, (a, b, weight) in enumerate(near):
        adapter.learning_rate = _LEARNING_RATE * (1 - step / _STEPS) + _LAST_RATE
        adapter.update(prepared[a] - prepared[b], nothing, weight)
        apart = prepared[a] - prepared[(a + others[step]) % len(prepared)]
        adapter.update(apart, apart, _NEGATIVE)
        if far is not None:
            one, other, certainty = far[step]
            apart = prepared[one] - prepared[other]
            adapter.update(apart, apart, _NEGATIVE * certainty)
    return adapter


def _draws(pairs: Pairs, rng: np.random.Generator) -> list[tuple[int, int, float]]:
    """Return pairs in passes of random order, one a step, with weights of mean one."""
    passes = -(-_STEPS // len(pairs))
    order = np.concatenate([rng.permutation(len(pairs)) for _ in range(passes)])[:_STEPS]
    weight = pairs.weight / pairs.weight.mean()
    columns = (pairs.query[order], pairs.test[order], weight[order])
    return list(zip(*(column.tolist() for column in columns), strict=True))


def unit(rows: Array) -> Array:
    """Return rows at length one; a row of zeros stays."""
    lengths = np.linalg.norm(rows, axis=1, keepdims=True)
    scaled: Array = rows / np.where(lengths == 0, 1, lengths)
    return scaled
