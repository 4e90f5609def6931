"""cosine_top_k: scores, order and ties compared with float64, for each metric."""

import hypothesis
import numpy as np
import pytest
from hypothesis import strategies as st

import flashwasm as fw
from flashwasm.ops import top_k
from flashwasm.oracles import bounds, reference
from sample_arrays import FLOAT_TYPES, assert_same_bits, layouts, normal
from search_checks import check_top_k as check

METRICS = ["cosine", "dot", "l2"]


@pytest.mark.parametrize("metric", METRICS)
@pytest.mark.parametrize("queries", [1, 3, 4, 9])
@pytest.mark.parametrize("rows", [1, 7, 8, 9, 100])
def test_sizes(runtime, rows, queries, metric):
    for dim in (1, 4, 5, 33):
        q, c = normal(queries, dim), normal(rows, dim, seed=1)
        for k in {1, rows // 2 or 1, rows}:
            check(q, c, k, metric, runtime=runtime)


@pytest.mark.parametrize("metric", METRICS)
def test_many_rows(runtime, metric):
    check(normal(6, 384), normal(5000, 384, seed=1), 10, metric, runtime=runtime)


@pytest.mark.parametrize("metric", METRICS)
@hypothesis.given(data=st.data())
def test_ties_go_to_the_lowest_index(runtime, metric, data):
    """Small integers give exact scores with many ties, so the order must be exact too."""
    shape = tuple(data.draw(st.integers(1, top)) for top in (4, 60, 3))
    queries, rows, dim = shape
    rng = np.random.default_rng(data.draw(st.integers(0, 1000)))
    q = rng.integers(-2, 3, (queries, dim)).astype(np.float32)
    c = rng.integers(-2, 3, (rows, dim)).astype(np.float32)
    if metric == "cosine":  # Powers of two: norms and quotients are exact.
        q, c = (np.eye(dim, dtype=np.float32)[rng.integers(0, dim, len(x))] * 2.0 for x in (q, c))
    k = data.draw(st.integers(1, rows))
    scores, indices = fw.cosine_top_k(q, c, k, metric=metric, runtime=runtime)
    expected_scores, expected_indices = reference.top_k(reference.similarity(q, c, metric), k)
    np.testing.assert_array_equal(scores, expected_scores)
    np.testing.assert_array_equal(indices, expected_indices)


def test_a_vector_finds_itself(runtime):
    corpus = normal(500, 64)
    scores, indices = check(corpus[[3, 499, 0]], corpus, 1, runtime=runtime)
    assert indices[:, 0].tolist() == [3, 499, 0]
    assert (np.abs(scores - 1) <= bounds.gamma(2 * 64 + 6)).all()


def test_cosine_stays_within_one(runtime):
    corpus = (
        np.repeat(normal(1, 300), 50, axis=0) * np.linspace(0.1, 9, 50, dtype=np.float32)[:, None]
    )
    scores, _ = fw.cosine_top_k(np.concatenate([corpus, -corpus]), corpus, 50, runtime=runtime)
    assert (np.abs(scores) <= 1).all()


@pytest.mark.parametrize("scale", [1e-30, 1e-15, 1e15, 1e30])
def test_cosine_does_not_depend_on_length(runtime, scale):
    """Squares of such numbers are beyond float32, but the cosine only depends on directions."""
    q, c = normal(3, 20), normal(30, 20, seed=1)
    check(q, c * np.float32(scale), 5, runtime=runtime)
    check(q * np.float32(scale), c, 5, runtime=runtime)


def test_zero_vectors_score_zero(runtime):
    q = np.stack([np.zeros(6), normal(6)]).astype(np.float32)
    c = np.stack([normal(6), np.zeros(6), -normal(6)]).astype(np.float32)
    scores, indices = check(q, c, 3, runtime=runtime)
    assert scores[0].tolist() == [0, 0, 0]
    assert indices[0].tolist() == [0, 1, 2]
    assert indices[1].tolist() == [0, 1, 2]


@pytest.mark.parametrize("metric", METRICS)
def test_nan_ranks_last(runtime, metric):
    q, c = normal(2, 5), normal(40, 5, seed=1)
    c[[0, 17]] = np.nan
    scores, indices = fw.cosine_top_k(q, c, 40, metric=metric, runtime=runtime)
    assert indices[:, -2:].tolist() == [[0, 17]] * 2
    assert np.isnan(scores[:, -2:]).all()
    assert not np.isnan(scores[:, :-2]).any()
    check(q, c[1:17], 16, metric, runtime=runtime)


def test_nan_query(runtime):
    q, c = normal(2, 5), normal(7, 5, seed=1)
    q[0, 3] = np.nan
    scores, indices = fw.cosine_top_k(q, c, 7, runtime=runtime)
    assert np.isnan(scores[0]).all()
    assert indices[0].tolist() == list(range(7))
    np.testing.assert_array_equal(scores[1:], fw.cosine_top_k(q[1:], c, 7, runtime=runtime)[0])


@pytest.mark.parametrize("metric", METRICS)
def test_layouts(runtime, metric):
    q, c = normal(3, 17), normal(30, 17, seed=1)
    expected = fw.cosine_top_k(q, c, 5, metric=metric, runtime=runtime)
    for (_, q_view), (_, c_view) in zip(layouts(q), layouts(c), strict=True):
        actual = fw.cosine_top_k(q_view, c_view, 5, metric=metric, runtime=runtime)
        assert_same_bits(actual[0], expected[0])
        np.testing.assert_array_equal(actual[1], expected[1])


@pytest.mark.parametrize("dtype", FLOAT_TYPES)
def test_types(runtime, dtype):
    check(normal(3, 17).astype(dtype), normal(30, 17).astype(dtype), 5, runtime=runtime)


@pytest.mark.parametrize("metric", METRICS)
def test_bits_do_not_depend_on_the_queries_or_rows_beside(runtime, metric):
    q, c = normal(13, 50), normal(333, 50, seed=1)
    scores, indices = fw.cosine_top_k(q, c, 333, metric=metric, runtime=runtime)
    one = fw.cosine_top_k(q[6:7], c, 333, metric=metric, runtime=runtime)
    assert_same_bits(one[0], scores[6:7])
    np.testing.assert_array_equal(one[1], indices[6:7])
    some, some_indices = fw.cosine_top_k(q, c[100:150], 50, metric=metric, runtime=runtime)
    by_row = np.empty_like(scores)
    np.put_along_axis(by_row, indices, scores, axis=1)
    assert_same_bits(some, np.take_along_axis(by_row[:, 100:150], some_indices, axis=1))


def hard_corpora():
    """Yield corpora whose rows can hardly be refused by a look, and names for them."""
    rng = np.random.default_rng(0)
    x = normal(400, 37)
    yield "random", x
    yield "equal rows", np.repeat(x[:1], 400, axis=0)
    yield "near rows", x[:1] + np.float32(1e-4) * x
    yield "far from zero", x + np.float32(1000)
    yield "better and better", np.linspace(-1, 1, 400, dtype=np.float32)[:, None] * x[:1]
    yield "all lengths", x * np.float32(10.0) ** rng.integers(-38, 38, (400, 1)).astype(np.float32)
    yield "mostly zeros", x * (rng.random((400, 1)) < 0.1)
    special = np.float32([np.nan, np.inf, -np.inf, 3e38, 1e-45, -0.0])
    yield "special", np.where(rng.random(x.shape) < 0.005, rng.choice(special, x.shape), x)


@pytest.mark.parametrize("metric", METRICS)
@pytest.mark.parametrize("name", [name for name, _ in hard_corpora()])
def test_rows_that_are_only_looked_at_would_not_have_been_found(runtime, name, metric):
    """With k = 400 every row is scored. With k = 3 most are refused before they are scored."""
    corpus = dict(hard_corpora())[name].astype(np.float32)
    queries = np.concatenate([corpus[[7, 399]], normal(7, 37, seed=5), -corpus[:1], corpus[:1] * 0])
    scores, indices = fw.cosine_top_k(queries, corpus, 400, metric=metric, runtime=runtime)
    for begin, end in ((0, 1), (8, 9), (0, 2), (0, 4), (2, 11)):
        found = fw.cosine_top_k(queries[begin:end], corpus, 3, metric=metric, runtime=runtime)
        assert_same_bits(found[0], scores[begin:end, :3])
        np.testing.assert_array_equal(found[1], indices[begin:end, :3])


@pytest.mark.parametrize("dim", [31, 32, 33, 63, 66])
@pytest.mark.parametrize("metric", METRICS)
def test_any_number_of_columns_can_be_looked_at(runtime, dim, metric):
    queries, corpus = normal(5, dim), normal(300, dim, seed=1)
    check(queries, corpus, 2, metric, runtime=runtime)
    check(queries[:1], corpus, 2, metric, runtime=runtime)


def test_no_queries(runtime):
    scores, indices = fw.cosine_top_k(normal(0, 5), normal(7, 5), 3, runtime=runtime)
    assert scores.shape == indices.shape == (0, 3)


@pytest.mark.parametrize(
    ("arguments", "options", "error", "message"),
    [
        ((normal(2, 5), normal(7, 4), 3), {}, fw.ShapeError, r"\b(queries|corpus)\b"),
        ((normal(5), normal(7, 5), 3), {}, fw.ShapeError, r"\bqueries\b"),
        ((normal(2, 5), normal(5), 3), {}, fw.ShapeError, r"\bcorpus\b"),
        ((normal(2, 5), normal(7, 5), 8), {}, fw.ShapeError, r"\bk\b.*8"),
        ((normal(2, 5), normal(7, 5), 0), {}, ValueError, r"\bk\b.*0"),
        ((normal(2, 5), normal(7, 5), -1), {}, ValueError, r"\bk\b.*-1"),
        ((normal(2, 5), normal(7, 5), 2.5), {}, TypeError, r"\bk\b"),
        (
            (normal(2, 5), normal(7, 5), 3),
            {"metric": "hamming"},
            ValueError,
            r"\bmetric\b.*hamming",
        ),
        ((np.ones((2, 5), int), normal(7, 5), 3), {}, fw.DTypeError, r"\bqueries\b.*int64"),
        ((normal(2, 5), np.ones((7, 5), int), 3), {}, fw.DTypeError, r"\bcorpus\b.*int64"),
    ],
)
def test_wrong_arguments(arguments, options, error, message):
    with pytest.raises(error, match=message):
        fw.cosine_top_k(*arguments, **options)


@pytest.mark.parametrize("k", [1, 7, 40, 60])
def test_merged_pieces_are_in_the_order_of_scores_and_numbers(k):
    """Zeros of both signs are equal, NaN is last; of equal scores the lowest number is first."""
    rng = np.random.default_rng(k)
    special = np.float32([0.0, -0.0, np.nan, np.inf, -np.inf, 1.0, -1.0, 1e-45])
    scores = rng.choice(special, (50, 90))
    numbers = np.argsort(rng.random(scores.shape), axis=1).astype(np.int32)
    order = np.lexsort((numbers, -scores), axis=-1)[:, :k]
    expected = [np.take_along_axis(x, order, -1) for x in (scores, numbers)]
    pieces = [(scores[:, i], numbers[:, i]) for i in (slice(0, 20), slice(20, 55), slice(55, 90))]
    found = top_k.merged(pieces, k)
    assert_same_bits(found[0], expected[0] + np.float32(0))
    np.testing.assert_array_equal(found[1], expected[1])


@pytest.mark.parametrize("metric", METRICS)
@pytest.mark.parametrize("rows", [1, 5, 300])
def test_a_zero_is_never_negative(runtime, metric, rows):
    """The distance 0, and products of numbers of both signs with 0."""
    corpus = np.tile(np.float32([0.0, 0.0]), (rows, 1))
    for query in ([[-0.0, 0.0]], [[0.0, 0.0]], [[-1.0, -0.0]], [[-1e-30, 1e-30]]):
        scores, indices = fw.cosine_top_k(query, corpus, rows, metric=metric, runtime=runtime)
        assert not np.signbit(scores[scores == 0]).any()
        assert indices.tolist() == [list(range(rows))]


def test_results_in_pieces_are_those_in_one(one_thread, monkeypatch):
    """Large k cuts the corpus into pieces and the queries into groups."""
    queries, corpus = normal(9, 6), normal(500, 6, seed=1)
    whole = fw.cosine_top_k(queries, corpus, 300, runtime=one_thread)
    monkeypatch.setattr(top_k, "_LONGEST_HEAP", 16)
    monkeypatch.setattr(top_k, "MOST_PRODUCTS", 1 << 14)
    monkeypatch.setattr("flashwasm.runtime.tasks.MOST_PRODUCTS", 1 << 14)
    monkeypatch.setattr(top_k, "_MOST_RESULTS", 1000)
    calls = one_thread.calls
    in_pieces = fw.cosine_top_k(queries, corpus, 300, runtime=one_thread)
    assert one_thread.calls > calls + 20
    assert_same_bits(in_pieces[0], whole[0])
    np.testing.assert_array_equal(in_pieces[1], whole[1])


@pytest.mark.parametrize("metric", METRICS)
def test_a_call_goes_on_with_what_calls_before_it_found(one_thread, monkeypatch, metric):
    queries, corpus = normal(9, 40), normal(900, 40, seed=1)
    whole = fw.cosine_top_k(queries, corpus, 30, metric=metric, runtime=one_thread)
    monkeypatch.setattr(top_k, "MOST_READ", 130 * 40)
    calls = one_thread.calls
    in_parts = fw.cosine_top_k(queries, corpus, 30, metric=metric, runtime=one_thread)
    assert one_thread.calls >= calls + 7
    assert_same_bits(in_parts[0], whole[0])
    np.testing.assert_array_equal(in_parts[1], whole[1])
