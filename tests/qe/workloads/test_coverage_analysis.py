"""The workload "coverage-analysis": nearest rows of coverage, exact or with a graph."""

import numpy as np
import pytest

import flashwasm as fw

rng = np.random.default_rng(0)


@pytest.mark.parametrize("dtype", [np.bool_, np.int64, np.uint8, np.float32])
def test_coverage_search(make, dtype):
    rows = (rng.random((30, 50)) < 0.3).astype(dtype)
    matches = make("coverage-analysis").search_coverage(rows[4], rows, 3)
    assert matches[0].index == 4
    assert matches[0].score == pytest.approx(1, abs=1e-6)


def test_indexed_coverage_is_exact_below_the_crossover_and_a_graph_above(make, monkeypatch):
    rows = (rng.random((60, 40)) < 0.3).astype(np.float32)
    rows[30:40] = rows[5]
    attention = make("coverage-analysis")
    assert attention.get_metrics().coverage_search is None
    expected = attention.search_coverage(rows[5], rows, 14)
    assert attention.get_metrics().coverage_search == "exact: an array, not an index"
    few = attention.index_coverage(rows)
    assert attention.search_coverage(rows[5], few, 14) == expected
    assert attention.get_metrics().coverage_search.startswith("exact: 50 vectors, at most 2400")
    monkeypatch.setattr("flashwasm.search.search_report.CROSSOVER", 0)
    many = attention.index_coverage(rows)
    found = attention.search_coverage(rows[5], many, 14)
    assert attention.get_metrics().coverage_search.startswith("graph: 50 vectors, more than 0")
    assert len(many) == 60
    # Equal rows are all found, in the order of the matrix.
    assert [match.index for match in found[:11]] == [5, *range(30, 40)]
    assert {match.weight for match in found} == {None}
    ours, theirs = ([match.score for match in matches] for matches in (found, expected))
    assert ours == pytest.approx(theirs, abs=1e-6)
    with pytest.raises(fw.ShapeError, match="query_coverage: expected shape"):
        attention.search_coverage(rows[5, 1:], many)


def test_the_crossover_of_coverage_is_that_of_the_graph(make):
    rows = rng.random((2401, 8)).astype(np.float32)
    index = make("coverage-analysis").index_coverage(rows)
    assert (index.exact, index.reason) == (False, "2401 vectors, more than 2400 = 24 max(ef, k)")
