"""The vectors that the indexes return by id, and their ids."""

import threading

import hypothesis
import numpy as np
import pytest
from hypothesis import strategies as st

import flashwasm as fw
from flashwasm.oracles import reference
from sample_arrays import assert_same_bits, normal
from search_checks import DTYPES, METRICS

KINDS = ["flat", "hnsw", "sharded flat", "sharded hnsw"]


def made(kind, dim, runtime, **options):
    """Return an empty index; the shards of a sharded one are small."""
    if kind.startswith("sharded"):
        return fw.ShardedIndex(kind.split()[1], dim, shard_size=7, threads=1, **options)
    make = fw.FlatIndex if kind == "flat" else fw.HNSWIndex
    return make(dim, runtime=runtime, **options)


def stored(vectors, metric):
    """Return what an index of a metric stores, in float64."""
    x = np.float64(vectors)
    if metric != "cosine":
        return x
    lengths = np.linalg.norm(x, axis=-1, keepdims=True)
    return np.divide(x, lengths, out=np.zeros_like(x), where=lengths > 0)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("metric", METRICS)
def test_vectors_come_back(one_thread, kind, dtype, metric):
    for dim in (1, 5, 16, 33):
        vectors = normal(30, dim, seed=dim)
        vectors[4] = 0
        index = made(kind, dim, one_thread, metric=metric, dtype=dtype)
        index.add(vectors, ids=1000 - np.arange(30))
        some = np.array([3, 29, 4, 0, 3])
        found = index.get(1000 - some)
        assert found.shape == (5, dim)
        assert found.dtype == np.float32
        assert found.flags.c_contiguous
        if metric == "cosine":
            np.testing.assert_allclose(found, stored(vectors[some], metric), rtol=1e-6, atol=0)
        else:
            assert_same_bits(found, vectors[some])
        assert_same_bits(index.get(1000 - 3), found[0])
        assert index.ids.tolist() == (1000 - np.arange(30)).tolist()


@pytest.mark.parametrize("kind", KINDS)
def test_a_cosine_with_a_vector_that_was_returned_is_its_score(one_thread, kind):
    vectors = normal(20, 24)
    index = made(kind, 24, one_thread)
    index.add(vectors)
    query = normal(1, 24, seed=1)
    scores, ids = index.search(query, 20)
    truth = reference.similarity(query, index.get(ids[0]), "cosine")
    np.testing.assert_allclose(scores, truth, atol=1e-6)


@pytest.mark.parametrize("kind", KINDS)
def test_one_id_or_many(one_thread, kind):
    index = made(kind, 3, one_thread, metric="dot")
    index.add([[1.0, 2.0, 3.0], [4.0, 5.0, 6.0]], ids=["a", "b"])
    assert index.get("b").tolist() == [4, 5, 6]
    assert index.get(np.str_("b")).tolist() == [4, 5, 6]
    assert index.get(["b", "a", "b"])[:, 0].tolist() == [4, 1, 4]
    assert index.get(index.ids).tolist() == [[1, 2, 3], [4, 5, 6]]
    assert index.get([]).shape == (0, 3)
    found = index.get("a")
    found[:] = 9
    assert index.get("a").tolist() == [1, 2, 3]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(
    ("ids", "error", "message"),
    [
        (7, fw.IndexRangeError, "ids: 7 is not in the index"),
        ([0, -1], fw.IndexRangeError, "ids: -1 is not in the index"),
        ("a", fw.DTypeError, "ids: the ids of this index are integers, got strings"),
        (None, fw.DTypeError, "ids: expected an id, or an array of ids, got NoneType"),
        ({0, 1}, fw.DTypeError, "ids: expected an id, or an array of ids, got set"),
        (0.0, fw.DTypeError, "ids: expected integers or strings, got float64"),
        (True, fw.DTypeError, "ids: expected integers or strings, got bool"),
        (2**70, fw.ShapeError, "ids: 1180591620717411303424 exceeds the range of int64"),
        ([[0, 1]], fw.ShapeError, r"ids: expected shape \(n,\), got \(1, 2\)"),
    ],
)
def test_wrong_ids(one_thread, kind, ids, error, message):
    index = made(kind, 3, one_thread)
    index.add(normal(2, 3))
    with pytest.raises(error, match=message):
        index.get(ids)


@pytest.mark.parametrize("kind", KINDS)
@hypothesis.given(data=st.data())
@hypothesis.settings(max_examples=20)
def test_any_additions_and_removals(one_thread, kind, data):
    """The index holds the same vectors as a dict, after every step and after saving."""
    index, expected = made(kind, 4, one_thread, metric="l2"), {}
    for step in range(data.draw(st.integers(1, 6))):
        if data.draw(st.booleans()) or not expected:
            count = data.draw(st.integers(1, 12))
            rows = normal(count, 4, seed=step)
            before = set(index.ids.tolist())
            index.add(rows)
            new = [one for one in index.ids.tolist() if one not in before]
            expected |= zip(sorted(new), rows, strict=True)
        else:
            gone = data.draw(st.lists(st.sampled_from(sorted(expected)), min_size=1, unique=True))
            index.remove(gone)
            for one in gone:
                del expected[one]
                with pytest.raises(fw.IndexRangeError):
                    index.get(one)
        assert sorted(index.ids.tolist()) == sorted(expected)
        ids = data.draw(st.permutations(sorted(expected)))
        assert_same_bits(index.get(ids), np.array([expected[i] for i in ids], "f4").reshape(-1, 4))


@pytest.mark.parametrize("kind", KINDS)
def test_after_saving(one_thread, kind, tmp_path):
    index = made(kind, 6, one_thread, dtype="int8")
    index.add(normal(20, 6))
    index.remove([3, 8])
    index.save(tmp_path / "index")
    options = {"threads": 1} if kind.startswith("sharded") else {"runtime": one_thread}
    again = type(index).load(tmp_path / "index", **options)
    assert again.ids.tolist() == index.ids.tolist()
    assert_same_bits(again.get(again.ids), index.get(index.ids))


@pytest.mark.parametrize("kind", KINDS)
def test_after_close(kind):
    rt = fw.Runtime(threads=1)
    index = made(kind, 3, rt)
    index.add(normal(2, 3))
    (index if kind.startswith("sharded") else rt).close()
    for ids in (0, [0, 1], []):
        with pytest.raises(fw.ClosedError):
            index.get(ids)
    # These do not read linear memory.
    assert (len(index), 1 in index, index.ids.tolist()) == (2, True, [0, 1])


@pytest.mark.parametrize("kind", ["flat", "hnsw"])
def test_many_vectors_are_copied_in_pieces(one_thread, kind):
    """A piece has at most 2**20 numbers."""
    index = made(kind, 16384, one_thread, metric="dot")
    index.add(normal(3, 16384))
    many = np.arange(200) % 3
    assert_same_bits(index.get(many), normal(3, 16384)[many])


@pytest.mark.parametrize("kind", KINDS)
def test_ids_while_another_thread_changes_the_index(one_thread, kind):
    """`ids` is the state before or after a call of the other thread."""
    index = made(kind, 2, one_thread)
    index.add(normal(50, 2))
    wrong, stop = [], threading.Event()

    def look():
        while not stop.is_set():
            ids = index.ids.tolist()
            if len(set(ids)) != len(ids) or -1 in ids or len(ids) < 40:
                wrong.append(ids)

    looking = threading.Thread(target=look)
    looking.start()
    for i in range(50, 90):
        index.remove([i - 50])
        index.add(normal(1, 2), ids=[i])
    stop.set()
    looking.join()
    assert wrong == []
