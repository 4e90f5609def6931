"""Adaptation to feedback: the training, and the gate that rejects adaptations without a gain."""

import json
from dataclasses import replace

import numpy as np
import pytest

import flashwasm as fw
from bench.adaptation import feedback as bench
from flashwasm.qe import Judgement
from flashwasm.qe.adaptation.adapter_training import train
from flashwasm.qe.adaptation.cross_validation import EmbeddedSuite, judge
from flashwasm.qe.adaptation.embedding_adaptation import prior
from flashwasm.qe.adaptation.judged_pairs import Pairs
from flashwasm.qe.scoring.embedding_whitening import unit_rows, whiten_collection
from labelled_suite import classes
from sample_arrays import assert_same_bits, normal


@pytest.fixture(scope="module")
def suite():
    return classes()


def verdict(suite, kind, runtime, count=200, seed=0):
    pool, rng = np.arange(len(suite.files)), np.random.default_rng(seed)
    pairs = bench.KINDS[kind](suite, pool, count, rng)
    return judge(EmbeddedSuite(suite.prepared, suite.files), pairs, runtime=runtime)


# Training.


def test_the_prior_is_the_whitening_that_similar_uses():
    vectors = normal(90, 24)
    ours, theirs = prior(vectors)[1], whiten_collection(vectors)[1]
    assert np.abs(ours @ ours.T - theirs @ theirs.T).max() < 1e-5
    with pytest.raises(fw.ShapeError, match="at least two tests"):
        prior(vectors[:1])


def test_training_is_deterministic_and_draws_pairs_together(suite, one_thread):
    pairs = bench.KINDS["random pairs of a class"](
        suite, np.arange(240), 100, np.random.default_rng(0)
    )
    adapters = [train(suite.prepared, pairs, seed=3, runtime=one_thread) for _ in "ab"]
    assert_same_bits(adapters[0].b, adapters[1].b)
    adapted = unit_rows(adapters[0].apply(suite.prepared))
    near = pairs[pairs.accepted]
    before, after = (
        (v[near.query] * v[near.test]).sum(1).mean() for v in (suite.prepared, adapted)
    )
    assert after > before + 0.1
    # Tests without any feedback stay apart.
    cosines = adapted[240:] @ adapted[:240].T
    assert abs(cosines.mean()) < 0.1


def test_judgements_become_weighted_pairs():
    judged = [
        Judgement("a", "b", accepted=True),
        Judgement("a", "c", accepted=False, propensity=0.25),
        Judgement("b", "c", accepted=True, propensity=1e-3),
        Judgement("a", "gone", accepted=True),
    ]
    pairs = Pairs.of(judged, {"a": 0, "b": 1, "c": 2}.get)
    assert pairs.query.tolist() == [0, 0, 1]
    assert pairs.test.tolist() == [1, 2, 2]
    assert pairs.accepted.tolist() == [True, False, True]
    assert pairs.weight.tolist() == [1, 4, 10]  # The weight 1000 is clipped to 10.
    assert len(Pairs.of([], {}.get)) == 0


def test_weights_act_as_repetitions_would(suite, one_thread):
    """A pair that was shown with a quarter of the probability counts four times as much."""
    rng = np.random.default_rng(1)
    pairs = bench.KINDS["random pairs of a class"](suite, np.arange(480), 60, rng)
    pairs = pairs[pairs.accepted]
    light = np.arange(len(pairs)) % 2 == 0
    weighted = replace(pairs, weight=np.where(light, 4.0, 1.0))
    repeated = pairs[np.repeat(np.arange(len(pairs)), np.where(light, 4, 1))]

    def change(p):
        adapter = train(suite.prepared, p, runtime=one_thread)
        return (adapter.b @ adapter.a).ravel()

    plain, one, other = change(pairs), change(weighted), change(repeated)
    assert np.linalg.norm(one - other) < np.linalg.norm(plain - other)


# The gate.


def test_feedback_that_helps_passes(suite, one_thread):
    found = verdict(suite, "random pairs of a class", one_thread)
    assert found.passed
    assert found.reason == "the ranks in held-out files improve"
    assert found.gain.low > 0
    assert found.gain.mean == pytest.approx(found.after - found.before)
    assert found.agreement.low > 0.5
    json.dumps(found.as_dict())


@pytest.mark.parametrize("kind", [kind for kind in bench.KINDS if "judged" in kind or "fl" in kind])
def test_noise_and_flipped_feedback_do_not_pass(suite, one_thread, kind):
    for seed in range(3):
        found = verdict(suite, kind, one_thread, seed=seed)
        assert not found.passed
        if "flipped" in kind:
            assert found.reason.startswith("the feedback contradicts the ranking without it")


def test_few_files_are_not_enough(suite, one_thread):
    pairs = Pairs(np.arange(0, 20, 8), np.arange(1, 21, 8), np.ones(3, np.bool_), np.ones(3))
    found = judge(EmbeddedSuite(suite.prepared, suite.files), pairs, runtime=one_thread)
    assert (found.passed, found.accepted, found.gain) == (False, 3, None)
    assert found.reason == "accepted pairs of at least 5 files are needed; there are 3"


def test_a_gain_that_other_scorers_have_anyway_does_not_count(suite, one_thread):
    """The gate judges the order that a user sees: here another scorer already orders perfectly."""
    query, test = np.nonzero(suite.classes[:200, None] == suite.classes[:200])
    pairs = Pairs(query, test, np.ones(len(query), np.bool_), np.ones(len(query)))
    pairs = pairs[query != test]

    def others(query):
        return {"known": 1.0 * (suite.classes == suite.classes[query])}

    found = judge(EmbeddedSuite(suite.prepared, suite.files, others), pairs, runtime=one_thread)
    assert (found.before, found.passed) == (1, False)


@pytest.mark.parametrize("kind", ["random pairs of a class", "any two tests, judged by a coin"])
def test_the_benchmark_measures_files_without_feedback(suite, one_thread, kind):
    found = bench.run_quality(suite, kind, 150, 3, runtime=one_thread)
    change = np.subtract(found.after, found.before)
    assert (change >= 0).all()
    if "coin" in kind:
        assert not any(found.activated)
    else:
        assert all(found.activated)
        assert change.mean() > 0.02
    assert len(bench.row(found)) == len(bench.HEADINGS)
