"""Measurements of a `QEFlashAttention`: calls, times, memory and cache hits."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from time import perf_counter
from typing import TYPE_CHECKING, Any

from flashwasm.backends.registry import SANDBOX
from flashwasm.html_tables import html_table
from flashwasm.runtime.locks import renewed_after_fork

if TYPE_CHECKING:
    from collections.abc import Sequence

    from flashwasm.backends.registry import BackendName
    from flashwasm.runtime.runtime import Runtime

__all__ = ["Metrics", "Recorder", "baseline_name"]

_MEGABYTE = 1 << 20


@dataclass(frozen=True)
class Metrics:
    """Measurements since the object was created or last reset.

    Attributes
    ----------
    calls : int
        Number of calls of the methods that compute.
    time_ms : float
        Wall-clock time of the last call.
    total_time_ms : float
        Wall-clock time of all calls.
    kernel_share, copy_share : float
        Time in kernels, and time for copying into and out of linear memory, each divided by the
        total time. With several threads, the shares may exceed 1.
    flops_per_second, tokens_per_second : float
        Throughput of `compute_flash_attention`: floating-point operations of both matrix products,
        and queries, counted once for all heads.
    memory_mb, peak_memory_mb : float
        Linear memory in use now, and the peak since the object was created.
    speedup : float or None
        Best time of the baseline divided by the best time of `compute_flash_attention`, for the
        shapes of the last call. None if either was not called with these shapes.
    baseline : str or None
        Description of that baseline.
    meets_target : bool or None
        True if the speed-up reaches the configuration's ``target_speedup.min``.
    cache_hit_rate : float or None
        Share of cache hits in the look-ups of code embeddings and of patterns without a training
        step. None before the first look-up.
    coverage_search : str or None
        Description of the last coverage search: "exact" or "graph", with the reason. None before
        the first search.
    backend : str
        Name of the backend in the settings.
    backend_calls : mapping of str to int
        Number of operations computed by backends outside the sandbox, by name. All other operations
        ran in the sandbox.
    """

    calls: int
    time_ms: float
    total_time_ms: float
    kernel_share: float
    copy_share: float
    flops_per_second: float
    tokens_per_second: float
    memory_mb: float
    peak_memory_mb: float
    speedup: float | None
    baseline: str | None
    meets_target: bool | None
    cache_hit_rate: float | None
    coverage_search: str | None
    backend: str
    backend_calls: Mapping[str, int]

    _repr_html_ = html_table

    def as_dict(self) -> dict[str, Any]:
        """Return the fields by name, for JSON."""
        return asdict(self)


class Recorder:
    """Times and counts of calls, which `metrics` returns."""

    def __init__(self) -> None:
        self._lock = renewed_after_fork(self, threading.Lock)
        self.reset([])

    def reset(self, runtimes: Sequence[Runtime]) -> None:
        """Reset all measurements. Later metrics exclude what the runtimes have measured so far."""
        self.calls = 0
        self.last = self.total = 0.0
        self.flops = self.tokens = self.flash_seconds = 0.0
        self.best: dict[tuple[object, bool], float] = {}
        self.shapes: object = None
        self.hits = self.lookups = 0
        self.coverage_search: str | None = None
        self._kernel, self._copy = _counters(runtimes)
        self._backend_calls = _backend_calls(runtimes)

    @contextmanager
    def call(self) -> Iterator[None]:
        """Time a block as one call."""
        start = perf_counter()
        yield
        with self._lock:
            self.calls += 1
            self.last = perf_counter() - start
            self.total += self.last

    @contextmanager
    def attention(
        self, shapes: object, *, baseline: bool, flops: int = 0, tokens: int = 0
    ) -> Iterator[None]:
        """Time a block as one call of attention or its baseline, for the shapes of the operands."""
        start = perf_counter()
        with self.call():
            yield
        seconds = perf_counter() - start
        with self._lock:
            self.shapes = shapes
            key = (shapes, baseline)
            self.best[key] = min(seconds, self.best.get(key, seconds))
            if not baseline:
                self.flops += flops
                self.tokens += tokens
                self.flash_seconds += seconds

    def lookup(self, *, hit: bool) -> None:
        """Count one look-up in the cache."""
        with self._lock:
            self.lookups += 1
            self.hits += hit

    def metrics(self, runtimes: Sequence[Runtime], least_speedup: float) -> Metrics:
        """Return the measurements, including the current memory use of the runtimes."""
        kernel, copy = _counters(runtimes)
        stats = [runtime.stats() for runtime in runtimes]
        flash = self.best.get((self.shapes, False))
        baseline = self.best.get((self.shapes, True))
        speedup = baseline / flash if flash and baseline else None
        backend = runtimes[0].backend
        return Metrics(
            calls=self.calls,
            time_ms=self.last * 1e3,
            total_time_ms=self.total * 1e3,
            kernel_share=(kernel - self._kernel) / self.total if self.total else 0.0,
            copy_share=(copy - self._copy) / self.total if self.total else 0.0,
            flops_per_second=self.flops / self.flash_seconds if self.flash_seconds else 0.0,
            tokens_per_second=self.tokens / self.flash_seconds if self.flash_seconds else 0.0,
            memory_mb=sum(s.bytes_in_use for s in stats) / _MEGABYTE,
            peak_memory_mb=sum(s.bytes_peak for s in stats) / _MEGABYTE,
            speedup=speedup,
            baseline=baseline_name(backend) if speedup else None,
            meets_target=speedup >= least_speedup if speedup else None,
            cache_hit_rate=self.hits / self.lookups if self.lookups else None,
            coverage_search=self.coverage_search,
            backend=backend,
            backend_calls=dict(_backend_calls(runtimes) - self._backend_calls),
        )


def baseline_name(backend: BackendName = SANDBOX) -> str:
    """Return a description of the baseline, which runs on the same backend.

    Parameters
    ----------
    backend : str, default "wasm-simd"
        Name of the backend.
    """
    same = "same sandbox" if backend == SANDBOX else f"same backend ({backend})"
    return f"compute_baseline_attention: materialised scores, {same}, same shapes"


def _backend_calls(runtimes: Sequence[Runtime]) -> Counter[str]:
    """Return the number of calls that other backends have computed, by the backend's name."""
    counts: Counter[str] = Counter()
    for runtime in runtimes:
        counts.update(runtime.stats().backend_calls)
    return counts


def _counters(runtimes: Sequence[Runtime]) -> tuple[float, float]:
    """Return the seconds that runtimes spent in kernels and in copies."""
    stats = [runtime.stats() for runtime in runtimes]
    return sum(s.kernel_seconds for s in stats), sum(s.copy_seconds for s in stats)
