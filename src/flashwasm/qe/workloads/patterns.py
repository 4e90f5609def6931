"""Patterns adapted to feedback one step at a time, and those that are remembered."""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass
from time import perf_counter
from typing import TYPE_CHECKING, Any

import numpy.typing as npt

from flashwasm.adapt import LoRAAdapter
from flashwasm.errors import CapabilityError, ShapeError
from flashwasm.validation import floats, shaped

if TYPE_CHECKING:
    from collections.abc import Hashable

    from numpy.typing import ArrayLike

    from flashwasm.qe.workloads.configuration import SonaConfig
    from flashwasm.qe.workloads.metrics import Recorder
    from flashwasm.runtime.runtime import Runtime

__all__ = ["AdaptsPatterns", "PatternAdaptation", "PatternAdapter", "PatternCache"]

Array = npt.NDArray[Any]


@dataclass(frozen=True)
class PatternAdaptation:
    """What `QEFlashAttention.adapt_pattern` did.

    Attributes
    ----------
    pattern : numpy.ndarray of float32, shape (D,)
        The pattern as the adapter changes it now.
    adapted : bool
        Whether a step of training was taken.
    cached : bool
        Whether the result was there already; then nothing was computed.
    loss : float or None
        The loss before the step; None where there was none.
    time_ms : float
        Wall-clock time.
    within_target : bool
        Whether that is at most the configuration's ``target_ms``.
    """

    pattern: Array
    adapted: bool
    cached: bool
    loss: float | None
    time_ms: float
    within_target: bool


class PatternCache:
    """Vectors by what they are made of; beyond the capacity the least recently used are dropped."""

    def __init__(self, capacity: int) -> None:
        self._capacity = capacity
        self._vectors: OrderedDict[Hashable, Array] = OrderedDict()

    def __len__(self) -> int:
        return len(self._vectors)

    def get(self, key: Hashable) -> Array | None:
        """Return a vector and mark it as used."""
        found = self._vectors.get(key)
        if found is not None:
            self._vectors.move_to_end(key)
        return found

    def put(self, key: Hashable, vector: Array) -> None:
        """Keep a vector."""
        self._vectors[key] = vector
        while len(self._vectors) > self._capacity:
            self._vectors.popitem(last=False)

    def clear(self) -> None:
        """Forget all."""
        self._vectors.clear()


class PatternAdapter:
    """The adapter of one workload, made for the dimension of the first pattern.

    Parameters
    ----------
    workload : str
        Whose.
    sona : SonaConfig
        Whether there is one, its rank, and the time that a step may take.
    cache : PatternCache
        Where adapted patterns are kept.
    runtime : Runtime
        Where it lies.
    """

    def __init__(
        self, workload: str, sona: SonaConfig, cache: PatternCache, runtime: Runtime
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
        """Do what `QEFlashAttention.adapt_pattern` says."""
        if not self._sona.enabled:
            raise CapabilityError(
                f"adaptation is not enabled for {self._workload} in QE_SONA_CONFIG; "
                "pattern-adaptation and others have it"
            )
        start = perf_counter()
        x = floats(pattern, "pattern", ndim=1)
        adapter = self._adapter_for(len(x))
        loss = None
        if target is not None:
            loss = _step(adapter, x, target, negatives, reward)
        elif negatives is not None:
            raise ShapeError("negatives: expected a target beside them, got None")
        # After a step everything that was kept before is out of date, and never found again.
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
        if self._adapter is None:
            self._adapter = LoRAAdapter(dim, dim, rank=self._sona.rank, runtime=self._runtime)
        if self._adapter.in_dim != dim:
            expected = self._adapter.in_dim
            raise ShapeError(f"pattern: expected {expected} numbers, as the first had, got {dim}")
        return self._adapter


class AdaptsPatterns:
    """What a workload's object has to adapt patterns."""

    _patterns: PatternAdapter
    _recorder: Recorder

    def adapt_pattern(
        self,
        pattern: ArrayLike,
        target: ArrayLike | None = None,
        *,
        negatives: ArrayLike | None = None,
        reward: float = 1.0,
    ) -> PatternAdaptation:
        """Adapt a pattern to feedback: one step of the workload's `LoRAAdapter`.

        Parameters
        ----------
        pattern : array_like of float, shape (D,)
            The pattern. The first one's length is that of all.
        target : array_like of float, shape (D,), optional
            What it should come near to; None takes no step, and may find the result in the cache.
        negatives : array_like of float, shape (n, D), optional
            What it should be less near to: the step is contrastive then, else a regression.
        reward : float, default 1.0
            How much this counts; not negative.

        Returns
        -------
        PatternAdaptation
            The pattern as it is now, and whether that was learned, computed or remembered.

        Raises
        ------
        CapabilityError
            If the workload's row of `QE_SONA_CONFIG` has adaptation disabled.
        """
        self._check_open()
        with self._recorder.call():
            done = self._patterns.adapt(pattern, target, negatives, reward)
        if not done.adapted:
            self._recorder.lookup(hit=done.cached)
        return done

    def _check_open(self) -> None:
        """Raise ClosedError after the end."""
        raise NotImplementedError


def _step(
    adapter: LoRAAdapter, x: Array, target: ArrayLike, negatives: ArrayLike | None, reward: float
) -> float:
    """Take one step of training, and return the loss before it."""
    near = shaped(target, "target", x.shape, "as pattern has")
    if negatives is None:
        return adapter.update(x, near, reward)
    return adapter.update_contrastive(x, near, floats(negatives, "negatives"), reward=reward)
