"""Tests that may depend on another program, which coverage does not record."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from flashwasm.qe.changes.functions.starting_files import starting_files
from flashwasm.qe.suites.source_files import is_test_file

if TYPE_CHECKING:
    from flashwasm.qe.changes.coverage.coverage_evidence import CoverageEvidence
    from flashwasm.qe.changes.functions.starting_files import StartingFile
    from flashwasm.qe.changes.imports.import_graph import ImportGraph

__all__ = ["StartingTests"]


class StartingTests:
    """The tests that may depend on a program which they or others start.

    Parameters
    ----------
    graph : ImportGraph
        Files of the project.
    evidence : CoverageEvidence
        The coverage database.
    before : mapping of pathlib.Path to str
        Sources of the changed files before the change, when the database was recorded.
    naming : set of str
        Node ids of the tests that may set up a fixture by its name.

    Attributes
    ----------
    files : set of pathlib.Path
        Files of which each test that depends on them may depend on a program.
    ran : list of tuple of (pathlib.Path, set of str)
        Other files with functions that may start a program, and the tests that ran one or may use
        what one started.
    """

    def __init__(
        self,
        graph: ImportGraph,
        evidence: CoverageEvidence,
        before: Mapping[Path, str],
        naming: set[str],
    ) -> None:
        self.files: set[Path] = set()
        self.ran: list[tuple[Path, set[str]]] = []
        self._graph = graph
        self._evidence = evidence
        for file, found in starting_files(graph, evidence.measured, before).items():
            if evidence.never_ran(file) and self._is_unused(file, found):
                continue
            name = evidence.measured.get(file)
            runs = [] if name is None else [evidence.runners(name, n) for n in _lines_of(found)]
            self.ran += [(file, tests) for tests in runs]
            if not found.of_tests:
                continue
            users = {one for one in graph.closure({file}) if graph.is_beside_tests(one)}
            for tests in runs:
                self._add_later_users(file, tests, users)
            by_name = any(not naming.isdisjoint(tests) for tests in runs)
            if found.everywhere or by_name or not _is_recorded(found, name, evidence):
                self.files.add(file)

    def _is_unused(self, file: Path, found: StartingFile) -> bool:
        """Return True if a file started no program for a test, provided that no line of it ran.

        The import of a helper may have started one before the recording.
        """
        helps = found.everywhere or self._graph.is_beside_tests(file)
        return is_test_file(file) or not helps

    def _add_later_users(self, file: Path, tests: set[str], users: set[Path]) -> None:
        """Add what may use a program that a starting function keeps for later callers.

        Parameters
        ----------
        file : pathlib.Path
            File with the starting function.
        tests : set of str
            Node ids of the tests that ran it.
        users : set of pathlib.Path
            Files of tests that may call it. Only they can keep its result: the product does not
            import them, so it could get the function only from a test that names it.
        """
        if tests:
            self.files |= users.intersection(self._evidence.caching_files(tests))
            self.files |= users.intersection(self._evidence.late_imports(tests))
            self.ran.append((file, self._evidence.later_callers(tests, users)))


def _is_recorded(found: StartingFile, name: str | None, evidence: CoverageEvidence) -> bool:
    """Return True if only the tests that ran a starting function of a file depend on its program.

    A function that ran outside of tests, or in a fixture, may start a program for other tests. So
    may one that ran before the recording started, and then the import of its file is not recorded.
    """
    if name is None:
        return False
    outside, fixtures = evidence.outside_tests(name)
    apart = all((outside | fixtures).isdisjoint(lines) for lines in found.starts.functions)
    return apart and not outside <= found.bodies


def _lines_of(found: StartingFile) -> list[set[int]]:
    """Return the lines of the functions of a file that may start a program.

    They are those of all functions if a mention elsewhere in the file may do anything.
    """
    return [found.bodies] if found.starts.anywhere else found.starts.functions
