"""A sharded index returns the same results as one index, for any number of shards."""

import os
import threading
import tracemalloc
from dataclasses import replace

import numpy as np
import pytest

import flashwasm as fw
from bench.reliability.allocation_faults import allocation_fails
from flashwasm.runtime.deadline import Deadline
from flashwasm.search.sharded import shard_files
from flashwasm.storage.file_reading import read_container
from flashwasm.storage.file_writing import write_container

RNG = np.random.default_rng(5)
VECTORS = RNG.standard_normal((95, 12), np.float32)
# Equal vectors in several shards have equal scores.
VECTORS[40:44] = VECTORS[3]
QUERIES = np.concatenate([RNG.standard_normal((7, 12), np.float32), VECTORS[3:4]])


@pytest.fixture
def make():
    """Return a function that makes indexes; they are closed after the test."""
    made = []

    def make(kind="flat", **options):
        options = {"shard_size": 30, "threads": 1} | options
        made.append(fw.ShardedIndex(kind, 12, **options))
        return made[-1]

    yield make
    for index in made:
        index.close()


def whole(**options):
    """Return one index of all vectors."""
    index = fw.FlatIndex(12, **options)
    index.add(VECTORS)
    return index


@pytest.mark.parametrize("metric", ["cosine", "dot", "l2"])
@pytest.mark.parametrize("dtype", ["float32", "int8"])
@pytest.mark.parametrize("size", [29, 95, 200])
def test_flat_shards_find_what_one_index_finds(make, metric, dtype, size):
    index, one = (
        make(metric=metric, dtype=dtype, shard_size=size),
        whole(metric=metric, dtype=dtype),
    )
    for part in np.array_split(VECTORS, 4):
        index.add(part)
    assert (len(index), index.shards) == (95, -(-95 // size))
    for k in (1, 10, 120):
        found, expected = index.search(QUERIES, k), one.search(QUERIES, k)
        assert found[0].tobytes() == expected[0].tobytes()
        assert found[1].tolist() == expected[1].tolist()


def test_one_vector_a_shard(make):
    index = make(shard_size=1)
    index.add(VECTORS[:5])
    assert index.shards == 5
    assert index.search(VECTORS[:5], 1)[1][:, 0].tolist() == [0, 1, 2, 3, 4]
    assert index.search(VECTORS[:1], 7)[1][0, 5:].tolist() == [-1, -1]


def test_removing_and_filters_go_to_the_right_shard(make):
    index, one = make(), whole()
    index.add(VECTORS)
    for each in (index, one):
        each.remove([0, 31, 60, 94])
        each.add(VECTORS[:2] + 1, ids=[0, 1000])
    assert index.shards == 4
    ids = set(range(1, 90, 3)) | {1000}
    assert index.ids.tolist() == one.ids.tolist()
    mask = np.arange(93) % 4 == 1
    for wanted in (None, ids, [*ids], np.array([*ids]), mask, mask.tolist()):
        options = {"filter": wanted}
        found, expected = index.search(QUERIES, 9, **options), one.search(QUERIES, 9, **options)
        assert found[0].tobytes() == expected[0].tobytes()
        # Vectors of equal score come in the order of adding. A flat index keeps this order when it
        # moves vectors forward.
        assert found[1].tolist() == expected[1].tolist()
    with pytest.raises(fw.IndexRangeError, match="31 is not in the index"):
        index.remove([5, 31])
    assert len(index) == 93
    with pytest.raises(fw.ShapeError, match=r"filter: expected shape \(93,\), got \(95,\)"):
        index.search(QUERIES, 1, filter=np.ones(95, np.bool_))


@pytest.mark.parametrize("make_one", [fw.FlatIndex, fw.HNSWIndex, None])
def test_ids_that_are_in_the_index(make, make_one):
    index = make() if make_one is None else make_one(12)
    index.add(VECTORS[:3], ids=["a", "b", "c"])
    index.remove(["b"])
    assert ["a" in index, "b" in index, 1 in index] == [True, False, False]


@pytest.mark.parametrize("moment", ["before", "after"])
def test_an_interrupted_change_is_completed_by_the_next_use(make, monkeypatch, moment):
    """Ctrl-C comes before or after the change of one shard."""
    index, one = make(), whole()
    index.add(VECTORS)
    gone = [0, 31, 33, 60]

    def interrupted(real):
        def change(shard, *args, **options):
            monkeypatch.undo()
            if moment == "after":
                real(shard, *args, **options)
            raise KeyboardInterrupt

        return change

    monkeypatch.setattr(fw.FlatIndex, "remove", interrupted(fw.FlatIndex.remove))
    with pytest.raises(KeyboardInterrupt):
        index.remove(gone)
    one.remove(gone)
    assert len(index) == 91
    assert index.search(QUERIES, 9)[1].tolist() == one.search(QUERIES, 9)[1].tolist()

    monkeypatch.setattr(fw.FlatIndex, "add", interrupted(fw.FlatIndex.add))
    with pytest.raises(KeyboardInterrupt):
        index.add(VECTORS[:2], ids=[100, 101])
    added = moment == "after"
    assert [len(index), 101 in index] == [91 + 2 * added, added]
    index.add(VECTORS[:1], ids=[100 + 2 * added])
    assert index.search(VECTORS[:1], 1)[0] == pytest.approx(1)
    assert len(index) == 92 + 2 * added


def test_shards_that_are_graphs(make):
    index = make("hnsw", m=8, shard_size=40)
    index.add(VECTORS, ids=[f"v{i}" for i in range(95)])
    scores, ids = index.search(QUERIES, 5, ef=200, exact=False)
    expected = whole().search(QUERIES, 5)
    np.testing.assert_allclose(scores, expected[0], rtol=1e-5)
    assert ids[:7].tolist() == [[f"v{i}" for i in row] for row in expected[1][:7]]
    assert index.nbytes > 0


def test_bad_input_adds_nothing(make):
    index = make()
    index.add(VECTORS[:5], ids=list("abcde"))
    for ids, error in (
        (list("xa"), fw.ShapeError),
        (["x"], fw.ShapeError),
        ([1, 2], fw.DTypeError),
    ):
        with pytest.raises(error, match="ids"):
            index.add(VECTORS[:2], ids=ids)
    with pytest.raises(fw.ShapeError, match="vectors"):
        index.add(VECTORS[:2, :5])
    assert len(index) == 5
    for bad, message in (("tree", "kind"), ("flat", "metric")):
        with pytest.raises(fw.FlashWasmError, match=message):
            fw.ShardedIndex(bad, 12, metric="angle")
    with pytest.raises(fw.ShapeError, match="shard_size"):
        fw.ShardedIndex("flat", 12, shard_size=0)
    index.close()
    with pytest.raises(fw.ClosedError):
        index.search(QUERIES, 1)


@pytest.mark.parametrize("kind", ["flat", "hnsw"])
def test_saved_and_read_again(make, tmp_path, kind):
    path = tmp_path / "vectors.fw"
    index = make(kind, metric="l2")
    index.add(VECTORS, ids=[f"v{i}" for i in range(95)])
    index.remove(["v3", "v50"])
    index.save(path)
    kept = {p.name for p in tmp_path.iterdir()}
    other = tmp_path / "vectors.fw.mine.0"
    other.write_text("not ours")
    index.save(path)
    assert other.exists()
    # Only the index's own file keeps its name.
    assert len({p.name for p in tmp_path.iterdir()} & kept) == 1
    assert len(list(tmp_path.iterdir())) == len(kept) + 1
    with fw.ShardedIndex.load(path, threads=1) as again:
        assert (len(again), again.shards, again.shard_size) == (93, index.shards, 30)
        for found, expected in zip(again.search(QUERIES, 4), index.search(QUERIES, 4), strict=True):
            assert found.tolist() == expected.tolist()
        again.add(VECTORS[:1], ids=["new"])
        assert again.search(VECTORS[:1], 2)[1][0].tolist() == ["v0", "new"]


def test_a_damaged_missing_or_foreign_shard_is_refused(make, tmp_path):
    path = tmp_path / "vectors.fw"
    index = make()
    index.add(VECTORS)
    index.save(path)
    content = read_container(path, "sharded-index")
    shards = sorted(tmp_path.glob("vectors.fw.*.*"))
    first, second = (p.read_bytes() for p in shards[:2])

    def refused(match):
        with pytest.raises(fw.CorruptFileError, match=match):
            fw.ShardedIndex.load(path)

    shards[0].write_bytes(first[:-1])
    refused("truncated")
    shards[0].write_bytes(second)
    refused("shard 0 contains other vectors")
    shards[0].unlink()
    refused("there is no vectors.fw")
    shards[0].write_bytes(first)
    for name, value, reason in (
        ("kind", "tree", "kind is 'tree'"),
        ("token", "../../x", "token is"),
        ("shards", 2, "a shard that does not exist"),
        ("numbers", 3, "not in order"),
        ("option.surprise", 1, "surprise"),
    ):
        changed = replace(content, parameters=content.parameters | {name: value})
        write_container(path, changed)
        refused(f"contradicts itself: .*{reason}")


def test_what_a_file_states_takes_no_memory_of_that_size(make, tmp_path):
    """A file of 704 bytes with right checksums could once ask for 8 GiB, or for a billion ids."""
    path = tmp_path / "vectors.fw"
    index = make(metric="l2")
    index.add(VECTORS, ids=[f"v{i}" for i in range(95)])
    index.remove([f"v{i}" for i in range(1, 95)])
    index.save(path)
    content = read_container(path, "sharded-index")
    parameters = content.parameters | {"numbers": 1 << 40}
    write_container(path, replace(content, parameters=parameters))
    tracemalloc.start()
    with fw.ShardedIndex.load(path, threads=1) as again:
        assert tracemalloc.get_traced_memory()[1] < 8 << 20
        tracemalloc.stop()
        assert again.search(VECTORS[:1], 2)[1].tolist() == [["v0", None]]
        again.add(VECTORS[1:3], ids=["v1", "v2"])
        again.remove(["v0"])
        assert again.search(VECTORS[2:3], 1)[1].tolist() == [["v2"]]


@pytest.mark.parametrize(
    ("name", "value"), [("dim", 3), ("option.metric", "dot"), ("option.dtype", "int8")]
)
def test_shards_of_another_kind_are_refused(make, tmp_path, name, value):
    path = tmp_path / "vectors.fw"
    index = make(metric="l2")
    index.add(VECTORS)
    index.save(path)
    content = read_container(path, "sharded-index")
    write_container(path, replace(content, parameters=content.parameters | {name: value}))
    with pytest.raises(fw.CorruptFileError, match=r"contradicts itself: .*(dim|metric)"):
        fw.ShardedIndex.load(path)


def test_one_deadline_for_all_shards(monkeypatch):
    """All shards get the same deadline, so the timeout limits the whole search."""
    seen = []
    right = fw.FlatIndex.search

    def search(*arguments, timeout, **options):
        seen.append(timeout)
        return right(*arguments, timeout=timeout, **options)

    monkeypatch.setattr(fw.FlatIndex, "search", search)
    with fw.ShardedIndex("flat", 4, shard_size=2) as index:
        index.add(VECTORS[:6, :4])
        index.search(QUERIES[:1, :4], 1, timeout=60.0)
    assert len(seen) == 3
    assert len(set(seen)) == 1
    assert isinstance(seen[0], Deadline)


@pytest.mark.parametrize("kind", ["flat", "hnsw"])
def test_searches_beside_a_writer(make, kind):
    """Three threads search while one adds and removes: each search sees whole changes only."""
    index = make(kind)
    index.add(VECTORS[:20])
    errors, stop = [], threading.Event()

    def search():
        try:
            while not stop.is_set():
                # The first vectors are never removed: each must find itself.
                found = index.search(VECTORS[:3], 1)[1][:, 0]
                assert found.tolist() == [0, 1, 2]
                assert 19 in index
        except Exception as error:  # noqa: BLE001 - it is reported by the test's own thread.
            errors.append(error)

    searchers = [threading.Thread(target=search) for _ in range(3)]
    for thread in searchers:
        thread.start()
    try:
        for _ in range(3):
            for at in range(20, 90, 5):
                index.add(VECTORS[at : at + 5], ids=np.arange(at, at + 5))
            index.remove(range(20, 90))
    finally:
        stop.set()
        for thread in searchers:
            thread.join()
    assert not errors
    assert len(index) == 20
    assert index.search(VECTORS[:3], 1)[1][:, 0].tolist() == [0, 1, 2]


@pytest.mark.parametrize("kind", ["flat", "hnsw"])
@pytest.mark.parametrize("full", [0, 1, 3])
def test_removing_without_memory_removes_nothing(make, kind, full):
    """The memory of one shard is full: no later call tries to remove the vectors once more."""
    index, one = make(kind), whole()
    index.add(VECTORS)
    removed = [2, 3, 35, 64, 92]  # In all four shards.
    options = {} if kind == "flat" else {"exact": True}
    before = [part.tobytes() for part in index.search(QUERIES, 95, **options)]
    runtime = index._shards[full]._runtime  # noqa: SLF001 - no user can fill its memory.
    with allocation_fails(runtime, 1, lasting=True):
        for _ in range(2):
            with pytest.raises(fw.OutOfMemoryError):
                index.remove(removed)
        assert index.ids.tolist() == list(range(95))
        np.testing.assert_array_equal(index.get(removed), one.get(removed))
    assert [part.tobytes() for part in index.search(QUERIES, 95, **options)] == before
    index.remove(removed)
    one.remove(removed)
    assert index.ids.tolist() == one.ids.tolist()
    found, expected = (x.search(QUERIES, 90)[1] for x in (index, one))
    assert np.sort(found).tolist() == np.sort(expected).tolist()


def test_two_savers_of_one_path(make, tmp_path, monkeypatch):
    """Another process saves between two steps of a save: one of the two is there, and whole."""
    path = tmp_path / "index"
    first, second = make(), make()
    first.add(VECTORS)
    second.add(VECTORS[:40])
    first.save(path)
    write = shard_files.write_container

    def write_after_another(own, container):
        monkeypatch.setattr(shard_files, "write_container", write)
        second.save(path)
        write(own, container)

    monkeypatch.setattr(shard_files, "write_container", write_after_another)
    first.save(path)
    with fw.ShardedIndex.load(path, threads=1) as found:
        assert len(found) == len(VECTORS)
    # The other one's files are removed once they are too old to belong to a save that goes on.
    assert len(list(tmp_path.iterdir())) == 1 + first.shards + second.shards
    for file in tmp_path.glob("index.*"):
        os.utime(file, (0, 0))
    first.save(path)
    assert len(list(tmp_path.iterdir())) == 1 + first.shards


def test_a_path_that_is_replaced_while_it_is_read(make, tmp_path, monkeypatch):
    path = tmp_path / "index"
    first, second = make(), make()
    first.add(VECTORS)
    second.add(VECTORS[:40])
    first.save(path)
    paths = shard_files.ShardFile.shard_paths

    def paths_after_a_save(file):
        monkeypatch.setattr(shard_files.ShardFile, "shard_paths", paths)
        second.save(path)
        return paths(file)

    monkeypatch.setattr(shard_files.ShardFile, "shard_paths", paths_after_a_save)
    with fw.ShardedIndex.load(path, threads=1) as found:
        assert len(found) == 40


def test_a_runtime_is_refused_because_each_shard_has_its_own(one_thread):
    """It was dropped without a word, and its memory limit with it."""
    with pytest.raises(fw.DTypeError, match=r"^runtime: expected none, since each shard has"):
        fw.ShardedIndex("flat", 4, runtime=one_thread)


def test_a_closed_index_begins_no_shard():
    index = fw.ShardedIndex("flat", 2, shard_size=1, threads=1)
    index.add([[0.0, 1.0]])
    index.close()
    with pytest.raises(fw.ClosedError):
        index.add([[1.0, 0.0]])
    assert index.shards == 1


def test_removing_nothing_from_an_empty_index_leaves_it_usable(make):
    index = make()
    index.remove([])
    index.add(VECTORS)
    index.remove([])
    assert index.ids.tolist() == list(range(95))


def test_shards_with_graphs_compare_with_all_chosen_vectors(make):
    index, one = make("hnsw"), whole()
    index.add(VECTORS)
    wanted = set(range(0, 95, 3))
    found, expected = (each.search(QUERIES, 9, filter=wanted) for each in (index, one))
    assert (found[1] >= 0).all()
    np.testing.assert_allclose(found[0], expected[0], atol=1e-6)
