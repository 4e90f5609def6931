"""Timing: all contenders in turn, so that what else the machine does meets them alike."""

from __future__ import annotations

from dataclasses import dataclass
from statistics import median
from time import perf_counter
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    # Takes a number of calls, returns the seconds that they took.
    Timer = Callable[[int], float]


@dataclass(frozen=True)
class Effort:
    """How long to measure.

    Attributes
    ----------
    seconds : float
        For all contenders of a case together.
    least_rounds, most_rounds : int
        Measurements of each contender, whatever the seconds say.
    least_measurement : float
        Seconds of one measurement: shorter calls are repeated within it.
    """

    seconds: float = 1.5
    least_rounds: int = 5
    most_rounds: int = 400
    least_measurement: float = 3e-4


@dataclass(frozen=True)
class Times:
    """Seconds a call: the best and the median of interleaved measurements, and how many."""

    best: float
    median: float
    rounds: int

    @classmethod
    def of(cls, runs: list[float]) -> Times:
        """Summarize measurements."""
        return cls(min(runs), median(runs), len(runs))


def timer(run: Callable[[], Any]) -> Timer:
    """Return what times a number of calls of a function."""

    def seconds(loops: int) -> float:
        start = perf_counter()
        for _ in range(loops):
            run()
        return perf_counter() - start

    return seconds


def interleaved(timers: Mapping[str, Timer], effort: Effort) -> dict[str, Times]:
    """Time contenders in turn, round after round.

    What one contender leaves in the caches must not be what the next is timed with: a call that is
    not timed precedes those that are.

    Parameters
    ----------
    timers : mapping of str to callable
        By name, what takes a number of calls and returns the seconds they took.
    effort : Effort
        How long to go on.

    Returns
    -------
    dict of str to Times
    """
    loops = {name: loops_for(seconds, effort) for name, seconds in timers.items()}
    runs: dict[str, list[float]] = {name: [] for name in timers}
    end = perf_counter() + effort.seconds
    rounds = 0
    while rounds < effort.least_rounds or (perf_counter() < end and rounds < effort.most_rounds):
        for name, seconds in timers.items():
            seconds(1)
            runs[name].append(seconds(loops[name]) / loops[name])
        rounds += 1
    return {name: Times.of(taken) for name, taken in runs.items()}


def loops_for(seconds: Timer, effort: Effort) -> int:
    """Return how many calls one measurement takes, so that the clock is not what it measures."""
    once = seconds(1)
    if once > effort.least_measurement:
        return 1
    return max(1, int(effort.least_measurement / min(once, seconds(1), seconds(1))))
