"""The specification's targets, measured: attention of each workload, and its real operation."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass
from statistics import median
from time import perf_counter
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from flashwasm.arrays import choice
from flashwasm.errors import FlashWasmError
from flashwasm.qe.configuration import (
    QE_FLASH_ATTENTION_CONFIG,
    QE_PERFORMANCE_TARGETS,
    WORKLOADS,
)
from flashwasm.qe.creation import create_qe_flash_attention
from flashwasm.qe.metrics import BASELINE_NAME

if TYPE_CHECKING:
    from flashwasm.qe.workload import QEFlashAttention

__all__ = ["WorkloadBenchmark", "benchmark_workload", "run_flash_attention_benchmarks"]

Array = npt.NDArray[np.float32]
_ROUNDS = 7
_HEAD_DIM = 64
# Both are float32 sums of the same products in another order.
_TOLERANCE = 2e-5


@dataclass(frozen=True)
class WorkloadBenchmark:
    """One workload's measurements, medians of interleaved runs.

    Attributes
    ----------
    workload, shape : str
        What was run, and the attention's heads, length and dimension.
    baseline : str
        What `flash_ms` is compared with.
    baseline_ms, flash_ms, speedup : float
        Attention over stored scores, and without them, called with NumPy's arrays.
    memory_reduction : float
        Share of the baseline's peak of linear memory that is not needed.
    target_speedup : float
        The least that counts as met.
    operation : str
        The workload's real operation.
    latency_ms, numpy_ms : float or None
        Its time end to end from Python, and that of NumPy; None where it does not exist yet.
    target_latency_ms : float
        The specification's claim.
    meets_speedup, meets_latency, meets_target : bool
        Whether each was reached, and both.
    """

    workload: str
    shape: str
    baseline: str
    baseline_ms: float
    flash_ms: float
    speedup: float
    memory_reduction: float
    target_speedup: float
    operation: str
    latency_ms: float | None
    numpy_ms: float | None
    target_latency_ms: float
    meets_speedup: bool
    meets_latency: bool
    meets_target: bool

    def as_dict(self) -> dict[str, Any]:
        """Return the fields by name, for JSON."""
        return asdict(self)


def run_flash_attention_benchmarks() -> list[WorkloadBenchmark]:
    """Measure every workload; missed targets are among the results.

    Returns
    -------
    list of WorkloadBenchmark
    """
    return [benchmark_workload(name) for name in WORKLOADS]


def benchmark_workload(name: str) -> WorkloadBenchmark:
    """Measure one workload, after a check that attention and its baseline agree.

    Parameters
    ----------
    name : str
        One of the five workloads.

    Returns
    -------
    WorkloadBenchmark

    Raises
    ------
    FlashWasmError
        If the results differ, so that their times would mean nothing.
    """
    choice(name, "name", WORKLOADS)
    config = QE_FLASH_ATTENTION_CONFIG[name]
    rng = np.random.default_rng(0)
    heads, length = config.blocks.heads_per_block, config.blocks.kv_chunk_size
    q, k, v = rng.standard_normal((3, heads, length, _HEAD_DIM), np.float32)
    with create_qe_flash_attention(name) as flash, create_qe_flash_attention(name) as stored:
        difference = np.abs(
            flash.compute_flash_attention(q, k, v) - stored.compute_baseline_attention(q, k, v)
        ).max()
        if not difference <= _TOLERANCE:
            raise FlashWasmError(f"{name}: attention and its baseline differ by {difference}")
        flash_ms, baseline_ms = _medians(
            lambda: flash.compute_flash_attention(q, k, v),
            lambda: stored.compute_baseline_attention(q, k, v),
        )
        peaks = [x.get_metrics().peak_memory_mb for x in (flash, stored)]
        operation, run, numpy = _OPERATIONS[name](rng, flash)
        latency_ms, numpy_ms = _medians(run, numpy) if run and numpy else (None, None)
    target = QE_PERFORMANCE_TARGETS[name].latency_ms
    speedup = baseline_ms / flash_ms
    fast_enough = speedup >= config.target_speedup.min
    in_time = latency_ms is not None and latency_ms <= target
    return WorkloadBenchmark(
        workload=name,
        shape=f"{heads} x {length} x {_HEAD_DIM}",
        baseline=BASELINE_NAME,
        baseline_ms=baseline_ms,
        flash_ms=flash_ms,
        speedup=speedup,
        memory_reduction=1 - peaks[0] / peaks[1],
        target_speedup=config.target_speedup.min,
        operation=operation,
        latency_ms=latency_ms,
        numpy_ms=numpy_ms,
        target_latency_ms=target,
        meets_speedup=fast_enough,
        meets_latency=in_time,
        meets_target=fast_enough and in_time,
    )


def _medians(*contenders: Callable[[], object]) -> list[float]:
    """Return each one's median time in milliseconds, of runs that take turns."""
    seconds: list[list[float]] = [[] for _ in contenders]
    for run in contenders:
        run()
    for _ in range(_ROUNDS):
        for run, times in zip(contenders, seconds, strict=True):
            start = perf_counter()
            run()
            times.append(perf_counter() - start)
    return [median(times) * 1e3 for times in seconds]


