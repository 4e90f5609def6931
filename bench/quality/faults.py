"""Evaluation of the safe selection on faults: mutations whose failing tests it must not leave out.

Each mutation is a change of one line in a copy of a project. The whole suite tells which tests it
breaks. Then the selections for the mutation's diff are held against them, and pytest-testmon's.
"""

from __future__ import annotations

import importlib.util
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from os.path import commonpath
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING

from bench.quality.fault_findings import Choice, MutationResult, ProjectFaults
from bench.quality.mutations import Mutation, choose
from bench.quality.mutator import mutations_of
from bench.quality.project_copy import ProjectCopy, SuiteRun
from flashwasm.qe.changes.import_graph import ImportGraph
from flashwasm.qe.changes.safe_selection import safe_selection
from flashwasm.qe.changes.unified_diff import read_diff
from flashwasm.qe.coverage.coverage_index import CoverageIndex
from flashwasm.qe.similarity.suite_index import SuiteIndex

if TYPE_CHECKING:
    from flashwasm.qe.changes.selected_tests import SelectedTest

__all__ = ["TESTMON", "FaultOptions", "measure_faults"]

TESTMON = "pytest-testmon"


@dataclass(frozen=True)
class FaultOptions:
    """Extent of the evaluation.

    Parameters
    ----------
    mutations : int
        Number of mutations a project.
    seed : int
        Seed of the choice of mutations.
    deadline : float
        Time by `time.monotonic` after which no further mutation begins.
    """

    mutations: int = 200
    seed: int = 0
    deadline: float = float("inf")


def measure_faults(
    project: Path,
    options: FaultOptions,
    advance: Callable[[int, int], None],
    say: Callable[[str], None],
) -> ProjectFaults:
    """Mutate a copy of a project, and hold the selected tests against those that fail.

    Parameters
    ----------
    project : pathlib.Path
        Root of the project. Its suite runs in this interpreter's environment.
    options : FaultOptions
        Number of mutations, seed and deadline.
    advance : callable
        Function that is called with the number of mutations done and their total.
    say : callable
        Function that is called with a line about each mutation of which a test was left out.

    Raises
    ------
    ShapeError
        If no test of the project passes.
    """
    with tempfile.TemporaryDirectory(prefix="faults-") as folder:
        suite = _MutatedSuite(ProjectCopy(project, Path(folder).resolve()))
        chosen = choose(suite.mutations(), options.seed)
        total = min(options.mutations, len(chosen))
        results: list[MutationResult] = []
        for mutation in chosen:
            if len(results) == total or time.monotonic() > options.deadline:
                break
            result = suite.measure(mutation)
            if result is not None:
                results.append(result)
                for name, choice in result.choices.items():
                    if choice.left_out:
                        say(f"{name} left out {len(choice.left_out)}: {result.where}")
            advance(len(results), total)
        return ProjectFaults(project.resolve().name, len(suite.seconds), total, results)


