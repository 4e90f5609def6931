"""Measurement of cases with all peers: results are checked first, then all are timed in turn."""

from __future__ import annotations

from contextlib import ExitStack
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING

import numpy as np

from bench.peers.peer import Contender
from flashwasm.benchmarks.expectation import Expectation
from flashwasm.benchmarks.measurement import resident
from flashwasm.benchmarks.timing import Effort, interleaved, timer
from flashwasm.host.peak import PeakLoop
from flashwasm.ops import matmul
from flashwasm.runtime.runtime import Runtime

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from bench.peers.peer import Peer
    from flashwasm.benchmarks.case import Array, Case, Inputs
    from flashwasm.benchmarks.timing import Timer

OURS = "flashwasm"
COPIES = "flashwasm, with copies"
FLOAT32 = "flashwasm float32"

# A measurement takes several milliseconds, so that the time of a request to another process is
# negligible.
EFFORT = Effort(seconds=3.0, least_rounds=5, most_rounds=200, least_measurement=4e-3)
QUICK_EFFORT = Effort(seconds=0.3, least_rounds=3, least_measurement=1e-3)
# Runs of the loop of the peak in each of its turns. One run takes two milliseconds. A peer that
# computes in another process may keep a core busy for some time after its answer. With a single run
# in each turn, the peak was measured up to four times too low.
_PEAK_RUNS = 12


@dataclass(frozen=True)
class Row:
    """One contender on one case.

    Attributes
    ----------
    name : str
        Name of the contender.
    best, median : float
        Seconds of a call, or NaN if it was not timed.
    rate : float
        Work of a call over its best time, in the measurement's unit.
    error : float
        Largest absolute difference from the oracle.
    rounds : int
        Number of measurements; 0 if it was not timed.
    note : str
        A few words on the form that ran, or the reason why it was not timed.
    """

    name: str
    best: float
    median: float
    rate: float
    error: float
    rounds: int
    note: str = ""

    @property
    def timed(self) -> bool:
        """True if the contender was timed."""
        return self.rounds > 0


@dataclass(frozen=True)
class Measurement:
    """One case with all its contenders.

    Attributes
    ----------
    operation, size, unit : str
        Name and size of the operation, and the unit of rates.
    rows : tuple of Row
        Rows of the package, then of the peers that take part in this case.
    peak : float
        Floating-point operations in a second of the multiply-add loop, which is measured in turn
        with the contenders; the best.
    bytes_beyond : int
        Linear memory besides inputs and output: workspaces of all threads and temporary blocks.
    flops, traffic : float
        Floating-point operations of a call, where an exponential or a root counts as one, and bytes
        of its inputs and output. NaN for operations that do not compute.
    """

    operation: str
    size: str
    unit: str
    rows: tuple[Row, ...]
    peak: float = float("nan")
    bytes_beyond: int = 0
    flops: float = float("nan")
    traffic: float = float("nan")

    @property
    def name(self) -> str:
        """Operation and size in one text."""
        return f"{self.operation} {self.size}"

    @property
    def own(self) -> Row:
        """The package's row, which every measurement has."""
        return next(row for row in self.rows if row.name == OURS)

    def row(self, name: str) -> Row | None:
        """Return the row of a contender, or None if it has none.

        Parameters
        ----------
        name : str
            Name of the contender.
        """
        return next((row for row in self.rows if row.name == name), None)

    def share_of_peak(self, row: Row) -> float:
        """Return a row's rate over the peak, or NaN if the rate does not count operations.

        Parameters
        ----------
        row : Row
            One of the rows.
        """
        return row.rate * 1e9 / self.peak if self.unit == "GFLOP/s" else float("nan")


