"""Runs cases: results first, then interleaved timings of all contenders on the same data."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from functools import partial
from statistics import median
from time import perf_counter
from typing import TYPE_CHECKING, Any

import numpy as np

from flashwasm.errors import FlashWasmError
from flashwasm.runtime import Runtime

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from flashwasm.bench.case import Array, Case, Inputs, Output

# Each case is timed for about so long, and each contender so often at least.
_SECONDS = 1.5
_LEAST_ROUNDS = 5
_MOST_ROUNDS = 400
_LEAST_MEASUREMENT = 3e-4


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
        "resident": _resident(case, fast, inputs),
        "scalar": _resident(case, scalar, inputs),
        "copied": partial(case.run, *inputs, runtime=fast),
        "numpy": partial(case.baseline, *inputs),
    }
    errors = {name: _error(case, name, run(), expected) for name, run in contenders.items()}
    if case.one_read is not None:
        contenders["one_read"] = partial(case.one_read, *inputs)
    times, copy_share = _interleaved(contenders, fast)
    best = {name: min(runs) for name, runs in times.items()}
    return Result(
        operation=case.operation,
        size=case.size,
        unit=case.unit,
        baseline=case.baseline_name,
        median=median(times["resident"]),
        best=best["resident"],
        with_copies=best["copied"],
        copy_share=copy_share,
        rate=case.work / best["resident"] / 1e9,
        numpy=best["numpy"],
        scalar=best["scalar"],
        speedup_over_numpy=best["numpy"] / best["resident"],
        speedup_over_scalar=best["scalar"] / best["resident"],
        error=errors["resident"],
        tolerance=case.tolerance,
        rounds=len(times["resident"]),
        one_read=best.get("one_read"),
    )


def _resident(case: Case, rt: Runtime, inputs: Inputs) -> Callable[[], Output]:
    """Return a call on arrays in linear memory whose results stay there."""
    operands = [rt.asarray(x) for x in inputs]
    result = case.run(*operands, runtime=rt)
    if isinstance(result, tuple):
        return partial(case.run, *operands, runtime=rt)
    return partial(case.run, *operands, out=rt.empty(result.shape), runtime=rt)


def _arrays(result: Output) -> tuple[Array, ...]:
    return result if isinstance(result, tuple) else (result,)


def _error(case: Case, name: str, result: Output, expected: Output) -> float:
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


def _interleaved(
    contenders: dict[str, Callable[[], Any]], fast: Runtime
) -> tuple[dict[str, list[float]], float]:
    """Time all contenders in turn; return seconds a call, and the share that copying takes."""
    loops = {name: _loops(run) for name, run in contenders.items()}
    times: dict[str, list[float]] = {name: [] for name in contenders}
    copying = copied = 0.0
    end = perf_counter() + _SECONDS
    while len(times["numpy"]) < _LEAST_ROUNDS or (
        perf_counter() < end and len(times["numpy"]) < _MOST_ROUNDS
    ):
        for name, run in contenders.items():
            before = fast.stats().copy_seconds
            elapsed = _time(run, loops[name])
            times[name].append(elapsed / loops[name])
            if name == "copied":
                copying += fast.stats().copy_seconds - before
                copied += elapsed
    return times, copying / copied


def _loops(run: Callable[[], Any]) -> int:
    """Return how many calls one measurement takes, so that the clock is not what it measures."""
    once = min(_time(run, 1) for _ in range(3))
    return max(1, int(_LEAST_MEASUREMENT / once))


def _time(run: Callable[[], Any], loops: int) -> float:
    start = perf_counter()
    for _ in range(loops):
        run()
    return perf_counter() - start
