"""The timing loop. Contenders take turns, so that a busy machine slows all of them alike."""

from __future__ import annotations

from dataclasses import dataclass
from statistics import mean, median
from time import perf_counter
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    # A function that makes a number of calls and returns their duration in seconds.
    Timer = Callable[[int], float]


# Duration in seconds from which on a call needs no warm-up of the caches.
_LONG_CALL = 0.2


@dataclass(frozen=True)
class Effort:
    """Duration of a measurement, and number of its rounds.

    Attributes
    ----------
    seconds : float
        Total duration of the measurements of all contenders.
    least_rounds, most_rounds : int
        Minimum and maximum number of measurements of each contender, regardless of ``seconds``.
    least_measurement : float
        Minimum duration of one measurement in seconds. Shorter calls are repeated within it,
        because reading the clock takes time, too. 0 measures each call separately.
    """

    seconds: float = 1.5
    least_rounds: int = 5
    most_rounds: int = 400
    least_measurement: float = 3e-4

    @classmethod
    def of_rounds(cls, rounds: int, seconds: float = 0.0, most: int | None = None) -> Effort:
        """Return an effort that measures single calls in a number of rounds.

        Parameters
        ----------
        rounds : int
            Number of rounds.
        seconds : float, default 0
            Minimum duration in seconds. If ``rounds`` rounds take less time, more are made.
        most : int, optional
            Maximum number of rounds. None means ``rounds``.
        """
        return cls(seconds, rounds, rounds if most is None else most, least_measurement=0.0)


@dataclass(frozen=True)
class Times:
    """Durations of a contender's calls.

    Attributes
    ----------
    seconds : tuple of float
        Seconds per call, one value per measurement.
    """

    seconds: tuple[float, ...]

    @property
    def best(self) -> float:
        """Smallest duration."""
        return min(self.seconds)

    @property
    def median(self) -> float:
        """Median duration."""
        return median(self.seconds)

    @property
    def mean(self) -> float:
        """Mean duration."""
        return mean(self.seconds)

    @property
    def rounds(self) -> int:
        """Number of measurements."""
        return len(self.seconds)

    @property
    def quartiles(self) -> tuple[float, float]:
        """First and third quartile of the durations."""
        return self.quantile(0.25), self.quantile(0.75)

    @property
    def quartiles_ms(self) -> tuple[float, float]:
        """Quartiles in milliseconds."""
        low, high = self.quartiles
        return low * 1e3, high * 1e3

    def quantile(self, share: float) -> float:
        """Return the duration that a share of the measurements does not exceed."""
        return float(np.quantile(self.seconds, share))


def timer(run: Callable[[], Any], before: Callable[[], Any] | None = None) -> Timer:
    """Return a timer of a function.

    Parameters
    ----------
    run : callable
        Function to time.
    before : callable, optional
        Function to call before each call of ``run``, without timing it.
    """

    def seconds(loops: int) -> float:
        start = perf_counter()
        for _ in range(loops):
            run()
        return perf_counter() - start

    if before is None:
        return seconds

    def prepared(loops: int) -> float:
        total = 0.0
        for _ in range(loops):
            before()
            total += seconds(1)
        return total

    return prepared


def interleaved(timers: Mapping[str, Timer], effort: Effort) -> dict[str, Times]:
    """Time contenders in turn, round after round.

    After a contender's turn, its data fill the processor's caches. If there are several contenders,
    each measurement therefore follows an untimed call of the same contender. Calls that take a
    large part of a second fill the caches themselves and need no untimed call.

    Parameters
    ----------
    timers : mapping of str to callable
        Timer of each contender, by its name.
    effort : Effort
        Duration of the measurement.

    Returns
    -------
    dict of str to Times
    """
    once = {name: seconds(1) for name, seconds in timers.items()}
    loops = {name: _loops_for(once[name], seconds, effort) for name, seconds in timers.items()}
    runs: dict[str, list[float]] = {name: [] for name in timers}
    end = perf_counter() + effort.seconds
    rounds = 0
    while rounds < effort.least_rounds or (perf_counter() < end and rounds < effort.most_rounds):
        for name, seconds in timers.items():
            if len(timers) > 1 and once[name] < _LONG_CALL:
                seconds(1)
            runs[name].append(seconds(loops[name]) / loops[name])
        rounds += 1
    return {name: Times(tuple(taken)) for name, taken in runs.items()}


def _loops_for(once: float, seconds: Timer, effort: Effort) -> int:
    """Return the number of calls in one measurement, so that it is long enough.

    A first call may take several times as long as later calls, which decide unless they are long.
    """
    if not effort.least_measurement or once > max(_LONG_CALL, effort.least_measurement):
        return 1
    return max(1, int(effort.least_measurement / min(once, seconds(1), seconds(1))))