def run_peers(
    cases: Sequence[Case], peers: Sequence[Peer], threads: int = 1, effort: Effort = EFFORT
) -> Iterator[Measurement]:
    """Measure cases one after another.

    Parameters
    ----------
    cases : sequence of Case
        Cases to measure.
    peers : sequence of Peer
        Peers that are installed.
    threads : int, default 1
        Threads of the package, and of each peer that has threads.
    effort : Effort
        Limits of how long to measure a case.

    Yields
    ------
    Measurement

    Raises
    ------
    WrongResultError
        If a result of the package is out of bounds. A peer's wrong result is reported in its row.
    """
    for case in cases:
        inputs = case.make(np.random.default_rng(0))
        expected = Expectation.of(case, inputs)
        with ExitStack() as stack:
            runtime = stack.enter_context(Runtime(threads))
            ours = resident(case, runtime, inputs)
            copied = partial(case.run, *inputs, runtime=runtime)
            contenders = {
                OURS: Contender(ours, timer(ours)),
                COPIES: Contender(copied, timer(copied), note="from and to NumPy's memory"),
            }
            if case.operation == "matmul_i8":
                floats = resident(replace(case, run=matmul), runtime, inputs)
                contenders[FLOAT32] = Contender(floats, timer(floats), note="matmul")
            errors = {
                name: expected.checked_error(name, contender.result())
                for name, contender in contenders.items()
            }
            failures: dict[str, str] = {}
            for peer in peers:
                try:
                    contender = peer.prepare(case, inputs, threads)
                    if contender is None:
                        continue
                    stack.callback(contender.close)
                    errors[peer.name] = expected.error(contender.result())
                    if not errors[peer.name] <= expected.largest_bound:
                        failures[peer.name] = f"wrong: error {errors[peer.name]:.1e}, not timed"
                        continue
                    contenders[peer.name] = contender
                except Exception as error:  # noqa: BLE001 - any error of a peer is reported.
                    failures[peer.name] = failed(error)
            beyond = _bytes_beyond(case, inputs, expected.values[0].shape, threads)
            subject = (case.operation, case.size, case.unit)
            measured = timed(subject, case.work, contenders, errors, failures, effort)
            flops, traffic = _intensity(case, inputs, expected.values[0])
        yield replace(measured, bytes_beyond=beyond, flops=flops, traffic=traffic)


def failed(error: Exception) -> str:
    """Return an error as a note of one line.

    Parameters
    ----------
    error : Exception
        The error.
    """
    return f"failed: {' '.join(str(error).split())[:120]}"


def _guarded(name: str, contender: Contender, failures: dict[str, str]) -> Timer:
    """Return a timer that stores an error in ``failures``, and does nothing after an error."""

    def seconds(loops: int) -> float:
        if name not in failures:
            try:
                return contender.seconds(loops)
            except Exception as error:  # noqa: BLE001 - any error of a peer is reported.
                failures[name] = failed(error)
        return float("inf")

    return seconds


def timed(
    subject: tuple[str, str, str],
    work: float,
    contenders: Mapping[str, Contender],
    errors: Mapping[str, float],
    failures: dict[str, str],
    effort: Effort,
) -> Measurement:
    """Time the contenders and the loop of the peak in turn.

    Parameters
    ----------
    subject : (str, str, str)
        Operation, size and unit.
    work : float
        Work of a call.
    contenders : mapping of str to Contender
        Contenders with correct results, by name.
    errors : mapping of str to float
        Largest error of each contender.
    failures : dict of str to str
        Notes on the peers that are not timed, by name. A peer that fails now is added.
    effort : Effort
        Limits of how long to measure.
    """
    loop = PeakLoop()
    peaks: list[float] = []

    def peak(loops: int) -> float:
        peaks.extend(loop.rate() for _ in range(_PEAK_RUNS))
        return 1.0 * loops

    timers = {
        name: contender.seconds
        if name in {OURS, COPIES, FLOAT32}
        else _guarded(name, contender, failures)
        for name, contender in contenders.items()
    }
    times = interleaved({**timers, "peak": peak}, effort)
    rows = [
        Row(
            name,
            times[name].best,
            times[name].median,
            work / times[name].best / 1e9,
            errors[name],
            times[name].rounds,
            contender.note,
        )
        for name, contender in contenders.items()
        if name not in failures
    ]
    nan = float("nan")
    rows += [
        Row(name, nan, nan, nan, errors.get(name, nan), 0, why) for name, why in failures.items()
    ]
    return Measurement(*subject, tuple(rows), max(peaks))


def _bytes_beyond(case: Case, inputs: Inputs, shape: tuple[int, ...], threads: int) -> int:
    """Return the linear memory that a call on resident arrays uses in addition to the arrays."""
    with Runtime(threads) as runtime:
        operands = [runtime.asarray(x) for x in inputs]
        out = runtime.empty(shape)
        before = runtime.stats().bytes_in_use
        case.run(*operands, out=out, runtime=runtime)
        stats = runtime.stats()
    return stats.bytes_peak - before + stats.bytes_workspace


# Floating-point operations of an element, for cases whose rate counts bytes. Softmax has a maximum,
# a difference, an exponential, a sum and a quotient. Layer norm has two sums, a difference, a
# square, and four operations that scale and shift.
_FLOPS = {"vecadd": 1, "softmax": 5, "layer_norm": 8}


def _intensity(case: Case, inputs: Inputs, expected: Array) -> tuple[float, float]:
    """Return the floating-point operations and the bytes of a call."""
    traffic = float(sum(x.nbytes for x in inputs) + 4 * expected.size)
    if case.unit == "GFLOP/s":
        return case.work, traffic
    if case.operation in _FLOPS:
        return float(_FLOPS[case.operation] * expected.size), traffic
    return float("nan"), float("nan")
