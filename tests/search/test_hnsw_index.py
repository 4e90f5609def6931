"""Approximate search by `HNSWIndex`, and the graph that it builds and repairs."""

import itertools
import signal
import sys
import time

import hypothesis
import numpy as np
import pytest
from hypothesis import strategies as st

import flashwasm as fw
from flashwasm.oracles import reference
from flashwasm.search.hnsw.graph import drawn_levels
from flashwasm.storage.file_reading import read_container
from sample_arrays import normal
from search_checks import DTYPES, METRICS, assert_nearest, assert_same_results


def built(vectors, runtime, **options):
    index = fw.HNSWIndex(vectors.shape[1], runtime=runtime, **options)
    index.add(vectors)
    return index


def clustered(count, dim, seed=0):
    """Return points around ten centres, which are the same for every seed."""
    rng = np.random.default_rng(seed)
    centres = np.random.default_rng(99).standard_normal((10, dim))
    points = centres[rng.integers(0, 10, count)] + rng.standard_normal((count, dim)) / 2
    return points.astype(np.float32)


def recall(index, queries, vectors, k=10, metric="cosine", **options):
    """Return the share of results that score at least as high as the k-th nearest.

    The ids are the positions in `vectors`.
    """
    _, ids = index.search(queries, k, exact=False, **options)
    truth = reference.similarity(queries, vectors, metric)
    own = np.where(ids >= 0, np.take_along_axis(truth, np.maximum(ids, 0), axis=1), -np.inf)
    assert all(len({i for i in row if i >= 0}) == sum(i >= 0 for i in row) for row in ids.tolist())
    return (own >= reference.top_k(truth, k)[0][:, -1:] - 1e-5).mean()


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("metric", METRICS)
def test_recall(runtime, metric, dtype):
    vectors, q = clustered(1500, 24), clustered(50, 24, seed=1)
    index = built(vectors, runtime, metric=metric, dtype=dtype)
    assert recall(index, q, vectors, metric=metric, ef=100) >= 0.98
    assert_nearest(index, q, vectors, 10, metric, exact=True)
    assert_nearest(index, q, vectors, 10, metric, exact=False, least_recall=0.98)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("metric", METRICS)
@pytest.mark.parametrize("rows", [1, 2, 5, 40])
def test_few_vectors_are_all_found(runtime, rows, metric, dtype):
    for dim in (1, 4, 33):
        vectors, q = normal(rows, dim, seed=1), normal(3, dim)
        index = built(vectors, runtime, metric=metric, dtype=dtype, m=4)
        for k in {1, rows, rows + 3}:
            assert_nearest(index, q, vectors, k, metric, exact=True)
            # By dot products the graph need not have a path to every vector.
            if metric != "dot":
                assert_nearest(index, q, vectors, k, metric, exact=False)


@pytest.mark.parametrize("dtype", DTYPES)
def test_dimensions(one_thread, dtype):
    for dim in (1, 4096, 16384):
        vectors = normal(60, dim, seed=1)
        assert_nearest(
            built(vectors, one_thread, dtype=dtype), normal(5, dim), vectors, 5, exact=False
        )


@pytest.mark.parametrize("dtype", DTYPES)
def test_a_vector_finds_itself(runtime, dtype):
    vectors = clustered(800, 16)
    index = built(vectors, runtime, dtype=dtype)
    scores, ids = index.search(vectors, 1, exact=False)
    assert (ids[:, 0] == np.arange(800)).mean() > 0.99
    assert (np.abs(scores - 1) < 1e-5).mean() > 0.99


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("metric", METRICS)
def test_equal_vectors(runtime, metric, dtype):
    """All distances are equal; k vectors are found nevertheless."""
    vectors = np.repeat(normal(1, 8), 300, axis=0)
    index = built(vectors, runtime, metric=metric, dtype=dtype)
    scores, ids = index.search(vectors[:2], 20, exact=False)
    assert (ids >= 0).all()
    assert len(set(scores.ravel().tolist())) == 1


