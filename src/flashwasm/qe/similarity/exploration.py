"""Showing a few results at random, so that feedback also says something of what ranks low."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from flashwasm.errors import ShapeError
from flashwasm.validation import finite_float

__all__ = ["explored"]

# Results are drawn from the first so many ranks: further down there is hardly anything to accept,
# and random negatives stand for that.
_REACH = 100


def explored(
    order: Sequence[int], k: int, share: float, seed: int | None = None
) -> list[tuple[int, float]]:
    """Return what is shown, and the probability with which each of it is.

    A share of the k places, one at least, goes to a uniform draw from the ranks below them, up to
    rank 100; where among the places these stand is random too.

    Parameters
    ----------
    order : sequence of int
        All results, best first.
    k : int
        Places.
    share : float
        From 0, nothing at random, to 1.
    seed : int, optional
        What decides; None is a different draw each time.

    Returns
    -------
    list of (int, float)
        Results in the order in which to show them, with propensities.

    Examples
    --------
    >>> explored([5, 3, 8, 1], 2, 0.0)
    [(5, 1.0), (3, 1.0)]
    >>> sorted(explored(range(9), 4, 0.5, seed=0))[:2]
    [(0, 1.0), (1, 1.0)]
    """
    if not 0 <= finite_float(share, "explore") <= 1:
        raise ShapeError(f"explore: expected a share from 0 to 1, got {share}")
    drawn = max(1, round(share * k)) if share else 0
    kept, below = list(order[: k - drawn]), list(order[k - drawn : max(_REACH, k)])
    if not drawn or len(below) <= drawn:
        return [(i, 1.0) for i in order[:k]]
    rng = np.random.default_rng(seed)
    shown = [(i, 1.0) for i in kept]
    for i in rng.choice(len(below), drawn, replace=False):
        shown.insert(int(rng.integers(len(shown) + 1)), (below[i], drawn / len(below)))
    return shown
