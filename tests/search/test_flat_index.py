"""Exact search by `FlatIndex`; test_flat_index_codes.py has more on its search by codes."""

import hypothesis
import numpy as np
import pytest
from hypothesis import strategies as st

import flashwasm as fw
from flashwasm.oracles import reference
from flashwasm.search.stored_vectors import StoredVectors
from sample_arrays import FLOAT_TYPES, layouts, normal
from search_checks import DTYPES, METRICS, assert_nearest, assert_same_results


def built(vectors, runtime, **options):
    index = fw.FlatIndex(vectors.shape[1], runtime=runtime, **options)
    index.add(vectors)
    return index


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("metric", METRICS)
@pytest.mark.parametrize("rows", [1, 7, 8, 9, 17, 200])
def test_sizes(runtime, rows, metric, dtype):
    for dim in (1, 4, 5, 33):
        vectors = normal(rows, dim, seed=1)
        index = built(vectors, runtime, metric=metric, dtype=dtype)
        assert len(index) == rows
        for queries in (1, 3, 4, 9):
            for k in {1, rows // 2 or 1, rows, rows + 3}:
                assert_nearest(index, normal(queries, dim), vectors, k, metric)


@pytest.mark.parametrize("metric", METRICS)
def test_many_rows(runtime, metric):
    vectors = normal(5000, 96, seed=1)
    index = built(vectors, runtime, metric=metric)
    assert_nearest(index, normal(70, 96), vectors, 10, metric)


def test_the_longest_vectors(one_thread):
    for dim in (4096, 16384):
        vectors = normal(20, dim, seed=1)
        for dtype in DTYPES:
            assert_nearest(built(vectors, one_thread, dtype=dtype), normal(5, dim), vectors, 3)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("metric", METRICS)
@pytest.mark.parametrize("rows", [31, 32, 64, 137, 1000])
def test_equal_rows_come_in_the_order_of_their_positions(runtime, rows, metric, dtype):
    """A single query is compared with four distant panels at a time, out of order."""
    index = built(np.tile(normal(1, 20, seed=1), (rows, 1)), runtime, metric=metric, dtype=dtype)
    allowed = np.arange(rows) % 3 > 0
    for query in (normal(1, 20), normal(5, 20)):
        _, ids = index.search(query, 12)
        np.testing.assert_array_equal(ids, np.broadcast_to(np.arange(12), ids.shape))
        _, ids = index.search(query, 12, filter=allowed)
        np.testing.assert_array_equal(ids, np.broadcast_to(np.flatnonzero(allowed)[:12], ids.shape))


@pytest.mark.parametrize("metric", METRICS)
@hypothesis.given(data=st.data())
def test_ties_go_to_the_lowest_position(runtime, metric, data):
    """Small integers make exact scores with many ties, so the order must be exact too."""
    queries, rows, dim = (data.draw(st.integers(1, top)) for top in (5, 150, 3))
    rng = np.random.default_rng(data.draw(st.integers(0, 1000)))
    q = rng.integers(-2, 3, (queries, dim)).astype(np.float32)
    c = rng.integers(-2, 3, (rows, dim)).astype(np.float32)
    if metric == "cosine":
        # Unit vectors times 2 have exact norms and quotients.
        q, c = (np.eye(dim, dtype=np.float32)[rng.integers(0, dim, len(x))] * 2.0 for x in (q, c))
    k = data.draw(st.integers(1, rows))
    scores, ids = built(c, runtime, metric=metric).search(q, k)
    expected_scores, expected_ids = reference.top_k(reference.similarity(q, c, metric), k)
    np.testing.assert_array_equal(scores, expected_scores)
    np.testing.assert_array_equal(ids, expected_ids)


@pytest.mark.parametrize("dtype", DTYPES)
def test_zero_vectors_score_zero(runtime, dtype):
    index = built(np.stack([normal(6), np.zeros(6), -normal(6)]), runtime, dtype=dtype)
    scores, ids = index.search(np.stack([np.zeros(6, np.float32), normal(6)]), 3)
    assert scores[0].tolist() == [0, 0, 0]
    assert ids.tolist() == [[0, 1, 2], [0, 1, 2]]
    assert not np.signbit(scores[0]).any()


@pytest.mark.parametrize("scale", [1e-38, 1e-20, 1e20, 1e38])
@pytest.mark.parametrize("dtype", DTYPES)
def test_cosine_does_not_depend_on_length(runtime, dtype, scale):
    vectors = normal(50, 20, seed=1)
    index = built(vectors * np.float32(scale), runtime, dtype=dtype)
    assert_nearest(index, normal(3, 20) * np.float32(1 / scale), vectors, 5)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("metric", METRICS)
def test_adding_in_parts_changes_no_result(runtime, metric, dtype):
    vectors, q = normal(333, 19, seed=1), normal(7, 19)
    expected = built(vectors, runtime, metric=metric, dtype=dtype).search(q, 20)
    index = fw.FlatIndex(19, metric=metric, dtype=dtype, runtime=runtime)
    for begin, end in ((0, 1), (1, 9), (9, 9), (9, 100), (100, 333)):
        index.add(vectors[begin:end])
    assert_same_results(index.search(q, 20), expected)


# Sizes around one and four panels of eight vectors: a single query reads four panels at a time.
@pytest.mark.parametrize("count", [1, 8, 9, 24, 25, 31, 32, 33, 40, 56, 64, 333])
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("metric", METRICS)
def test_a_query_alone_has_the_same_result(runtime, metric, dtype, count):
    index, q = built(normal(count, 19, seed=1), runtime, metric=metric, dtype=dtype), normal(7, 19)
    scores, ids = index.search(q, 20)
    for i in range(7):
        one = slice(i, i + 1)
        assert_same_results(index.search(q[one], 20), (scores[one], ids[one]))


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("share", [None, 0.3])
def test_threads_change_no_bit(threaded_runtime, one_thread, share, dtype):
    vectors, q = normal(9000, 40, seed=1), normal(20, 40)
    mask = None if share is None else np.random.default_rng(2).random(9000) < share
    found, expected = (
        built(vectors, rt, dtype=dtype).search(q, 15, filter=mask)
        for rt in (threaded_runtime, one_thread)
    )
    assert_same_results(found, expected)


@pytest.mark.parametrize("dtype", DTYPES)
def test_removing(runtime, dtype):
    vectors, q = normal(300, 12, seed=1), normal(5, 12)
    index = built(vectors, runtime, dtype=dtype)
    gone = [0, 7, 8, 150, 151, 299]
    index.remove(gone)
    kept = np.delete(np.arange(300), gone)
    assert len(index) == 294
    assert index.ids.tolist() == kept.tolist()
    fresh = fw.FlatIndex(12, dtype=dtype, runtime=runtime)
    fresh.add(vectors[kept], ids=kept)
    for one, other in zip(index.search(q, 294), fresh.search(q, 294), strict=True):
        np.testing.assert_array_equal(one, other)
    index.add(vectors[[7]], ids=[7])
    assert index.search(vectors[[7]], 1)[1].tolist() == [[7]]
    index.remove(index.ids)
    assert len(index) == 0
    assert index.search(q, 2)[1].tolist() == [[-1, -1]] * 5
    index.add(vectors[:3])
    assert index.ids.tolist() == [300, 301, 302]


@pytest.mark.parametrize("dtype", DTYPES)
def test_an_interrupted_removal_is_completed_later(one_thread, monkeypatch, dtype):
    """Ctrl-C comes before or after some of the writes; the next uses of the index go on."""
    monkeypatch.setattr("flashwasm.search.flat.flat_index._MOVED", 16)
    vectors = normal(200, 12, seed=1)
    index = built(vectors, one_thread, dtype=dtype)
    right, calls = StoredVectors.put, []

    def interrupted(*arguments, **options):
        calls.append(1)
        if len(calls) % 3 == 1:
            raise KeyboardInterrupt
        right(*arguments, **options)
        if len(calls) % 3 == 2:
            raise KeyboardInterrupt

    kept = np.delete(np.arange(200), [3, 90])
    with monkeypatch.context() as patch:
        patch.setattr(StoredVectors, "put", interrupted)
        with pytest.raises(KeyboardInterrupt):
            index.remove([3, 90])
        for _ in range(5):
            with pytest.raises(KeyboardInterrupt):
                index.search(vectors[:1], 1)
    assert index.ids.tolist() == kept.tolist()
    assert index.search(vectors[kept], 1)[1][:, 0].tolist() == kept.tolist()


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("share", [0.0, 0.01, 0.5, 1.0])
def test_filters(runtime, dtype, share):
    vectors, q = normal(500, 16, seed=1), normal(6, 16)
    index = built(vectors, runtime, dtype=dtype)
    mask = np.random.default_rng(3).random(500) < share
    positions = np.flatnonzero(mask)
    alone = fw.FlatIndex(16, dtype=dtype, runtime=runtime)
    alone.add(vectors[mask], ids=positions)
    expected = alone.search(q, 8)
    assert_same_results(index.search(q, 8, filter=mask), expected)
    ids = [10**9, *positions[::-1].tolist()]
    for given in (set(ids), dict.fromkeys(ids).keys(), ids, np.array(ids)):
        assert_same_results(index.search(q, 8, filter=given), expected)


def test_string_ids(runtime):
    index = fw.FlatIndex(2, runtime=runtime)
    index.add(np.eye(2), ids=["one", "zwei ü"])
    scores, ids = index.search([[0.0, 1.0]], 3)
    assert ids.tolist() == [["zwei ü", "one", None]]
    assert scores.tolist() == [[1, 0, -np.inf]]
    for given in ({"one"}, ["one", "other"], np.array(["one"]), ("one",)):
        assert index.search([[0.0, 1.0]], 1, filter=given)[1].tolist() == [["one"]]
    assert index.search([[0.0, 1.0]], 1, filter=[])[1].tolist() == [[None]]
    index.remove(["one"])
    assert index.ids.tolist() == ["zwei ü"]


def test_ids_at_the_ends_of_their_range(runtime):
    index = fw.FlatIndex(2, runtime=runtime)
    index.add(np.eye(2), ids=[-(2**63), 2**63 - 2])
    index.add([[1.0, 1.0]])
    assert index.ids.tolist() == [-(2**63), 2**63 - 2, 2**63 - 1]
    with pytest.raises(fw.ShapeError, match="ids"):
        index.add([[1.0, 1.0]])


@pytest.mark.parametrize("dtype", FLOAT_TYPES)
def test_types(runtime, dtype):
    vectors, q = normal(30, 17).astype(dtype), normal(3, 17).astype(dtype)
    assert_nearest(built(vectors, runtime), q, vectors, 5)


def test_layouts(runtime):
    vectors, q = normal(30, 17, seed=1), normal(3, 17)
    expected = built(vectors, runtime).search(q, 5)
    for (_, v_view), (_, q_view) in zip(layouts(vectors), layouts(q), strict=True):
        assert_same_results(built(v_view, runtime).search(q_view, 5), expected)


def test_no_queries_and_no_vectors(runtime):
    index = fw.FlatIndex(5, runtime=runtime)
    index.add(np.empty((0, 5), np.float32))
    assert len(index) == 0
    assert index.search(normal(2, 5), 3)[0].tolist() == [[-np.inf] * 3] * 2
    index.add(normal(4, 5))
    scores, ids = index.search(normal(0, 5), 3)
    assert scores.shape == ids.shape == (0, 3)


@pytest.mark.parametrize(
    ("use", "error", "message"),
    [
        (lambda i: i.add(normal(2, 4)), fw.ShapeError, r"vectors.*\(n, 5\).*\(2, 4\)"),
        (lambda i: i.add(normal(5)), fw.ShapeError, "vectors"),
        (lambda i: i.add(np.ones((2, 5), int)), fw.DTypeError, "vectors.*int64"),
        (lambda i: i.add([[1, 2, np.nan, 4, 5.0]]), fw.ShapeError, "vectors.*finite"),
        (lambda i: i.add([[1, 2, -np.inf, 4, 5.0]]), fw.ShapeError, "vectors.*finite"),
        (lambda i: i.add(normal(2, 5), ids=[8, 8]), fw.ShapeError, "ids: 8 is given twice"),
        (lambda i: i.add(normal(2, 5), ids=[8, 1]), fw.ShapeError, "ids: 1 is in the index"),
        (lambda i: i.add(normal(2, 5), ids=[8]), fw.ShapeError, "ids: expected 2"),
        (lambda i: i.add(normal(1, 5), ids=["a"]), fw.DTypeError, "ids.*integers, got strings"),
        (lambda i: i.add(normal(1, 5), ids=[1.5]), fw.DTypeError, "ids.*float64"),
        (lambda i: i.add(normal(1, 5), ids=[True]), fw.DTypeError, "ids.*bool"),
        (lambda i: i.add(normal(1, 5), ids=[[9]]), fw.ShapeError, "ids"),
        (lambda i: i.add(normal(1, 5), ids=np.uint64([2**63])), fw.ShapeError, "ids"),
        (lambda i: i.remove([77]), fw.IndexRangeError, "ids: 77 is not in the index"),
        (lambda i: i.remove([0, 0]), fw.ShapeError, "ids: 0 is given twice"),
        (lambda i: i.search(normal(2, 4), 3), fw.ShapeError, "queries"),
        (lambda i: i.search([[np.nan] * 5], 3), fw.ShapeError, "queries.*finite"),
        (lambda i: i.search(normal(2, 5), 0), fw.ShapeError, r"\bk\b.*0"),
        (lambda i: i.search(normal(2, 5), 2.5), fw.DTypeError, r"\bk\b"),
        (lambda i: i.search(normal(2, 5), 1, filter=[True]), fw.ShapeError, "filter"),
        (lambda i: i.search(normal(2, 5), 1, filter=[1, 0, 1]), fw.ShapeError, "filter.*booleans"),
        (lambda i: i.search(normal(2, 5), 1, filter=["1"]), fw.DTypeError, "filter.*strings"),
        (lambda i: i.search(normal(2, 5), 1, filter=[1.0]), fw.DTypeError, "filter.*float64"),
        (lambda i: i.add(normal(2, 5), ids=[2**63, 5]), fw.ShapeError, "ids: 9223372036854775808"),
        (lambda i: i.add(normal(2, 5), ids=[5, -(10**30)]), fw.ShapeError, "ids: -10{30} exceeds"),
    ],
)
def test_wrong_arguments(one_thread, use, error, message):
    """Each call raises, and the index stays as it was."""
    vectors = normal(3, 5)
    index = built(vectors, one_thread)
    with pytest.raises(error, match=message):
        use(index)
    assert_nearest(index, normal(2, 5), vectors, 3)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"dim": 0}, "dim.*0"),
        ({"dim": 16385}, "dim.*16384"),
        ({"metric": "hamming"}, "metric.*hamming"),
        ({"dtype": "float16"}, "dtype.*float16"),
    ],
)
def test_wrong_options(one_thread, options, message):
    with pytest.raises(fw.ShapeError, match=message):
        fw.FlatIndex(**({"dim": 4} | options), runtime=one_thread)