@pytest.mark.parametrize("dtype", DTYPES)
def test_copies_do_not_hide_the_rest(runtime, dtype):
    vectors = np.concatenate([np.repeat(normal(1, 16), 500, axis=0), clustered(500, 16)])
    q = clustered(40, 16, seed=1)
    for order in (slice(None), slice(None, None, -1)):
        index = built(vectors[order], runtime, dtype=dtype)
        assert recall(index, q, vectors[order]) >= 0.95


def test_zero_vectors(runtime):
    vectors = clustered(300, 8)
    vectors[::3] = 0
    index = built(vectors, runtime)
    scores, ids = index.search(np.zeros((1, 8), np.float32), 5, exact=False)
    assert scores.tolist() == [[0] * 5]
    assert (ids >= 0).all()
    assert recall(index, clustered(30, 8, seed=1), vectors) >= 0.95


def saved(index, path):
    """Return the bytes of the file that an index writes."""
    index.save(path)
    return path.read_bytes()


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("cuts", [(0, 1, 300, 700), range(0, 701, 70)])
def test_adding_in_parts_changes_no_byte(one_thread, tmp_path, cuts, dtype):
    vectors, q = clustered(700, 20), clustered(60, 20, seed=1)
    whole = built(vectors, one_thread, dtype=dtype, seed=5)
    index = fw.HNSWIndex(20, dtype=dtype, runtime=one_thread, seed=5)
    for begin, end in itertools.pairwise(cuts):
        index.add(vectors[begin:end])
        index.search(q, 5, exact=False)
    assert saved(index, tmp_path / "parts") == saved(whole, tmp_path / "whole")


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("exact", [False, True])
def test_threads_change_no_bit(threaded_runtime, one_thread, tmp_path, exact, dtype):
    """The graph is the same, and so are the results of enough queries for several tasks."""
    vectors, q = clustered(700, 20), clustered(700, 20, seed=1)
    index, expected = (built(vectors, rt, dtype=dtype) for rt in (threaded_runtime, one_thread))
    assert saved(index, tmp_path / "index") == saved(expected, tmp_path / "expected")
    found = index.search(q, 5, exact=exact)
    assert_same_results(found, expected.search(q, 5, exact=exact))


def test_a_query_alone_has_the_same_result(runtime):
    index, q = built(clustered(500, 20), runtime), clustered(30, 20, seed=1)
    scores, ids = index.search(q, 7, 30, exact=False)
    for i in (0, 13, 29):
        one = slice(i, i + 1)
        found = index.search(q[one], 7, 30, exact=False)
        assert_same_results(found, (scores[one], ids[one]))


def test_another_seed_is_another_graph(one_thread, tmp_path):
    vectors = clustered(200, 8)
    one, other = (saved(built(vectors, one_thread, seed=seed), tmp_path / "i") for seed in (1, 2))
    assert one != other


def test_levels_are_those_of_the_paper():
    """Of the nodes on a level, 1 / m are on the next too; a part is drawn as it is in the whole."""
    for m in (2, 16):
        levels = drawn_levels(7, 0, 1 << 17, m)
        for level in (1, 2, 3):
            expected = (1 << 17) / m**level
            assert abs((levels >= level).sum() - expected) < 5 * expected**0.5
        np.testing.assert_array_equal(drawn_levels(7, 1000, 2000, m), levels[1000:2000])
    assert drawn_levels(2**64 - 1, 0, 10, 256).max() <= 16


@pytest.mark.parametrize("dtype", DTYPES)
def test_removing(runtime, dtype):
    vectors, q = clustered(900, 16), clustered(40, 16, seed=1)
    index = built(vectors, runtime, dtype=dtype)
    rng = np.random.default_rng(2)
    there = np.arange(900)
    for _ in range(4):
        gone = rng.choice(there, 150, replace=False)
        index.remove(gone)
        there = np.setdiff1d(there, gone)
        assert len(index) == len(there)
        assert index.ids.tolist() == there.tolist()
        _, ids = index.search(q, 10, exact=False)
        assert set(ids.ravel().tolist()) <= set(there.tolist())
        truth = reference.similarity(q, vectors[there], "cosine")
        nearest = there[reference.top_k(truth, 10)[1]]
        found = [len(set(a) & set(b)) for a, b in zip(ids.tolist(), nearest.tolist(), strict=True)]
        assert np.mean(found) >= 9.6
        _, exact_ids = index.search(q, 10, exact=True)
        assert (exact_ids == nearest).mean() > 0.99
    index.remove(there)
    assert len(index) == 0
    assert index.search(q, 3)[1].tolist() == [[-1] * 3] * 40
    index.add(vectors[:5])
    assert index.ids.tolist() == [900, 901, 902, 903, 904]


