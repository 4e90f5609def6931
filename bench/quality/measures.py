"""Measures of a ranking, and the confidence interval of a difference between two rankings.

Manning, Raghavan & Schütze, "Introduction to information retrieval", 2008, chapter 8; Efron &
Tibshirani, "An introduction to the bootstrap", 1993, for intervals from resampled queries.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

__all__ = [
    "Figure",
    "average_precision",
    "figures",
    "interval",
    "ndcg",
    "ranked",
    "reciprocal_rank",
]

Array = npt.NDArray[Any]
_RESAMPLES = 2000
_SEED = 0


@dataclass(frozen=True)
class Figure:
    """The result of one method on one collection.

    Attributes
    ----------
    workload, data : str
        Name of the workload, and a text that names the collection and the results to find.
    queries : int
        Number of queries.
    method, metric : str
        Name of the method and of the measure.
    value : float
        Mean over the queries.
    over : float or None
        Difference from the reference; None for the reference itself.
    low, high : float or None
        The 95 % interval of the difference, from resampling the queries in pairs.
    """

    workload: str
    data: str
    queries: int
    method: str
    metric: str
    value: float
    over: float | None = None
    low: float | None = None
    high: float | None = None

    def as_dict(self) -> dict[str, Any]:
        """Return the fields by name, for JSON."""
        return asdict(self)


def figures(
    workload: str,
    data: str,
    measured: Mapping[str, Mapping[str, Array]],
    reference: str,
) -> list[Figure]:
    """Return a figure for each metric and method.

    Parameters
    ----------
    workload, data : str
        Texts as in `Figure`.
    measured : mapping of str to mapping of str to numpy.ndarray, shape (queries,)
        Value for each query, by metric and method.
    reference : str
        Method with which the others are compared.
    """
    found = []
    for metric, by_method in measured.items():
        base = by_method[reference]
        for method, values in by_method.items():
            over, low, high = None, None, None
            if method != reference:
                over, low, high = interval(values - base)
            mean = float(values.mean())
            found.append(Figure(workload, data, len(values), method, metric, mean, over, low, high))
    return found


def interval(differences: Array) -> tuple[float, float, float]:
    """Return a mean and its 95 % percentile interval by the bootstrap.

    Parameters
    ----------
    differences : numpy.ndarray, shape (n,)
        Differences of paired values.
    """
    rng = np.random.default_rng(_SEED)
    n = len(differences)
    means = [differences[rng.integers(0, n, n)].mean() for _ in range(_RESAMPLES)]
    low, high = np.percentile(means, [2.5, 97.5])
    return float(differences.mean()), float(low), float(high)


def ranked(scores: Array, own: int | None = None) -> Array:
    """Return positions by descending score, without the query's own.

    Parameters
    ----------
    scores : numpy.ndarray, shape (n,)
        Scores.
    own : int, optional
        Position of the query, if it is in the collection.
    """
    order = np.argsort(-scores, kind="stable")
    return order if own is None else order[order != own]


def reciprocal_rank(relevant: Array) -> float:
    """Return one over the rank of the first relevant result, or 0 if there is none.

    Parameters
    ----------
    relevant : numpy.ndarray of bool, shape (n,)
        True for each relevant result, in the order of the ranking.
    """
    first = np.flatnonzero(relevant)[:1]
    return float(1 / (1 + first[0])) if len(first) else 0.0


def average_precision(relevant: Array) -> float:
    """Return the mean of the precision at each relevant result, or 0 if there is none.

    Parameters
    ----------
    relevant : numpy.ndarray of bool, shape (n,)
        True for each relevant result, in the order of the ranking.
    """
    ranks = np.flatnonzero(relevant) + 1
    return float((np.arange(1, len(ranks) + 1) / ranks).mean()) if len(ranks) else 0.0


def ndcg(gains: Array, ideal: Array, k: int = 10) -> float:
    """Return the discounted gain of the first k results over the best possible one.

    Parameters
    ----------
    gains, ideal : numpy.ndarray of float, shape (n,)
        Gains in the order of the ranking, and in descending order. The greatest is above 0.
    k : int
        Number of results that count.
    """
    discount = 1 / np.log2(np.arange(2, k + 2))
    best = float(ideal[:k] @ discount[: len(ideal[:k])])
    return float(gains[:k] @ discount[: len(gains[:k])]) / best
