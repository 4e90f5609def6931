"""Choice of the weights of evidence, by leaving out one project after another.

The weights make the tests that changed with the product likely: the loss is the cross-entropy of
the softmax of the sums (Cao et al., "Learning to rank: from pairwise approach to listwise
approach", 2007). Weights are not negative. Each change counts four times, with and without the
model and with and without git, because one sum must rank in all four cases.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from bench.quality.change_ranking import RankedChange, measures_of, total
from flashwasm.qe.changes.evidence import WEIGHTS

if TYPE_CHECKING:
    from flashwasm.benchmarks.report import Rows

__all__ = ["choose_weights", "fit_weights"]

Array = npt.NDArray[Any]
_ABSENT: tuple[set[str], ...] = (set(), {"meaning"}, {"co-change"}, {"meaning", "co-change"})
_STEPS, _RATE, _DECAY = 250, 0.05, 0.003
# Constants of Adam, as in Kingma & Ba, "Adam: a method for stochastic optimization", 2015; the
# second forgets faster, since there are few steps.
_FIRST, _SECOND, _SMALL = 0.9, 0.99, 1e-8
_SHOWN = ("MRR", "recall@10", "recall at 10 %")


def fit_weights(changes: Sequence[RankedChange]) -> dict[str, float]:
    """Return the weights that suit some changes best, with 1 for "text".

    Every project counts the same.

    Parameters
    ----------
    changes : sequence of RankedChange
        Changes with the strengths of their evidence.
    """
    kinds = list(WEIGHTS)
    sizes = Counter(change.project for change in changes)
    samples = []
    for change in changes:
        nothing = np.zeros(len(change.relevant))
        columns = [change.strengths.get(kind, nothing) for kind in kinds]
        share = 1 / (sizes[change.project] * len(sizes) * len(_ABSENT))
        wanted = change.relevant / change.relevant.sum()
        for absent in _ABSENT:
            present = np.array([kind not in absent for kind in kinds], np.float64)
            samples.append((np.stack(columns, axis=1) * present, wanted, share))
    weights = np.full(len(kinds), 0.3)
    mean, square = np.zeros(len(kinds)), np.zeros(len(kinds))
    for step in range(1, _STEPS + 1):
        gradient = 2 * _DECAY * weights
        for strengths, wanted, share in samples:
            sums = strengths @ weights
            likely = np.exp(sums - sums.max())
            gradient = gradient + share * (strengths.T @ (likely / likely.sum() - wanted))
        mean = _FIRST * mean + (1 - _FIRST) * gradient
        square = _SECOND * square + (1 - _SECOND) * gradient**2
        scale = np.sqrt(square / (1 - _SECOND**step)) + _SMALL
        weights = np.maximum(weights - _RATE * mean / (1 - _FIRST**step) / scale, 0)
    text = weights[kinds.index("text")] or 1.0
    return {kind: float(weight / text) for kind, weight in zip(kinds, weights, strict=True)}


def choose_weights(changes: Sequence[RankedChange]) -> tuple[str, Sequence[str], Rows]:
    """Return a table of the weights without each project, and of the measures on that project.

    The last rows are the weights of all projects, and those in use.

    Parameters
    ----------
    changes : sequence of RankedChange
        Changes of two projects or more.
    """
    rows: Rows = []
    for project in dict.fromkeys(change.project for change in changes):
        others = [change for change in changes if change.project != project]
        if others:
            own = [change for change in changes if change.project == project]
            rows.append(_row(f"without {project}", fit_weights(others), own))
    rows.append(_row("of all", fit_weights(changes), changes))
    rows.append(_row("in use", WEIGHTS, changes))
    headings = ("what", *WEIGHTS, *_SHOWN)
    return "Weights, and how they rank the project that was left out", headings, rows


def _row(name: str, weights: Any, changes: Sequence[RankedChange]) -> tuple[str, ...]:
    """Return the cells of some weights, and their measures on some changes."""
    found = [measures_of(total(change, weights), change.relevant) for change in changes]
    means = (np.mean([one[metric] for one in found]) for metric in _SHOWN)
    return (name, *(f"{weights[k]:.2f}" for k in WEIGHTS), *(f"{mean:.3f}" for mean in means))
