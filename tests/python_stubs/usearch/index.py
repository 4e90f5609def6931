"""The function and the class that the benchmark calls, by brute force."""

from enum import Enum
from types import SimpleNamespace

import numpy as np


class MetricKind(Enum):
    """The metric that is used."""

    IP = "ip"


def search(dataset, query, count, metric, *, exact, threads):
    assert (metric, exact, threads) == (MetricKind.IP, True, 1)
    keys = np.argsort(-(query @ dataset.T), axis=1, kind="stable")[:, :count]
    return SimpleNamespace(keys=keys.astype(np.uint64))


class Index:
    """Vectors by key."""

    def __init__(self, *, ndim, metric, dtype, connectivity, expansion_add):
        assert (metric, dtype) == ("ip", "f32")
        assert min(ndim, connectivity, expansion_add) > 0
        self.expansion_search = 0

    def add(self, keys, vectors, *, threads):
        assert threads == 1
        assert keys.tolist() == list(range(len(vectors)))
        self.vectors = vectors

    def search(self, queries, count, *, threads):
        assert self.expansion_search >= count
        return search(self.vectors, queries, count, MetricKind.IP, exact=True, threads=threads)
