"""The tests that a change may reach, collected file by file, each with a reason."""

from __future__ import annotations

import os
import re
from collections.abc import Collection, Sequence
from functools import cached_property
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING

from flashwasm.qe.changes.coverage.coverage_evidence import CoverageEvidence
from flashwasm.qe.changes.coverage.uncovered_lines import uncovered_lines
from flashwasm.qe.changes.diffs.file_versions import file_versions
from flashwasm.qe.changes.functions.touched_functions import touched_functions
from flashwasm.qe.changes.imports.import_graph import ImportGraph, project_root
from flashwasm.qe.changes.known_names import HOOKS_FOR_ALL_TESTS
from flashwasm.qe.changes.readers.documentation_files import documentation_readers
from flashwasm.qe.changes.readers.layout_changes import layout_changes
from flashwasm.qe.changes.readers.layout_readers import LayoutReaders
from flashwasm.qe.changes.readers.source_readers import source_readers
from flashwasm.qe.changes.selection.unlisted_tests import unlisted_tests
from flashwasm.qe.suites.source_files import Skipped, is_test_file

if TYPE_CHECKING:
    from flashwasm.qe.changes.diffs.unified_diff import ChangedFile
    from flashwasm.qe.coverage.coverage_index import CoverageIndex
    from flashwasm.qe.similarity.suite_index import SuiteIndex
    from flashwasm.qe.suites.suite import CollectedTest

__all__ = ["ReachedTests"]

# Signs that a conftest.py affects tests of other folders: hooks that pytest calls once, for all
# tests, and settings of the process.
_FOR_ALL_TESTS = re.compile(
    rf"\bpytest_(?:{'|'.join(HOOKS_FOR_ALL_TESTS)})\b"
    r"|\benviron\b|\bsys\.path\b|\bsetattr\("
)