def test_a_node_is_found_when_all_its_neighbours_are_removed(runtime, tmp_path):
    vectors = clustered(600, 12)
    index = built(vectors, runtime, m=4)
    owners = np.repeat(np.arange(600), drawn_levels(0, 0, 600, 4))
    for node in (3, 100, 599):
        index.save(tmp_path / "index")
        sections = read_container(tmp_path / "index", "hnsw-index").sections
        lowest, upper = sections["links"], sections["upper_links"]
        beside = {*lowest[node].tolist(), *np.flatnonzero((lowest == node).any(axis=1)).tolist()}
        beside |= {*upper[owners == node].ravel().tolist()}
        index.remove(sorted((beside - {node, 3, 100, 599}) & set(index.ids.tolist())))
        assert index.search(vectors[[node]], 1, exact=False)[1].tolist() == [[node]]


def test_a_gap_in_the_middle_is_bridged(runtime):
    """A third of the points on a line are removed; those on both sides of them are still found."""
    line = np.linspace(0, 1, 600, dtype=np.float32)[:, None]
    index = built(line, runtime, metric="l2", m=4)
    index.remove(np.arange(200, 400))
    kept = np.r_[0:200, 400:600]
    _, ids = index.search(line[kept], 1, exact=False)
    assert (ids[:, 0] == kept).mean() > 0.99


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("metric", METRICS)
@pytest.mark.parametrize("share", [0.0, 0.01, 0.5, 1.0])
def test_a_filter_finds_the_nearest_of_the_chosen_vectors(runtime, share, metric, dtype):
    vectors, queries = normal(600, 24, seed=1), normal(5, 24)
    index = built(vectors, runtime, metric=metric, dtype=dtype)
    index.remove([3, 90, 599])
    mask = np.random.default_rng(3).random(597) < share
    ids = index.ids[mask]
    alone = built(vectors[ids], runtime, metric=metric, dtype=dtype)
    scores, found = alone.search(queries, 8, exact=True)
    expected = scores, np.where(found < 0, -1, np.append(ids, -1)[found])
    assert_same_results(index.search(queries, 8, filter=mask), expected)
    others = [3, 10**9, *ids[::-1].tolist()]
    for given in (set(others), others, np.array(others, np.int64)):
        assert_same_results(index.search(queries, 8, ef=1, exact=True, filter=given), expected)


def test_a_removed_id_comes_back(runtime):
    vectors = clustered(300, 8)
    index = built(vectors, runtime)
    index.remove([5, 6, 7])
    index.add(vectors[[7, 5]], ids=[7, 5])
    assert len(index) == 299
    assert index.search(vectors[[5, 7]], 1, exact=False)[1].tolist() == [[5], [7]]
    with pytest.raises(fw.IndexRangeError, match="6 is not in the index"):
        index.remove([6])


