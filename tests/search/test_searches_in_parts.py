"""Searches that do not fit into linear memory at once, while another thread changes the index."""

import numpy as np
import pytest

import flashwasm as fw
from changing_thread import SlowLaunch, changing
from sample_arrays import normal

VECTORS = normal(300, 64)
# The nearest vector to each query is the one that the other thread adds and removes.
NEAREST = np.full((1, 64), 10, np.float32)
QUERIES = np.broadcast_to(NEAREST, (60_000, 64))


@pytest.mark.parametrize(
    ("kind", "options"),
    [
        (fw.FlatIndex, {}),
        (fw.FlatIndex, {"filter": {*range(250), 1000}}),
        (fw.HNSWIndex, {"exact": True}),
        (fw.HNSWIndex, {"exact": False}),
    ],
    ids=["flat", "filter", "scan", "graph"],
)
def test_all_parts_of_a_search_see_the_same_vectors(monkeypatch, kind, options):
    monkeypatch.setattr("flashwasm.search.index.Launch", SlowLaunch)
    with fw.Runtime(threads=1, max_memory=10 << 20) as rt:
        index = kind(64, metric="l2", runtime=rt)
        index.add(VECTORS, ids=range(300))

        def change():
            index.add(NEAREST, ids=[1000])
            index.remove([1000])

        with changing(change):
            answers = [index.search(QUERIES, 1, **options)[1] for _ in range(5)]
        assert [len(np.unique(ids)) for ids in answers] == [1] * 5
