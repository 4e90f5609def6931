"""The workload "pattern-adaptation": adapt patterns to feedback, one training step at a time."""

from __future__ import annotations

from dataclasses import dataclass
from time import perf_counter
from typing import TYPE_CHECKING, Any

import numpy.typing as npt

from flashwasm.adapt import LoRAAdapter
from flashwasm.errors import CapabilityError, ShapeError
from flashwasm.html_tables import html_table
from flashwasm.kernel_table import LORA_MAX_DIM
from flashwasm.summaries import number_of
from flashwasm.validation import floats, shaped

if TYPE_CHECKING:
    from numpy.typing import ArrayLike

    from flashwasm.qe.workloads.configuration import SonaConfig, WorkloadName
    from flashwasm.qe.workloads.vector_cache import VectorCache
    from flashwasm.runtime.runtime import Runtime

__all__ = ["PatternAdaptation", "PatternAdapter"]

Array = npt.NDArray[Any]


@dataclass(frozen=True)
class PatternAdaptation:
    """Result of `QEFlashAttention.adapt_pattern`.

    Attributes
    ----------
    pattern : numpy.ndarray of float32, shape (D,)
        The pattern after the adapter.
    adapted : bool
        True if the adapter took a training step.
    cached : bool
        True if the result came from the cache.
    loss : float or None
        Loss before the training step; None if there was no step.
    time_ms : float
        Wall-clock time.
    within_target : bool
        True if that time is at most the configuration's ``target_ms``.
    """

    pattern: Array
    adapted: bool
    cached: bool
    loss: float | None
    time_ms: float
    within_target: bool

    _repr_html_ = html_table


class PatternAdapter:
    """The low-rank adapter of one workload. The first pattern sets its dimension.

    Parameters
    ----------
    workload : str
        Name of the workload, for messages.
    sona : SonaConfig
        Settings of the adaptation.
    cache : VectorCache
        Cache for adapted patterns.
    runtime : Runtime
        Runtime whose linear memory holds the adapter.
    """

    def __init__(
        self, workload: WorkloadName, sona: SonaConfig, cache: VectorCache, runtime: Runtime
    ) -> None:
        self._workload = workload
        self._sona = sona
        self._cache = cache
        self._runtime = runtime
        self._adapter: LoRAAdapter | None = None

    def adapt(
        self,
        pattern: ArrayLike,
        target: ArrayLike | None,
        negatives: ArrayLike | None,
        reward: float,
    ) -> PatternAdaptation:
        """Check the arguments of `QEFlashAttention.adapt_pattern` and return its result."""
        if not self._sona.enabled:
            raise CapabilityError(
                f"adaptation is not enabled for {self._workload} in QE_SONA_CONFIG; "
                "it is for pattern-adaptation and others"
            )
        start = perf_counter()
        x = floats(pattern, "pattern", ndim=1)
        adapter = self._adapter_for(len(x))
        loss = None
        if target is not None:
            loss = _training_step(adapter, x, target, negatives, reward)
        elif negatives is not None:
            raise ShapeError("negatives: expected a target as well, got None")
        # The key contains the number of steps, so that a step invalidates all earlier results.
        key = (adapter.updates, x.dtype, x.tobytes())
        found = self._cache.get(key)
        cached = found is not None
        if found is None:
            found = adapter.apply(x)
            self._cache.put(key, found)
        time_ms = (perf_counter() - start) * 1e3
        return PatternAdaptation(
            pattern=found.copy(),
            adapted=loss is not None,
            cached=cached,
            loss=loss,
            time_ms=time_ms,
            within_target=time_ms <= self._sona.target_ms,
        )

    def _adapter_for(self, dim: int) -> LoRAAdapter:
        """Return the adapter, created at the first call; its dimension must be ``dim``."""
        if not 1 <= dim <= LORA_MAX_DIM:
            raise ShapeError(f"pattern: expected 1 to {LORA_MAX_DIM} numbers, got {dim}")
        if self._adapter is None:
            self._adapter = LoRAAdapter(dim, dim, rank=self._sona.rank, runtime=self._runtime)
        if self._adapter.in_dim != dim:
            expected = self._adapter.in_dim
            raise ShapeError(
                f"pattern: expected {number_of(expected, 'numbers')}, as the first had, got {dim}"
            )
        return self._adapter


def _training_step(
    adapter: LoRAAdapter, x: Array, target: ArrayLike, negatives: ArrayLike | None, reward: float
) -> float:
    """Take one training step, and return the loss before it."""
    near = shaped(target, "target", x.shape, "as pattern has")
    if negatives is None:
        return adapter.update(x, near, reward)
    return adapter.update_contrastive(x, near, floats(negatives, "negatives"), reward=reward)