@hypothesis.given(data=st.data())
def test_any_order_of_adding_and_removing(one_thread, data):
    """An exact search finds the ids that a dict holds; a search of the graph no removed ones."""
    dim, dtype = data.draw(st.sampled_from([1, 3, 17])), data.draw(st.sampled_from(DTYPES))
    index = fw.HNSWIndex(dim, metric="l2", m=3, dtype=dtype, runtime=one_thread)
    there, drawn = {}, iter(range(10**6))
    for _ in range(data.draw(st.integers(1, 6))):
        if there and data.draw(st.booleans()):
            gone = data.draw(st.lists(st.sampled_from(sorted(there)), unique=True))
            index.remove(gone)
            for one in gone:
                del there[one]
        else:
            count = data.draw(st.integers(0, 40))
            ids = [f"id {next(drawn)}" for _ in range(count)]
            vectors = normal(count, dim, seed=len(there))
            index.add(vectors, ids=ids)
            there.update(zip(ids, vectors, strict=True))
    assert len(index) == len(there)
    assert set(index.ids.tolist()) == there.keys()
    q = normal(2, dim, seed=77)
    scores, ids = index.search(q, len(there) + 1, exact=True)
    assert np.isneginf(scores[:, -1]).all()
    assert all(set(row[:-1]) == there.keys() for row in ids.tolist())
    found = {one for row in index.search(q, 5, exact=False)[1].tolist() for one in row}
    assert found <= there.keys() | {None, -1}
    if there:
        assert (np.isfinite(index.search(q, 1, exact=False)[0])).all()


def test_the_report_says_which_search_runs(one_thread):
    vectors = clustered(600, 8)
    index = built(vectors, one_thread)
    small = index.search_report(vectors[:9], 10, ef=25)
    assert small.exact
    assert small.reason == "600 vectors, at most 600 = 24 max(ef, k)"
    assert small.recall == 1.0
    large = index.search_report(vectors, 10, ef=20)
    assert not large.exact
    assert large.reason.startswith("600 vectors, more than 480")
    assert large.sampled == 60
    assert 0.9 <= large.recall <= 1.0
    assert index.search_report(vectors, 1, exact=True).exact
    assert index.search_report(vectors[:0], 1, exact=False).sampled == 0
    np.testing.assert_array_equal(
        index.search(vectors, 10, 25)[0], index.search(vectors, 10, exact=True)[0]
    )


def test_the_report_tells_of_a_poor_graph(one_thread):
    vectors = normal(3000, 32)
    index = built(vectors, one_thread, m=2, ef_construction=2)
    report = index.search_report(vectors[:200], 10, ef=10, exact=False)
    assert report.recall < 0.5


def test_a_timeout_leaves_what_was_added(one_thread, monkeypatch):
    vectors = normal(4000, 64)
    index = fw.HNSWIndex(64, runtime=one_thread)
    # A second passes at every look at the clock, so that load does not change what was added.
    looks = map(float, itertools.count())
    with monkeypatch.context() as patch:
        patch.setattr("flashwasm.runtime.deadline.monotonic", looks.__next__)
        with pytest.raises(fw.DeadlineExceeded):
            index.add(vectors, timeout=200)
    assert 0 < len(index) < 4000
    count = len(index)
    assert index.ids.tolist() == list(range(count))
    assert recall(index, vectors[:20], vectors[:count], k=1) == 1.0
    index.add(vectors[count : count + 10], ids=np.arange(count, count + 10))
    assert len(index) == count + 10


@pytest.mark.parametrize(
    ("use", "error", "message"),
    [
        (lambda i: i.add(normal(2, 4)), fw.ShapeError, "vectors"),
        (lambda i: i.add([[1, 2, np.nan, 4, 5.0]]), fw.ShapeError, "vectors.*finite"),
        (lambda i: i.add(normal(2, 5), ids=[1, 9]), fw.ShapeError, "ids: 1 is in the index"),
        (lambda i: i.search(normal(2, 4), 3), fw.ShapeError, "queries"),
        (lambda i: i.search(normal(2, 5), 0), fw.ShapeError, r"\bk\b"),
        (lambda i: i.search(normal(2, 5), 1, 0), fw.ShapeError, r"\bef\b.*0"),
        (lambda i: i.search(normal(2, 5), 1, 5000), fw.ShapeError, r"\bef\b.*4096"),
        (lambda i: i.search(normal(2, 5), 1, "many"), fw.DTypeError, r"\bef\b"),
        (lambda i: i.remove([3]), fw.IndexRangeError, "ids: 3"),
    ],
)
def test_wrong_arguments(one_thread, use, error, message):
    index = built(normal(3, 5), one_thread)
    with pytest.raises(error, match=message):
        use(index)
    assert_nearest(index, normal(2, 5), normal(3, 5), 3, exact=False)


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"dim": 16385}, fw.ShapeError, "dim"),
        ({"m": 1}, fw.ShapeError, r"\bm\b.*2"),
        ({"m": 257}, fw.ShapeError, r"\bm\b.*256"),
        ({"ef_construction": 0}, fw.ShapeError, "ef_construction"),
        ({"ef_construction": 4097}, fw.ShapeError, "ef_construction.*4096"),
        ({"seed": 1.5}, fw.DTypeError, "seed"),
        ({"metric": "l1"}, fw.ShapeError, "metric"),
        ({"dtype": "int4"}, fw.ShapeError, "dtype"),
    ],
)
def test_wrong_options(one_thread, options, error, message):
    with pytest.raises(error, match=message):
        fw.HNSWIndex(**({"dim": 4} | options), runtime=one_thread)


