"""The same work on a real cluster of dask, with arrays of dask, and a worker that is killed."""

import numpy as np
import pytest

import flashwasm as fw
import tiny_bert
from flashwasm import distributed
from flashwasm.distributed import WorkersEncoder
from lost_workers import kill_once

da = pytest.importorskip("dask.array")
RNG = np.random.default_rng(10)
Q = RNG.standard_normal((2, 6, 8), np.float32)
K, V = RNG.standard_normal((2, 2, 90, 8), np.float32)


def chunk(marker, seed, block_info=None):
    """Return a chunk of rows, made by the worker; the first worker that makes the second dies."""
    place = block_info[None]["chunk-location"]
    if marker is not None and place[0] == 1:
        kill_once(marker)
    rng = np.random.default_rng([seed, *place])
    return rng.standard_normal(block_info[None]["chunk-shape"], np.float32)


def rows(marker=None, seed=0):
    """Return an array of dask of which only chunks exist."""
    shape = ((100, 100, 50), (8,))
    return da.map_blocks(chunk, marker, seed, chunks=shape, dtype=np.float32)


def test_attention_has_the_bits_of_processes(dask_client, local_workers):
    expected = distributed.attention(local_workers, Q, K, V, part_keys=20).tobytes()
    assert distributed.attention(dask_client, Q, K, V, part_keys=20).tobytes() == expected
    lazy = [da.from_array(x, chunks=(1, 33, 8)) for x in (K, V)]
    for executor in (dask_client, local_workers):
        assert distributed.attention(executor, Q, *lazy, part_keys=20).tobytes() == expected


def test_a_killed_worker_s_part_is_computed_again_with_the_same_bits(dask_client, tmp_path):
    q = RNG.standard_normal((5, 8), np.float32)
    expected = distributed.attention(dask_client, q, rows(), rows(seed=1), part_keys=60)
    marker = str(tmp_path / "killed")
    found = distributed.attention(dask_client, q, rows(marker), rows(seed=1), part_keys=60)
    assert (tmp_path / "killed").exists()
    assert found.tobytes() == expected.tobytes()
    whole = fw.cosine_top_k(q, rows().compute(), 30)
    found = distributed.top_k(dask_client, q, rows(), 30, part_rows=60)
    assert all(x.tobytes() == y.tobytes() for x, y in zip(found, whole, strict=True))


def test_lengths_that_dask_does_not_know(dask_client, tmp_path):
    unknown = rows()[rows()[:, 0] > 0]
    for use in (
        lambda: distributed.top_k(dask_client, Q[0], unknown, 3),
        lambda: distributed.build_index(dask_client, tmp_path / "index", unknown),
        lambda: distributed.attention(dask_client, Q[0], unknown, unknown),
    ):
        with pytest.raises(fw.ShapeError, match=r"known shape, got .nan, 8.*compute_chunk_sizes"):
            use()
    known = unknown.compute_chunk_sizes()
    found = distributed.top_k(dask_client, Q[0], known, 3)
    assert found[1].tolist() == fw.cosine_top_k(Q[0], known.compute(), 3)[1].tolist()


def test_indexes_and_embeddings(dask_client, tmp_path):
    vectors = rows().compute()
    distributed.build_index(dask_client, tmp_path / "index", rows(), shard_size=120)
    found = distributed.search_index(dask_client, tmp_path / "index", vectors[:4], 9)
    with fw.ShardedIndex("flat", 8, shard_size=120, threads=1) as index:
        index.add(vectors)
        expected = index.search(vectors[:4], 9)
    assert all(x.tobytes() == y.tobytes() for x, y in zip(found, expected, strict=True))
    tiny_bert.write(tmp_path / "model")
    texts = ["add an edge", "remove a node"] * 100
    there = WorkersEncoder(dask_client, tmp_path / "model").encode(texts)
    assert there.tobytes() == fw.SentenceEncoder.load(tmp_path / "model").encode(texts).tobytes()
