"""Evaluation of the safe selection on faults: mutations whose failing tests it must not leave out.

Each mutation is a change of one line in a copy of a project. A run of the whole suite shows which
tests it breaks. The evaluation compares these tests with the selections for the mutation's diff,
and with pytest-testmon's selection.
"""

from __future__ import annotations

import importlib.util
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from os.path import commonpath
from pathlib import Path
from typing import TYPE_CHECKING

from bench.quality.fault_choices import Choice, Selected, judge
from bench.quality.fault_findings import MutationResult, ProjectFaults, read_results
from bench.quality.mutations import Mutation, choose
from bench.quality.mutator import mutations_of
from bench.quality.project_copy import ProjectCopy
from flashwasm.qe.changes.diffs.unified_diff import read_diff
from flashwasm.qe.changes.imports.import_graph import ImportGraph
from flashwasm.qe.changes.selection.safe_selection import safe_selection
from flashwasm.qe.coverage.coverage_index import CoverageIndex
from flashwasm.qe.similarity.suite_index import SuiteIndex

if TYPE_CHECKING:
    from flashwasm.qe.changes.ranking.selected_tests import SelectedTest

__all__ = ["TESTMON", "FaultOptions", "measure_faults"]

TESTMON = "pytest-testmon"
# Each failing case that was left out runs again alone, if there are no more than these.
_MOST_ALONE = 10


@dataclass(frozen=True)
class FaultOptions:
    """Extent of the evaluation.

    Parameters
    ----------
    mutations : int
        Number of mutations for each project.
    seed : int
        Seed of the choice of mutations.
    deadline : float
        Time by `time.monotonic` after which no further mutation begins.
    again : pathlib.Path, optional
        JSON of an earlier run, whose mutations, failing tests and figures of pytest-testmon are
        used again.
    testmon : int, optional
        Number of mutations, the first ones, for which pytest-testmon runs too; None means all.
    """

    mutations: int = 200
    seed: int = 0
    deadline: float = float("inf")
    again: Path | None = None
    testmon: int | None = None


def measure_faults(
    project: Path,
    options: FaultOptions,
    advance: Callable[[int, int], None],
    say: Callable[[str], None],
) -> ProjectFaults:
    """Mutate a copy of a project, and compare the selected tests with those that fail.

    Parameters
    ----------
    project : pathlib.Path
        Root of the project. Its suite runs in this interpreter's environment.
    options : FaultOptions
        Number of mutations, seed and deadline.
    advance : callable
        Function that is called with the number of mutations done and their total.
    say : callable
        Function that is called with a line about each mutation for which a test was left out.

    Raises
    ------
    ShapeError
        If no test of the project passes.
    """
    with tempfile.TemporaryDirectory(prefix="faults-") as folder:
        copy = ProjectCopy(project, Path(folder).resolve())
        suite = _MutatedSuite(copy, testmon=options.again is None and options.testmon != 0)
        chosen: list[tuple[Mutation, MutationResult | None]]
        if options.again is None:
            chosen = [(one, None) for one in choose(suite.mutations(), options.seed)]
        else:
            chosen = [(one.mutation, one) for one in read_results(options.again, copy.root.name)]
        total = min(options.mutations, len(chosen))
        results: list[MutationResult] = []
        # Ctrl-C ends the mutations as the deadline does. The report contains the finished ones.
        with suppress(KeyboardInterrupt):
            for mutation, known in chosen:
                if len(results) == total or time.monotonic() > options.deadline:
                    break
                testmon = options.testmon is None or len(results) < options.testmon
                result = suite.measure(mutation, known, testmon=testmon)
                if result is not None:
                    results.append(result)
                    for line in result.left_out():
                        say(f"{len(results)} of {total}: {line}")
                advance(len(results), total)
        return ProjectFaults(copy.root.name, len(suite.seconds), total, results)