# An operation's description, the operation, and the same by NumPy.
Operation = tuple[str, Callable[[], object] | None, Callable[[], object] | None]


def _cosines(query: Array, rows: Array) -> Array:
    products: Array = rows @ query / np.linalg.norm(rows, axis=1) / np.linalg.norm(query)
    return products


def _similarity(rng: np.random.Generator, qe: QEFlashAttention) -> Operation:
    corpus = rng.standard_normal((10_000, 384), np.float32)
    return (
        "the 5 nearest of 10,000 tests x 384",
        lambda: qe.compute_test_similarity(corpus[0], corpus, 5),
        lambda: np.argsort(-_cosines(corpus[0], corpus), kind="stable")[:5],
    )


def _embedding(rng: np.random.Generator, qe: QEFlashAttention) -> Operation:
    positions = rng.standard_normal((512, 384), np.float32)
    # New tokens each time: the cache must not answer.
    tokens = iter(rng.standard_normal((_ROUNDS + 1, 512, 384), np.float32))

    def by_numpy() -> Array:
        x = positions.reshape(512, 6, 64).swapaxes(0, 1)
        scores = x @ x.swapaxes(1, 2) / np.float32(8)
        weights = np.exp(scores - scores.max(-1, keepdims=True))
        states = (weights / weights.sum(-1, keepdims=True)) @ x
        pooled: Array = states.mean(axis=1).reshape(-1)
        return pooled / np.linalg.norm(pooled)

    return (
        "one function of 512 tokens x 384",
        lambda: qe.generate_code_embedding(next(tokens), positions),
        by_numpy,
    )


def _defect(rng: np.random.Generator, qe: QEFlashAttention) -> Operation:
    vectors = rng.standard_normal((1_000, 384), np.float32)
    library = {f"defect {i}": row for i, row in enumerate(vectors)}
    return (
        "one traceback against 1,000 patterns x 384",
        lambda: qe.match_defect_pattern(vectors[0], library, top_k=5),
        lambda: np.argsort(-_cosines(vectors[0], vectors), kind="stable")[:5],
    )


def _coverage(rng: np.random.Generator, qe: QEFlashAttention) -> Operation:
    rows = (rng.random((50_000, 128)) < 0.1).astype(np.float32)
    return (
        "the 10 nearest of 50,000 coverage rows x 128",
        lambda: qe.search_coverage(rows[0], rows),
        lambda: np.argsort(-_cosines(rows[0], rows), kind="stable")[:10],
    )


def _adaptation(rng: np.random.Generator, qe: QEFlashAttention) -> Operation:
    del rng, qe
    return "one adaptation step (there is no adapter yet)", None, None


_OPERATIONS: dict[str, Callable[..., Operation]] = {
    "test-similarity": _similarity,
    "code-embedding": _embedding,
    "defect-matching": _defect,
    "coverage-analysis": _coverage,
    "pattern-adaptation": _adaptation,
}
