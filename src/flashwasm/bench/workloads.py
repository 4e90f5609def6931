"""The suite "workloads": the specification's targets, and what the strategies differ in."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from statistics import median
from time import perf_counter
from typing import TYPE_CHECKING, Any

import numpy as np

from flashwasm.errors import FlashWasmError
from flashwasm.qe import WORKLOADS, benchmark_workload, create_qe_flash_attention

if TYPE_CHECKING:
    from collections.abc import Iterator

    from flashwasm.bench.report import Rows
    from flashwasm.qe import WorkloadBenchmark

__all__ = [
    "ATTENTION_HEADINGS",
    "OPERATION_HEADINGS",
    "STRATEGIES",
    "STRATEGY_HEADINGS",
    "WORKLOAD_STEPS",
    "StrategyResult",
    "attention_rows",
    "operation_rows",
    "run_strategies",
    "run_workloads",
    "strategy_rows",
]

WORKLOAD_STEPS = len(WORKLOADS) + 1
ATTENTION_HEADINGS = (
    *("workload", "heads x length x dim", "stored scores, ms", "flash, ms"),
    *("speed-up", "target", "memory saved", "verdict"),
)
OPERATION_HEADINGS = ("operation", "warm, ms", "cold, ms", "NumPy, ms", "target, ms", "verdict")
STRATEGY_HEADINGS = (
    *("strategy", "one call, ms", "a batch of 8, ms", "32 of length 64, ms"),
    "peak memory, MB",
)

STRATEGIES = ("latency-optimized", "throughput-optimized", "memory-efficient")
# Batch entries, heads, length and dimension of each column.
_SHAPES = ((1, 8, 512, 64), (8, 8, 512, 64), (32, 8, 64, 64))
_ROUNDS = 5
# All are float32 sums of the same products, cut in other places.
_TOLERANCE = 2e-5


@dataclass(frozen=True)
class StrategyResult:
    """What a strategy takes for one call, for a batch, and for a batch of short ones.

    Attributes
    ----------
    strategy : str
        Its name.
    call_ms, batch_ms, short_ms : float
        Medians of runs that take turns with the other strategies'.
    peak_memory_mb : float
        Linear memory, of all its sandboxes together.
    """

    strategy: str
    call_ms: float
    batch_ms: float
    short_ms: float
    peak_memory_mb: float

    def as_dict(self) -> dict[str, Any]:
        """Return the fields by name, for JSON."""
        return asdict(self)


def run_workloads() -> Iterator[WorkloadBenchmark]:
    """Measure one workload after another."""
    return (benchmark_workload(name) for name in WORKLOADS)


def run_strategies() -> list[StrategyResult]:
    """Measure the strategies, after a check that they agree."""
    rng = np.random.default_rng(0)
    operands = [rng.standard_normal((3, *shape), np.float32) for shape in _SHAPES]
    made = [create_qe_flash_attention("test-similarity", {"strategy": s}) for s in STRATEGIES]
    try:
        for x in operands:
            results = [attention.compute_flash_attention(*x) for attention in made]
            if not all(np.allclose(r, results[0], rtol=0, atol=_TOLERANCE) for r in results):
                raise FlashWasmError("the strategies' results differ")
        seconds: list[list[list[float]]] = [[[] for _ in operands] for _ in made]
        for _ in range(_ROUNDS):
            for attention, times in zip(made, seconds, strict=True):
                for x, column in zip(operands, times, strict=True):
                    start = perf_counter()
                    attention.compute_flash_attention(*x)
                    column.append(perf_counter() - start)
        medians = [[median(column) * 1e3 for column in times] for times in seconds]
        peaks = [attention.get_metrics().peak_memory_mb for attention in made]
        return [
            StrategyResult(strategy, times[0], times[1], times[2], peak)
            for strategy, times, peak in zip(STRATEGIES, medians, peaks, strict=True)
        ]
    finally:
        for attention in made:
            attention.dispose()


def attention_rows(found: list[WorkloadBenchmark]) -> Rows:
    """Return the cells of the table of attention."""
    return [
        (
            *(one.workload, one.shape, f"{one.baseline_ms:.2f}", f"{one.flash_ms:.2f}"),
            *(f"{one.speedup:.2f}", f"{one.target_speedup:.2f}", f"{one.memory_reduction:.0%}"),
            _verdict(met=one.meets_speedup),
        )
        for one in found
    ]


def operation_rows(found: list[WorkloadBenchmark]) -> Rows:
    """Return the cells of the table of operations; what was not measured says why."""
    return [
        (
            one.name,
            *(_time(value) for value in (one.warm_ms, one.cold_ms, one.numpy_ms)),
            f"{one.target_ms:g}",
            f"not measured: {one.missing}" if one.missing else _verdict(met=one.meets_target),
        )
        for workload in found
        for one in workload.operations
    ]


def strategy_rows(found: list[StrategyResult]) -> Rows:
    """Return the cells of the table of strategies."""
    return [
        (
            one.strategy,
            *(f"{value:.2f}" for value in (one.call_ms, one.batch_ms, one.short_ms)),
            f"{one.peak_memory_mb:.1f}",
        )
        for one in found
    ]


def _time(milliseconds: float | None) -> str:
    return "-" if milliseconds is None else f"{milliseconds:.3g}"


def _verdict(*, met: bool) -> str:
    return "met" if met else "missed"