def test_more_than_the_graph_keeps(one_thread):
    """For a k that is too large for a search of the graph, every vector is looked at."""
    vectors = normal(5000, 4)
    index = built(vectors, one_thread, m=4, ef_construction=20)
    assert_nearest(index, normal(1, 4), vectors, 4500)


def test_after_close():
    rt = fw.Runtime(threads=1)
    index = built(normal(10, 4), rt)
    rt.close()
    for use in (
        lambda: index.add(normal(1, 4)),
        lambda: index.search(normal(1, 4), 1),
        lambda: index.search_report(normal(1, 4), 1),
        lambda: index.remove([1]),
        lambda: index.save("unused"),
    ):
        with pytest.raises(fw.ClosedError):
            use()


def test_out_of_memory_leaves_the_index_as_it_was():
    with fw.Runtime(threads=1, max_memory=12 << 20) as rt:
        vectors = normal(500, 64, seed=1)
        index = built(vectors, rt)
        with pytest.raises(fw.OutOfMemoryError):
            index.add(np.zeros((60_000, 64), np.float32))
        assert_nearest(index, normal(4, 64), vectors, 5, exact=False, least_recall=0.9)
        index.add(vectors[:10])
        assert len(index) == 510


@pytest.mark.parametrize("exact", [True, False])
def test_more_queries_than_fit_are_searched_in_parts(exact):
    with fw.Runtime(threads=1, max_memory=10 << 20) as rt:
        index = built(normal(300, 64, seed=1), rt)
        queries = normal(60_000, 64)
        scores, ids = index.search(queries, 4, 8, exact=exact)
        for at in (0, 29_999, 59_000):
            part = slice(at, at + 1000)
            found = index.search(queries[part], 4, 8, exact=exact)
            assert_same_results(found, (scores[part], ids[part]))


@pytest.mark.slow
@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no SIGALRM")
@pytest.mark.parametrize("kind", [fw.FlatIndex, fw.HNSWIndex])
def test_ids_stay_with_their_vectors_after_any_interruption(one_thread, kind):
    """Alarms go off at any moment of adding and removing; afterwards the index is sound."""
    vectors, generator = normal(900, 16), np.random.default_rng(5)
    options = {"exact": True} if kind is fw.HNSWIndex else {}

    def alarm(*_):
        raise TimeoutError

    def change(index):
        for first in range(0, 900, 100):
            index.add(vectors[first : first + 100])
            index.remove(np.arange(first, first + 50))

    start = time.perf_counter()
    change(kind(16, runtime=one_thread))
    usual, interruptions = time.perf_counter() - start, 0
    before = signal.signal(signal.SIGALRM, alarm)
    try:
        for _ in range(60):
            index = kind(16, runtime=one_thread)
            try:
                signal.setitimer(signal.ITIMER_REAL, generator.uniform(1e-4, usual))
                change(index)
                signal.setitimer(signal.ITIMER_REAL, 0)
            except TimeoutError:
                interruptions += 1
            ids = index.ids
            assert len(ids) == len(index)
            assert (index.search(vectors[ids], 1, **options)[1][:, 0] == ids).all()
            index.add(vectors[:2], ids=[10**6, 10**6 + 1])
            assert len(index) == len(ids) + 2
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
    assert interruptions
