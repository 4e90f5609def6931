"""Libraries that search vectors in this process: a function that builds what searches for each."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

import numpy as np

from bench.peers.onnx_models import nearest_model
from bench.peers.onnx_runtime import session
from flashwasm.search import FlatIndex, HNSWIndex

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    from flashwasm.runtime.runtime import Runtime

    Array = NDArray[Any]
    # Takes queries, k and ef; returns ids.
    Search = Callable[[Array, int, int], Array]
    # Takes vectors, and a runtime of this package's that says how many threads there are.
    Build = Callable[[Array, Runtime], Search]

M, EF_CONSTRUCTION = 16, 200


def greatest(scores: Array, k: int) -> Array:
    """Return the places of the k greatest of each row, in order."""
    some = np.argpartition(-scores, k - 1, axis=1)[:, :k]
    order = np.argsort(-np.take_along_axis(scores, some, axis=1), axis=1)
    return np.take_along_axis(some, order, axis=1)


def flat(dtype: str) -> Build:
    """Return what builds a `FlatIndex`."""

    def build(vectors: Array, runtime: Runtime) -> Search:
        index = FlatIndex(vectors.shape[1], dtype=dtype, runtime=runtime)
        index.add(vectors)
        return lambda queries, k, _: index.search(queries, k)[1]

    return build


def graph(dtype: str) -> Build:
    """Return what builds an `HNSWIndex`, and searches its graph."""

    def build(vectors: Array, runtime: Runtime) -> Search:
        index = HNSWIndex(vectors.shape[1], dtype=dtype, runtime=runtime)
        index.add(vectors)
        return lambda queries, k, ef: index.search(queries, k, ef, exact=False)[1]

    return build


def numpy_product(vectors: Array, runtime: Runtime) -> Search:
    """Search by a product and a partition."""
    del runtime  # Its BLAS was told when it was loaded.
    return lambda queries, k, _: greatest(queries @ vectors.T, k)


def torch_product(vectors: Array, runtime: Runtime) -> Search:
    """Search by PyTorch's product and its topk."""
    torch = importlib.import_module("torch")
    torch.set_num_threads(runtime.threads)
    columns = torch.from_numpy(vectors).T

    def search(queries: Array, k: int, _: int) -> Array:
        with torch.inference_mode():
            found: Array = torch.topk(torch.from_numpy(queries) @ columns, k).indices.numpy()
        return found

    return search


def onnx_product(vectors: Array, runtime: Runtime) -> Search:
    """Search by a model of a product and TopK in ONNX Runtime."""
    ready = session(nearest_model(vectors), runtime.threads)

    def search(queries: Array, k: int, _: int) -> Array:
        return np.asarray(ready.run(["ids"], {"x0": queries, "k": np.array([k])})[0])

    return search


def faiss_flat(vectors: Array, runtime: Runtime) -> Search:
    """Search faiss's IndexFlatIP."""
    faiss = importlib.import_module("faiss")
    faiss.omp_set_num_threads(runtime.threads)
    index = faiss.IndexFlatIP(vectors.shape[1])
    index.add(vectors)
    return lambda queries, k, _: np.asarray(index.search(queries, k)[1])


def faiss_graph(vectors: Array, runtime: Runtime) -> Search:
    """Search faiss's IndexHNSWFlat."""
    faiss = importlib.import_module("faiss")
    faiss.omp_set_num_threads(runtime.threads)
    index = faiss.IndexHNSWFlat(vectors.shape[1], M, faiss.METRIC_INNER_PRODUCT)
    index.hnsw.efConstruction = EF_CONSTRUCTION
    index.add(vectors)

    def search(queries: Array, k: int, ef: int) -> Array:
        index.hnsw.efSearch = ef
        return np.asarray(index.search(queries, k)[1])

    return search


def hnswlib_graph(vectors: Array, runtime: Runtime) -> Search:
    """Search hnswlib's graph."""
    index = importlib.import_module("hnswlib").Index("ip", vectors.shape[1])
    index.init_index(len(vectors), M=M, ef_construction=EF_CONSTRUCTION)
    index.set_num_threads(runtime.threads)
    index.add_items(vectors, num_threads=runtime.threads)

    def search(queries: Array, k: int, ef: int) -> Array:
        index.set_ef(ef)
        return np.asarray(index.knn_query(queries, k, num_threads=runtime.threads)[0])

    return search


def usearch_exact(vectors: Array, runtime: Runtime) -> Search:
    """Search by usearch's brute force."""
    usearch = importlib.import_module("usearch.index")
    options = {"exact": True, "threads": runtime.threads}
    metric = usearch.MetricKind.IP

    def search(queries: Array, k: int, _: int) -> Array:
        found = usearch.search(vectors, queries, k, metric, **options)
        return np.asarray(found.keys).reshape(len(queries), -1)

    return search


def usearch_graph(vectors: Array, runtime: Runtime) -> Search:
    """Search usearch's graph."""
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
