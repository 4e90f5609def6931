"""Fusion of the scores of several scorers into one.

Each scorer measures one kind of similarity. The sum of their z-scores ranks better than the best
single scorer (Fox & Shaw, "Combination of multiple searches", 1994).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

__all__ = ["fused", "shares_of_fused"]

Array = npt.NDArray[Any]
# Weights of scorers other than 1. Most terms of "structure" are names of called functions, which
# "characters" also contains. With full weight, suites without classes rank worse.
_WEIGHTS = {"structure": 0.5}


def fused(components: Mapping[str, Array], left_out: int | None = None) -> Array:
    """Return the weighted mean of the components' z-scores; "structure" has the weight 0.5.

    A z-score is the number of standard deviations by which a score exceeds the mean score. A
    component whose scores are all equal carries no information and counts as zero.

    Parameters
    ----------
    components : mapping of str to numpy.ndarray, shape (n,)
        Scores by scorer, at least one.
    left_out : int, optional
        Position to leave out of the mean and the deviation: that of the query itself, whose score
        of one would distort them.
    """
    total = np.zeros(len(next(iter(components.values()))), np.float64)
    for name, scores in components.items():
        total += _weight(name) * _z_scores(scores, left_out)
    return total / sum(map(_weight, components))


def shares_of_fused(
    components: Mapping[str, Array], left_out: int | None = None
) -> dict[str, Array]:
    """Return the share of each component in `fused`. The shares add up to the fused score.

    Parameters
    ----------
    components, left_out
        As for `fused`.
    """
    whole = sum(map(_weight, components))
    return {
        name: _weight(name) * _z_scores(scores, left_out) / whole
        for name, scores in components.items()
    }


def _weight(name: str) -> float:
    """Return the weight of a component."""
    return _WEIGHTS.get(name, 1.0)


def _z_scores(scores: Array, left_out: int | None) -> Array:
    """Return the z-scores of a component; zeros if its scores are all equal."""
    others = scores if left_out is None else np.delete(scores, left_out)
    deviation = others.std(dtype=np.float64) if len(others) else 0.0
    if deviation == 0:
        return np.zeros(len(scores), np.float64)
    z_scores: Array = (scores - others.mean(dtype=np.float64)) / deviation
    return z_scores
