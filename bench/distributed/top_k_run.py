"""Search in parts of a corpus on one process and on two, compared with a search of the whole."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from time import perf_counter
from typing import Any

import numpy as np
import numpy.typing as npt

import flashwasm as fw
from flashwasm import distributed
from flashwasm.distributed import LocalWorkers
from flashwasm.summaries import counted

__all__ = ["TopKRun", "run_top_k"]

Array = npt.NDArray[Any]

_DIM, _QUERIES, _K = 384, 64, 100
_REPEATS = 3


@dataclass(frozen=True)
class TopKRun:
    """Search by some workers.

    Attributes
    ----------
    workers : int
        Number of processes, each with one thread.
    seconds : float
        Shortest time of a search, of several.
    same : bool
        True if scores and indices have the bytes of one search of the whole corpus.
    """

    workers: int
    seconds: float
    same: bool


def run_top_k(rows: int, note: Callable[[str], None]) -> list[TopKRun]:
    """Search a corpus in a file with one process and with two.

    Parameters
    ----------
    rows : int
        Number of vectors of 384 numbers. Every fourth is in the corpus twice, so that some scores
        are equal.
    note : callable
        Function that is called with a line about each search before it begins.
    """
    found = []
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "corpus.npy")
        note(f"writing {counted(rows, 'vectors')}")
        queries = _write_corpus(path, rows)
        note("one search in the whole corpus")
        expected: tuple[Array, Array] = fw.cosine_top_k(queries, np.load(path, mmap_mode="r"), _K)
        for workers in (1, 2):
            note(counted(workers, "workers"))
            times: list[float] = []
            results = expected
            with LocalWorkers(workers, threads=1) as executor:
                # The first search loads the kernels and reads the file.
                for _ in range(_REPEATS + 1):
                    begun = perf_counter()
                    results = distributed.top_k(executor, queries, path, _K)
                    times.append(perf_counter() - begun)
            same = all(x.tobytes() == y.tobytes() for x, y in zip(results, expected, strict=True))
            found.append(TopKRun(workers, min(times[1:]), same))
    return found


def _write_corpus(path: Path, rows: int) -> Array:
    """Write the corpus to a .npy file, and return queries taken from it."""
    rng = np.random.default_rng(0)
    corpus = np.lib.format.open_memmap(path, "w+", np.float32, (rows, _DIM))
    half = rows // 2
    for start in range(0, rows, 1 << 15):
        stop = min(start + (1 << 15), rows)
        corpus[start:stop] = rng.standard_normal((stop - start, _DIM), np.float32)
    # A copy of every second row of the first half.
    corpus[half : half + len(range(0, half, 2))] = corpus[:half:2]
    corpus.flush()
    return np.array(corpus[: 2 * _QUERIES : 2])
