"""Measurement of cases: results are checked first, then all contenders are timed in turns."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np

from flashwasm.benchmarks.expectation import Expectation
from flashwasm.benchmarks.timing import Effort, interleaved, timer
from flashwasm.runtime.runtime import Runtime

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from flashwasm.benchmarks.case import Case, Inputs
    from flashwasm.benchmarks.timing import Timer

_EFFORT = Effort()
# Contenders whose quartiles a result has, by the field with their median or best time.
_CONTENDER_OF = {
    "median": "resident",
    "with_copies": "copied",
    "numpy": "numpy",
    "scalar": "scalar",
}


@dataclass(frozen=True)
class Result:
    """Times of one case, in seconds per call.

    Attributes
    ----------
    operation, size : str
        Name and size of the operation.
    unit : str
        Unit of ``rate``.
    baseline : str
        Short description of the NumPy baseline.
    median, best : float
        Time of a call on resident arrays, without copies.
    with_copies : float
        Best time of a call on NumPy's arrays.
    copy_share : float
        Share of copying in and out in the time of calls on NumPy's arrays.
    rate : float
        Work of a call divided by its best time.
    numpy, scalar : float
        Best times of the baseline, and of the scalar build on resident arrays.
    speedup_over_numpy, speedup_over_scalar : float
        ``numpy`` and ``scalar``, each divided by ``best``.
    error : float
        Largest absolute difference from the oracle.
    tolerance : float
        Largest error bound of an element.
    rounds : int
        Number of measurements of each contender.
    one_read : float or None
        Best time of reading the inputs once, if the case measures it.
    quartiles : mapping of str to (float, float)
        First and third quartile of the times, by the name of the field with their median or best.
    """

    operation: str
    size: str
    unit: str
    baseline: str
    median: float
    best: float
    with_copies: float
    copy_share: float
    rate: float
    numpy: float
    scalar: float
    speedup_over_numpy: float
    speedup_over_scalar: float
    error: float
    tolerance: float
    rounds: int
    one_read: float | None = None
    quartiles: Mapping[str, tuple[float, float]] = field(default_factory=dict)

    def as_dict(self) -> dict[str, Any]:
        """Return the fields by name, for JSON."""
        return asdict(self)


def run_cases(
    cases: Sequence[Case], threads: int = 1, effort: Effort = _EFFORT
) -> Iterator[Result]:
    """Measure cases one after another, each in the default variant and in the scalar variant.

    Parameters
    ----------
    cases : sequence of Case
        Cases to measure.
    threads : int, default 1
        Threads of each runtime.
    effort : Effort, optional
        Duration of the measurement of each case.

    Yields
    ------
    Result

    Raises
    ------
    WrongResultError
        If a result is out of bounds.
    """
    for case in cases:
        with Runtime(threads) as fast, Runtime(threads, "scalar") as scalar:
            yield _run_case(case, fast, scalar, effort)


def _run_case(case: Case, fast: Runtime, scalar: Runtime, effort: Effort) -> Result:
    """Check and time one case on both builds and in NumPy."""
    inputs = case.make(np.random.default_rng(0))
    expected = Expectation.of(case, inputs)
    contenders: dict[str, Callable[[], Any]] = {
        "resident": resident(case, fast, inputs),
        "scalar": resident(case, scalar, inputs),
        "copied": partial(case.run, *inputs, runtime=fast),
    }
    errors = {name: expected.checked_error(name, run()) for name, run in contenders.items()}
    contenders["numpy"] = partial(case.baseline, *inputs)
    expected.check_other("NumPy", contenders["numpy"]())
    if case.one_read is not None:
        contenders["one_read"] = partial(case.one_read, *inputs)
    timers = {name: timer(run) for name, run in contenders.items()}
    share = CopyShare(timers["copied"], fast)
    times = interleaved({**timers, "copied": share}, effort)
    best = {name: found.best for name, found in times.items()}
    return Result(
        operation=case.operation,
        size=case.size,
        unit=case.unit,
        baseline=case.baseline_name,
        median=times["resident"].median,
        best=best["resident"],
        with_copies=best["copied"],
        copy_share=share.value,
        rate=case.work / best["resident"] / 1e9,
        numpy=best["numpy"],
        scalar=best["scalar"],
        speedup_over_numpy=best["numpy"] / best["resident"],
        speedup_over_scalar=best["scalar"] / best["resident"],
        error=errors["resident"],
        tolerance=expected.largest_bound,
        rounds=times["resident"].rounds,
        one_read=best.get("one_read"),
        quartiles={name: times[contender].quartiles for name, contender in _CONTENDER_OF.items()},
    )


def resident(case: Case, rt: Runtime, inputs: Inputs) -> Callable[[], Any]:
    """Return a call of a case on resident arrays, whose result stays in linear memory.

    Parameters
    ----------
    case : Case
        The case to run.
    rt : Runtime
        Runtime that holds the arrays.
    inputs : tuple of numpy.ndarray
        Inputs, which this function copies into linear memory once.
    """
    operands = [rt.asarray(x) for x in inputs]
    result = case.run(*operands, runtime=rt)
    if isinstance(result, tuple):
        return partial(case.run, *operands, runtime=rt)
    shape = result.shape
    # Release the result's memory before `out` allocates as much.
    del result
    return partial(case.run, *operands, out=rt.empty(shape), runtime=rt)


class CopyShare:
    """A timer of calls on NumPy's arrays that also adds up the time spent copying.

    Parameters
    ----------
    seconds : callable
        Timer of the calls.
    runtime : Runtime
        Runtime of the calls.
    """

    def __init__(self, seconds: Timer, runtime: Runtime) -> None:
        self._seconds = seconds
        self._runtime = runtime
        self._copying = self._all = 0.0

    def __call__(self, loops: int) -> float:
        """Make ``loops`` calls, and return their duration in seconds."""
        before = self._runtime.stats().copy_seconds
        elapsed = self._seconds(loops)
        self._copying += self._runtime.stats().copy_seconds - before
        self._all += elapsed
        return elapsed

    @property
    def value(self) -> float:
        """Share of copying in the time so far."""
        return self._copying / self._all
