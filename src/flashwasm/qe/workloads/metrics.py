"""What a `QEFlashAttention` has done, and how long it took."""

from __future__ import annotations

import threading
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from time import perf_counter
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from flashwasm.runtime.runtime import Runtime

__all__ = ["Metrics", "Recorder"]

BASELINE_NAME = "compute_baseline_attention: materialised scores, same sandbox, same shapes"
_MEGABYTE = 1 << 20


@dataclass(frozen=True)
class Metrics:
    """Measurements since the start or the last reset.

    Attributes
    ----------
    calls : int
        Calls of all methods that compute.
    time_ms : float
        Wall-clock time of the last of them.
    total_time_ms : float
        Wall-clock time of all of them.
    kernel_share, copy_share : float
        Time in kernels, and time copying into and out of linear memory, over the total. With
        several threads beside each other the shares may exceed 1.
    flops_per_second, tokens_per_second : float
        Of `compute_flash_attention`: both matrix products, and queries of all heads together.
    memory_mb, peak_memory_mb : float
        Linear memory in use now, and at most since the object was made.
    speedup : float or None
        Best time of the baseline over the best time of `compute_flash_attention`, for the shapes
        that both were last called with; None where the baseline was not run on them.
    baseline : str or None
        What that baseline was.
    meets_target : bool or None
        Whether the speed-up reaches the configuration's ``target_speedup.min``.
    cache_hit_rate : float or None
        Code embeddings, and patterns asked for without a step, that were there already; None
        before the first.
    coverage_search : str or None
        How the last search for coverage ran, "exact" or "graph", and why; None before the first.
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

    def as_dict(self) -> dict[str, Any]:
        """Return the fields by name, for JSON."""
        return asdict(self)


class Recorder:
    """Times calls. `metrics` says what came together."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self.reset([])

    def reset(self, runtimes: Sequence[Runtime]) -> None:
        """Forget everything; the runtimes' counters are counted from here on."""
        self.calls = 0
        self.last = self.total = 0.0
        self.flops = self.tokens = self.flash_seconds = 0.0
        self.best: dict[tuple[object, bool], float] = {}
        self.shapes: object = None
        self.hits = self.lookups = 0
        self.coverage_search: str | None = None
        self._kernel, self._copy = _counters(runtimes)

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
        """Time a block as one call of attention on some shapes."""
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
        """Count a question to the cache."""
        with self._lock:
            self.lookups += 1
            self.hits += hit

    def metrics(self, runtimes: Sequence[Runtime], least_speedup: float) -> Metrics:
        """Return what was recorded."""
        kernel, copy = _counters(runtimes)
        stats = [runtime.stats() for runtime in runtimes]
        flash = self.best.get((self.shapes, False))
        baseline = self.best.get((self.shapes, True))
        speedup = baseline / flash if flash and baseline else None
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
            baseline=BASELINE_NAME if speedup else None,
            meets_target=speedup >= least_speedup if speedup else None,
            cache_hit_rate=self.hits / self.lookups if self.lookups else None,
            coverage_search=self.coverage_search,
        )


def _counters(runtimes: Sequence[Runtime]) -> tuple[float, float]:
    stats = [runtime.stats() for runtime in runtimes]
    return sum(s.kernel_seconds for s in stats), sum(s.copy_seconds for s in stats)
