"""A result of `SuiteIndex.similar`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from flashwasm.html_tables import html_table

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from flashwasm.qe.similarity.explanation import Explanation
    from flashwasm.qe.suites.suite import CollectedTest

    Array = NDArray[Any]

__all__ = ["Match", "match_at"]


@dataclass(frozen=True)
class Match:
    """A test that is similar to the query.

    Parameters
    ----------
    nodeid : str
        Node id of the test.
    score : float
        Mean of the components' z-scores: the number of standard deviations by which the test is
        more similar to the query than the average test of the suite.
    test : CollectedTest
        The test itself.
    components : mapping of str to float
        Cosine by scorer, in [-1, 1].
    explanation : Explanation or None
        Names and lines in common with the query, if requested.
    propensity : float
        Probability with which the test was shown: 1 unless it was drawn at random.
    shares : mapping of str to float
        Share of each scorer in the score, in standard deviations. The shares add up to the score.
    """

    nodeid: str
    score: float
    test: CollectedTest
    components: Mapping[str, float] = field(default_factory=dict)
    explanation: Explanation | None = None
    propensity: float = 1.0
    shares: Mapping[str, float] = field(default_factory=dict)

    _repr_html_ = html_table


def match_at(
    at: int,
    test: CollectedTest,
    total: Array,
    parts: tuple[Mapping[str, Array], Mapping[str, Array]],
    explanation: Explanation | None,
    propensity: float,
) -> Match:
    """Return the match of the test at a position; ``parts`` are scores and shares by scorer."""
    scores, shares = ({name: float(x[at]) for name, x in part.items()} for part in parts)
    return Match(test.nodeid, float(total[at]), test, scores, explanation, propensity, shares)
