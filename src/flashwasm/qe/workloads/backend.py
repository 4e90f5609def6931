"""The WebAssembly SIMD backend: its capabilities and its speed on this machine."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any, Literal, TypeAlias, get_args

import numpy as np

from flashwasm.benchmarks.cases.table import representative
from flashwasm.benchmarks.measurement import resident
from flashwasm.benchmarks.timing import Effort, interleaved, timer
from flashwasm.capability_probe import Capabilities, capabilities
from flashwasm.html_tables import html_table
from flashwasm.runtime.default_runtime import default_runtime
from flashwasm.validation import choice, positive_int

__all__ = ["OperationTiming", "WASMSIMDBackend", "get_wasm_simd_backend"]

OperationName: TypeAlias = Literal[
    "attention",
    "attention_backward",
    "cosine_top_k",
    "embedding",
    "gelu",
    "kv_cache",
    "layer_norm",
    "LoRAAdapter",
    "matmul",
    "matmul_i8",
    "mean_pool",
    "rms_norm",
    "rotary_embedding",
    "softmax",
    "vecadd",
]


@dataclass(frozen=True)
class OperationTiming:
    """Times of one operation on resident arrays.

    Attributes
    ----------
    operation, size : str
        Name of the operation, and the size of its operands in words.
    iterations : int
        Number of calls that were timed.
    avg_time_ms, median_time_ms : float
        Wall-clock milliseconds of a call.
    ops_per_second : float
        Number of calls a second, computed from the average time.
    gflops, gb_per_s : float or None
        Throughput of the average call: floating-point operations if the operation is bound by
        arithmetic, else bytes moved. The other one is None.
    """

    operation: str
    size: str
    iterations: int
    avg_time_ms: float
    median_time_ms: float
    ops_per_second: float
    gflops: float | None
    gb_per_s: float | None

    _repr_html_ = html_table

    def as_dict(self) -> dict[str, Any]:
        """Return the fields by name, for JSON."""
        return asdict(self)


class WASMSIMDBackend:
    """The kernels in the default runtime; `get_wasm_simd_backend` returns it."""

    name = "wasm-simd"

    def get_capabilities(self) -> Capabilities:
        """Return the features that the sandbox supports on this machine, found by trying them."""
        return capabilities()

    def is_simd_available(self) -> bool:
        """Return True if the engine accepts a module that contains SIMD instructions."""
        return capabilities().simd128

    def benchmark_operation(self, op: OperationName, iterations: int = 100) -> OperationTiming:
        """Time an operation on random arrays in linear memory.

        Parameters
        ----------
        op : str
            An operation that `flashwasm bench ops` measures, for example "attention", "matmul" or
            "softmax". Its size is the first one in that benchmark.
        iterations : int, default 100
            Number of calls to time, after one untimed call.

        Returns
        -------
        OperationTiming

        Raises
        ------
        ShapeError, DTypeError
            If there is no such operation, or if ``iterations`` is not a positive integer.
        """
        case = representative(choice(op, "op", get_args(OperationName)))
        count = positive_int(iterations, "iterations")
        inputs = case.make(np.random.default_rng(0))
        run = resident(case, default_runtime(), inputs)
        times = interleaved({op: timer(run)}, Effort.of_rounds(count))[op]
        rate = case.work / times.mean / 1e9
        return OperationTiming(
            operation=op,
            size=case.size,
            iterations=times.rounds,
            avg_time_ms=times.mean * 1e3,
            median_time_ms=times.median * 1e3,
            ops_per_second=1 / times.mean,
            gflops=rate if case.unit == "GFLOP/s" else None,
            gb_per_s=rate if case.unit == "GB/s" else None,
        )


def get_wasm_simd_backend() -> WASMSIMDBackend:
    """Return the backend that all workloads run on.

    Returns
    -------
    WASMSIMDBackend

    Examples
    --------
    >>> get_wasm_simd_backend().is_simd_available()
    True
    """
    return WASMSIMDBackend()
