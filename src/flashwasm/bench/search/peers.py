"""The other libraries that search vectors, each behind the same few functions."""

from __future__ import annotations

import importlib
import importlib.util
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from flashwasm.search import FlatIndex, HNSWIndex

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    from flashwasm.runtime import Runtime

    Array = NDArray[Any]
    # Takes queries, k and ef; returns ids.
    Search = Callable[[Array, int, int], Array]

M, EF_CONSTRUCTION = 16, 200


@dataclass(frozen=True)
class Peer:
    """A library, or a setting of this one.

    Attributes
    ----------
    name : str
        What reports call it.
    build : callable
        Takes vectors and a runtime of this package's; returns what searches them.
    package, install : str
        What is imported, and the line that installs it; "" where nothing is missing.
    """

    name: str
    build: Callable[[Array, Runtime], Search]
    package: str = ""
    install: str = ""

    @property
    def absent(self) -> bool:
        """Whether its package is not installed."""
        return bool(self.package) and importlib.util.find_spec(self.package) is None


def _flat(dtype: str) -> Callable[[Array, Runtime], Search]:
    def build(vectors: Array, runtime: Runtime) -> Search:
        index = FlatIndex(vectors.shape[1], dtype=dtype, runtime=runtime)
        index.add(vectors)
        return lambda queries, k, _: index.search(queries, k)[1]

    return build


def _graph(dtype: str) -> Callable[[Array, Runtime], Search]:
    def build(vectors: Array, runtime: Runtime) -> Search:
        index = HNSWIndex(vectors.shape[1], dtype=dtype, runtime=runtime)
        index.add(vectors)
        return lambda queries, k, ef: index.search(queries, k, ef, exact=False)[1]

    return build


def _numpy(vectors: Array, runtime: Runtime) -> Search:
    del runtime

    def search(queries: Array, k: int, _: int) -> Array:
        scores = queries @ vectors.T
        some = np.argpartition(-scores, k - 1, axis=1)[:, :k]
        order = np.argsort(-np.take_along_axis(scores, some, axis=1), axis=1)
        return np.take_along_axis(some, order, axis=1)

    return search


def _faiss(*, graph: bool) -> Callable[[Array, Runtime], Search]:
    def build(vectors: Array, runtime: Runtime) -> Search:
        faiss = importlib.import_module("faiss")
        faiss.omp_set_num_threads(runtime.threads)
        if not graph:
            flat = faiss.IndexFlatIP(vectors.shape[1])
            flat.add(vectors)
            return lambda queries, k, _: np.asarray(flat.search(queries, k)[1])
        index = faiss.IndexHNSWFlat(vectors.shape[1], M, faiss.METRIC_INNER_PRODUCT)
        index.hnsw.efConstruction = EF_CONSTRUCTION
        index.add(vectors)

        def search(queries: Array, k: int, ef: int) -> Array:
            index.hnsw.efSearch = ef
            return np.asarray(index.search(queries, k)[1])

        return search

    return build


def _hnswlib(vectors: Array, runtime: Runtime) -> Search:
    index = importlib.import_module("hnswlib").Index("ip", vectors.shape[1])
    index.init_index(len(vectors), M=M, ef_construction=EF_CONSTRUCTION)
    index.set_num_threads(runtime.threads)
    index.add_items(vectors, num_threads=runtime.threads)

    def search(queries: Array, k: int, ef: int) -> Array:
        index.set_ef(ef)
        return np.asarray(index.knn_query(queries, k, num_threads=runtime.threads)[0])

    return search


def _usearch(vectors: Array, runtime: Runtime) -> Search:
    index = importlib.import_module("usearch.index").Index(
        ndim=vectors.shape[1],
        metric="ip",
        dtype="f32",
        connectivity=M,
        expansion_add=EF_CONSTRUCTION,
    )
    index.add(np.arange(len(vectors)), vectors, threads=runtime.threads)

    def search(queries: Array, k: int, ef: int) -> Array:
        index.expansion_search = ef
        return np.asarray(index.search(queries, k, threads=runtime.threads).keys)

    return search


_FAISS = ("faiss", "pip install faiss-cpu")
PEERS = {
    "FlatIndex": (
        Peer("flashwasm float32", _flat("float32")),
        Peer("flashwasm int8", _flat("int8")),
        Peer("NumPy", _numpy),
        Peer("faiss IndexFlatIP", _faiss(graph=False), *_FAISS),
    ),
    "HNSWIndex": (
        Peer("flashwasm float32", _graph("float32")),
        Peer("flashwasm int8", _graph("int8")),
        Peer("NumPy", _numpy),
        Peer("faiss IndexHNSWFlat", _faiss(graph=True), *_FAISS),
        Peer("hnswlib", _hnswlib, "hnswlib", "pip install hnswlib"),
        Peer("usearch", _usearch, "usearch", "pip install usearch"),
    ),
}
