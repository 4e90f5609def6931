"""Judgements as pairs of positions of tests, for training."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from flashwasm.qe.adaptation.feedback_log import Judgement

__all__ = ["Pairs"]

Array = npt.NDArray[Any]
# Maximum weight of a judgement. A test that was certain to be shown has the weight 1.
_HEAVIEST = 10.0


@dataclass(frozen=True)
class Pairs:
    """Judged pairs of tests, by their positions.

    Attributes
    ----------
    query, test : numpy.ndarray of int64, shape (n,)
        Positions of the test that was asked about and of the test that was judged.
    accepted : numpy.ndarray of bool, shape (n,)
        Verdicts.
    weight : numpy.ndarray of float64, shape (n,)
        One over the probability with which the test was shown, at most 10.
    """

    query: Array
    test: Array
    accepted: Array
    weight: Array

    @classmethod
    def of(cls, judgements: Sequence[Judgement], find: Callable[[str], int | None]) -> Pairs:
        """Return the judgements whose two tests are still in the suite.

        Parameters
        ----------
        judgements : sequence of Judgement
            Verdicts.
        find : callable
            Function from a node id to a position, or None.
        """
        found = [(find(judged.query), find(judged.test), judged) for judged in judgements]
        kept = [(a, b, judged) for a, b, judged in found if a != b and None not in {a, b}]
        return cls(
            query=np.array([a for a, _, _ in kept], np.int64),
            test=np.array([b for _, b, _ in kept], np.int64),
            accepted=np.array([judged.accepted for *_, judged in kept], np.bool_),
            weight=np.array(
                [min(1 / (judged.propensity or 1.0), _HEAVIEST) for *_, judged in kept], np.float64
            ),
        )

    def __len__(self) -> int:
        return len(self.query)

    def __getitem__(self, chosen: Array) -> Pairs:
        """Return the pairs that a mask or an array of positions selects."""
        return Pairs(
            self.query[chosen], self.test[chosen], self.accepted[chosen], self.weight[chosen]
        )
