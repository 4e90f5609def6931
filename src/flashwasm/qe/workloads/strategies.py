"""Benchmarks of the strategies: one call, a batch, and a batch of short sequences."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np

from flashwasm.benchmarks.timing import Effort, Times, interleaved, timer
from flashwasm.errors import FlashWasmError
from flashwasm.qe.workloads.creation import create_qe_flash_attention

if TYPE_CHECKING:
    from flashwasm.qe.workloads.qe_flash_attention import QEFlashAttention

__all__ = ["STRATEGIES", "StrategyResult", "run_strategies"]

STRATEGIES = ("latency-optimized", "throughput-optimized", "memory-efficient")
# Batch entries, heads, length and dimension of each column.
_SHAPES = ((1, 8, 512, 64), (8, 8, 512, 64), (32, 8, 64, 64))
_EFFORT = Effort.of_rounds(5)
# The strategies sum the same float32 products in different orders.
_TOLERANCE = 2e-5


@dataclass(frozen=True)
class StrategyResult:
    """Times and memory of one strategy.

    Attributes
    ----------
    strategy : str
        Name of the strategy.
    call_ms, batch_ms, short_ms : float
        Median milliseconds of one call, of a batch of 8, and of 32 sequences of length 64. Calls of
        the strategies are interleaved.
    peak_memory_mb : float
        Peak of the total linear memory of its sandboxes.
    quartiles : mapping of str to (float, float)
        First and third quartile of the milliseconds, by the name of the field with their median.
    """

    strategy: str
    call_ms: float
    batch_ms: float
    short_ms: float
    peak_memory_mb: float
    quartiles: Mapping[str, tuple[float, float]] = field(default_factory=dict)

    def as_dict(self) -> dict[str, Any]:
        """Return the fields by name, for JSON."""
        return asdict(self)


def run_strategies() -> list[StrategyResult]:
    """Measure the strategies, after checking that their results agree.

    Raises
    ------
    FlashWasmError
        If the results differ, because then the times are meaningless.
    """
    rng = np.random.default_rng(0)
    operands = [rng.standard_normal((3, *shape), np.float32) for shape in _SHAPES]
    made = [create_qe_flash_attention("test-similarity", {"strategy": s}) for s in STRATEGIES]
    try:
        columns: list[dict[str, Times]] = []
        for x in operands:
            calls = {
                name: partial(attention.compute_flash_attention, *x)
                for name, attention in zip(STRATEGIES, made, strict=True)
            }
            results = [call() for call in calls.values()]
            if not all(np.allclose(r, results[0], rtol=0, atol=_TOLERANCE) for r in results):
                raise FlashWasmError("the strategies' results differ")
            timers = {name: timer(call) for name, call in calls.items()}
            columns.append(interleaved(timers, _EFFORT))
        return [
            _result(name, [times[name] for times in columns], attention)
            for name, attention in zip(STRATEGIES, made, strict=True)
        ]
    finally:
        for attention in made:
            attention.dispose()


def _result(name: str, times: list[Times], attention: QEFlashAttention) -> StrategyResult:
    """Return the result of a strategy whose times are given in the order of `_SHAPES`."""
    call, batch, short = times
    return StrategyResult(
        name,
        call_ms=call.median * 1e3,
        batch_ms=batch.median * 1e3,
        short_ms=short.median * 1e3,
        peak_memory_mb=attention.get_metrics().peak_memory_mb,
        quartiles={
            "call_ms": call.quartiles_ms,
            "batch_ms": batch.quartiles_ms,
            "short_ms": short.quartiles_ms,
        },
    )
