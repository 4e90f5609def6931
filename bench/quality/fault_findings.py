"""Findings of `bench.quality.faults`: tests that each selection left out, as tables and JSON."""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import asdict, dataclass
from statistics import mean, median
from typing import TYPE_CHECKING, Any

from bench.quality.fault_choices import Choice
from bench.quality.mutations import KINDS, Mutation
from bench.quality.project_copy import SuiteRun
from flashwasm.errors import DTypeError
from flashwasm.summaries import counted

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from flashwasm.benchmarks.report import Rows

__all__ = ["EXPLAINED", "MutationResult", "ProjectFaults", "read_results"]

_HEADINGS = ("what", "left out", "selected", "seconds", "first failing")
EXPLAINED = (
    "left out: mutations with a failing test that was not selected; selected: mean and median "
    "share of the cases; seconds: of the selected tests, and of the choice (of the whole run for "
    "pytest-testmon), means; first failing: median place, and share in the first ten"
)
# Positions of the first failing test that count as early, and the least share of mutations with an
# early one.
_EARLY, _EARLY_SHARE = 10, 0.8


@dataclass(frozen=True)
class MutationResult:
    """One mutation, with the result of the whole suite and of each selection.

    Parameters
    ----------
    mutation : Mutation
        The mutation.
    diff : str
        The mutation as a unified diff.
    failing : list of str
        Node ids of the cases that fail, and paths of the files that cannot be collected.
    spread : list of str
        Cases among them that some selection left out and that pass when they run alone. They failed
        only because others failed before them, so they do not count as left out.
    broken : bool
        True if pytest itself ended with an error, such as that of a conftest.py.
    killed : bool
        True if anything fails.
    stopped : bool
        True if the suite took too long and was stopped. Later failures are then unknown.
    seconds : float
        Duration of the whole suite.
    choices : dict of str to Choice
        Selections, by their names.
    """

    mutation: Mutation
    diff: str
    failing: list[str]
    spread: list[str]
    broken: bool
    killed: bool
    stopped: bool
    seconds: float
    choices: dict[str, Choice]

    @property
    def where(self) -> str:
        """One line that describes the mutation."""
        edit = self.mutation
        return f"{edit.kind}, {edit.path}:{edit.line}: {edit.after.strip() or 'removed'}"

    def left_out(self) -> Iterator[str]:
        """Yield a line for each selection that left out a failing test."""
        for name, choice in self.choices.items():
            if choice.left_out:
                yield f"{name} left out {len(choice.left_out)}: {self.where}"

    def run(self) -> SuiteRun:
        """Return the run of the whole suite, as far as it is stored."""
        failed = {name for name in self.failing if "::" in name}
        return SuiteRun(
            failed=failed,
            uncollected=set(self.failing) - failed,
            broken=self.broken,
            stopped=self.stopped,
            seconds=self.seconds,
        )


