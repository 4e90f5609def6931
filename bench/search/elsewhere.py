"""Libraries that search vectors in a separate process, which also times the searches."""

from __future__ import annotations

import importlib
import multiprocessing
from abc import ABC, abstractmethod
from concurrent.futures import ProcessPoolExecutor
from time import perf_counter
from typing import TYPE_CHECKING, Any

import numpy as np

from bench.node_process import NodeProcess
from bench.search.libraries import EF_CONSTRUCTION, M, greatest

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from flashwasm.runtime.runtime import Runtime

    Array = NDArray[Any]


class Elsewhere(ABC):
    """A process that holds vectors and searches them."""

    @abstractmethod
    def search(self, queries: Array, k: int, ef: int) -> tuple[Array, float]:
        """Return the nearest ids, and the seconds that the search took in that process.

        Parameters
        ----------
        queries : numpy.ndarray of float32, shape (n, dim)
            Queries.
        k : int
            Number of nearest vectors to find.
        ef : int
            Number of candidates that the search of a graph keeps.
        """

    @abstractmethod
    def close(self) -> None:
        """End the process."""


class SimSimd(Elsewhere):
    """Exact search with simsimd's products and NumPy's partition.

    It runs in a separate process, because importing simsimd makes the processor round subnormal
    numbers to zero.

    Parameters
    ----------
    vectors : numpy.ndarray of float32, shape (n, dim)
        Vectors to search.
    runtime : Runtime
        Runtime. simsimd uses the same number of threads.
    """

    def __init__(self, vectors: Array, runtime: Runtime) -> None:
        self._pool = ProcessPoolExecutor(
            1, multiprocessing.get_context("spawn"), _hold, (vectors, runtime.threads)
        )

    def search(self, queries: Array, k: int, ef: int) -> tuple[Array, float]:
        """Return the nearest ids, and the seconds that the search took in that process.

        Parameters
        ----------
        queries : numpy.ndarray of float32, shape (n, dim)
            Queries.
        k : int
            Number of nearest vectors to find.
        ef : int
            Number of candidates that the search of a graph keeps.
        """
        del ef
        return self._pool.submit(_nearest, queries, k).result()

    def close(self) -> None:
        """End the process."""
        self._pool.shutdown()


class HnswlibWasm(Elsewhere):
    """Search of hnswlib's graph in WebAssembly, in Node, on one thread.

    Parameters
    ----------
    vectors : numpy.ndarray of float32, shape (n, dim)
        Vectors to search.
    runtime : Runtime
        Not used.
    """

    def __init__(self, vectors: Array, runtime: Runtime) -> None:
        del runtime
        self._process = NodeProcess("hnswlib-wasm")
        try:
            self._process.ask(
                do="prepare",
                options={"m": M, "ef_construction": EF_CONSTRUCTION},
                inputs=[self._process.write("vectors", vectors)],
            )
        except BaseException:
            self.close()
            raise

    def search(self, queries: Array, k: int, ef: int) -> tuple[Array, float]:
        """Return the nearest ids, and the seconds that the search took in that process.

        Parameters
        ----------
        queries : numpy.ndarray of float32, shape (n, dim)
            Queries.
        k : int
            Number of nearest vectors to find.
        ef : int
            Number of candidates that the search of a graph keeps.
        """
        inputs = [self._process.write("queries", queries)]
        found, seconds = self._process.result(k=k, ef=ef, inputs=inputs)
        return found.astype(np.int64).reshape(len(queries), -1), seconds

    def close(self) -> None:
        """End the process."""
        self._process.close()


# Vectors, threads and function in the process of `SimSimd`.
_held: dict[str, Any] = {}


def _hold(vectors: Array, threads: int) -> None:
    """Import simsimd and store the vectors when the process starts."""
    simsimd = importlib.import_module("simsimd")
    _held.update(vectors=vectors, threads=threads, cdist=simsimd.cdist)


def _nearest(queries: Array, k: int) -> tuple[Array, float]:
    """Return the nearest ids, and the seconds that finding them took."""
    start = perf_counter()
    scores = _held["cdist"](queries, _held["vectors"], metric="dot", threads=_held["threads"])
    found = greatest(np.asarray(scores), k)
    return found, perf_counter() - start
