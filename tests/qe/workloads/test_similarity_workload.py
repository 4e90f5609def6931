"""The workload "test-similarity": nearest rows of a corpus, with their attention weights."""

import numpy as np
import pytest

import flashwasm as fw
from flashwasm.ops import cosine_top_k

rng = np.random.default_rng(0)


def normal(*shape):
    return rng.standard_normal(shape).astype(np.float32)


def expected_matches(query, rows, count):
    rows, query = rows.astype(np.float64), query.astype(np.float64)
    cosines = rows @ query / np.linalg.norm(rows, axis=1) / np.linalg.norm(query)
    weights = np.exp(np.sqrt(len(query)) * cosines)
    best = np.argsort(-cosines, kind="stable")[:count]
    return best, cosines[best], (weights / weights.sum())[best]


@pytest.mark.parametrize("count", [1, 5, 100])
def test_matches_equal_the_oracle(make, count):
    corpus = normal(40, 33)
    matches = make().compute_test_similarity(corpus[3], corpus, count)
    best, cosines, weights = expected_matches(corpus[3], corpus, count)
    assert [m.index for m in matches] == best.tolist()
    assert np.allclose([m.score for m in matches], cosines, atol=1e-6)
    assert np.allclose([m.weight for m in matches], weights, atol=1e-6)
    assert matches[0].index == 3
    assert matches[0].score <= 1
    assert len(matches) == min(count, 40)


def test_empty_corpora_zero_vectors_and_bad_shapes(make):
    attention = make()
    assert attention.compute_test_similarity(normal(8), normal(0, 8)) == []
    (match,) = attention.compute_test_similarity(np.zeros(8, np.float32), normal(1, 8))
    assert (match.score, match.weight) == (0, 1)
    with pytest.raises(fw.ShapeError, match=r"test_embedding: expected shape \(8,\)"):
        attention.compute_test_similarity(normal(7), normal(3, 8))
    with pytest.raises(fw.ShapeError, match="top_k"):
        attention.compute_test_similarity(normal(8), normal(3, 8), 0)


def test_a_row_with_nan_has_no_weight(make):
    corpus = normal(4, 8)
    corpus[0] = np.nan
    matches = make().compute_test_similarity(corpus[2], corpus, 4)
    assert matches[-1].index == 0
    assert matches[-1].weight == 0
    assert sum(m.weight for m in matches) == pytest.approx(1)


def test_scores_are_the_kernels_to_the_bit(make):
    """The cosine of two rows is the same, whichever of them is the query."""
    corpus = normal(300, 70)
    matches = make().compute_test_similarity(corpus[3], corpus, 300)
    scores, indices = cosine_top_k(corpus[3:4], corpus, 300)
    assert [m.index for m in matches] == indices[0].tolist()
    assert [m.score for m in matches] == scores[0].tolist()
