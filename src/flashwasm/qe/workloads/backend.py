"""The WebAssembly SIMD backend: what it can do here, and how fast."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass
from functools import partial
from statistics import mean, median
from time import perf_counter
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from flashwasm.capability_probe import Capabilities, capabilities
from flashwasm.flash_attention.attention import attention
from flashwasm.ops import cosine_top_k, gelu, layer_norm, matmul, softmax, vecadd
from flashwasm.runtime.runtime import Runtime, default_runtime
from flashwasm.validation import choice, positive_int

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["OperationTiming", "WASMSIMDBackend", "get_wasm_simd_backend"]

Array = npt.NDArray[np.float32]
Normal = Callable[..., Array]


@dataclass(frozen=True)
class OperationTiming:
    """Times of one operation on arrays in linear memory.

    Attributes
    ----------
    operation, size : str
        What was run, and on what.
    iterations : int
        How often.
    avg_time_ms, median_time_ms : float
        Wall-clock time of a call.
    ops_per_second : float
        Calls that fit a second, at the average.
    gflops, gb_per_s : float or None
        Work of a call over the average: arithmetic where that bounds the operation, else bytes read
        and written.
    """

    operation: str
    size: str
    iterations: int
    avg_time_ms: float
    median_time_ms: float
    ops_per_second: float
    gflops: float | None
    gb_per_s: float | None

    def as_dict(self) -> dict[str, Any]:
        """Return the fields by name, for JSON."""
        return asdict(self)


@dataclass(frozen=True)
class _Sample:
    """An operation at one size: what prepares it, and its work in FLOP or in bytes."""

    size: str
    prepare: Callable[[Normal, Runtime], Callable[[], object]]
    flop: int = 0
    moved: int = 0


def _elementwise(function: Callable[..., Any], inputs: int = 1, **options: Any) -> Any:
    """Return what prepares a function of arrays (1024, 1024) that writes one of them."""

    def prepare(normal: Normal, rt: Runtime) -> Callable[[], object]:
        arrays = [normal(1024, 1024) for _ in range(inputs)]
        return partial(function, *arrays, out=rt.empty((1024, 1024)), runtime=rt, **options)

    return prepare


def _attention(normal: Normal, rt: Runtime) -> Callable[[], object]:
    q, k, v = (normal(8, 512, 64) for _ in range(3))
    return partial(attention, q, k, v, out=rt.empty((8, 512, 64)), runtime=rt)


def _matmul(normal: Normal, rt: Runtime) -> Callable[[], object]:
    return partial(matmul, normal(512, 512), normal(512, 512), out=rt.empty((512, 512)), runtime=rt)


def _cosine_top_k(normal: Normal, rt: Runtime) -> Callable[[], object]:
    return partial(cosine_top_k, normal(1, 384), normal(10_000, 384), 10, runtime=rt)


_MILLION = 1 << 20
_SAMPLES: Mapping[str, _Sample] = {
    "attention": _Sample("8 heads x 512 x 64", _attention, flop=4 * 8 * 512 * 512 * 64),
    "cosine_top_k": _Sample("1 of 10000 x 384", _cosine_top_k, moved=4 * 384 * 10_001),
    "gelu": _Sample("1024 x 1024", _elementwise(gelu), moved=8 * _MILLION),
    "layer_norm": _Sample("1024 x 1024", _elementwise(layer_norm), moved=8 * _MILLION),
    "matmul": _Sample("512 x 512 x 512", _matmul, flop=2 * 512**3),
    "softmax": _Sample("1024 x 1024", _elementwise(softmax), moved=8 * _MILLION),
    "vecadd": _Sample("1024 x 1024", _elementwise(vecadd, inputs=2), moved=12 * _MILLION),
}


class WASMSIMDBackend:
    """Kernels in WebAssembly, in the process-wide sandbox. Got by `get_wasm_simd_backend`."""

    name = "wasm-simd"

    def get_capabilities(self) -> Capabilities:
        """Return what the sandbox can do on this host, found by trying."""
        return capabilities()

    def is_simd_available(self) -> bool:
        """Return whether the engine takes a real module of SIMD instructions."""
        return capabilities().simd128

    def benchmark_operation(self, op: str, iterations: int = 100) -> OperationTiming:
        """Time an operation on random arrays in linear memory.

        Parameters
        ----------
        op : str
            "attention", "cosine_top_k", "gelu", "layer_norm", "matmul", "softmax" or "vecadd".
        iterations : int, default 100
            How often, after one run that is not counted.

        Returns
        -------
        OperationTiming
        """
        sample = _SAMPLES[choice(op, "op", tuple(_SAMPLES))]
        count = positive_int(iterations, "iterations")
        rng, rt = np.random.default_rng(0), default_runtime()
        run = sample.prepare(lambda *s: rt.asarray(rng.standard_normal(s, np.float32)), rt)
        run()
        seconds = []
        for _ in range(count):
            start = perf_counter()
            run()
            seconds.append(perf_counter() - start)
        average = mean(seconds)
        return OperationTiming(
            operation=op,
            size=sample.size,
            iterations=count,
            avg_time_ms=average * 1e3,
            median_time_ms=median(seconds) * 1e3,
            ops_per_second=1 / average,
            gflops=sample.flop / average / 1e9 if sample.flop else None,
            gb_per_s=sample.moved / average / 1e9 if sample.moved else None,
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
