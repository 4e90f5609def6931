"""Benchmarks of the workloads' attention and operations, compared with their targets."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from functools import partial
from typing import Any

import numpy as np

from flashwasm.benchmarks.cases.attention import attention_case
from flashwasm.benchmarks.expectation import Expectation
from flashwasm.benchmarks.timing import Effort, Times, interleaved, timer
from flashwasm.errors import FlashWasmError
from flashwasm.html_tables import html_table
from flashwasm.qe.workloads.benchmark_operations import OPERATIONS, TimedOperation
from flashwasm.qe.workloads.configuration import (
    QE_FLASH_ATTENTION_CONFIG,
    QE_PERFORMANCE_TARGETS,
    WORKLOADS,
    WorkloadName,
)
from flashwasm.qe.workloads.creation import create_qe_flash_attention
from flashwasm.qe.workloads.metrics import baseline_name
from flashwasm.validation import choice

__all__ = [
    "MeasuredOperation",
    "WorkloadBenchmark",
    "benchmark_workload",
    "run_flash_attention_benchmarks",
]

# Short operations are repeated for 0.05 seconds, but at most 500 times.
_EFFORT = Effort.of_rounds(7, seconds=0.05, most=500)
_COLD_ROUNDS = 3
# Bytes to overwrite before a cold call, more than fit into the caches of a processor.
_EVICTED = 64 << 20
_HEAD_DIM = 64


@dataclass(frozen=True)
class MeasuredOperation:
    """Times of one operation, called from Python.

    Attributes
    ----------
    name : str
        The operation and its data.
    warm_ms : float or None
        Median milliseconds of calls with warm caches; None if a package that it needs is missing.
    cold_ms : float or None
        Median milliseconds of calls after the processor's caches were overwritten, including the
        very first call.
    numpy_ms : float or None
        Median milliseconds of the same operation in NumPy, with warm caches; None if there is none.
    target_ms : float
        Target for the milliseconds.
    meets_target : bool
        True if ``warm_ms`` is at most ``target_ms``.
    missing : str
        Reason for not measuring the operation; empty if it was measured.
    quartiles : mapping of str to (float, float)
        First and third quartile of the milliseconds, by the name of the field with their median.
    """

    name: str
    warm_ms: float | None
    cold_ms: float | None
    numpy_ms: float | None
    target_ms: float
    meets_target: bool
    missing: str = ""
    quartiles: Mapping[str, tuple[float, float]] = field(default_factory=dict)

    _repr_html_ = html_table


@dataclass(frozen=True)
class WorkloadBenchmark:
    """Measurements of one workload: medians of interleaved calls.

    Attributes
    ----------
    workload, shape : str
        Name of the workload, and the heads, length and dimension of its attention.
    baseline : str
        Description of the baseline.
    baseline_ms, flash_ms : float
        Median milliseconds of attention that stores its scores, and of attention that does not,
        called with NumPy arrays.
    speedup : float
        ``baseline_ms`` divided by ``flash_ms``.
    memory_reduction : float
        Share of the baseline's peak linear memory that flash attention saves.
    target_speedup : float
        Minimum speed-up to meet the target.
    operations : tuple of MeasuredOperation
        The workload's operations. The latency target applies to the first one.
    latency_ms : float
        Warm time of the first operation.
    target_latency_ms : float
        Target for the milliseconds.
    meets_speedup, meets_latency, meets_target : bool
        True if the speed-up, the latency, and both meet their targets.
    quartiles : mapping of str to (float, float)
        First and third quartile of the milliseconds, by the name of the field with their median.
    """

    workload: WorkloadName
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
    quartiles: Mapping[str, tuple[float, float]] = field(default_factory=dict)

    _repr_html_ = html_table

    def as_dict(self) -> dict[str, Any]:
        """Return the fields by name, for JSON."""
        return asdict(self)


def run_flash_attention_benchmarks() -> list[WorkloadBenchmark]:
    """Measure every workload. A missed target is part of the result, not an error.

    Returns
    -------
    list of WorkloadBenchmark
    """
    return [benchmark_workload(name) for name in WORKLOADS]


def benchmark_workload(name: WorkloadName) -> WorkloadBenchmark:
    """Measure one workload, after checking its attention and the baseline against the oracle.

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
        If a result is wrong, because the time of a wrong result is meaningless.
    ShapeError, DTypeError
        If there is no such workload.
    """
    choice(name, "name", WORKLOADS)
    config = QE_FLASH_ATTENTION_CONFIG[name]
    heads, length = config.blocks.heads_per_block, config.blocks.kv_chunk_size
    case = attention_case(heads, length, _HEAD_DIM, causal=config.use_causal_mask)
    rng = np.random.default_rng(0)
    inputs = case.make(rng)
    expected = Expectation.of(case, inputs)
    with create_qe_flash_attention(name) as flash, create_qe_flash_attention(name) as stored:
        runs = {
            "attention": partial(flash.compute_flash_attention, *inputs),
            "baseline": partial(stored.compute_baseline_attention, *inputs),
        }
        for contender, run in runs.items():
            expected.checked_error(f"{name}, {contender}", run())
        times = _times(runs)
        peaks = [x.get_metrics().peak_memory_mb for x in (flash, stored)]
        target = QE_PERFORMANCE_TARGETS[name].latency_ms
        measured = tuple(_measured(one, target) for one in OPERATIONS[name](rng, flash))
    baseline, attention = times["baseline"], times["attention"]
    speedup = baseline.median / attention.median
    fast_enough = speedup >= config.target_speedup.min
    latency_ms = measured[0].warm_ms or 0.0
    in_time = measured[0].meets_target
    return WorkloadBenchmark(
        workload=name,
        shape=f"{heads} x {length} x {_HEAD_DIM}",
        baseline=baseline_name(),
        baseline_ms=baseline.median * 1e3,
        flash_ms=attention.median * 1e3,
        speedup=speedup,
        memory_reduction=1 - peaks[0] / peaks[1],
        target_speedup=config.target_speedup.min,
        operations=measured,
        latency_ms=latency_ms,
        target_latency_ms=target,
        meets_speedup=fast_enough,
        meets_latency=in_time,
        meets_target=fast_enough and in_time,
        quartiles={"baseline_ms": baseline.quartiles_ms, "flash_ms": attention.quartiles_ms},
    )


def _measured(operation: TimedOperation, target: float) -> MeasuredOperation:
    """Time one operation. Raise FlashWasmError if its result is wrong."""
    run, numpy = operation.run, operation.numpy
    if run is None:
        return MeasuredOperation(
            operation.name, None, None, None, target, meets_target=False, missing=operation.missing
        )
    scratch = np.empty(_EVICTED, np.uint8)

    def evict() -> None:
        nonlocal scratch
        scratch += 1

    cold = timer(run, before=evict)
    times = {"cold_ms": Times(tuple(cold(1) for _ in range(_COLD_ROUNDS)))}
    if operation.same is not None and not operation.same():
        raise FlashWasmError(f"{operation.name}: the result is wrong")
    times |= _times({"warm_ms": run} if numpy is None else {"warm_ms": run, "numpy_ms": numpy})
    medians = {name: found.median * 1e3 for name, found in times.items()}
    return MeasuredOperation(
        name=operation.name,
        warm_ms=medians["warm_ms"],
        cold_ms=medians["cold_ms"],
        numpy_ms=medians.get("numpy_ms"),
        target_ms=target,
        meets_target=medians["warm_ms"] <= target,
        quartiles={name: found.quartiles_ms for name, found in times.items()},
    )


def _times(contenders: Mapping[str, Callable[[], object]]) -> dict[str, Times]:
    """Time several functions with interleaved calls."""
    return interleaved({name: timer(run) for name, run in contenders.items()}, _EFFORT)