@pytest.mark.parametrize("metric", ["dot", "l2"])
def test_vectors_whose_distance_would_overflow_are_refused(one_thread, metric):
    index = fw.FlatIndex(16384, metric=metric, runtime=one_thread)
    most = np.full((2, 16384), np.nextafter(np.float32(2**55), 0), np.float32)
    most[1] *= -1
    index.add(most)
    assert np.isfinite(index.search(most, 2)[0]).all()
    with pytest.raises(fw.ShapeError, match="magnitude"):
        index.add(most * 2)


def test_after_close():
    rt = fw.Runtime(threads=1)
    index = built(normal(10, 4), rt)
    rt.close()
    for use in (
        lambda: index.add(normal(1, 4)),
        lambda: index.search(normal(1, 4), 1),
        lambda: index.remove([1]),
        lambda: index.save("unused"),
    ):
        with pytest.raises(fw.ClosedError):
            use()


@pytest.mark.parametrize("dtype", DTYPES)
def test_out_of_memory_leaves_the_index_as_it_was(dtype):
    with fw.Runtime(threads=1, max_memory=16 << 20) as rt:
        vectors = normal(2000, 256, seed=1)
        index = built(vectors, rt, dtype=dtype)
        with pytest.raises(fw.OutOfMemoryError):
            index.add(np.zeros((60_000, 256), np.float32))
        assert_nearest(index, normal(4, 256), vectors, 5)
        index.add(vectors[:10])
        assert len(index) == 2010


