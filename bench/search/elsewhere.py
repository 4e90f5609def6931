"""Libraries that search vectors in processes of their own, timed by those processes' clocks."""

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
        """Return ids, and the seconds that finding them took there."""

    @abstractmethod
    def close(self) -> None:
        """End the process."""


class SimSimd(Elsewhere):
    """simsimd's products, and NumPy's partition.

    In a process of its own: importing simsimd changes how the processor rounds tiny numbers.
    """

    def __init__(self, vectors: Array, runtime: Runtime) -> None:
        self._pool = ProcessPoolExecutor(
            1, multiprocessing.get_context("spawn"), _hold, (vectors, runtime.threads)
        )

    def search(self, queries: Array, k: int, ef: int) -> tuple[Array, float]:
        """Return ids, and the seconds that finding them took there."""
        del ef
        return self._pool.submit(_nearest, queries, k).result()

    def close(self) -> None:
        """End the process."""
        self._pool.shutdown()


class HnswlibWasm(Elsewhere):
    """hnswlib's graph in WebAssembly, in Node, on one thread."""

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
        """Return ids, and the seconds that finding them took there."""
        inputs = [self._process.write("queries", queries)]
        found, seconds = self._process.result(k=k, ef=ef, inputs=inputs)
        return found.astype(np.int64).reshape(len(queries), -1), seconds

    def close(self) -> None:
        """End the process."""
        self._process.close()


# What the process of `SimSimd` holds.
_held: dict[str, Any] = {}


def _hold(vectors: Array, threads: int) -> None:
    simsimd = importlib.import_module("simsimd")
    _held.update(vectors=vectors, threads=threads, cdist=simsimd.cdist)


def _nearest(queries: Array, k: int) -> tuple[Array, float]:
    start = perf_counter()
    scores = _held["cdist"](queries, _held["vectors"], metric="dot", threads=_held["threads"])
    found = greatest(np.asarray(scores), k)
    return found, perf_counter() - start
