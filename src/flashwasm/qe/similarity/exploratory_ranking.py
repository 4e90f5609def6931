"""Exploratory ranking, which draws a few results at random from the lower ranks.

Without exploration, people would only judge tests that already rank high.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from flashwasm.errors import DTypeError, ShapeError
from flashwasm.validation import finite_float
from flashwasm.validation import shown as shown_value

__all__ = ["explore_ranking"]

# Lowest rank to draw results from. People would accept hardly any result below it, and training
# draws random tests as examples of such results.
_LAST_RANK = 100


def explore_ranking(
    order: Sequence[int], k: int, share: float, seed: int | None = None
) -> list[tuple[int, float]]:
    """Return the results to show, each with its probability of being shown.

    A share of the k places, at least one place, is filled with results drawn uniformly from the
    lower ranks, down to rank 100. They are inserted at random places.

    Parameters
    ----------
    order : sequence of int
        All results, best first.
    k : int
        Number of places.
    share : float
        Share of the places to fill at random, from 0 to 1.
    seed : int, optional
        Seed of the random draw; None uses a different seed each time.

    Returns
    -------
    list of tuple of (int, float)
        Results in the order of display, with propensities.

    Examples
    --------
    >>> explore_ranking([5, 3, 8, 1], 2, 0.0)
    [(5, 1.0), (3, 1.0)]
    >>> sorted(explore_ranking(range(9), 4, 0.5, seed=0))[:2]
    [(0, 1.0), (1, 1.0)]
    """
    if not 0 <= finite_float(share, "explore") <= 1:
        raise ShapeError(f"explore: expected a share from 0 to 1, got {share}")
    if seed is not None and (isinstance(seed, bool) or not isinstance(seed, (int, np.integer))):
        raise DTypeError(f"seed: expected an integer or None, got {shown_value(seed)}")
    if seed is not None and seed < 0:
        raise ShapeError(f"seed: expected at least 0, got {shown_value(seed)}")
    drawn = max(1, round(share * k)) if share else 0
    kept, below = list(order[: k - drawn]), list(order[k - drawn : max(_LAST_RANK, k)])
    if not drawn or len(below) <= drawn:
        return [(i, 1.0) for i in order[:k]]
    rng = np.random.default_rng(seed)
    shown = [(i, 1.0) for i in kept]
    for i in rng.choice(len(below), drawn, replace=False):
        shown.insert(int(rng.integers(len(shown) + 1)), (below[i], drawn / len(below)))
    return shown