@pytest.mark.parametrize("dtype", DTYPES)
def test_more_queries_than_fit_are_searched_in_parts(dtype):
    with fw.Runtime(threads=1, max_memory=10 << 20) as rt:
        index = built(normal(300, 64, seed=1), rt, dtype=dtype)
        queries, mask = normal(60_000, 64), np.arange(300) % 3 > 0
        scores, ids = index.search(queries, 4, filter=mask)
        for at in (0, 29_999, 59_000):
            part = slice(at, at + 1000)
            found = index.search(queries[part], 4, filter=mask)
            assert_same_results(found, (scores[part], ids[part]))


def test_one_query_that_does_not_fit_is_out_of_memory():
    with fw.Runtime(threads=1, max_memory=8 << 20) as rt:
        index = built(normal(200_000, 2, seed=1), rt)
        # The keys of 200,000 results take 1.6 MB. Fill linear memory, so that they do not fit.
        held = []
        with pytest.raises(fw.OutOfMemoryError):
            held.extend(rt.empty((1 << 16,)) for _ in range(1000))
        with pytest.raises(fw.OutOfMemoryError):
            index.search(normal(3, 2), 200_000)
        del held
        assert index.search(normal(3, 2), 200_000)[0].shape == (3, 200_000)


def test_memory_goes_back_and_grows_in_proportion(one_thread):
    before = one_thread.stats().bytes_in_use
    index = fw.FlatIndex(64, runtime=one_thread)
    for i in range(40):
        index.add(normal(100, 64, seed=i))
    own = 4000 * 64 * 4
    assert own <= index.nbytes <= 2 * own
    assert one_thread.stats().bytes_in_use - before == index.nbytes
    del index
    assert one_thread.stats().bytes_in_use == before
