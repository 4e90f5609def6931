"""`HNSWIndex.search` with a filter: the choice between the graph and a scan, and its results."""

import numpy as np
import pytest

import flashwasm as fw
from sample_arrays import normal
from search_checks import DTYPES, METRICS, assert_same_results

VECTORS, QUERIES = normal(3000, 16, seed=1), normal(20, 16, seed=2)


@pytest.fixture
def index(runtime):
    made = fw.HNSWIndex(16, metric="l2", runtime=runtime)
    made.add(VECTORS)
    return made


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("metric", METRICS)
@pytest.mark.parametrize("share", [0.95, 0.5, 0.2])
def test_the_graph_finds_most_of_the_nearest_chosen_vectors(runtime, share, metric, dtype):
    index = fw.HNSWIndex(16, metric=metric, dtype=dtype, runtime=runtime)
    index.add(VECTORS)
    index.remove(np.arange(0, 3000, 50))
    mask = np.random.default_rng(3).random(len(index)) < share
    scores, ids = index.search(QUERIES, 10, exact=False, filter=mask)
    best, _ = index.search(QUERIES, 10, exact=True, filter=mask)
    assert set(ids.ravel().tolist()) <= set(index.ids[mask].tolist())
    assert all(len(set(row)) == 10 for row in ids.tolist())
    assert (scores >= best[:, -1:]).mean() >= 0.98


@pytest.mark.parametrize(("chosen", "by_scan"), [(2900, False), (1500, False), (900, True)])
def test_the_graph_is_searched_if_the_filter_chooses_many(index, chosen, by_scan):
    """With ef = 12, a scan of 900 vectors costs less than 40 candidates of the graph."""
    mask = np.arange(3000) < chosen
    scores, _ = index.search(QUERIES, 1, ef=12, filter=mask)
    way, other = (index.search(QUERIES, 1, ef=12, exact=e, filter=mask) for e in (by_scan, True))
    np.testing.assert_array_equal(scores, way[0])
    assert (scores <= other[0]).all()


def test_a_filter_of_everything_changes_no_result(index):
    expected = index.search(QUERIES, 10, ef=100, exact=False)
    assert_same_results(index.search(QUERIES, 10, ef=100, filter=np.ones(3000, bool)), expected)


def test_far_chosen_vectors_are_all_compared(index):
    """None of the candidates near the query is chosen, so the graph finds nothing."""
    far = np.argsort(((VECTORS - QUERIES[0]) ** 2).sum(axis=1))[-1500:]
    expected = index.search(QUERIES[:1], 10, exact=True, filter=far)
    assert_same_results(index.search(QUERIES[:1], 10, ef=10, exact=False, filter=far), expected)
    assert_same_results(index.search(QUERIES[:1], 10, ef=10, filter=far), expected)


@pytest.mark.parametrize("count", [0, 1, 7])
def test_few_chosen_vectors_are_all_found(index, count):
    expected = index.search(QUERIES, 10, exact=True, filter=range(count))
    assert_same_results(index.search(QUERIES, 10, exact=False, filter=range(count)), expected)
    assert ((expected[1] >= 0).sum(axis=1) == count).all()


def test_a_result_does_not_depend_on_the_other_queries(index):
    mask = VECTORS[:, 0] > 0
    together = index.search(QUERIES, 10, ef=10, exact=False, filter=mask)
    for i, query in enumerate(QUERIES):
        alone = index.search([query], 10, ef=10, exact=False, filter=mask)
        assert_same_results(alone, tuple(part[[i]] for part in together))
