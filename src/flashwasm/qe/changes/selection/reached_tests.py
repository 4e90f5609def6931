"""The tests that a change may reach, collected file by file, each with a reason."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Sequence
from functools import cached_property
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING

from flashwasm.qe.changes.coverage.coverage_evidence import CoverageEvidence
from flashwasm.qe.changes.coverage.measured_change import MeasuredChange
from flashwasm.qe.changes.diffs.file_versions import file_versions
from flashwasm.qe.changes.imports.import_graph import ImportGraph
from flashwasm.qe.changes.imports.project_root import project_root
from flashwasm.qe.changes.known_names import HOOKS_FOR_ALL_TESTS
from flashwasm.qe.changes.readers.documentation_files import documentation_readers
from flashwasm.qe.changes.readers.layout_changes import layout_changes
from flashwasm.qe.changes.readers.layout_readers import LayoutReaders
from flashwasm.qe.changes.readers.source_readers import source_readers
from flashwasm.qe.changes.selection.files_of_tests import FilesOfTests
from flashwasm.qe.suites.source_files import Skipped, is_test_file

if TYPE_CHECKING:
    from flashwasm.qe.changes.diffs.unified_diff import ChangedFile
    from flashwasm.qe.coverage.coverage_index import CoverageIndex
    from flashwasm.qe.similarity.suite_index import SuiteIndex

__all__ = ["ReachedTests", "file_of_any_test"]

# Signs that a conftest.py affects tests of other folders: hooks that pytest calls once, for all
# tests, and settings of the process.
_FOR_ALL_TESTS = re.compile(
    rf"\bpytest_(?:{'|'.join(HOOKS_FOR_ALL_TESTS)})\b"
    r"|\benviron\b|\bsys\.path\b|\bsetattr\("
)


class ReachedTests:
    """The tests that a change may reach.

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
        The first reason for each test that the change may reach, by node id.
    everything, untracked, uncovered, unmeasured, layout
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
        self._files = FilesOfTests(index)
        # A renamed file counts under both of its names.
        self._paths = {path for change in changes for path in (change.path, change.old_path)}
        root = project_root(index.root, sorted(self._paths))
        changed = {root / path for path in self._paths if path.endswith(".py")}
        collected, programs = self._files.collected, self._files.programs
        self.graph = ImportGraph(root, collected, changed, programs, progress=progress)
        self.layout = layout_changes(changes, self.graph, index.root)
        self.reasons: dict[str, str] = {}
        self.uncovered: dict[str, list[int]] = {}
        self.unmeasured: list[str] = []
        # The changed files that any test may depend on, each with True if git does not track it.
        self._causes: dict[str, bool] = {}
        self._evidence = None
        if coverage is not None:
            self._evidence = CoverageEvidence(
                coverage, index.tests, index.root, self.graph, progress=progress
            )
            self._add_unrecorded(self._evidence)
        # A test keeps its first reason. What it runs or imports says more than what it may read.
        for change in changes:
            if change.path.endswith(".py") or change.old_path.endswith(".py"):
                self._add_python(change)
        for change in changes:
            self._add_documentation(change)
        # If there is a tracked one, it does not help to ignore the others.
        self.everything = min(self._causes, key=self._causes.__getitem__, default=None)
        self.untracked = list(self._causes) if all(self._causes.values()) else []
        if self.everything is not None:
            self._add(self._files.tests, f"any test may depend on {self.everything}")

    def hidden_tests(self) -> list[Skipped]:
        """Return the files and folders that the change may reach and whose tests are not all known.

        A text file with doctests may import any module. The tests of a folder may depend on all
        files in it.
        """
        if self.everything is not None:
            return self._files.hidden
        python = (path for path in self._paths if path.endswith(".py"))
        changed = {file for path in python for file in self.graph.find(path)}
        layout = {file for path in self.layout for file in self.graph.find(path)}
        reached = {one for file in changed - layout for one in self.graph.dependents(file)}
        for file in layout:
            reached |= {file, *(self.graph.dependents(file) & self._layout_readers.of(file))}

        def is_reached(path: Path) -> bool:
            if path.is_dir():
                return any(file.is_relative_to(path) for file in reached)
            is_text = path.is_file() and path.suffix != ".py"
            return path in reached or (is_text and bool(changed))

        return [one for one in self._files.hidden if is_reached(one.path)]

    def _add_unrecorded(self, evidence: CoverageEvidence) -> None:
        """Add the tests of which the coverage database does not have all lines."""
        self._add(evidence.unknown, "the coverage database does not know it")
        starts = "may start a program that coverage does not record"
        files: dict[str, set[Path]] = {}
        for file, starter in self.graph.running_processes().items():
            why = starts if file == starter else f"depends on {self._name(starter)}, which {starts}"
            files.setdefault(why, set()).add(file)
        for why, those in files.items():
            self._add_in(those, f"its file {why}")
        for file, tests in evidence.running_processes():
            self._add(tests, f"it ran a function of {self._name(file)} that {starts}")

    def _add_python(self, change: ChangedFile) -> None:
        """Add the tests that a change of one Python file may reach."""
        # A path in a diff may refer to several files.
        files = self.graph.find(change.path) | self.graph.find(change.old_path)
        is_layout = change.path in self.layout
        for file in files:
            self._add_readers(file, change.path)
            if is_layout:
                self._add_layout_readers(file, change.path)
            elif _is_for_all_tests(file, change):
                self._add(self._files.tests, f"{change.path} may affect all tests")
        if is_layout:
            return
        if self._evidence is None or any(map(self.graph.is_beside_tests, files)):
            self._add_by_imports(change, files)
        else:
            self._add_by_coverage(self._evidence, change, files)

    def _add_documentation(self, change: ChangedFile) -> None:
        """Add the tests that may read changed documentation; note a file that any test may use."""
        found: set[Path] = set()
        for path in {change.path, change.old_path}:
            readers = documentation_readers(path, self.graph.root, self._rootdir, self.graph.files)
            if readers is None:
                if cause := file_of_any_test(change):
                    self._causes[cause] = change.untracked
                return
            found |= readers
        for reader in sorted(found):
            why = f"its file depends on {self._name(reader)}, which may read {change.path}"
            self._add_in(self.graph.dependents(reader), why)

    def _add_readers(self, file: Path, path: str) -> None:
        """Add the tests that may read a changed file as text."""
        others = self.graph.explored - self._beside_tests
        readers = source_readers(file, self._beside_tests, self.graph.root, others)
        self._add_in(self.graph.closure(readers), f"it may read {path}")

    def _add_layout_readers(self, file: Path, path: str) -> None:
        """Add the tests that may notice that comments and layout of a file change."""
        tests = self._files.tests_in(self.graph.dependents(file))
        name = None if self._evidence is None else self._evidence.name_of(file)
        if self._evidence is not None and name is not None:
            tests |= self._evidence.runners_of_file(name)
        readers = self._files.tests_in(self._layout_readers.of(file))
        self._add(tests & readers, f"it may examine the source or the lines of {path}")

    def _add_by_imports(self, change: ChangedFile, files: set[Path]) -> None:
        """Add the tests whose files depend on a changed file."""
        reached = self._add_dependents(files, change.path)
        if not reached and (_is_lost(change, files) or any(map(self._files.is_data, files))):
            self._causes[change.path] = change.untracked

    def _add_by_coverage(
        self, evidence: CoverageEvidence, change: ChangedFile, files: set[Path]
    ) -> None:
        """Add the tests that ran a changed file, or depend on it if coverage did not measure it."""
        old = self.graph.find(change.old_path)
        name = evidence.name_of(next(iter(old))) if len(old) == 1 else None
        if name is not None and change.path == change.old_path:
            self._add_measured(evidence, change, next(iter(old)), name)
            return
        # The file is new, renamed, or was not measured.
        if name is None:
            self.unmeasured.append(change.path)
        else:
            self._add(evidence.runners_of_file(name), f"it ran {change.old_path}")
        reached = self._add_dependents(files, change.path, "coverage did not measure it")
        if not reached and _is_lost(change, files):
            self._causes[change.path] = change.untracked

    def _add_measured(
        self, evidence: CoverageEvidence, change: ChangedFile, file: Path, name: str
    ) -> None:
        """Add the tests that a change of a measured file may reach.

        A change inside a function only reaches the tests that ran the function, unless there is a
        reason why coverage may not show all of these tests. Then the tests of all files that depend
        on the changed file are added.
        """
        examining = self.graph.dependents(file) & self.graph.inspecting()
        self._add_in(examining, f"it may examine the code of {change.path}")
        measured = MeasuredChange(change, file, evidence, name)
        for place, tests in measured.callers:
            self._add(tests, f"it runs the function of {place}")
        wider = measured.wider() or self._add_later_users(evidence, change, measured)
        if wider or not (change.removed or change.added):
            # One reason is enough for a reader.
            self._add(evidence.runners_of_file(name), *wider[:1], f"it runs {change.old_path}")
            self._add_dependents({file}, change.path, *wider[:1])
        if uncovered := measured.uncovered():
            self.uncovered.setdefault(change.path, []).extend(uncovered)

    def _add_later_users(
        self, evidence: CoverageEvidence, change: ChangedFile, measured: MeasuredChange
    ) -> list[str]:
        """Add the tests that may use results of a changed function that other tests ran.

        Return the reason if the change may reach even more tests, else an empty list.
        """
        for _, ran in measured.callers:
            self._add(evidence.later_callers(ran), "it uses results that may have been kept")
            for late in evidence.late_imports(ran):
                self._add_dependents({late}, change.path, "the import of a module may run it")
            if evidence.ran_cached_functions(ran):
                return ["a function that keeps its results may hide who runs it"]
            if not ran.isdisjoint(self._files.tests_in(self.graph.naming_fixtures())):
                return ["a fixture that a test sets up by its name may run it"]
        return []

    def _add_dependents(self, files: set[Path], path: str, *why: str) -> bool:
        """Add the tests whose files depend on a changed file; return True if some are known to."""
        own = self._files.tests_in(files)
        self._add(own, f"its file {path} is changed")
        dependents = {one for file in files for one in self.graph.dependents(file)}
        self._add_in(dependents, *why, f"its file depends on {path}")
        # A file whose imports cannot be followed only may depend on it.
        known = {one for file in files for one in self.graph.distances(file)}
        return bool(own or self._files.tests_in(known))

    def _add_in(self, files: set[Path], *reasons: str) -> None:
        """Add the tests in the given files."""
        self._add(self._files.tests_in(files), *reasons)

    def _add(self, nodeids: Iterable[str], *reasons: str) -> None:
        """Add tests by node id. A test that was already added keeps its first reason."""
        for nodeid in nodeids:
            self.reasons.setdefault(nodeid, "; ".join(reasons))

    def _name(self, file: Path) -> str:
        """Return the path of a file as reasons show it."""
        return os.path.relpath(file, self.graph.root)

    @cached_property
    def _beside_tests(self) -> set[Path]:
        """The test files, and the fixtures and helpers that they import."""
        return self.graph.beside_tests()

    @cached_property
    def _layout_readers(self) -> LayoutReaders:
        """The files that may notice where code stands in a file."""
        return LayoutReaders(self.graph)


def file_of_any_test(change: ChangedFile) -> str | None:
    """Return the path of a changed file if any test may depend on it, else None.

    It is a file that is not Python, such as data or settings, or the project's ``setup.py``.
    """
    for path in (change.path, change.old_path):
        if not path.endswith(".py") or PurePosixPath(path).name == "setup.py":
            return path
    return None


def _is_lost(change: ChangedFile, files: set[Path]) -> bool:
    """Return True if a changed file is missing, unless the change deletes a test file.

    Its path may be relative to an unknown folder.
    """
    gone_test = not change.new_lines and is_test_file(PurePosixPath(change.path))
    return not gone_test and not any(file.is_file() for file in files)


def _is_for_all_tests(file: Path, change: ChangedFile) -> bool:
    """Return True if a conftest.py, before or after its change, may affect tests elsewhere."""
    if file.name != "conftest.py":
        return False
    versions = file_versions(file, change)
    return versions is None or bool(_FOR_ALL_TESTS.search(versions.before + versions.after))
