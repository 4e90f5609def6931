"""Indexes whose shards workers build and search have the same bits as those of one process."""

import sys
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

import flashwasm as fw
from flashwasm import distributed
from flashwasm.distributed import index_shards

RNG = np.random.default_rng(9)
VECTORS = RNG.standard_normal((500, 16), np.float32)
VECTORS[[40, 300]] = VECTORS[7]
QUERIES = VECTORS[5:15]
NAMES = np.array([f"vector {i}" for i in range(500)], object)


def same(found, expected):
    scores, ids = expected
    return found[0].tobytes() == scores.tobytes() and found[1].tolist() == ids.tolist()


@pytest.mark.parametrize(
    ("kind", "ids", "options"),
    [
        ("flat", None, {"metric": "l2"}),
        ("flat", NAMES, {"dtype": "int8"}),
        ("hnsw", NAMES, {"m": 8, "seed": 3}),
    ],
)
def test_the_index_is_that_of_one_process(tmp_path, local_workers, kind, ids, options):
    np.save(tmp_path / "vectors.npy", VECTORS)
    path = tmp_path / "index"
    given = {"kind": kind, "ids": ids, "shard_size": 180, **options}
    assert distributed.build_index(local_workers, path, tmp_path / "vectors.npy", **given) == 3
    with fw.ShardedIndex(kind, 16, shard_size=180, threads=1, **options) as one:
        one.add(VECTORS, ids)
        expected = one.search(QUERIES, 12)
        # Only flat shards take a filter.
        wanted = {1, 40, 300, 999} if ids is None else {"vector 40", "vector 300", "none"}
        narrowed = {"filter": wanted} if kind == "flat" else {"ef": 30}
        filtered = one.search(QUERIES, 5, **narrowed)
    assert same(distributed.search_index(local_workers, path, QUERIES, 12), expected)
    # The workers have kept the shards; now they read them from where they are.
    assert same(distributed.search_index(local_workers, path, QUERIES, 5, **narrowed), filtered)
    with fw.ShardedIndex.load(path, threads=1) as loaded:
        assert same(loaded.search(QUERIES, 12), expected)
        loaded.remove(loaded.search(QUERIES[:1], 1)[1][0])
        without = loaded.search(QUERIES, 12)
        # A mask is in the order of the ids that remain.
        narrowed = {"filter": np.arange(len(loaded)) % 3 == 0} if kind == "flat" else {}
        masked = loaded.search(QUERIES, 5, **narrowed)
        loaded.save(path)
    # A shard that was written anew is read anew.
    assert same(distributed.search_index(local_workers, path, QUERIES, 12), without)
    assert same(distributed.search_index(local_workers, path, QUERIES, 5, **narrowed), masked)


def test_threads_of_one_process_share_the_shards(tmp_path, monkeypatch):
    """Workers may be threads. While one of them reads a shard, another looks for removed files."""
    path = tmp_path / "index"
    with fw.ShardedIndex("flat", 16, shard_size=20, threads=1) as one:
        one.add(VECTORS)
        one.save(path)
        expected = one.search(QUERIES, 12)
    kept = {(None, f"gone {number}"): None for number in range(2000)}
    monkeypatch.setattr(index_shards, "_kept", kept)
    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    try:
        with ThreadPoolExecutor(4) as pool:
            assert same(distributed.search_index(pool, path, QUERIES, 12), expected)
    finally:
        sys.setswitchinterval(interval)
    assert len(kept) == 25


def test_bad_options_leave_no_file(tmp_path, local_workers):
    path = tmp_path / "index"
    with pytest.raises(TypeError, match="odd"):
        distributed.build_index(local_workers, path, VECTORS, odd=1)
    with pytest.raises(fw.ShapeError, match="given twice"):
        distributed.build_index(local_workers, path, VECTORS, ids=[1] * 500)
    bad = VECTORS.copy()
    bad[400] = np.inf
    with pytest.raises(fw.ShapeError):
        distributed.build_index(local_workers, path, bad, shard_size=180)
    assert not list(tmp_path.iterdir())
