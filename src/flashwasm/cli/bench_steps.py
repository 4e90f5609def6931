"""The steps of a benchmark run, which are measured in order, displayed and logged."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

import click

from flashwasm.benchmarks.cases.table import CASES
from flashwasm.benchmarks.lengths import LENGTHS, run_lengths
from flashwasm.benchmarks.measurement import run_cases
from flashwasm.benchmarks.timing import Effort
from flashwasm.cli.bench_report import Findings
from flashwasm.progress_bar import progress_report
from flashwasm.qe import WORKLOADS, benchmark_workload
from flashwasm.qe.workloads.strategies import run_strategies

if TYPE_CHECKING:
    from flashwasm.benchmarks.case import Case
    from flashwasm.benchmarks.run_log import RunLog
    from flashwasm.qe.workloads.configuration import WorkloadName

__all__ = ["Step", "known_operations", "own_steps", "run_steps", "shown"]

_EFFORT = Effort()
_QUICK_EFFORT = Effort(seconds=0.05, least_rounds=2)
_QUICK_LENGTHS = (128, 512)


@dataclass(frozen=True)
class Step:
    """One measurement of a run.

    Attributes
    ----------
    name : str
        Name of the step, unique in the run.
    measure : callable
        Function that measures, and returns only the findings of this step.
    """

    name: str
    measure: Callable[[], Findings]


def known_operations() -> set[str]:
    """Return the names that ``--op`` accepts."""
    return {case.operation for case in CASES}


def own_steps(
    suite: str, operations: Sequence[str], threads: int, *, quick: bool = False
) -> list[Step]:
    """Return the steps of a command of `flashwasm bench`.

    Parameters
    ----------
    suite : {"ops", "attention", "workloads", "all"}
        Name of the command.
    operations : sequence of str
        Operations to measure; all if it is empty.
    threads : int
        Number of threads of the runtimes.
    quick : bool, default False
        True to measure for a short time, at small lengths, and without the workloads.
    """
    found: list[Step] = []
    effort = _QUICK_EFFORT if quick else _EFFORT
    if suite in {"ops", "all"}:
        found += [
            Step(f"{case.name}, beside NumPy", partial(_case, case, threads, effort))
            for case in CASES
            if not operations or case.operation in operations
        ]
    if suite in {"attention", "all"}:
        found += [
            Step(f"attention of length {n}", partial(_length, n, quick=quick))
            for n in (_QUICK_LENGTHS if quick else LENGTHS)
        ]
    if suite in {"workloads", "all"} and not quick:
        found += [Step(f"workload {name}", partial(_workload, name)) for name in WORKLOADS]
        found.append(Step("strategies", _strategies))
    return found


def _case(case: Case, threads: int, effort: Effort) -> Findings:
    """Return the findings of one operation."""
    return Findings({}, results=list(run_cases([case], threads, effort=effort)))


def _length(length: int, *, quick: bool) -> Findings:
    """Return the findings of attention at one length."""
    lengths = run_lengths([length], _QUICK_EFFORT) if quick else run_lengths([length])
    return Findings({}, lengths=list(lengths))


def _workload(name: WorkloadName) -> Findings:
    """Return the findings of one workload."""
    return Findings({}, workloads=[benchmark_workload(name)])


def _strategies() -> Findings:
    """Return the findings of the strategies."""
    return Findings({}, strategies=run_strategies())


def run_steps(
    steps: Sequence[Step],
    found: Findings,
    log: RunLog | None,
    begin: Callable[[str], None],
) -> None:
    """Measure the steps that are not in the log, and collect the findings of all steps.

    Parameters
    ----------
    steps : sequence of Step
        Steps in their order.
    found : Findings
        Findings of the run, to which those of each step are added.
    log : RunLog or None
        Log of the run, if there is one.
    begin : callable
        Function to call with the name of each step before the step.
    """
    for step in steps:
        begin(step.name)
        kept = None if log is None else log.found(step.name)
        if kept is not None:
            found.add(type(found).from_dict(kept))
            continue
        part = step.measure()
        if log is not None:
            log.add(step.name, part.as_dict())
        found.add(part)


@contextmanager
def shown(count: int) -> Iterator[Callable[[str], None]]:
    """Show progress on stderr: as a bar on a terminal, else as a line for each step.

    The environment variable ``FLASHWASM_PROGRESS=off`` disables the display.

    Parameters
    ----------
    count : int
        Number of steps.

    Yields
    ------
    callable
        Function to call with the name of each step before the step.
    """
    begun = 0
    lines = sys.stderr is not None and not sys.stderr.isatty()
    lines = lines and os.environ.get("FLASHWASM_PROGRESS", "").lower() != "off"
    with progress_report("measuring", show=not lines) as report:

        def begin(name: str) -> None:
            """Show that a step begins."""
            nonlocal begun
            report(begun, count)
            begun += 1
            if lines:
                click.echo(f"measuring: {begun} of {count}, {name}", err=True)

        yield begin
