"""Comparison of a step of an adapter's training with the same step in NumPy and PyTorch.

Each step is timed separately, so that rare slow steps show in the 99th percentile. "cached" steps
repeat one sample, which stays in the processor's caches. Before each "cold" step the program reads
other data, so that weights and sample have to be read from memory.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from bench.peers.peer import installed_module
from flashwasm.adapt import LoRAAdapter
from flashwasm.benchmarks.cases.lora import ContrastiveStep
from flashwasm.benchmarks.timing import Effort, Times, interleaved, timer
from flashwasm.errors import CapabilityError, FlashWasmError
from flashwasm.runtime.runtime import Runtime

__all__ = ["RANKS", "STEP_HEADINGS", "StepTimes", "run_steps", "step_row"]

Array = npt.NDArray[Any]
Step = Callable[[], float]

RANKS = (2, 8)
_DIM = 384
_NEGATIVES = 4
_TEMPERATURE = 0.05
_RATE = 1e-3
_CACHED_STEPS = 4000
_COLD_STEPS = 200
# This is larger than the caches that one core of a processor can use.
_FLUSHED_BYTES = 32 << 20
# The losses of the first steps may differ from float64's by this much, relative to the larger of 1
# and the loss.
_CHECKED_STEPS = 5
_TOLERANCE = 1e-3

STEP_HEADINGS = ("step", "by", "cached p50", "cached p99", "cold p50", "cold p99")


@dataclass(frozen=True)
class StepTimes:
    """Times of a step by one library.

    Attributes
    ----------
    rank : int
        Rank of the adapter.
    by : str
        Name of the library that computed the step.
    cached_p50, cached_p99, cold_p50, cold_p99 : float
        Microseconds of a step: medians and 99th percentiles.
    """

    rank: int
    by: str
    cached_p50: float
    cached_p99: float
    cold_p50: float
    cold_p99: float

    def as_dict(self) -> dict[str, Any]:
        """Return the fields by name, for JSON."""
        return asdict(self)


def run_steps(rank: int) -> tuple[list[StepTimes], str]:
    """Measure one rank, after checking that all libraries compute the same steps.

    Parameters
    ----------
    rank : int
        Rank of the adapter.

    Returns
    -------
    list of StepTimes
        Times of flashwasm, NumPy and, if it is installed, PyTorch.
    str
        The reason why PyTorch was not measured; empty if it was.

    Raises
    ------
    FlashWasmError
        If the losses differ, because the times would then mean nothing.
    """
    rng = np.random.default_rng(0)
    x, *rest = rng.standard_normal((2 + _NEGATIVES, _DIM), np.float32)
    candidates = np.stack(rest)
    with Runtime(threads=1) as runtime:
        adapter = LoRAAdapter(_DIM, _DIM, rank=rank, learning_rate=_RATE, runtime=runtime)
        weights = (adapter.a, adapter.b)
        near, far = candidates[0], candidates[1:]
        numpys = ContrastiveStep(*weights, rate=_RATE)
        steps: dict[str, Step] = {
            "flashwasm": lambda: adapter.update_contrastive(x, near, far, temperature=_TEMPERATURE),
            "NumPy": lambda: numpys(x, candidates),
        }
        torchs, missing = _by_torch(*weights, x, candidates)
        if torchs is not None:
            steps["PyTorch"] = torchs
        _check(steps, weights, x, candidates)
        cached = _timed(steps, _CACHED_STEPS)
        noise = np.ones(_FLUSHED_BYTES // 8)
        cold = _timed(steps, _COLD_STEPS, noise.sum)
    return [
        StepTimes(rank, name, *_quantiles(cached[name]), *_quantiles(cold[name])) for name in steps
    ], missing


def _check(
    steps: dict[str, Step], weights: tuple[Array, Array], x: Array, candidates: Array
) -> None:
    """Compute the first steps with all libraries, and compare their losses with float64's."""
    a, b = (w.astype(np.float64) for w in weights)
    exact = ContrastiveStep(a, b, _RATE)
    wide = (x.astype(np.float64), candidates.astype(np.float64))
    for i in range(_CHECKED_STEPS):
        expected = exact(*wide)
        for name, step in steps.items():
            found = step()
            if not abs(found - expected) <= _TOLERANCE * max(1.0, expected):
                message = f"{name}: loss {found} before step {i}, {expected} expected"
                raise FlashWasmError(message)


def _timed(
    steps: dict[str, Step], count: int, before: Callable[[], object] | None = None
) -> dict[str, Times]:
    """Return the times of single steps. The libraries are measured in turn."""
    timers = {name: timer(step, before) for name, step in steps.items()}
    return interleaved(timers, Effort.of_rounds(count))


def _quantiles(times: Times) -> tuple[float, float]:
    """Return the median and the 99th percentile in microseconds."""
    return times.median * 1e6, times.quantile(0.99) * 1e6


def _by_torch(a: Array, b: Array, x: Array, candidates: Array) -> tuple[Step | None, str]:
    """Return the step by PyTorch's autograd and Adam, on one thread, or the reason for None."""
    try:
        torch: Any = installed_module("torch")
    except CapabilityError:
        return None, "PyTorch is not installed"
    torch.set_num_threads(1)
    first, second = (torch.tensor(w, requires_grad=True) for w in (a, b))
    optimizer = torch.optim.Adam([first, second], lr=_RATE)
    vector, rows = torch.tensor(x), torch.tensor(candidates)
    label = torch.zeros(1, dtype=torch.long)

    def step() -> float:
        optimizer.zero_grad()
        y = vector + second @ (first @ vector)
        cosines = torch.nn.functional.cosine_similarity(y[None], rows)
        loss = torch.nn.functional.cross_entropy(cosines[None] / _TEMPERATURE, label)
        loss.backward()
        optimizer.step()
        return float(loss.detach())

    return step, ""


def step_row(found: StepTimes) -> tuple[str, ...]:
    """Return the cells of a row of the report.

    Parameters
    ----------
    found : StepTimes
        Times of a step.
    """
    times = (found.cached_p50, found.cached_p99, found.cold_p50, found.cold_p99)
    step = f"rank {found.rank}, {_DIM}, {_NEGATIVES} negatives"
    return (step, found.by, *(f"{t:.1f} µs" for t in times))
