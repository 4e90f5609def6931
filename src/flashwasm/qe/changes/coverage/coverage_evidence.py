"""Evidence from a coverage database: the tests and files that it identifies, and the lines run."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Iterator, Sequence
from functools import cached_property
from pathlib import Path, PurePath, PurePosixPath
from typing import TYPE_CHECKING

from flashwasm.progress_bar import progress_report
from flashwasm.qe.changes.functions.function_lines import (
    FunctionLines,
    function_lines,
    last_statements,
)
from flashwasm.qe.changes.functions.project_functions import ProjectFunctions
from flashwasm.qe.changes.imports.project_files import text_of
from flashwasm.qe.changes.known_names import PROCESS_NAMES
from flashwasm.qe.suites.parametrize_literals import literal_cases

if TYPE_CHECKING:
    from flashwasm.qe.changes.imports.import_graph import ImportGraph
    from flashwasm.qe.coverage.coverage_index import CoverageIndex
    from flashwasm.qe.suites.suite import CollectedTest

__all__ = ["CoverageEvidence"]


class CoverageEvidence:
    """A coverage database, limited to the paths and node ids that can be identified.

    A database may have been recorded in another folder or for another project. A test or a file
    that it does not unambiguously identify counts as unknown. No conclusion is drawn from the
    absence of a test or a file.

    Parameters
    ----------
    coverage : CoverageIndex
        Lines that each test ran.
    tests : sequence of CollectedTest
        Tests of the suite.
    rootdir : pathlib.Path
        Folder that node ids are relative to.
    graph : ImportGraph
        Files of the project.
    progress : bool, default False
        True to show progress on stderr.

    Attributes
    ----------
    unknown : set of str
        Node ids of the tests without a run in the database.
    """

    def __init__(
        self,
        coverage: CoverageIndex,
        tests: Sequence[CollectedTest],
        rootdir: Path,
        graph: ImportGraph,
        *,
        progress: bool = False,
    ) -> None:
        self._coverage = coverage
        self._progress = progress
        self._graph = graph
        ran = {name for i, name in enumerate(coverage.tests) if len(coverage.row(i))}
        recorded = {name.partition("[")[0] for name in ran}
        prefix = _common_prefix(tests, recorded)
        # The node id of the suite's entry by the name that the database has for it.
        self._entries = {
            name.removeprefix(prefix): test.nodeid
            for test in tests
            for name in (test.nodeid, *test.also)
            if name.startswith(prefix)
        }
        counts = Counter(name.partition("[")[0] for name in ran)
        written = {path: literal_cases(path) for path in {test.path for test in tests}}
        self.unknown = {
            test.nodeid
            for test in tests
            for name in (test.nodeid, *test.also)
            if not name.startswith(prefix)
            # A test of which only some cases were recorded may run other lines in the others.
            or counts[name.removeprefix(prefix)]
            < (written[test.path].get(test.nodeid.partition("::")[2]) or 1)
        }
        self._names = self._names_of_files(rootdir)
        self.unknown |= self._unfinished(tests, ran)

    def name_of(self, file: Path) -> str | None:
        """Return the database's name of a file; None unless exactly one name matches."""
        names = self._names.get(file, [])
        return names[0] if len(names) == 1 else None

    def runners(self, name: str, lines: Iterable[int]) -> set[str]:
        """Return the node ids of the tests that ran at least one of the given lines of a file.

        Parameters
        ----------
        name : str
            Database's name of the file.
        lines : iterable of int
            Line numbers, from 1.
        """
        found = (who.partition("[")[0] for who in self._coverage.who(name, lines))
        return {self._entries[who] for who in found if who in self._entries}

    def runners_of_file(self, name: str) -> set[str]:
        """Return the node ids of the tests that ran any line of a file."""
        return self.runners(name, self.covered(name))

    def covered(self, name: str) -> set[int]:
        """Return the lines of a file that any test or its fixtures ran."""
        return self._coverage.tested(name)

    def outside_tests(self, name: str) -> tuple[set[int], set[int]]:
        """Return the lines of a file that ran outside of tests, and those that fixtures ran."""
        return self._coverage.lines_outside_tests(name)

    def ran_cached_functions(self, tests: Collection[str]) -> bool:
        """Return True if some of the tests ran a function whose results a library caches.

        The database records only the first caller of such a function. Later callers depend on the
        lines behind it without running any.
        """
        return any(
            not self.runners(name, lines).isdisjoint(tests)
            for name, structure in self._structures.values()
            for lines in (*structure.cached, *structure.named(self._wrapped))
        )

    def running_processes(self) -> Iterator[tuple[Path, set[str]]]:
        """Yield files with functions that start other programs, with the tests that ran one."""
        for file, name in self._run.items():
            if self._graph.is_beside_tests(file) or not _may_start_process(file):
                continue
            structure = function_lines(file)
            for lines in structure.running if structure is not None else ():
                yield file, self.runners(name, lines)

    def late_imports(self, tests: Collection[str]) -> Iterator[Path]:
        """Yield the files that one of the given tests imported first.

        The lines that such an import runs count for this test only, but other tests use the module
        too.
        """
        for file, (name, structure) in self._structures.items():
            if not self.outside_tests(name)[0] - structure.bodies:
                importers = self.runners(name, self.covered(name) - structure.bodies)
                # If the import called the function, each of these tests ran it.
                if importers and importers <= set(tests) and structure.calls_at_import:
                    yield file

    def later_callers(self, tests: set[str]) -> set[str]:
        """Return the tests that may use results which the given tests stored.

        A function that keeps results (see `FunctionLines.kept_lines`) has lines that only some
        callers run, such as the line that fills the place. Other callers also depend on the
        functions that this line calls. A function may be called by the line if all tests that ran
        the line ran the function, or the reverse.

        Parameters
        ----------
        tests : set of str
            Node ids of the tests that ran some function.
        """
        found: set[str] = set()
        for name, structure in self._structures.values():
            if tests and self.runners(name, structure.bodies).isdisjoint(tests):
                continue
            for lines, body in structure.uncached:
                callers = self.runners(name, lines)
                # Only a function that one of the tests ran may have kept what they computed.
                if callers <= found or (tests and callers.isdisjoint(tests)):
                    continue
                kept = self._functions.kept_lines(structure, body)
                if kept is not None and (
                    not tests.isdisjoint(self.runners(name, kept.hidden & lines))
                    or self._some_ran(name, kept.conditional & lines, callers, tests)
                ):
                    found |= callers
            for lines, first in structure.generators:
                callers = self.runners(name, lines)
                # Some tests only continue a generator that another test began.
                began = callers <= self.runners(name, first)
                if not began and self._some_ran(name, lines, callers, tests):
                    found |= callers
        return found

    def _some_ran(self, name: str, lines: set[int], callers: set[str], tests: set[str]) -> bool:
        """Return True if a line that only some callers ran may have run what some tests ran."""
        some = (self.runners(name, [line]) for line in lines)
        return any(one and callers > one and (one <= tests or tests <= one) for one in some)

    def _unfinished(self, tests: Sequence[CollectedTest], ran: set[str]) -> set[str]:
        """Return the node ids of the tests of which a recorded case did not reach its end.

        A case that was skipped or failed would have run more lines.
        """
        cases: dict[str, set[str]] = defaultdict(set)
        for case in ran:
            cases[self._entries.get(case.partition("[")[0], "")].add(case)
        ends = {path: last_statements(path) for path in {test.path for test in tests}}
        found = set()
        for test in tests:
            name, end = self.name_of(test.path), ends[test.path].get(test.line)
            # Without lines of the test file, nothing shows the end of a test.
            if name is None or end is None or not self.covered(name):
                continue
            if not cases[test.nodeid] <= self._coverage.who(name, end).keys():
                found.add(test.nodeid)
        return found

    @cached_property
    def _run(self) -> dict[Path, str]:
        """The database's name of each file of which any line ran."""
        return {
            file: names[0]
            for file, names in self._names.items()
            if len(names) == 1 and (self.covered(names[0]) or self.outside_tests(names[0])[0])
        }

    @cached_property
    def _structures(self) -> dict[Path, tuple[str, FunctionLines]]:
        """The database's name and the functions of each file of which any line ran."""
        found = {}
        with progress_report("reading the files that tests ran", show=self._progress) as advance:
            for done, (file, name) in enumerate(self._run.items()):
                advance(done, len(self._run))
                lines = function_lines(file, has_tests=self._graph.is_beside_tests(file))
                if lines is not None:
                    found[file] = name, lines
        return found

    @cached_property
    def _functions(self) -> ProjectFunctions:
        """The functions of the files of which any line ran."""
        return ProjectFunctions(structure for _, structure in self._structures.values())

    @cached_property
    def _wrapped(self) -> set[str]:
        """Names of the functions whose results a call somewhere may cache."""
        return {name for _, structure in self._structures.values() for name in structure.wrapped}

    def _names_of_files(self, rootdir: Path) -> dict[Path, list[str]]:
        """Return the database's names of each file of the project."""
        found: dict[Path, list[str]] = defaultdict(list)
        root = self._graph.root
        relative = {
            file.relative_to(root).as_posix(): file
            for file in self._graph.files
            if file.is_relative_to(root)
        }
        for recorded in self._coverage.files:
            name = recorded.replace("\\", "/")
            if (beside := rootdir / name) in self._graph.files:
                found[beside].append(name)
                continue
            # The longest end that is a path in the project is used: ``/ci/web/utils.py`` matches
            # ``web/utils.py`` if there is such a file, and not ``utils.py``.
            ends = _ends(name)
            if (end := next((end for end in ends if end in relative), None)) is not None:
                found[relative[end]].append(name)
            elif (installed := self._installed(ends)) is not None:
                found[installed].append(name)
        return found

    def _installed(self, ends: list[str]) -> Path | None:
        """Return the file that a path in site-packages is a copy of; None if this is uncertain."""
        for end in ends:
            path = PurePosixPath(end).with_suffix("")
            parts = path.parts[:-1] if path.name == "__init__" else path.parts
            files = self._graph.named(".".join(parts))
            if "/" in end and files:
                return next(iter(files)) if len(files) == 1 else None
        return None


def _ends(name: str) -> list[str]:
    """Return a path and its ends, the longest first: a/b.py, b.py."""
    parts = [part for part in PurePath(name).as_posix().split("/") if part]
    return ["/".join(parts[start:]) for start in range(len(parts))]


def _common_prefix(tests: Sequence[CollectedTest], recorded: set[str]) -> str:
    """Return the folder missing in the database's node ids: "tests/" if it was recorded there.

    The whole database has one such folder: the one with which the most node ids are known.
    """
    folders = {""}
    for file in {test.nodeid.partition("::")[0] for test in tests}:
        folders.update(f"{parent}/" for parent in PurePosixPath(file).parents if parent.name)

    def known(folder: str) -> int:
        names = (test.nodeid for test in tests if test.nodeid.startswith(folder))
        return sum(name.removeprefix(folder) in recorded for name in names)

    return max(sorted(folders, key=len), key=known)


def _may_start_process(file: Path) -> bool:
    """Return True if a file may start another program, so that it must be parsed."""
    text = text_of(file)
    return any(name in text for name in (*PROCESS_NAMES, "system"))
