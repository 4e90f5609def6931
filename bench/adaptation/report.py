"""The evaluation of `python -m bench adaptation`, and its report."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from bench.adaptation.feedback import (
    HEADINGS,
    KINDS,
    SIZES,
    Quality,
    labelled,
    row,
    run_quality,
)
from bench.adaptation.steps import RANKS, STEP_HEADINGS, StepTimes, run_steps, step_row
from flashwasm.benchmarks.report import machine, markdown_table, terminal_table, threads_title
from flashwasm.runtime.runtime import Runtime

if TYPE_CHECKING:
    from pathlib import Path

    from flashwasm.benchmarks.report import Rows

__all__ = ["AdaptationFindings", "run_adaptation", "steps"]

# Targets in microseconds at the median and at the 99th percentile, by rank. None means no target.
_TARGETS: dict[int, tuple[float, float | None]] = {2: (20.0, 50.0), 8: (50.0, None)}
# Feedback that is random or reversed must not activate an adapter in this share of the seeds.
_LEAST_REFUSED = 0.95


@dataclass
class AdaptationFindings:
    """All results of a run.

    Attributes
    ----------
    facts : dict
        The machine, versions and numbers of threads.
    times : list of StepTimes
        Steps of training.
    absent : str
        The library that was not measured, and why; empty if all were.
    quality : list of Quality
        Searches with and without feedback; empty without a suite.
    """

    facts: dict[str, Any]
    times: list[StepTimes] = field(default_factory=list)
    absent: str = ""
    quality: list[Quality] = field(default_factory=list)

    def as_dict(self) -> dict[str, Any]:
        """Return all results for JSON."""
        return {
            "machine": self.facts,
            "steps": [found.as_dict() for found in self.times],
            "quality": [found.as_dict() for found in self.quality],
            "missed": self.missed,
        }

    @property
    def missed(self) -> list[str]:
        """One line for each target that was missed."""
        lines = []
        for found in self.times:
            p50, p99 = _TARGETS[found.rank]
            late = found.cached_p50 > p50 or (p99 is not None and found.cached_p99 > p99)
            if found.by == "flashwasm" and late:
                lines.append(
                    f"a step of rank {found.rank}: p50 {found.cached_p50:.1f} µs, "
                    f"p99 {found.cached_p99:.1f} µs"
                )
        for one in self.quality:
            what = f"{one.feedback}, {one.pairs} pairs"
            if np.subtract(one.after, one.before).min() < 0:
                lines.append(f"{what}: worse than unadapted for some seed")
            refused = one.activated.count(False) / len(one.activated)
            if ("coin" in one.feedback or "flipped" in one.feedback) and refused < _LEAST_REFUSED:
                lines.append(f"{what}: activated {one.activated.count(True)} times")
        return lines

    def tables(self) -> list[Any]:
        """Return the tables for the terminal."""
        return [terminal_table(*section) for section in self._sections()]

    def markdown(self) -> str:
        """Return the report as Markdown."""
        notes = "".join(f"* {line}\n" for line in self.notes())
        tables = [markdown_table(*section) for section in self._sections()]
        return "\n".join([f"# {threads_title(self.facts)}\n\n{notes}", *tables])

    def notes(self) -> list[str]:
        """Return one line for each fact that the tables do not show."""
        lines = [f"{name}: {value}" for name, value in self.facts.items()]
        return [*lines, *filter(None, [self.absent]), *(f"missed: {x}" for x in self.missed)]

    def _sections(self) -> list[tuple[str, tuple[str, ...], Rows]]:
        """Return title, headings and rows of each table."""
        name = "A step of training, one thread"
        sections: list[tuple[str, tuple[str, ...], Rows]] = [
            (name, STEP_HEADINGS, [step_row(found) for found in self.times])
        ]
        if self.quality:
            seeds = len(self.quality[0].activated)
            name = f"Mean reciprocal rank on files without feedback, {seeds} seeds"
            sections.append((name, HEADINGS, [row(found) for found in self.quality]))
        return sections


def steps(suite: Path | None, seeds: int) -> int:
    """Return the number of steps, for a progress bar.

    Parameters
    ----------
    suite : pathlib.Path or None
        Folder of the tests, if there is one.
    seeds : int
        Number of seeds.
    """
    return len(RANKS) + (0 if suite is None else seeds * len(KINDS) * len(SIZES))


def run_adaptation(
    suite: Path | None,
    seeds: int,
    model: str | None,
    threading: tuple[int, str],
    advance: Callable[[int], None],
) -> AdaptationFindings:
    """Measure steps of training, and searches if there is a suite.

    Parameters
    ----------
    suite : pathlib.Path or None
        Folder of the tests.
    seeds : int
        Number of repetitions, each with other files and other feedback.
    model : str or None
        Installed model's name or folder; None means the default model.
    threading : (int, str)
        Threads of training, and the number of threads that NumPy's BLAS was set to.
    advance : callable
        Function that is called with 1 after each step.

    Returns
    -------
    AdaptationFindings
    """
    # Read the suite first, so that an unusable one is refused before anything is measured.
    tests = None if suite is None else labelled(suite, model)
    found = AdaptationFindings(machine(*threading))
    for rank in RANKS:
        times, found.absent = run_steps(rank)
        found.times += times
        advance(1)
    if tests is None:
        return found
    with Runtime(threads=threading[0]) as runtime:
        for kind in KINDS:
            for pairs in SIZES:
                found.quality.append(
                    run_quality(tests, kind, pairs, seeds, runtime=runtime, advance=advance)
                )
    return found
