"""Files that may start another program, and those that get at a start through another file."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from flashwasm.qe.changes.functions.function_lines import FunctionLines
from flashwasm.qe.changes.functions.program_starts import OS_MODULES, ProgramStarts, program_starts
from flashwasm.qe.changes.imports.project_files import text_of
from flashwasm.qe.changes.known_names import PROCESS_NAMES, UNRECORDED_NAMES
from flashwasm.qe.suites.syntax_trees import parse_file, try_parse

if TYPE_CHECKING:
    import ast

    from flashwasm.qe.changes.imports.import_graph import ImportGraph

__all__ = ["StartingFile", "starting_files"]

_WORD = re.compile(r"\w+")


@dataclass(frozen=True)
class StartingFile:
    """A file that may start another program.

    Parameters
    ----------
    starts : ProgramStarts
        The places of the file that may start one.
    of_tests : bool
        True if the file belongs to the tests, or gets at a start through a file of the tests.
    everywhere : bool
        True if any test that depends on the file may depend on a program that it starts.
    bodies : set of int
        Lines of all functions of the file.
    """

    starts: ProgramStarts
    of_tests: bool
    everywhere: bool
    bodies: set[int]


def starting_files(
    graph: ImportGraph, measured: Collection[Path], before: Mapping[Path, str]
) -> dict[Path, StartingFile]:
    """Return the files that may start another program.

    Parameters
    ----------
    graph : ImportGraph
        Files of the project.
    measured : collection of pathlib.Path
        Files to examine in addition to those that the tests import.
    before : mapping of pathlib.Path to str
        Sources of the changed files before the change. The lines are those of these sources.
    """
    search = _Search(graph, graph.explored.union(measured), before)
    return {file: search.result(file) for file in search.found if search.may_start(file)}


class _Search:
    """A search that goes from files with a start to those that use the names that these give it."""

    def __init__(
        self, graph: ImportGraph, files: Collection[Path], before: Mapping[Path, str]
    ) -> None:
        self.found: dict[Path, ProgramStarts] = {}
        self._graph = graph
        self._before = before
        self._trees: dict[Path, ast.Module | None] = {}
        # What each file may import from others, and the part of it that comes from tests.
        self._others: dict[Path, ProgramStarts] = defaultdict(ProgramStarts)
        self._from_tests: dict[Path, set[str]] = defaultdict(set)
        texts = {file: before[file] if file in before else text_of(file) for file in files}
        words = {file: frozenset(_WORD.findall(text)) for file, text in texts.items()}
        waiting = {file for file, own in words.items() if own & self._table(file)}
        waiting |= {file for file, own in words.items() if "system" in own and own & OS_MODULES}
        while waiting:
            file = waiting.pop()
            self.found[file] = self._read(file)
            waiting |= {
                other
                for other in self._users(file)
                if other in words and self._gives(file, other, words[other])
            }

    def may_start(self, file: Path) -> bool:
        """Return True if a file has a place that may start a program."""
        return bool(self.found[file].functions or self.found[file].anywhere)

    def result(self, file: Path) -> StartingFile:
        """Return what was found in a file."""
        starts = self.found[file]
        beside = self._graph.is_beside_tests(file)
        everywhere = starts.anywhere if beside else starts.anywhere & self._from_tests[file]
        of_tests = beside or bool(self._from_tests[file])
        tree = self._trees[file]
        bodies = set() if tree is None else FunctionLines(tree).bodies
        return StartingFile(starts, of_tests, bool(everywhere), bodies)

    def _users(self, file: Path) -> set[Path]:
        """Return the files that may get at a start through a file."""
        starts = self.found[file]
        return self._graph.importers(file) if starts.names or starts.callers else set()

    def _gives(self, file: Path, other: Path, words: frozenset[str]) -> bool:
        """Add the names that a file may import from another one; return True if there are new."""
        starts, known = self.found[file], self._others[other]
        module = file.parent.name if file.stem == "__init__" else file.stem
        of_tests = self._graph.is_beside_tests(file) or bool(self._from_tests[file])
        before = len(known.names), len(known.callers), len(known.modules)
        known.names.update(starts.names & words)
        known.callers.update(starts.callers & words)
        if of_tests:
            known.modules.update({module} & words)
            self._from_tests[other] |= (starts.names | starts.callers | {module}) & words
        return before != (len(known.names), len(known.callers), len(known.modules))

    def _table(self, file: Path) -> set[str]:
        """Return the names that start programs in every file of the same kind."""
        return UNRECORDED_NAMES if self._graph.is_beside_tests(file) else PROCESS_NAMES

    def _read(self, file: Path) -> ProgramStarts:
        """Read the starts of one file, by the names that are known so far."""
        beside = self._graph.is_beside_tests(file)
        if file not in self._trees:
            text = self._before.get(file)
            self._trees[file] = parse_file(file) if text is None else try_parse(text)
        if (tree := self._trees[file]) is None:
            return ProgramStarts(anywhere={file.name} if beside else set())
        return program_starts(tree, self._table(file), self._others[file], of_tests=beside)
