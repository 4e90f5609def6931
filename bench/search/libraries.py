"""Libraries that search vectors in this process, with a function for each that builds its index."""

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
    from flashwasm.search.parameters import IndexDType

    Array = NDArray[Any]
    # A function of queries, k and ef that returns ids.
    Search = Callable[[Array, int, int], Array]
    # A function of vectors and a runtime. The library uses the runtime's number of threads.
    Build = Callable[[Array, Runtime], Search]

M, EF_CONSTRUCTION = 16, 200


def greatest(scores: Array, k: int) -> Array:
    """Return the columns of the k greatest scores of each row, the greatest first.

    Parameters
    ----------
    scores : numpy.ndarray of float, shape (n, m)
        Scores.
    k : int
        Number of columns.
    """
    some = np.argpartition(-scores, k - 1, axis=1)[:, :k]
    order = np.argsort(-np.take_along_axis(scores, some, axis=1), axis=1)
    return np.take_along_axis(some, order, axis=1)


def flat(dtype: IndexDType) -> Build:
    """Return a function that builds a `FlatIndex`.

    Parameters
    ----------
    dtype : str
        Type in which the index stores vectors.
    """

    def build(vectors: Array, runtime: Runtime) -> Search:
        index = FlatIndex(vectors.shape[1], dtype=dtype, runtime=runtime)
        index.add(vectors)
        return lambda queries, k, _: index.search(queries, k)[1]

    return build


def graph(dtype: IndexDType) -> Build:
    """Return a function that builds an `HNSWIndex` whose graph is searched.

    Parameters
    ----------
    dtype : str
        Type in which the index stores vectors.
    """

    def build(vectors: Array, runtime: Runtime) -> Search:
        index = HNSWIndex(vectors.shape[1], dtype=dtype, runtime=runtime)
        index.add(vectors)
        return lambda queries, k, ef: index.search(queries, k, ef, exact=False)[1]

    return build


def numpy_product(vectors: Array, runtime: Runtime) -> Search:
    """Return an exact search by NumPy's product and partition."""
    # NumPy's BLAS reads its number of threads when it is loaded, so it cannot be set here.
    del runtime
    return lambda queries, k, _: greatest(queries @ vectors.T, k)


def torch_product(vectors: Array, runtime: Runtime) -> Search:
    """Return an exact search by PyTorch's product and topk."""
    torch = importlib.import_module("torch")
    torch.set_num_threads(runtime.threads)
    columns = torch.from_numpy(vectors).T

    def search(queries: Array, k: int, _: int) -> Array:
        with torch.inference_mode():
            found: Array = torch.topk(torch.from_numpy(queries) @ columns, k).indices.numpy()
        return found

    return search


def onnx_product(vectors: Array, runtime: Runtime) -> Search:
    """Return an exact search by a product and TopK in ONNX Runtime."""
    ready = session(nearest_model(vectors), runtime.threads)

    def search(queries: Array, k: int, _: int) -> Array:
        return np.asarray(ready.run(["ids"], {"x0": queries, "k": np.array([k])})[0])

    return search


def faiss_flat(vectors: Array, runtime: Runtime) -> Search:
    """Return a search of faiss's IndexFlatIP."""
    faiss = importlib.import_module("faiss")
    faiss.omp_set_num_threads(runtime.threads)
    index = faiss.IndexFlatIP(vectors.shape[1])
    index.add(vectors)
    return lambda queries, k, _: np.asarray(index.search(queries, k)[1])


def faiss_graph(vectors: Array, runtime: Runtime) -> Search:
    """Return a search of faiss's IndexHNSWFlat."""
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
    """Return a search of hnswlib's graph."""
    index = importlib.import_module("hnswlib").Index("ip", vectors.shape[1])
    index.init_index(len(vectors), M=M, ef_construction=EF_CONSTRUCTION)
    index.set_num_threads(runtime.threads)
    index.add_items(vectors, num_threads=runtime.threads)

    def search(queries: Array, k: int, ef: int) -> Array:
        index.set_ef(ef)
        return np.asarray(index.knn_query(queries, k, num_threads=runtime.threads)[0])

    return search


def usearch_exact(vectors: Array, runtime: Runtime) -> Search:
    """Return an exact search by usearch."""
    usearch = importlib.import_module("usearch.index")
    options = {"exact": True, "threads": runtime.threads}
    metric = usearch.MetricKind.IP

    def search(queries: Array, k: int, _: int) -> Array:
        found = usearch.search(vectors, queries, k, metric, **options)
        return np.asarray(found.keys).reshape(len(queries), -1)

    return search


def usearch_graph(vectors: Array, runtime: Runtime) -> Search:
    """Return a search of usearch's graph."""
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
