"""Confidence intervals of means, by a bootstrap over groups of values.

The tests of one file are similar, so their values are not independent. Each resample therefore
draws whole files, with all their values, instead of single values.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

__all__ = ["Interval", "group_interval", "pair_interval"]

Array = npt.NDArray[Any]
_RESAMPLES = 10_000
_LEVEL = 0.95


@dataclass(frozen=True)
class Interval:
    """A mean with its 95 % confidence interval.

    Attributes
    ----------
    mean : float
        Mean of the values.
    low, high : float
        Ends of the interval.
    """

    mean: float
    low: float
    high: float


def group_interval(values: Array, groups: Array, rng: np.random.Generator) -> Interval:
    """Return the mean of values ``(n,)`` with its interval; ``groups`` has the group of each."""
    _, member = np.unique(groups, return_inverse=True)
    sums, sizes = np.bincount(member, values), np.bincount(member)
    drawn = _drawn(len(sizes), rng)
    return _interval(values.mean(), drawn @ sums / (drawn @ sizes))


def pair_interval(
    comparisons: Array, rows: Array, columns: Array, rng: np.random.Generator
) -> Interval:
    """Return the mean of a matrix of comparisons and its interval.

    ``rows`` and ``columns`` have the number of the group of each row and of each column, from 0. If
    a resample draws the group of the row twice and the group of the column three times, the
    comparison counts six times.
    """
    count = 1 + max(rows.max(), columns.max())
    in_row, in_column = np.eye(count)[rows], np.eye(count)[columns]
    won = in_row.T @ comparisons @ in_column
    made = np.outer(in_row.sum(axis=0), in_column.sum(axis=0))
    drawn = _drawn(count, rng)
    won, made = (((drawn @ sums) * drawn).sum(axis=1) for sums in (won, made))
    return _interval(comparisons.mean(), won[made > 0] / made[made > 0])


def _drawn(count: int, rng: np.random.Generator) -> Array:
    """Return the number of times that each resample draws each of ``count`` groups."""
    return rng.multinomial(count, np.full(count, 1 / count), _RESAMPLES).astype(np.float64)


def _interval(mean: float, resampled: Array) -> Interval:
    """Return a mean with the quantiles of the resampled means."""
    low, high = np.quantile(resampled, [(1 - _LEVEL) / 2, (1 + _LEVEL) / 2])
    return Interval(float(mean), float(low), float(high))