class ReachedTests:
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
    hidden : list of Skipped
        Files and folders with tests that are not all known.
    everything : list of str
        Changed Python files that any test may depend on, because they cannot be found or are data.
    layout, uncovered, unmeasured : list, dict, list
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
        # Folder that contains all test files.
        self._suite = Path(os.path.commonpath([file.parent for file in tests])) if tests else None
        # Files of which some or all tests are not known.
        self._incomplete = {one.path for one in index.skipped}
        self.hidden = [one for one in index.skipped if one.hides_tests]
        tests |= {one.path for one in self.hidden}
        unlisted = list(unlisted_tests(index))
        self.hidden += unlisted
        changed = {root / path for path in paths if path.endswith(".py")}
        programs = {one.path for one in unlisted if one.path.suffix == ".py"}
        programs |= {one.path / "conftest.py" for one in unlisted if one.path.is_dir()}
        self.graph = ImportGraph(root, tests, changed, programs, progress=progress)
        self.layout = layout_changes(changes, self.graph, index.root)
        self._evidence = None
        self.reasons: dict[str, str] = {}
        self.everything: list[str] = []
        self.uncovered: dict[str, list[int]] = {}
        self.unmeasured: list[str] = []
        if coverage is not None:
            self._evidence = CoverageEvidence(coverage, index.tests, index.root, self.graph)
            self.add(self._evidence.unknown, "the coverage database does not know it")
            self.add(
                self._tests_in(self.graph.running_processes()) | self._evidence.running_processes(),
                "it may start another program, whose lines are not recorded",
            )

    def add(self, nodeids: Collection[str], reason: str) -> None:
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
        for file in files:
            self._add_hidden_users(file, change)
        if change.path in self.layout:
            return
        if self._evidence is None or beside:
            reached = self._add_dependents(files, change.path, "")
            if not reached and (self._is_lost(change, files) or any(map(self._is_data, files))):
                self.everything.append(change.path)
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
                self.everything.append(change.path)
            return
        self._add_measured(self._evidence, change, next(iter(old)), name)

    def hidden_tests(self, changes: Sequence[ChangedFile]) -> list[Skipped]:
        """Return the files and folders that a change may reach and whose tests are not all known.

        A text file with doctests may import any module. The tests of a folder may depend on all
        files in it.
        """
        paths = {path for change in changes for path in (change.path, change.old_path)}
        files = {file for path in paths if path.endswith(".py") for file in self.graph.find(path)}
        layout = {file for path in self.layout for file in self.graph.find(path)}
        reached = {one for file in files - layout for one in self.graph.dependents(file)}
        for file in layout:
            reached |= {file, *(self.graph.dependents(file) & self._layout_readers.of(file))}
        return [
            one
            for one in self.hidden
            if one.path in reached
            or (one.path.is_dir() and any(file.is_relative_to(one.path) for file in reached))
            or (files and one.path.is_file() and one.path.suffix != ".py")
        ]

    def _add_hidden_users(self, file: Path, change: ChangedFile) -> None:
        """Add the tests that may read a file as text, or that its hooks affect."""
        others = self.graph.explored - self._beside_tests
        readers = source_readers(file, self._beside_tests, self.graph.root, others)
        self.add(self._tests_in(self.graph.closure(readers)), f"it may read {change.path}")
        if change.path in self.layout:
            self._add_layout_readers(file, change.path)
        elif _is_for_all_tests(file, change):
            self.add(self._files, f"{change.path} may affect all tests")

    def _add_layout_readers(self, file: Path, path: str) -> None:
        """Add the tests that may notice that comments and layout of a file change."""
        tests = self._tests_in(self.graph.dependents(file))
        name = None if self._evidence is None else self._evidence.name_of(file)
        if self._evidence is not None and name is not None:
            tests |= self._evidence.runners_of_file(name)
        readers = self._tests_in(self._layout_readers.of(file))
        self.add(tests & readers, f"it may examine the source or the lines of {path}")

    def _add_measured(
        self, evidence: CoverageEvidence, change: ChangedFile, file: Path, name: str
    ) -> None:
        """Add the tests that a change of a measured file may reach."""
        imported, fixtures = evidence.outside_tests(name)
        touched = touched_functions(change, file)
        # Reason why coverage does not show all tests that the change may reach.
        wider = touched.wider
        examining = self.graph.dependents(file) & self.graph.inspecting()
        self.add(self._tests_in(examining), f"it may examine the code of {change.path}")
        if not imported - touched.bodies:
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
            wider = wider or self._add_later_users(evidence, change, ran)
        if wider or not (change.removed or change.added):
            self.add(evidence.runners_of_file(name), f"{wider}it runs {change.old_path}")
            self._add_dependents({file}, change.path, wider)
        recorded = imported | evidence.covered(name)
        without_callers = [
            changed for lines, changed in touched.functions.items() if not callers[lines]
        ]
        if uncovered := uncovered_lines(change, touched, recorded, without_callers):
            self.uncovered.setdefault(change.path, []).extend(uncovered)

    def _add_later_users(
        self, evidence: CoverageEvidence, change: ChangedFile, ran: set[str]
    ) -> str:
        """Add the tests that may use results of a function that other tests ran.

        Return the reason if the change may reach even more tests, else "".
        """
        self.add(evidence.later_callers(ran), "it uses results that may have been kept")
        for late in evidence.late_imports(ran):
            self._add_dependents({late}, change.path, "the import of a module may run it; ")
        if evidence.ran_cached_functions(ran):
            return "a function that keeps its results may hide who runs it; "
        if not ran.isdisjoint(self._tests_in(self.graph.naming_fixtures())):
            return "a fixture that a test sets up by its name may run it; "
        return ""

    def _add_dependents(self, files: set[Path], path: str, why: str) -> bool:
        """Add the tests whose files depend on a changed file; return True if some are known to."""
        own = self._tests_in(files)
        self.add(own, f"its file {path} is changed")
        dependents = {one for file in files for one in self.graph.dependents(file)}
        through = self._tests_in(dependents)
        self.add(through, f"{why}its file depends on {path}")
        # A file whose imports cannot be followed only may depend on it.
        known = {one for file in files for one in self.graph.distances(file)}
        return bool(own or self._tests_in(known))

    def _is_lost(self, change: ChangedFile, files: set[Path]) -> bool:
        """Return True if a changed file is missing, unless the change deletes a test file.

        Its path may be relative to an unknown folder.
        """
        gone_test = not change.new_lines and is_test_file(PurePosixPath(change.path))
        return not gone_test and not any(file.is_file() for file in files)

    def _is_data(self, file: Path) -> bool:
        """Return True if a file among the tests is data, provided that no test imports it."""
        inside = self._suite is not None and file.is_relative_to(self._suite)
        has_tests = is_test_file(file) and (not file.is_file() or file in self._incomplete)
        return inside and not has_tests

    @cached_property
    def _beside_tests(self) -> set[Path]:
        """The test files, and the fixtures and helpers that they import."""
        return self.graph.beside_tests()

    @cached_property
    def _layout_readers(self) -> LayoutReaders:
        """The files that may notice where code stands in a file."""
        return LayoutReaders(self.graph)

    def _tests_in(self, files: set[Path]) -> set[str]:
        """Return the node ids of the tests in the given files."""
        return {nodeid for nodeid, own in self._files.items() if not own.isdisjoint(files)}


def _is_for_all_tests(file: Path, change: ChangedFile) -> bool:
    """Return True if a conftest.py, before or after its change, may affect tests elsewhere."""
    if file.name != "conftest.py":
        return False
    versions = file_versions(file, change)
    return versions is None or bool(_FOR_ALL_TESTS.search(versions.before + versions.after))


def _files_of(test: CollectedTest, rootdir: Path) -> set[Path]:
    """Return the file that defines a test, and the files that inherit or import it."""
    return {test.path, *(rootdir / name.partition("::")[0] for name in (test.nodeid, *test.also))}
