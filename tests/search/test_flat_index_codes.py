"""Search by codes: an index with codes returns the same bits as one without.

It compares queries with all vectors only if the codes cannot prove that the result is complete.
"""

import hypothesis
import numpy as np
import pytest
from hypothesis import strategies as st

import flashwasm as fw
from flashwasm.runtime.launch import Launch
from flashwasm.search.flat import panel_search
from flashwasm.search.result_keys import NO_KEY, NO_POSITION, distances
from flashwasm.search.stored_vectors import StoredVectors
from sample_arrays import normal
from search_checks import METRICS, assert_same_results

DIMS = [1, 3, 15, 16, 17, 384, 4096]
# The lower digit of a query's code loses a bit from each of these to the next.
DIMS_OF_DIGITS = [2080, 2081, 4160, 4161, 8320, 8321, 16384]


def cluster(scale):
    """Return a function that draws points around one centre, at distances of about `scale`."""
    return lambda rng, n, dim: rng.standard_normal(dim) + scale * rng.standard_normal((n, dim))


def duplicates(rng, n, dim):
    """Return n vectors, each about eight times. For some n all are zeros."""
    return rng.standard_normal((n // 8 + 1, dim))[rng.integers(0, n // 8 + 1, n)] * (n % 5 > 0)


def of_all_sizes(rng, n, dim):
    """Return vectors whose lengths and components differ by many orders of magnitude."""
    sizes = 2.0 ** rng.integers(-60, 40, (n, 1)) * 2.0 ** rng.integers(-20, 14, (n, dim))
    return np.clip(rng.standard_normal((n, dim)), -2, 2) * sizes


def near_ties(rng, n, dim):
    """Return n copies of one vector, in each of which one component differs in its last bit."""
    x = np.tile(rng.standard_normal(dim).astype(np.float32), (n, 1))
    place = np.arange(n), rng.integers(0, dim, n)
    x[place] = np.nextafter(x[place], np.float32(9))
    return x


def one_wild_row(rng, n, dim):
    """Return vectors of which one has components that differ by 36 orders of magnitude."""
    x = rng.standard_normal((n, dim))
    x[n // 2] = np.geomspace(1e-20, 1e16, dim)
    return x


def one_component(rng, n, dim):
    """Return vectors of which one component is 1, and the others are 0."""
    x = np.zeros((n, dim))
    x[np.arange(n), rng.integers(0, dim, n)] = 1
    return x


def half_zeros(rng, n, dim):
    """Return vectors that are zero, those that have few components, and full ones."""
    x = rng.standard_normal((n, dim)) * (rng.random((n, dim)) < rng.random((n, 1)))
    x[rng.random(n) < 0.5] = 0
    return x


KINDS = {
    "near ties": near_ties,
    "one wild row": one_wild_row,
    "half zeros": half_zeros,
    "all positive": lambda rng, n, dim: rng.random((n, dim)),
    "normal": lambda rng, n, dim: rng.standard_normal((n, dim)),
    "duplicates": duplicates,
    "cluster of 1e-2": cluster(1e-2),
    "cluster of 1e-4": cluster(1e-4),
    "cluster of 1e-7": cluster(1e-7),
    "all equal": lambda rng, n, dim: np.tile(rng.standard_normal(dim), (n, 1)),
    "zeros": lambda rng, n, dim: 0 * rng.integers(0, 1, (n, dim)),
    "small integers": lambda rng, n, dim: rng.integers(-2, 3, (n, dim)),
    # The codes are exact. A sum of equal terms is rounded in the same direction at each addition.
    "equal components": lambda rng, n, dim: np.repeat(rng.uniform(0.1, 1, (n, 1)), dim, axis=1),
    "one component": one_component,
    "all sizes": of_all_sizes,
    "subnormal": lambda rng, n, dim: rng.integers(-300, 300, (n, dim)) * 2.0**-149,
    "nearly subnormal": lambda rng, n, dim: rng.standard_normal((n, dim)) * 2.0**-124,
    "tiny products": lambda rng, n, dim: rng.standard_normal((n, dim)) * 2.0**-66,
    "huge": lambda rng, n, dim: rng.uniform(-1, 1, (n, dim)) * np.nextafter(2.0**55, 0),
}


@pytest.fixture
def by_codes(monkeypatch):
    """Search small indexes by their codes too, and keep fewer candidates."""
    monkeypatch.setattr(panel_search, "_ROWS_TO_PAY", 0)
    monkeypatch.setattr(panel_search, "_MORE", 2)


@pytest.fixture
def steps(monkeypatch):
    """Return lists of the numbers of queries that each step searches for, filled by searches."""
    counted = {"_by_bounds": [], "by_vectors": []}
    for name, calls in counted.items():
        right = getattr(panel_search.PanelSearch, name)

        def counting(self, queries, *more, right=right, calls=calls):
            calls.append(len(queries))
            return right(self, queries, *more)

        monkeypatch.setattr(panel_search.PanelSearch, name, counting)
    return counted


def indexes(vectors, runtime, metric):
    """Return an index of the vectors with codes, and one without."""
    pair = [
        fw.FlatIndex(vectors.shape[1], metric=metric, dtype=dtype, runtime=runtime)
        for dtype in ("int8", "float32")
    ]
    for index in pair:
        index.add(vectors)
    return pair


def check(pair, queries, k, mask=None):
    """Fail unless two indexes return the same results."""
    found, expected = (index.search(queries, k, filter=mask) for index in pair)
    assert_same_results(found, expected)


def search_among(launch, vectors, metric):
    """Return a search that finds all of some vectors, in order."""
    stored = StoredVectors(launch.runtime, vectors.shape[1], metric, panels=True, coded=True)
    stored.reserve(len(vectors))
    stored.put(launch, vectors, 0)
    return panel_search.PanelSearch(launch, stored, len(vectors), len(vectors), 0)


def made(kind, seed, count, dim):
    """Return vectors of a kind, as float32."""
    return KINDS[kind](np.random.default_rng(seed), count, dim).astype(np.float32)


@pytest.mark.usefixtures("by_codes")
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("metric", METRICS)
@hypothesis.settings(
    max_examples=8,
    suppress_health_check=[
        hypothesis.HealthCheck.function_scoped_fixture,
        hypothesis.HealthCheck.too_slow,
    ],
)
@hypothesis.given(data=st.data())
def test_the_same_bits(runtime, metric, kind, data):
    dim = data.draw(st.sampled_from(DIMS))
    rows = data.draw(st.integers(1, 200 if dim < 4096 else 40))
    queries = data.draw(st.sampled_from([1, 2, 5]))
    seed = data.draw(st.integers(0, 1000))
    vectors = made(kind, seed, rows, dim)
    asked = made(data.draw(st.sampled_from([kind, *KINDS])), seed + 1, queries, dim)
    asked[0] = vectors[0]
    pair = indexes(vectors, runtime, metric)
    for k in (1, 10, rows + 3):
        check(pair, asked, k)
        check(pair, asked, k, np.random.default_rng(seed).random(rows) < 0.6)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("metric", METRICS)
def test_no_bound_is_above_the_distance(runtime, metric, kind):
    """Bounds hold for vectors of one kind and queries of all: the proof relies on it."""
    for dim in DIMS:
        rows = 60 if dim < 4096 else 20
        vectors = made(kind, dim, rows, dim)
        queries = [made(other, dim + 1, 3, dim) for other in KINDS]
        asked = np.concatenate([vectors[:3], -vectors[:2], *queries]).astype(np.float32)
        with Launch(runtime, None) as launch:
            search = search_among(launch, vectors, metric)
            bounds = search.candidates(asked, rows, NO_KEY)
            truth = search.by_vectors(asked)
        by_position = [
            distances(np.take_along_axis(keys, np.argsort(keys & np.uint64(NO_POSITION), 1), 1))
            for keys in (bounds, truth)
        ]
        assert np.isfinite(by_position).all()
        assert (by_position[0] <= by_position[1]).all()


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("metric", METRICS)
def test_high_digits_leave_out_no_candidate(runtime, metric, kind):
    """Few candidates are the first of all vectors by their bounds, for one query and for many.

    Where all vectors are candidates, the low digits of every query are multiplied with all of them.
    """
    for dim in (3, 17, 384, 2081):
        vectors = made(kind, dim, 150 if dim < 2000 else 40, dim)
        asked = np.concatenate([made(other, dim + 1, 1, dim) for other in KINDS])
        asked = np.concatenate([vectors[:2], made(kind, dim + 2, 3, dim), asked])
        with Launch(runtime, None) as launch:
            search = search_among(launch, vectors, metric)
            whole = search.candidates(asked, len(vectors), NO_KEY)
            few = search.candidates(asked, 5, NO_KEY)
            alone = [search.candidates(q[None], 5, NO_KEY) for q in asked]
        np.testing.assert_array_equal(few, whole[:, :5])
        np.testing.assert_array_equal(np.concatenate(alone), few)


@pytest.mark.parametrize("dim", DIMS_OF_DIGITS)
def test_the_longest_sums_fit(runtime, dim):
    """All codes are the largest, so that the sums of their products are too."""
    signs = np.sign(normal(3, dim, seed=3))
    vectors = np.concatenate([np.ones((5, dim)), -np.ones((5, dim)), signs]).astype(np.float32)
    asked = np.concatenate([vectors[[0, 5, 10, 11]], normal(2, dim)])
    with Launch(runtime, None) as launch:
        search = search_among(launch, vectors, "dot")
        bounds = distances(search.candidates(asked, len(vectors), NO_KEY))
        truth = distances(search.by_vectors(asked))
    assert (bounds <= truth).all()
    # The codes of ones are exact.
    np.testing.assert_allclose(bounds[:4], truth[:4], rtol=0, atol=dim * (dim + 200) * 2.0**-23)


@pytest.mark.parametrize("metric", METRICS)
def test_bounds_are_near_the_distances(runtime, metric):
    """For unit vectors of 3 and of 384 dimensions, a bound is at most some hundredths below."""
    for dim in (3, 384):
        vectors, asked = (x / np.linalg.norm(x, axis=1)[:, None] for x in normal(2, 100, dim))
        with Launch(runtime, None) as launch:
            search = search_among(launch, vectors, metric)
            bounds = distances(search.candidates(asked, 100, NO_KEY))
            gaps = distances(search.by_vectors(asked)) - bounds
        assert gaps.max() < (0.02 if metric != "l2" else 0.04)


def test_one_search_by_codes_is_enough_for_vectors_that_lie_apart(runtime, steps):
    pair = indexes(normal(6000, 96, seed=1), runtime, "cosine")
    check(pair, normal(30, 96), 10)
    # The search by vectors is that of the index without codes.
    assert steps == {"_by_bounds": [30], "by_vectors": [30]}


@pytest.mark.parametrize("metric", METRICS)
def test_queries_are_searched_again_with_more_candidates(runtime, steps, metric, monkeypatch):
    monkeypatch.setattr(panel_search, "_MORE", 0)
    monkeypatch.setattr(panel_search, "_TIMES_K", 1)
    pair = indexes(normal(12_000, 48, seed=1), runtime, metric)
    check(pair, normal(30, 48), 10)
    first, second = steps["_by_bounds"]
    assert first == 30
    assert 0 < second <= 30
    assert steps["by_vectors"] == [30]


@pytest.mark.parametrize("metric", METRICS)
@pytest.mark.parametrize("kind", ["all equal", "cluster of 1e-7"])
def test_vectors_are_read_if_codes_cannot_tell_them_apart(runtime, steps, metric, kind):
    pair = indexes(made(kind, 1, 6000, 24), runtime, metric)
    check(pair, normal(3, 24), 2)
    assert steps["by_vectors"] == [3, 3]


def test_an_index_of_few_vectors_is_not_searched_by_codes(runtime, steps):
    pair = indexes(normal(500, 24, seed=1), runtime, "cosine")
    check(pair, normal(3, 24), 10)
    assert steps == {"_by_bounds": [], "by_vectors": [3, 3]}


@pytest.mark.usefixtures("by_codes")
@pytest.mark.parametrize("metric", METRICS)
def test_bounds_follow_vectors_that_move(runtime, metric, tmp_path):
    """Codes and bounds are right for vectors that are moved, added later or read from a file."""
    pair = indexes(made("all sizes", 1, 300, 20) * 2.0**-20, runtime, metric)
    for number, index in enumerate(pair):
        index.remove(range(40, 90))
        index.add(normal(70, 20))
        index.save(tmp_path / str(number))
    check(pair, normal(5, 20, seed=2), 10)
    loaded = [fw.FlatIndex.load(tmp_path / str(number), runtime=runtime) for number in (0, 1)]
    check(loaded, normal(5, 20, seed=2), 10)
