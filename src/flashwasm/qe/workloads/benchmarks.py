"""The specification's targets, measured: attention of each workload, and its real operation."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass
from statistics import median
from time import perf_counter
from typing import Any

import numpy as np

from flashwasm.errors import FlashWasmError
from flashwasm.qe.workloads.benchmark_operations import OPERATIONS, TimedOperation
from flashwasm.qe.workloads.configuration import (
    QE_FLASH_ATTENTION_CONFIG,
    QE_PERFORMANCE_TARGETS,
    WORKLOADS,
)
from flashwasm.qe.workloads.metrics import BASELINE_NAME
from flashwasm.qe.workloads.qe_flash_attention import create_qe_flash_attention
from flashwasm.validation import choice

__all__ = [
    "MeasuredOperation",
    "WorkloadBenchmark",
    "benchmark_workload",
    "run_flash_attention_benchmarks",
]

_ROUNDS = 7
_COLD_ROUNDS = 3
# What takes microseconds is repeated for so many seconds, at most so often.
_BRIEFLY, _MOST_ROUNDS = 0.05, 500
# More than the caches of a processor hold.
_EVICTED = 64 << 20
_HEAD_DIM = 64
# Both are float32 sums of the same products in another order.
_TOLERANCE = 2e-5


@dataclass(frozen=True)
class MeasuredOperation:
    """One operation end to end from Python.

    Attributes
    ----------
    name : str
        What was called, and on what.
    warm_ms, cold_ms : float or None
        Median of calls after the first; and of calls after the processor's caches were
        overwritten, the first call among them. None where something is not installed.
    numpy_ms : float or None
        Warm, by NumPy.
    target_ms : float
        The specification's claim.
    meets_target : bool
        Whether the warm median reaches it.
    missing : str
        Why it was not measured.
    """

    name: str
    warm_ms: float | None
    cold_ms: float | None
    numpy_ms: float | None
    target_ms: float
    meets_target: bool
    missing: str = ""


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
    operations : tuple of MeasuredOperation
        The workload's real operations; the first is the one that the target is of.
    latency_ms : float
        Warm time of that one.
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
    operations: tuple[MeasuredOperation, ...]
    latency_ms: float
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
        target = QE_PERFORMANCE_TARGETS[name].latency_ms
        measured = tuple(_measured(one, target) for one in OPERATIONS[name](rng, flash))
    speedup = baseline_ms / flash_ms
    fast_enough = speedup >= config.target_speedup.min
    latency_ms = measured[0].warm_ms or 0.0
    in_time = measured[0].meets_target
    return WorkloadBenchmark(
        workload=name,
        shape=f"{heads} x {length} x {_HEAD_DIM}",
        baseline=BASELINE_NAME,
        baseline_ms=baseline_ms,
        flash_ms=flash_ms,
        speedup=speedup,
        memory_reduction=1 - peaks[0] / peaks[1],
        target_speedup=config.target_speedup.min,
        operations=measured,
        latency_ms=latency_ms,
        target_latency_ms=target,
        meets_speedup=fast_enough,
        meets_latency=in_time,
        meets_target=fast_enough and in_time,
    )


def _measured(operation: TimedOperation, target: float) -> MeasuredOperation:
    """Time one operation; its result is held against NumPy's first."""
    run, numpy = operation.run, operation.numpy
    if run is None:
        return MeasuredOperation(
            operation.name, None, None, None, target, meets_target=False, missing=operation.missing
        )
    scratch = np.empty(_EVICTED, np.uint8)
    cold = []
    for _ in range(_COLD_ROUNDS):
        scratch += 1
        start = perf_counter()
        run()
        cold.append(perf_counter() - start)
    if operation.same is not None and not operation.same():
        raise FlashWasmError(f"{operation.name}: the result is not what NumPy finds")
    warm_ms, numpy_ms = _medians(run, numpy) if numpy is not None else (_medians(run)[0], None)
    return MeasuredOperation(
        *(operation.name, warm_ms, median(cold) * 1e3, numpy_ms, target),
        meets_target=warm_ms <= target,
    )


def _medians(*contenders: Callable[[], object]) -> list[float]:
    """Return each one's median time in milliseconds, of runs that take turns."""
    seconds: list[list[float]] = [[] for _ in contenders]
    begun = perf_counter()
    for run in contenders:
        run()
    once = perf_counter() - begun
    for _ in range(max(_ROUNDS, min(int(_BRIEFLY / once), _MOST_ROUNDS))):
        for run, times in zip(contenders, seconds, strict=True):
            start = perf_counter()
            run()
            times.append(perf_counter() - start)
    return [median(times) * 1e3 for times in seconds]
