"""Findings of `flashwasm bench`, with numbers and names of every length that occurs."""

import math

from flashwasm.benchmarks.lengths import Length
from flashwasm.benchmarks.measurement import Result
from flashwasm.cli.bench_report import Findings
from flashwasm.qe import MeasuredOperation, WorkloadBenchmark
from flashwasm.qe.workloads.strategies import StrategyResult

RESULT = {
    "median": 0.0123,
    "best": 0.0119,
    "with_copies": 0.0133,
    "copy_share": 0.25,
    "rate": 1234.5,
    "numpy": 0.02,
    "scalar": 0.2,
    "speedup_over_numpy": 1.68,
    "speedup_over_scalar": 16.8,
    "error": 1e-6,
    "tolerance": 1e-5,
    "rounds": 12,
}


def findings(suite):
    """Return the findings of a command of `flashwasm bench`."""
    found = Findings({"threads": 1, "numpy_threads": "1", "processor": "x86_64"})
    if suite in {"ops", "all"}:
        found.results = results()
    if suite in {"attention", "all"}:
        found.lengths = lengths()
    if suite in {"workloads", "all"}:
        found.workloads = [workload()]
        spread = {"call_ms": (7.8, 7.9), "batch_ms": (88.1, 90.2), "short_ms": (12.1, 13.4)}
        found.strategies = [StrategyResult("throughput-optimized", 7.83, 89.4, 12.8, 32.1, spread)]
    return found


def results():
    quartiles = {"median": (0.0119, 0.0131), "with_copies": (0.0129, 0.0151)}
    return [
        Result(
            operation="attention_backward",
            size="12x512x64 causal",
            unit="GFLOP/s",
            baseline="NumPy: five products",
            one_read=0.01,
            quartiles=quartiles,
            **RESULT,
        ),
        Result(
            operation="LoRAAdapter",
            size="update, rank 2, 384, 4 negatives",
            unit="GB/s",
            baseline="NumPy: the same step",
            **RESULT,
        ),
    ]


def lengths():
    spread = {"flash": (1.21, 1.3), "materialized": (2.2, 2.25)}
    common = {"materialized": 2.1, "rate": 40.0, "flash_bytes": 123456789}
    return [
        Length(
            length=4096,
            causal=True,
            flash=1.2,
            scalar=math.nan,
            materialized_bytes=234567890,
            quartiles=spread,
            **common,
        ),
        Length(
            length=128, causal=False, flash=1e-4, scalar=1e-3, materialized_bytes=1234, **common
        ),
    ]


def workload():
    operations = (
        MeasuredOperation(
            name="CoverageIndex.nearest: the 10 nearest of 50000 tests, 200 of 26,000 lines each",
            warm_ms=0.05,
            cold_ms=0.5,
            numpy_ms=None,
            target_ms=1.0,
            meets_target=True,
            quartiles={"warm_ms": (0.04, 0.06)},
        ),
        MeasuredOperation(
            name="SentenceEncoder.encode: one function of 512 tokens",
            warm_ms=None,
            cold_ms=None,
            numpy_ms=None,
            target_ms=1.0,
            meets_target=False,
            missing="model 'all-MiniLM-L6-v2' is not installed; get it with: "
            "flashwasm models install all-MiniLM-L6-v2",
        ),
    )
    return WorkloadBenchmark(
        workload="coverage-analysis",
        shape="8 x 512 x 64",
        baseline="stored scores",
        baseline_ms=21.2,
        flash_ms=8.66,
        speedup=2.45,
        memory_reduction=0.73,
        target_speedup=50.0,
        operations=operations,
        latency_ms=0.05,
        target_latency_ms=1.0,
        meets_speedup=False,
        meets_latency=True,
        meets_target=False,
        quartiles={"baseline_ms": (20.9, 21.9), "flash_ms": (8.5, 8.8)},
    )