@dataclass(frozen=True)
class ProjectFaults:
    """All mutations of a project.

    Parameters
    ----------
    name : str
        Name of the project's folder.
    cases : int
        Number of cases of its suite that pass.
    wanted : int
        Requested number of mutations, or fewer if the project does not have so many.
    results : list of MutationResult
        Mutations that were made before the deadline.
    """

    name: str
    cases: int
    wanted: int
    results: list[MutationResult]

    @property
    def killed(self) -> list[MutationResult]:
        """The mutations that break a test."""
        return [result for result in self.results if result.killed]

    def section(self) -> tuple[str, tuple[str, ...], Rows]:
        """Return title, headings and rows of the table."""
        seconds = mean([result.seconds for result in self.results] or [0.0])
        title = (
            f"{self.name}: {counted(len(self.results), 'mutations')}, {len(self.killed)} killed; "
            f"{counted(self.cases, 'cases')} in {seconds:.1f} s"
        )
        rows = [self._row(name) for name in (self.results[0].choices if self.results else ())]
        return title, _HEADINGS, rows

    def _row(self, name: str) -> tuple[str, ...]:
        """Return the cells of one selection, in the order of the headings."""
        made = [result for result in self.results if name in result.choices]
        choices = [result.choices[name] for result in made]
        killing = [result.choices[name] for result in made if result.killed]
        places = [choice.place for choice in killing if choice.place is not None]
        shares = [choice.share for choice in choices]
        seconds = (mean(c.seconds for c in choices), mean(c.choosing for c in choices))
        return (
            name if len(made) == len(self.results) else f"{name}, {len(made)}",
            str(sum(bool(choice.left_out) for choice in killing)),
            f"{mean(shares):.0%} / {median(shares):.0%}",
            f"{seconds[0]:.2f} + {seconds[1]:.2f}",
            f"{median(places):g} / {_early(killing):.2f}" if places else "",
        )

    def notes(self) -> Iterator[str]:
        """Yield a line for each target with its figure, and for each fact outside the table."""
        if not self.killed:
            yield f"{self.name}: no mutation was killed, so no target was measured"
            return
        for name in ("with coverage", "without"):
            missed = sum(bool(result.choices[name].left_out) for result in self.killed)
            yield f"{_verdict(missed == 0)}: {self.name}, {name}: {missed} left out, target 0"
        early = _early([result.choices["without"] for result in self.killed])
        yield (
            f"{_verdict(early >= _EARLY_SHARE)}: {self.name}, without: first failing test in the "
            f"first {_EARLY} for {early:.2f}, target {_EARLY_SHARE:.2f}"
        )
        if len(self.results) < self.wanted:
            yield f"{self.name}: the time was over after {len(self.results)} of {self.wanted}"
        if stopped := sum(result.stopped for result in self.results):
            yield f"{self.name}: {counted(stopped, 'runs')} stopped, for taking too long"
        if spread := sum(len(result.spread) for result in self.results):
            yield f"{self.name}: others made {counted(spread, 'cases')} fail that pass alone"
        made = Counter(result.mutation.kind for result in self.results)
        dead = Counter(result.mutation.kind for result in self.killed)
        kinds = ", ".join(f"{kind} {dead[kind]} of {made[kind]}" for kind in KINDS if made[kind])
        yield f"{self.name}, killed by kind: {kinds}"

    def as_dict(self) -> dict[str, Any]:
        """Return all results for JSON."""
        return {
            "project": self.name,
            "cases": self.cases,
            "wanted": self.wanted,
            "notes": list(self.notes()),
            "mutations": [asdict(result) for result in self.results],
        }


def _early(choices: Sequence[Choice]) -> float:
    """Return the share of selections whose first failing test is early."""
    early = (choice.place is not None and choice.place <= _EARLY for choice in choices)
    return sum(early) / max(len(choices), 1)


def read_results(path: Path, project: str) -> list[MutationResult]:
    """Return the mutations of a project that an earlier run measured.

    Parameters
    ----------
    path : pathlib.Path
        JSON of that run.
    project : str
        Name of the project's folder.

    Raises
    ------
    DTypeError
        If the file does not contain such results.
    """
    try:
        document = json.loads(path.read_text("utf-8"))
        rows = [one["mutations"] for one in document["faults"] if one["project"] == project]
        return [_read_result(row) for row in rows[0]]
    except (ValueError, KeyError, TypeError, IndexError) as error:
        raise DTypeError(f"{path}: expected the JSON of faults of {project}") from error


def _read_result(row: dict[str, Any]) -> MutationResult:
    """Return the result of a mutation from its JSON."""
    choices = {name: Choice(**choice) for name, choice in row["choices"].items()}
    fields = {**row, "mutation": Mutation(**row["mutation"]), "choices": choices}
    return MutationResult(**{"spread": [], **fields})


def _verdict(met: bool) -> str:  # noqa: FBT001 - the only argument is the value to describe.
    """Return the word for a target that was met or missed."""
    return "met" if met else "MISSED"