class _MutatedSuite:
    """A suite, with the results of its runs before any mutation.

    Parameters
    ----------
    copy : ProjectCopy
        The project.
    testmon : bool
        True to run pytest-testmon, if it is installed.

    Attributes
    ----------
    seconds : dict of str to float
        Seconds of each case that passes before any mutation.
    """

    def __init__(self, copy: ProjectCopy, *, testmon: bool) -> None:
        self._copy = copy
        runs = [copy.clean_run(), copy.record_coverage()]
        self._testmon = testmon and importlib.util.find_spec("testmon") is not None
        if self._testmon:
            runs.append(copy.record_testmon())
        # A case that fails without a mutation is no evidence of one.
        self._failing = set().union(*(run.failed | run.uncollected for run in runs))
        self.seconds = {k: v for k, v in runs[0].ran.items() if k not in self._failing}
        self._coverage = CoverageIndex.load(copy.database)
        files = {case.partition("::")[0] for case in self.seconds}
        self._tests = copy.root / (commonpath(files) if len(files) > 1 else next(iter(files)))
        self._index = SuiteIndex.build(self._tests)

    def mutations(self) -> Iterator[Mutation]:
        """Yield the mutations of the files in which the suite runs at least one line."""
        root = self._copy.root
        graph = ImportGraph(root, {test.path for test in self._index.tests})
        for name in self._coverage.files:
            file = Path(name)
            if file.is_relative_to(root) and file.suffix == ".py":
                outside, _ = self._coverage.lines_outside_tests(name)
                ran = outside | self._coverage.tested(name)
                # A database may name files in an archive, such as "package.zip/module.py".
                if not file.is_file():
                    continue
                source = file.read_bytes().decode("utf-8", "replace")
                path = file.relative_to(root).as_posix()
                beside = graph.is_beside_tests(file)
                yield from mutations_of(path, source, ran, beside_tests=beside)

    def measure(
        self, mutation: Mutation, known: MutationResult | None = None, *, testmon: bool = True
    ) -> MutationResult | None:
        """Run the suite and the selections for a mutation; return None if it changes nothing.

        Parameters
        ----------
        mutation : Mutation
            The mutation.
        known : MutationResult, optional
            Earlier result, whose failing tests are used again.
        testmon : bool
            True to run pytest-testmon too, if it is installed.
        """
        source = (self._copy.root / mutation.path).read_bytes().decode("utf-8", "replace")
        if not mutation.compiles(source):
            return None
        diff = mutation.diff(source)
        with self._copy.changed(mutation.path, mutation.apply(source)):
            truth = self._copy.run() if known is None else known.run()
            truth.failed -= self._failing
            truth.uncollected -= self._failing
            # The tests of the suite change only with the files beside them.
            same = mutation.kind not in {"fixture", "test helper"}
            index = self._index if same else SuiteIndex.build(self._tests)
            selections = dict(self._selections(index, diff))
            if self._testmon and testmon:
                selections[TESTMON] = self._selection_of_testmon()
            choices = {k: judge(one, truth, self.seconds) for k, one in selections.items()}
            if known is not None and TESTMON in known.choices:
                choices[TESTMON] = known.choices[TESTMON]
            spread = self._spread_to(choices)
        for name, choice in choices.items():
            left_out = [case for case in choice.left_out if case not in spread]
            choices[name] = replace(choice, left_out=left_out)
        return MutationResult(
            mutation=mutation,
            diff=diff,
            failing=sorted(truth.failed | truth.uncollected),
            spread=sorted(spread),
            broken=truth.broken,
            killed=truth.failures,
            stopped=truth.stopped,
            seconds=truth.seconds,
            choices=choices,
        )

    def _selections(self, index: SuiteIndex, diff: str) -> Iterator[tuple[str, Selected]]:
        """Yield the name and the tests of each selection."""
        for name, coverage in (("with coverage", self._coverage), ("without", None)):
            started = time.perf_counter()
            selection = safe_selection(index, read_diff(diff), coverage)
            seconds = time.perf_counter() - started
            likely = selection.likely()
            root = self._copy.root
            files = [one.path.relative_to(root).as_posix() for one in selection.unread]
            yield name, Selected(_names(selection.sure or likely), files, seconds)
            short = name.removesuffix(" coverage")
            yield f"--likely, {short}", Selected(_names(likely), [], seconds)

    def _selection_of_testmon(self) -> Selected:
        """Return the tests that pytest-testmon runs."""
        run = self._copy.run_testmon()
        functions = dict.fromkeys(case.partition("[")[0] for case in run.ran)
        return Selected(
            functions=[{name} for name in functions],
            files=sorted(run.uncollected),
            choosing=run.seconds,
            cases=set(run.ran),
            broken=run.broken,
        )

    def _spread_to(self, choices: Mapping[str, Choice]) -> set[str]:
        """Return the left-out cases that pass alone: other failing tests made them fail."""
        safe = [
            choices[name].left_out
            for name in ("with coverage", "without", TESTMON)
            if name in choices
        ]
        cases = sorted({case for left_out in safe for case in left_out if "::" in case})
        if len(cases) > _MOST_ALONE:
            return set()
        return {case for case in cases if not self._copy.run(case).failures}


def _names(chosen: Sequence[SelectedTest]) -> list[set[str]]:
    """Return the node ids of each selected test."""
    return [{one.test.nodeid, *one.test.also} for one in chosen]
