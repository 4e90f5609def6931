"""The safe selection: every test that a change may reach, selected line by line.

If only tests ran a changed line, the line selects the tests that ran its function. Every other
changed line selects all tests whose files depend on its module. Such a line runs at import, in a
fixture, in no test, or was not measured. Without coverage, this rule applies to all lines.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING

from flashwasm.qe.changes.coverage_evidence import CoverageEvidence
from flashwasm.qe.changes.documentation_files import documentation_readers
from flashwasm.qe.changes.import_graph import ImportGraph, project_root
from flashwasm.qe.changes.selected_tests import SelectedTest, changes_everything, rank_tests
from flashwasm.qe.changes.touched_functions import touched_functions
from flashwasm.qe.changes.uncovered_lines import uncovered_lines
from flashwasm.qe.suites.source_files import is_test_file

if TYPE_CHECKING:
    from flashwasm.qe.changes.unified_diff import ChangedFile
    from flashwasm.qe.coverage.coverage_index import CoverageIndex
    from flashwasm.qe.similarity.suite_index import SuiteIndex
    from flashwasm.qe.suites.source_files import Skipped
    from flashwasm.qe.suites.suite import CollectedTest

__all__ = ["WITHOUT_EVIDENCE", "SafeSelection", "safe_selection"]

# Number of tests to run, the most relevant ones, if the change reaches no known test.
WITHOUT_EVIDENCE = 50

# Last level of `SelectedTest` whose reason names lines of the change.
_RUNS_CHANGED_LINES = 1


@dataclass(frozen=True)
class SafeSelection:
    """The tests of a suite, split into those that a change may reach and the others.

    Parameters
    ----------
    sure : list of SelectedTest
        Tests that the change may reach, the most relevant first.
    rest : list of SelectedTest
        Other tests, the most relevant first.
    unread : list of Skipped
        Changed test files that cannot be read, such as with a syntax error, and test files that the
        change may reach but whose tests are not all known.
    everything : str or None
        Path of a changed file that any test may depend on; None if there is none.
    uncovered : dict of str to list of int
        Changed lines that no test ran, by file; paths and numbers are those after the change. A
        removed line has the number of the line that is now in its place.
    unmeasured : list of str
        Changed Python files, except tests, that the coverage database has no lines of.
    """

    sure: list[SelectedTest]
    rest: list[SelectedTest]
    unread: list[Skipped]
    everything: str | None = None
    uncovered: dict[str, list[int]] = field(default_factory=dict)
    unmeasured: list[str] = field(default_factory=list)

    def by_relevance(self) -> list[SelectedTest]:
        """Return all tests by level and score, including those that the change cannot reach."""
        both = [*self.sure, *self.rest]
        return sorted(both, key=lambda s: (s.level, -s.score, s.test.nodeid))

    def likely(self) -> list[SelectedTest]:
        """Return the tests that the change touches or whose lines it changes, or else the best."""
        ranked = self.by_relevance()
        return [s for s in ranked if s.level <= _RUNS_CHANGED_LINES] or ranked[:WITHOUT_EVIDENCE]


def safe_selection(
    index: SuiteIndex,
    changes: Sequence[ChangedFile],
    coverage: CoverageIndex | None = None,
    *,
    progress: bool = False,
) -> SafeSelection:
    """Split the tests of a suite into those that a change may reach and the others.

    Parameters
    ----------
    index : SuiteIndex
        Index of the suite, whose files are those after the change.
    changes : sequence of ChangedFile
        Changed files, at least one.
    coverage : CoverageIndex, optional
        Lines that each test ran before the change.
    progress : bool, default False
        True to show progress on stderr.

    Raises
    ------
    ShapeError
        If there are no changed files.
    """
    reach = _Reach(index, changes, coverage, progress=progress)
    ranked = rank_tests(index, changes, coverage, reach.graph, progress=progress)
    for change in changes:
        reach.add_change(change)
    everything = reach.everything or changes_everything(
        [change for change in changes if not reach.add_readers(change)]
    )
    if everything is not None:
        reach.add({test.nodeid for test in index.tests}, f"any test may depend on {everything}")
    sure, rest = [], []
    for selected in ranked:
        reason = reach.reasons.get(selected.test.nodeid)
        if reason is None:
            rest.append(selected)
        else:
            better = selected.level <= _RUNS_CHANGED_LINES
            both = selected.reason if better else f"{reason}; {selected.reason}"
            sure.append(replace(selected, reason=both))
    ends = tuple(f"/{change.path}" for change in changes)
    reached = reach.hidden_tests(changes)
    unread = [
        one
        for one in index.skipped
        if one.path.as_posix().endswith(ends)
        or (one.hides_tests and (everything is not None or one.path in reached))
    ]
    return SafeSelection(sure, rest, unread, everything, reach.uncovered, reach.unmeasured)


class _Reach:
    """The tests that a change may reach, collected file by file.

    Parameters
    ----------
    index : SuiteIndex
        Index of the suite.
    changes : sequence of ChangedFile
        All changed files.
    coverage : CoverageIndex or None
        Lines that each test ran before the change.
    progress : bool
        True to show progress on stderr.

    Attributes
    ----------
    graph : ImportGraph
        Imports of the project.
    reasons : dict of str to str
        The first reason for each test, by node id.
    everything : str or None
        Path of a changed file that cannot be found; None if there is none.
    uncovered, unmeasured : dict, list
        As in `SafeSelection`.
    """

    def __init__(
        self,
        index: SuiteIndex,
        changes: Sequence[ChangedFile],
        coverage: CoverageIndex | None,
        *,
        progress: bool,
    ) -> None:
        self._rootdir = index.root
        paths = {path for change in changes for path in (change.path, change.old_path)}
        root = project_root(index.root, sorted(paths))
        self._files = {test.nodeid: _files_of(test, index.root) for test in index.tests}
        tests = {file for files in self._files.values() for file in files}
        # Files with tests that are known only at run time.
        self._hidden = {one.path for one in index.skipped if one.hides_tests}
        tests |= self._hidden
        changed = {root / path for path in paths if path.endswith(".py")}
        self.graph = ImportGraph(root, tests, changed, progress=progress)
        self._evidence = None
        self.reasons: dict[str, str] = {}
        self.everything: str | None = None
        self.uncovered: dict[str, list[int]] = {}
        self.unmeasured: list[str] = []
        if coverage is not None:
            self._evidence = CoverageEvidence(coverage, index.tests, index.root, self.graph)
            self.add(self._evidence.unknown, "the coverage database does not know it")
            self.add(
                self._tests_in(self.graph.running_processes()),
                "it may start another program, whose lines are not recorded",
            )

    def add(self, nodeids: set[str], reason: str) -> None:
        """Add tests by node id. A test that was already added keeps its first reason."""
        for nodeid in nodeids:
            self.reasons.setdefault(nodeid, reason)

    def add_readers(self, change: ChangedFile) -> bool:
        """Add the tests that may read changed documentation; return False for another file."""
        found: set[Path] = set()
        for path in {change.path, change.old_path}:
            readers = documentation_readers(path, self.graph.root, self._rootdir, self.graph.files)
            if readers is None:
                return False
            found |= readers
        for reader in sorted(found):
            name = os.path.relpath(reader, self.graph.root)
            tests = self._tests_in(self.graph.dependents(reader))
            self.add(tests, f"its file depends on {name}, which may read {change.path}")
        return True

    def add_change(self, change: ChangedFile) -> None:
        """Add the tests that a change of one file may reach."""
        if not change.path.endswith(".py") and not change.old_path.endswith(".py"):
            return  # `changes_everything` speaks for it.
        files = self.graph.find(change.path) | self.graph.find(change.old_path)
        beside = any(self.graph.is_beside_tests(file) for file in files)
        if self._evidence is None or beside:
            if not self._add_dependents(files, change.path, "") and self._is_lost(change, files):
                self.everything = change.path
            return
        old = self.graph.find(change.old_path)
        name = self._evidence.name_of(next(iter(old))) if len(old) == 1 else None
        if name is None or change.path != change.old_path:
            # A file that is new, renamed, or was not measured.
            if name is None:
                self.unmeasured.append(change.path)
            self.add(
                set() if name is None else self._evidence.runners_of_file(name),
                f"it ran {change.old_path}",
            )
            reached = self._add_dependents(files, change.path, "coverage did not measure it; ")
            if not reached and self._is_lost(change, files):
                self.everything = change.path
            return
        self._add_measured(self._evidence, change, next(iter(old)), name)

    def hidden_tests(self, changes: Sequence[ChangedFile]) -> set[Path]:
        """Return the files that a change may reach and whose tests are not all known."""
        paths = {path for change in changes for path in (change.path, change.old_path)}
        files = {file for path in paths if path.endswith(".py") for file in self.graph.find(path)}
        reached = {one for file in files for one in self.graph.dependents(file)}
        return self._hidden & reached

    def _add_measured(
        self, evidence: CoverageEvidence, change: ChangedFile, file: Path, name: str
    ) -> None:
        """Add the tests that a change of a measured file may reach."""
        imported, fixtures = evidence.outside_tests(name)
        touched = touched_functions(change, file)
        # Reason why coverage does not show all tests that the change may reach.
        wider = touched.wider
        if not imported:
            # The first test that imported the module ran its import-time lines for all tests.
            wider = wider or f"{change.path} was first imported by a test; "
        callers = {}
        # A change inside a function can only reach the function's callers. All lines of the
        # function count, because a change may move a line into or out of a branch.
        for lines, changed in touched.functions.items():
            where = f"{change.path}:{changed[0]}"
            callers[lines] = evidence.runners(name, lines)
            self.add(callers[lines], f"it runs the function of {where}")
            if not callers[lines]:
                wider = wider or f"no test covers {where}; "
            elif not imported.isdisjoint(lines):
                wider = wider or f"the function of {where} runs at import; "
            elif not fixtures.isdisjoint(lines):
                # A fixture with a wide scope runs only for the first test that uses it.
                wider = wider or f"a fixture runs the function of {where}; "
        for ran in () if wider else callers.values():
            self.add(evidence.later_callers(ran), "it uses results that may have been kept")
            if evidence.ran_cached_functions(ran):
                wider = "a function that keeps its results may hide who runs it; "
        if wider or not (change.removed or change.added):
            self.add(evidence.runners_of_file(name), f"{wider}it runs {change.old_path}")
            self._add_dependents({file}, change.path, wider)
        recorded = imported | evidence.covered(name)
        without_callers = [
            changed for lines, changed in touched.functions.items() if not callers[lines]
        ]
        if uncovered := uncovered_lines(change, touched, recorded, without_callers):
            self.uncovered.setdefault(change.path, []).extend(uncovered)

    def _add_dependents(self, files: set[Path], path: str, why: str) -> bool:
        """Add the tests whose files depend on a changed file; return True if there are any."""
        own = self._tests_in(files)
        self.add(own, f"its file {path} is changed")
        dependents = {one for file in files for one in self.graph.dependents(file)}
        through = self._tests_in(dependents)
        self.add(through, f"{why}its file depends on {path}")
        return bool(own or through)

    def _is_lost(self, change: ChangedFile, files: set[Path]) -> bool:
        """Return True if a changed file is missing, unless the change deletes a test file.

        Its path may be relative to an unknown folder.
        """
        gone_test = not change.new_lines and is_test_file(PurePosixPath(change.path))
        return not gone_test and not any(file.is_file() for file in files)

    def _tests_in(self, files: set[Path]) -> set[str]:
        """Return the node ids of the tests in the given files."""
        return {nodeid for nodeid, own in self._files.items() if not own.isdisjoint(files)}


def _files_of(test: CollectedTest, rootdir: Path) -> set[Path]:
    """Return the file that defines a test, and the files that inherit or import it."""
    return {test.path, *(rootdir / name.partition("::")[0] for name in (test.nodeid, *test.also))}
