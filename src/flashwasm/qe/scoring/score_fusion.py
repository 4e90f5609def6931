"""Fusion of the scores of several scorers into one.

Each scorer sees one kind of similarity. The sum of their z-scores ranks better than the best of
them alone (Fox & Shaw, "Combination of multiple searches", 1994).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

__all__ = ["fused"]

Array = npt.NDArray[Any]
# Weights of scorers, if not one. Most terms of "structure" are names of called functions, which
# "characters" has, too. With full weight, suites without classes rank worse.
_WEIGHTS = {"structure": 0.5}


def fused(components: Mapping[str, Array], left_out: int | None = None) -> Array:
    """Return the weighted mean of the components' z-scores; "structure" has the weight 0.5.

    A z-score is the number of standard deviations by which a score exceeds the mean score. A
    component whose scores are all equal says nothing and counts as zero.

    Parameters
    ----------
    components : mapping of str to numpy.ndarray, shape (n,)
        Scores by scorer, at least one.
    left_out : int, optional
        Position that mean and deviation leave out: that of the query itself, whose score of one
        would distort them.
    """
    total = np.zeros(len(next(iter(components.values()))), np.float64)
    others = np.ones(len(total), np.bool_)
    if left_out is not None:
        others[left_out] = False
    for name, scores in components.items():
        if not others.any():
            break
        deviation = scores[others].std(dtype=np.float64)
        if deviation > 0:
            z_scores = (scores - scores[others].mean(dtype=np.float64)) / deviation
            total += _WEIGHTS.get(name, 1.0) * z_scores
    return total / sum(_WEIGHTS.get(name, 1.0) for name in components)
