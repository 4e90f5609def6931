"""Whitened embeddings, their scores, and the fusion of scores."""

import numpy as np
import pytest

import flashwasm as fw
from flashwasm.qe.scoring import embedding_whitening
from flashwasm.qe.scoring.embedding_whitening import whiten_collection
from flashwasm.qe.scoring.score_fusion import fused, shares_of_fused
from flashwasm.qe.scoring.scorers import MeaningScorer
from sample_arrays import assert_same_bits, normal


@pytest.fixture(autouse=True)
def folders(tmp_path, monkeypatch):
    monkeypatch.setenv("FLASHWASM_CACHE", str(tmp_path / "cache"))
    return tmp_path


# Whitening.


def test_whitening_takes_the_root_of_each_standard_deviation(runtime):
    rows = normal(20_000, 4) * np.float32([16, 4, 1, 1]) + 5
    whitening, unit = whiten_collection(rows, runtime=runtime)
    assert np.allclose(np.linalg.norm(unit, axis=1), 1, atol=1e-6)
    spread = whitening.whitening.apply(rows, runtime=runtime).std(axis=0)
    assert np.allclose(spread, [4, 2, 1, 1], rtol=0.05)
    assert_same_bits(whitening(rows[:7]), unit[:7])


@pytest.mark.parametrize("rows", [np.ones((1, 8)), np.ones((3, 8)), np.eye(2, 8)])
def test_few_or_equal_vectors_are_whitened_to_finite_numbers(rows):
    rows = rows.astype(np.float32)
    _, unit = whiten_collection(rows)
    assert np.isfinite(unit).all()
    # Equal vectors equal their mean and become zero. Two different ones become opposite vectors.
    expected = [0] * len(rows) if np.array_equal(rows[0], rows[-1]) else [1, -1]
    assert np.allclose(unit @ unit[0], expected, atol=1e-6)


def test_whitened_vectors_are_cached(folders, monkeypatch):
    rows = normal(50, 8)
    whitening, unit = whiten_collection(rows, cache=True)
    assert_same_bits(unit, whiten_collection(rows)[1])
    with monkeypatch.context() as later:
        later.setattr(embedding_whitening, "fit_whitening", None)
        again, cached = whiten_collection(rows, cache=True)
        with pytest.raises(TypeError):  # Other vectors have to be fitted.
            whiten_collection(rows[::-1], cache=True)
        with pytest.raises(TypeError):
            whiten_collection(rows)
    assert_same_bits(cached, unit)
    assert_same_bits(again(rows[:3]), whitening(rows[:3]))
    assert len(list((folders / "cache" / "whitened").iterdir())) == 1


# Scores of embeddings.


def test_scores_are_cosines_of_the_transformed_vectors(runtime):
    rows = normal(300, 24)
    unit = rows / np.linalg.norm(rows, axis=1, keepdims=True)
    scorer = MeaningScorer(unit, lambda _: unit[7], transform=lambda x: x, runtime=runtime)
    expected = unit.astype(np.float64) @ unit[7].astype(np.float64)
    assert scorer.scores(7).dtype == np.float32
    assert np.abs(scorer.scores(7) - expected).max() <= 24 * np.finfo(np.float32).eps
    assert_same_bits(scorer.scores("a text"), scorer.scores(7))


def test_scores_have_the_same_bits_if_the_vectors_do_not_fit_into_linear_memory(one_thread):
    unit = normal(40_000, 24)
    with fw.Runtime(threads=1, max_memory=1 << 22) as small:
        scores = [
            MeaningScorer(unit, lambda _: unit[0], transform=lambda x: x, runtime=rt).scores(3)
            for rt in (small, one_thread)
        ]
    assert_same_bits(*scores)


# Fusion.


def test_fusion_is_the_mean_of_z_scores():
    a, b = np.array([1.0, 0, 0, 2]), np.array([0, 0, 3.0, 100])
    z = [(x[:3] - x[:3].mean()) / x[:3].std() for x in (a, b)]
    assert np.allclose(fused({"a": a, "b": b}, left_out=3)[:3], np.mean(z, axis=0))
    assert fused({"a": np.ones(3)}).tolist() == [0, 0, 0]


def test_shares_add_up_to_the_fused_score():
    scores = {"characters": normal(9, 1)[:, 0], "structure": np.arange(9.0), "meaning": np.ones(9)}
    shares = shares_of_fused(scores, left_out=2)
    assert np.allclose(sum(shares.values()), fused(scores, left_out=2))
    assert not shares["meaning"].any()
    # "structure" has half a voice.
    z = (scores["structure"] - np.delete(scores["structure"], 2).mean()) / np.delete(
        scores["structure"], 2
    ).std()
    assert np.allclose(shares["structure"], z * 0.5 / 2.5)


def test_nothing_is_left_of_one_text_that_is_left_out():
    assert fused({"a": np.ones(1)}, left_out=0).tolist() == [0]
