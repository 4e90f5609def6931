"""Attention to keys and values that exceed every worker's memory, and the loss of a worker."""

from __future__ import annotations

import hashlib
import logging
import math
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from time import perf_counter
from typing import Any

import numpy as np
import numpy.typing as npt

from bench.distributed.made_chunks import CHUNK, DIM, lazy_rows, rows_of_chunk
from flashwasm import distributed
from flashwasm.optional_packages import optional_module
from flashwasm.summaries import counted

__all__ = ["AttentionRun", "run_attention"]

Array = npt.NDArray[Any]

_QUERIES = 16
_KEYS, _VALUES = 1, 2


@dataclass(frozen=True)
class AttentionRun:
    """Attention on one cluster.

    Attributes
    ----------
    workers : int
        Number of workers.
    killed : bool
        True if one of them was killed midway.
    seconds : float
        Time of the call.
    error : float
        Greatest difference from attention in float64.
    digest : str
        SHA-256 of the output's bytes.
    """

    workers: int
    killed: bool
    seconds: float
    error: float
    digest: str


def run_attention(keys: int, memory: str, note: Callable[[str], None]) -> list[AttentionRun]:
    """Compute attention on one, two and three workers, and on two of which one is killed.

    Parameters
    ----------
    keys : int
        Number of keys, of 64 numbers each.
    memory : str
        Memory limit of a worker, such as "500MB".
    note : callable
        Function that is called with a line about each run before it begins.
    """
    queries = np.random.default_rng(0).standard_normal((_QUERIES, DIM), np.float32)
    note("attention in float64, for reference")
    exact = _reference(queries, keys)
    found = []
    for workers, killed in ((1, False), (2, False), (3, False), (2, True)):
        fate = ", one of which is killed" if killed else ""
        note(f"{counted(workers, 'workers')} of {memory}{fate}")
        found.append(_run(queries, keys, exact, (workers, memory), killed=killed))
    return found


def _run(
    queries: Array, keys: int, exact: Array, cluster: tuple[int, str], *, killed: bool
) -> AttentionRun:
    """Compute attention on a new cluster."""
    module = optional_module("dask.distributed", extra="dask")
    workers, memory = cluster
    lost = keys // CHUNK // 2 if killed else -1
    with (
        tempfile.TemporaryDirectory() as folder,
        module.LocalCluster(
            n_workers=workers,
            threads_per_worker=1,
            memory_limit=memory,
            dashboard_address=":0",
            silence_logs=logging.CRITICAL,
        ) as made,
        module.Client(made) as client,
    ):
        marker = Path(folder, "killed")
        k, v = lazy_rows(_KEYS, keys, marker, lost), lazy_rows(_VALUES, keys)
        begun = perf_counter()
        out = np.asarray(distributed.attention(client, queries, k, v, part_keys=CHUNK))
        seconds = perf_counter() - begun
        if marker.exists() != killed:
            raise AssertionError("the worker was not killed")
    error = float(np.abs(out - exact).max())
    return AttentionRun(workers, killed, seconds, error, hashlib.sha256(out.tobytes()).hexdigest())


def _reference(queries: Array, keys: int) -> Array:
    """Return attention in float64, chunk by chunk."""
    q = queries.astype(np.float64) / math.sqrt(DIM)
    out, total = np.zeros(q.shape), np.zeros((len(q), 1))
    greatest = np.full((len(q), 1), -np.inf)
    for number, start in enumerate(range(0, keys, CHUNK)):
        count = min(CHUNK, keys - start)
        k, v = (rows_of_chunk(seed, number, count).astype(np.float64) for seed in (_KEYS, _VALUES))
        scores = q @ k.T
        higher = np.maximum(greatest, scores.max(axis=1, keepdims=True))
        weights, kept = np.exp(scores - higher), np.exp(greatest - higher)
        out, total = out * kept + weights @ v, total * kept + weights.sum(axis=1, keepdims=True)
        greatest = higher
    return out / total
