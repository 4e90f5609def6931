"""The speed of two threads over that of one."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from flashwasm.benchmarks.cases.attention import attention_case
from flashwasm.benchmarks.cases.products import matmul_case
from flashwasm.benchmarks.expectation import Expectation
from flashwasm.benchmarks.measurement import resident
from flashwasm.benchmarks.timing import Effort, interleaved, timer
from flashwasm.host.peak import PeakLoop
from flashwasm.host.workers import available_cpus
from flashwasm.runtime.runtime import Runtime

if TYPE_CHECKING:
    from flashwasm.benchmarks.case import Case

SCALED = (attention_case(12, 2048, 64), matmul_case(1024, 1024, 1024))
_EFFORT = Effort(seconds=3.0)


@dataclass(frozen=True)
class Scaling:
    """The gain of a second thread.

    Attributes
    ----------
    speedup : float
        Time of a call on one thread over the time on two.
    machine : float
        The same for a loop of multiply-adds on registers, which never waits for memory. It is about
        two if two CPUs are free, and less if another program uses one of them.
    """

    speedup: float
    machine: float


def two_threads(case: Case) -> Scaling | None:
    """Measure a case on one thread and on two.

    Parameters
    ----------
    case : Case
        The case to measure.

    Returns
    -------
    Scaling or None
        None if this process may not use two CPUs.
    """
    if available_cpus() < 2:
        return None
    inputs = case.make(np.random.default_rng(0))
    expected = Expectation.of(case, inputs)
    loops = [PeakLoop(), PeakLoop()]
    with Runtime(1) as one, Runtime(2) as two, ThreadPoolExecutor(2) as pool:
        runs = {str(rt.threads): resident(case, rt, inputs) for rt in (one, two)}
        for name, run in runs.items():
            expected.checked_error(f"{name} thread(s)", run())
        timers = {name: timer(run) for name, run in runs.items()}
        timers["loop"] = timer(loops[0].rate)
        timers["two loops"] = timer(lambda: list(pool.map(PeakLoop.rate, loops)))
        best = {name: found.best for name, found in interleaved(timers, _EFFORT).items()}
    return Scaling(best["1"] / best["2"], 2 * best["loop"] / best["two loops"])
