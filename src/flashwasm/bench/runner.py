"""Runs cases: results first, then interleaved timings of all contenders on the same data."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np

from flashwasm.bench.timing import Effort, interleaved, timer
from flashwasm.errors import FlashWasmError
from flashwasm.runtime.runtime import Runtime

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from flashwasm.bench.case import Array, Case, Inputs, Output
    from flashwasm.bench.timing import Timer

_EFFORT = Effort()


class WrongResultError(FlashWasmError):
    """A contender's result is outside the tolerance, so its time means nothing."""


@dataclass(frozen=True)
class Result:
    """Times of one case, in seconds, medians and bests of interleaved runs.

    Attributes
    ----------
    operation, size, unit, baseline : str
        What was run, what ``rate`` counts, and what the NumPy baseline is.
    median, best : float
        A call on arrays in linear memory: nothing is copied.
    with_copies : float
        A call on NumPy's arrays, best.
    copy_share : float
        Share of the latter that goes into copying in and out.
    rate : float
        Work of a call over its best time.
    numpy, scalar : float
        The baseline, and the scalar build on arrays in linear memory, best.
    speedup_over_numpy, speedup_over_scalar : float
        Their times over ``best``.
    error, tolerance : float
        Largest absolute difference from float64, and what is allowed.
    rounds : int
        Runs of each contender.
    one_read : float or None
        Reading the inputs once, best, where the case asks for it.
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

    def as_dict(self) -> dict[str, Any]:
        """Return the fields by name, for JSON."""
        return asdict(self)


def run_cases(cases: Sequence[Case], threads: int = 1, variant: str = "auto") -> Iterator[Result]:
    """Run cases one after another.

    Parameters
    ----------
    cases : sequence of Case
        What to run.
    threads : int, default 1
        Workers of each runtime.
    variant : str, default "auto"
        The build to measure; the scalar build is measured beside it.

    Yields
    ------
    Result

    Raises
    ------
    WrongResultError
        If a result is outside its tolerance.
    """
    for case in cases:
        with Runtime(threads, variant) as fast, Runtime(threads, "scalar") as scalar:
            yield _run_case(case, fast, scalar)


def _run_case(case: Case, fast: Runtime, scalar: Runtime) -> Result:
    inputs = case.make(np.random.default_rng(0))
    wide = [x.astype(np.float64) if x.dtype == np.float32 else x for x in inputs]
    expected = case.oracle(*wide)
    contenders: dict[str, Callable[[], Any]] = {
        "resident": resident(case, fast, inputs),
        "scalar": resident(case, scalar, inputs),
        "copied": partial(case.run, *inputs, runtime=fast),
        "numpy": partial(case.baseline, *inputs),
    }
    errors = {name: checked_error(case, name, run(), expected) for name, run in contenders.items()}
    if case.one_read is not None:
        contenders["one_read"] = partial(case.one_read, *inputs)
    timers = {name: timer(run) for name, run in contenders.items()}
    share = CopyShare(timers["copied"], fast)
    times = interleaved({**timers, "copied": share}, _EFFORT)
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
        tolerance=case.tolerance,
        rounds=times["resident"].rounds,
        one_read=best.get("one_read"),
    )


def resident(case: Case, rt: Runtime, inputs: Inputs) -> Callable[[], Any]:
    """Return a call on arrays in linear memory whose results stay there."""
    operands = [rt.asarray(x) for x in inputs]
    result = case.run(*operands, runtime=rt)
    if isinstance(result, tuple):
        return partial(case.run, *operands, runtime=rt)
    shape = result.shape
    del result  # Its memory is `out`'s then.
    return partial(case.run, *operands, out=rt.empty(shape), runtime=rt)


def _arrays(result: Output) -> tuple[Array, ...]:
    return result if isinstance(result, tuple) else (result,)


def checked_error(case: Case, name: str, result: Output, expected: Output) -> float:
    """Return the largest error, or raise where it is too large."""
    error = 0.0
    for x, right in zip(_arrays(result), _arrays(expected), strict=True):
        worst = float(np.abs(x.astype(np.float64) - right).max())
        # Written so that NaN fails.
        if not worst <= case.tolerance:
            message = (
                f"{case.operation} {case.size}, {name}: error {worst:g}, allowed {case.tolerance:g}"
            )
            raise WrongResultError(message)
        error = max(error, worst)
    return error


class CopyShare:
    """Times calls on NumPy's arrays, and adds up how much of that is copying.

    Parameters
    ----------
    seconds : callable
        What times the calls.
    runtime : Runtime
        Where they run.
    """

    def __init__(self, seconds: Timer, runtime: Runtime) -> None:
        self._seconds = seconds
        self._runtime = runtime
        self._copying = self._all = 0.0

    def __call__(self, loops: int) -> float:
        """Time some calls."""
        before = self._runtime.stats().copy_seconds
        elapsed = self._seconds(loops)
        self._copying += self._runtime.stats().copy_seconds - before
        self._all += elapsed
        return elapsed

    @property
    def value(self) -> float:
        """Share of the time that went into copying."""
        return self._copying / self._all
