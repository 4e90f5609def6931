"""Training of an adapter on pairs of tests that people have judged."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from flashwasm.adapt import LoRAAdapter

if TYPE_CHECKING:
    from flashwasm.qe.adaptation.judged_pairs import Pairs
    from flashwasm.runtime.runtime import Runtime

__all__ = ["train"]

Array = npt.NDArray[Any]

# These settings were chosen on networkx's tests; docs/guide/feedback.md has the figures.
_RANK = 64
_STEPS = 2500
_LEARNING_RATE = 3e-3
_LAST_RATE = 1e-9
_DECAY = 0.3
# Weight of a step that keeps the difference of a rejected or random pair. A step that pulls an
# accepted pair together has the weight 1.
_NEGATIVE = 0.1


def train(prepared: Array, pairs: Pairs, *, seed: int = 0, runtime: Runtime) -> LoRAAdapter:
    """Train an adapter to ignore the differences between the vectors of accepted pairs.

    A step with an accepted pair pulls the difference of its two vectors towards zero. A step with a
    rejected or random pair keeps the difference unchanged, so that different tests stay apart.
    Weight decay pulls the adapter back towards the identity. The loss is quadratic in the change
    that the adapter makes, so there is no local optimum in which the adapter has only memorised a
    few pairs.

    Parameters
    ----------
    prepared : numpy.ndarray of float32, shape (n, dim)
        Vectors of all tests, as `prior` returned them.
    pairs : Pairs
        Judged pairs, at least one of them accepted.
    seed : int, default 0
        Seed of the order in which pairs are drawn.
    runtime : Runtime
        Runtime of the training.

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
    # A random pair combines the first test of the accepted pair with any other test, judged or not,
    # because most pairs of tests are unlike.
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
    """Return a pair for each step: all pairs in random order, repeatedly. Weights average 1."""
    passes = -(-_STEPS // len(pairs))
    order = np.concatenate([rng.permutation(len(pairs)) for _ in range(passes)])[:_STEPS]
    weight = pairs.weight / pairs.weight.mean()
    columns = (pairs.query[order], pairs.test[order], weight[order])
    return list(zip(*(column.tolist() for column in columns), strict=True))
