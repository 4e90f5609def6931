"""Results that are drawn at random, each with the probability with which it is shown."""

from collections import Counter

import pytest

import flashwasm as fw
from flashwasm.qe.similarity.exploratory_ranking import explore_ranking


def test_nothing_is_random_unless_asked_for():
    assert explore_ranking([4, 2, 9], 2, 0.0) == [(4, 1.0), (2, 1.0)]
    # No results are left below the first three, so nothing is drawn.
    assert explore_ranking([4, 2, 9], 3, 1.0, seed=0) == [(4, 1.0), (2, 1.0), (9, 1.0)]
    for share in (-0.1, 1.1, float("nan")):
        with pytest.raises(fw.ShapeError, match="explore"):
            explore_ranking([1, 2, 3], 1, share)


@pytest.mark.parametrize(("k", "share"), [(5, 0.2), (5, 1.0), (1, 0.1), (8, 0.5)])
def test_propensities_are_how_often_a_test_is_shown(k, share):
    rounds, counts, claimed = 3000, Counter(), {}
    for seed in range(rounds):
        shown = explore_ranking(list(range(40)), k, share, seed)
        assert len({i for i, _ in shown}) == k
        counts.update(i for i, _ in shown)
        claimed |= dict(shown)
    assert sum(claimed.values()) == pytest.approx(k)
    for i, propensity in claimed.items():
        # A share of the rounds may deviate from its probability by five standard deviations.
        bound = 5 * (propensity * (1 - propensity) / rounds) ** 0.5
        assert abs(counts[i] / rounds - propensity) <= bound


def test_only_the_first_hundred_ranks_are_drawn_from():
    seen = {i for seed in range(300) for i, _ in explore_ranking(range(500), 10, 0.5, seed)}
    assert 90 < max(seen) < 100
