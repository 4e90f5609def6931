"""One result of a search for tests."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from flashwasm.qe.similarity.explanation import Explanation
    from flashwasm.qe.suites.suite import CollectedTest

__all__ = ["Match"]


@dataclass(frozen=True)
class Match:
    """A test that resembles the query.

    Parameters
    ----------
    nodeid : str
        The test's node id.
    score : float
        Mean of the components' z-scores: standard deviations above the suite's average likeness.
    test : CollectedTest
        The test itself.
    components : mapping of str to float
        Cosine by scorer, in [-1, 1].
    explanation : Explanation or None
        What it shares with the query, where that was asked for.
    propensity : float
        The probability with which it was shown: less than one where it was drawn at random.
    """

    nodeid: str
    score: float
    test: CollectedTest
    components: Mapping[str, float] = field(default_factory=dict)
    explanation: Explanation | None = None
    propensity: float = 1.0