class _MutatedSuite:
    """A suite with what is known of it before any mutation.

    Parameters
    ----------
    copy : ProjectCopy
        The project.

    Attributes
    ----------
    seconds : dict of str to float
        Seconds of each case that passes before any mutation.
    """

    def __init__(self, copy: ProjectCopy) -> None:
        self._copy = copy
        runs = [copy.clean_run(), copy.record_coverage()]
        self._testmon = importlib.util.find_spec("testmon") is not None
        if self._testmon:
            runs.append(copy.record_testmon())
        # A case that fails without a mutation says nothing about one.
        self._failing = set().union(*(run.failed | run.uncollected for run in runs))
        self.seconds = {k: v for k, v in runs[0].ran.items() if k not in self._failing}
        self._coverage = CoverageIndex.load(copy.database)
        files = {case.partition("::")[0] for case in self.seconds}
        self._tests = copy.root / (commonpath(files) if len(files) > 1 else next(iter(files)))
        self._index = SuiteIndex.build(self._tests)
        self._cases: dict[str, list[str]] = {}
        for case in self.seconds:
            self._cases.setdefault(case.partition("[")[0], []).append(case)

    def mutations(self) -> Iterator[Mutation]:
        """Yield the mutations of the files of which the suite runs any line."""
        root = self._copy.root
        graph = ImportGraph(root, {test.path for test in self._index.tests})
        for name in self._coverage.files:
            file = Path(name)
            if file.is_relative_to(root) and file.suffix == ".py":
                outside, _ = self._coverage.lines_outside_tests(name)
                ran = outside | self._coverage.tested(name)
                source = file.read_bytes().decode("utf-8", "replace")
                path = file.relative_to(root).as_posix()
                beside = graph.is_beside_tests(file)
                yield from mutations_of(path, source, ran, beside_tests=beside)

    def measure(self, mutation: Mutation) -> MutationResult | None:
        """Return what the selections and the whole suite say of a mutation; None if it is none."""
        source = (self._copy.root / mutation.path).read_bytes().decode("utf-8", "replace")
        if not mutation.compiles(source):
            return None
        diff = mutation.diff(source)
        with self._copy.changed(mutation.path, mutation.apply(source)):
            truth = self._copy.run()
            truth.failed -= self._failing
            truth.uncollected -= self._failing
            # A change of the tests changes the index of the suite. One of the program does not.
            same = mutation.kind not in {"fixture", "test helper"}
            index = self._index if same else SuiteIndex.build(self._tests)
            choices = {}
            for name, coverage in (("with coverage", self._coverage), ("without", None)):
                started = time.perf_counter()
                selection = safe_selection(index, read_diff(diff), coverage)
                seconds = time.perf_counter() - started
                likely = selection.likely()
                files = [one.path.relative_to(self._copy.root) for one in selection.unread]
                read = [path.as_posix() for path in files]
                sure = selection.sure or likely
                choices[name] = self._choice(sure, read, truth, seconds)
                choices[f"--likely, {name.removesuffix(' coverage')}"] = self._choice(
                    likely, [], truth, seconds
                )
            if self._testmon:
                choices[TESTMON] = self._choice_of_testmon(truth)
        return MutationResult(
            mutation=mutation,
            diff=diff,
            failing=sorted(truth.failed | truth.uncollected),
            broken=truth.broken,
            killed=truth.failures,
            stopped=truth.stopped,
            seconds=truth.seconds,
            choices=choices,
        )

    def _choice(
        self, chosen: Sequence[SelectedTest], files: list[str], truth: SuiteRun, seconds: float
    ) -> Choice:
        """Return how a selection of tests, and of whole files that cannot be read, did."""
        names = [(one.test.nodeid, *one.test.also) for one in chosen]
        cases = [case for own in names for name in own for case in self._cases.get(name, [])]
        functions = [set(own) for own in names]
        return self._held_against(truth, functions, files, cases, seconds)

    def _choice_of_testmon(self, truth: SuiteRun) -> Choice:
        """Run the tests that pytest-testmon selects; return how it did."""
        run = self._copy.run_testmon()
        cases = [case for case in run.ran if case in self.seconds]
        functions = [{name} for name in dict.fromkeys(case.partition("[")[0] for case in run.ran)]
        if run.broken:
            # The run says that something is wrong, whichever tests it selected.
            return self._held_against(SuiteRun(), functions, [], cases, 0.0)
        choice = self._held_against(truth, functions, sorted(run.uncollected), cases, 0.0)
        left_out = [case for case in choice.left_out if case not in run.ran]
        return Choice(left_out, choice.place, choice.share, choice.seconds, run.seconds)

    def _held_against(
        self,
        truth: SuiteRun,
        functions: list[set[str]],
        files: list[str],
        cases: list[str],
        choosing: float,
    ) -> Choice:
        """Return how the choice of some tests did, each with all its node ids."""
        own = {name for names in functions for name in names}
        covered = {*files, *(name.partition("::")[0] for name in own)}
        folders = {str(parent) for file in covered for parent in PurePosixPath(file).parents}
        left_out = [case for case in sorted(truth.failed) if case.partition("[")[0] not in own]
        left_out += [path for path in sorted(truth.uncollected) if path not in covered | folders]
        if truth.broken:
            # Any run of pytest ends with the same error, also one of a single test.
            left_out = [] if own or files else ["every test"]
        failing = {case.partition("[")[0] for case in truth.failed}

        def fails(names: set[str]) -> bool:
            inside = {name.partition("::")[0] for name in names}
            inside |= {str(parent) for file in inside for parent in PurePosixPath(file).parents}
            uncollected = not truth.uncollected.isdisjoint(inside)
            return truth.broken or uncollected or not failing.isdisjoint(names)

        place = next((i for i, names in enumerate(functions, 1) if fails(names)), None)
        if place is None and not truth.uncollected.isdisjoint(files):
            place = len(functions) + 1
        return Choice(
            left_out,
            place,
            len(cases) / len(self.seconds),
            sum(self.seconds[case] for case in cases),
            choosing,
        )
