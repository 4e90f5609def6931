"""Exact search on a GPU."""

import numpy as np
import pytest

from backend_bounds import similarity
from flashwasm.oracles import bounds, reference
from gpu_calls import UNLIMITED
from sample_arrays import assert_same_bits, normal


def _check_search(gpu, queries, corpus, k, metric):
    """Fail unless scores are right, in order, and those of the rows found."""
    scores, rows = gpu.top_k(queries, corpus, k, metric, UNLIMITED)
    assert rows.dtype == np.int64
    bound = similarity("gpu", queries, corpus, metric)
    every = reference.similarity(queries, corpus, metric)
    found = np.take_along_axis(every, rows, axis=1)
    bounds.assert_close(scores, found, np.take_along_axis(bound, rows, axis=1))
    # The k-th best score may belong to another row, by as much as both may be off.
    best, _ = reference.top_k(every, k)
    assert (np.abs(scores - best) <= 2 * bound.max()).all()
    ordered = scores[:, :-1] > scores[:, 1:]
    equal = (scores[:, :-1] == scores[:, 1:]) & (rows[:, :-1] < rows[:, 1:])
    assert (ordered | equal).all()
    return scores, rows


@pytest.mark.parametrize("metric", ["cosine", "dot", "l2"])
@pytest.mark.parametrize(("rows", "k"), [(1, 1), (63, 63), (1024, 5), (1025, 7), (1100, 1030)])
def test_corpora_below_at_and_above_a_block(gpu, rows, k, metric):
    _check_search(gpu, normal(3, 17), normal(rows, 17), k, metric)


@pytest.mark.parametrize("metric", ["cosine", "dot", "l2"])
def test_equal_scores_are_ordered_by_row(gpu, metric):
    corpus = np.ones((2100, 4), np.float32)
    corpus[[7, 1500]] *= -1
    _, rows = gpu.top_k(np.ones((1, 4), np.float32), corpus, 2100, metric, UNLIMITED)
    others = np.delete(np.arange(2100), [7, 1500])
    np.testing.assert_array_equal(rows[0], [*others, 7, 1500])


def test_zero_and_minus_zero_are_equal_and_nan_comes_last(gpu):
    corpus = np.float32([[np.nan], [-0.0], [1], [0], [-np.inf], [-0.0], [np.inf]])
    scores, rows = gpu.top_k(np.ones((1, 1), np.float32), corpus, 7, "dot", UNLIMITED)
    np.testing.assert_array_equal(rows[0], [6, 2, 1, 3, 5, 4, 0])
    np.testing.assert_array_equal(scores[0], [np.inf, 1, 0, 0, 0, -np.inf, np.nan])


def test_cosines_of_tiny_huge_and_zero_vectors(gpu):
    corpus = normal(9, 20)
    expected = gpu.top_k(corpus, corpus, 9, "cosine", UNLIMITED)
    scaled = corpus * np.float32([1e-37, 1e36, 1, 1e-20, 1e20, 1, 1, 1, 1])[:, None]
    scores, rows = gpu.top_k(corpus, scaled, 9, "cosine", UNLIMITED)
    np.testing.assert_array_equal(rows, expected[1])
    np.testing.assert_allclose(scores, expected[0], atol=1e-5)
    corpus[3] = 0
    scores, rows = _check_search(gpu, corpus, corpus, 9, "cosine")
    assert not scores[rows == 3].any()
    assert np.abs(scores).max() <= 1


@pytest.mark.parametrize("metric", ["cosine", "dot", "l2"])
def test_a_search_in_parts_has_the_bits_of_the_whole(gpu, metric):
    queries, corpus = normal(66, 9), normal(1030, 9)
    whole = gpu.top_k(queries, corpus, 20, metric, UNLIMITED)
    gpu.most_bytes = 100_000
    scores, rows = gpu.top_k(queries, corpus, 20, metric, UNLIMITED)
    assert_same_bits(scores, whole[0])
    np.testing.assert_array_equal(rows, whole[1])


def test_no_queries_find_nothing(gpu):
    scores, rows = gpu.top_k(normal(0, 4), normal(5, 4), 2, "dot", UNLIMITED)
    assert scores.shape == rows.shape == (0, 2)
