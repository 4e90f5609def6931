"""Choice of the weights of evidence, by leaving out one project after another.

The choice is the mean of the best fifty of many random weights. The single best weights would fit a
few changes by accident, and many others rank about as well. "text" always has the weight 1.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from bench.quality.change_ranking import RankedChange, measures_of, total
from flashwasm.qe.changes.ranking.evidence import WEIGHTS

if TYPE_CHECKING:
    from flashwasm.benchmarks.report import Rows

__all__ = ["WeightChoice"]

Array = npt.NDArray[Any]
# Smallest and largest weight of each kind that is drawn.
_RANGES: Mapping[str, tuple[float, float]] = {
    "text": (1.0, 1.0),
    "meaning": (0.5, 2.0),
    "words": (0.0, 2.0),
    "names": (0.0, 1.0),
    "file name": (0.0, 1.0),
    "imports": (0.0, 1.5),
    "co-change": (0.0, 1.0),
    "history": (0.25, 1.5),
}
_DRAWN = 1000
_BEST = 50
_METRICS = ("MRR", "recall@10", "recall at 10 %")


class WeightChoice:
    """The weights that fit past changes of several projects best.

    Parameters
    ----------
    changes : sequence of RankedChange
        Changes with the strengths of their evidence, at least one.
    advance : callable
        Function that is called with the number of changes tried so far and their number.
    """

    def __init__(
        self, changes: Sequence[RankedChange], advance: Callable[[int, int], None]
    ) -> None:
        self._changes = list(changes)
        low, high = np.array(list(_RANGES.values())).T
        drawn = np.random.default_rng(0).uniform(low, high, size=(_DRAWN, len(_RANGES)))
        self._tried = [dict(zip(_RANGES, one.tolist(), strict=True)) for one in drawn]
        # Mean of the metrics for each change and each of the weights.
        self._found = np.zeros((len(changes), len(self._tried)))
        for row, change in enumerate(changes):
            for column, weights in enumerate(self._tried):
                self._found[row, column] = np.mean(_measures(change, weights))
            advance(row + 1, len(changes))

    def weights(self, *, without: str | None = None) -> dict[str, float]:
        """Return the weights that fit all projects best, or all but one, with equal influence."""
        projects = np.array([change.project for change in self._changes])
        kept = [name for name in dict.fromkeys(projects.tolist()) if name != without]
        means = np.mean([self._found[projects == name].mean(axis=0) for name in kept], axis=0)
        best = np.argsort(-means, kind="stable")[:_BEST]
        return {kind: float(np.mean([self._tried[i][kind] for i in best])) for kind in _RANGES}

    def section(self) -> tuple[str, Sequence[str], Rows]:
        """Return a table of the weights chosen without each project, and its ranking by them.

        The last rows are for all changes: with the weights chosen without the project of each
        change, with those chosen from all projects, and with those in use.
        """
        rows: Rows = []
        projects = list(dict.fromkeys(change.project for change in self._changes))
        left_out: list[Array] = []
        for project in projects if len(projects) > 1 else []:
            weights = self.weights(without=project)
            own = [_measures(c, weights) for c in self._changes if c.project == project]
            left_out += own
            rows.append(_row(f"without {project}", weights, own))
        if left_out:
            rows.append(("each left out", *("" for _ in _RANGES), *_means(left_out)))
        for name, weights in (("of all", self.weights()), ("in use", dict(WEIGHTS))):
            rows.append(_row(name, weights, [_measures(c, weights) for c in self._changes]))
        title = "Weights, and their ranking of the project that was left out"
        return title, ("what", *_RANGES, *_METRICS), rows


def _measures(change: RankedChange, weights: Mapping[str, float]) -> Array:
    """Return the metrics of one change by some weights."""
    found = measures_of(total(change, weights), change.relevant)
    return np.array([found[metric] for metric in _METRICS])


def _row(name: str, weights: Mapping[str, float], found: Sequence[Array]) -> tuple[str, ...]:
    """Return the cells of some weights, and of their measures."""
    return (name, *(f"{weights[kind]:.2f}" for kind in _RANGES), *_means(found))


def _means(found: Sequence[Array]) -> tuple[str, ...]:
    """Return the mean of each metric as text."""
    return tuple(f"{mean:.3f}" for mean in np.mean(found, axis=0))
