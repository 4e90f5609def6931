"""The import graph of a project: the files that each test file depends on, without running code."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from flashwasm.progress_bar import progress_report
from flashwasm.qe.changes.imports.module_imports import ModuleImports, read_imports
from flashwasm.qe.changes.imports.modules_loaded_first import modules_loaded_first
from flashwasm.qe.changes.imports.project_files import project_files
from flashwasm.qe.changes.imports.project_root import project_root
from flashwasm.qe.suites.source_files import TEST_FOLDERS, is_test_file

if TYPE_CHECKING:
    from flashwasm.qe.changes.diffs.unified_diff import ChangedFile
    from flashwasm.qe.suites.suite import CollectedTest

__all__ = ["ImportGraph", "graph_of"]


class ImportGraph:
    """The imports between a project's files that its tests import directly or indirectly.

    The graph is read from the text of the files. If a name may refer to several files, it refers to
    all of them. A file with an import that cannot be followed depends on the whole project.

    Parameters
    ----------
    root : pathlib.Path
        Root of the project. Imported names are looked up in it, in ``src``, and in every folder
        below it that is not a package. A name that is in none of them is looked up in packages,
        because a package's folder may be on Python's path.
    tests : iterable of pathlib.Path
        Files that pytest collects tests from.
    changed : iterable of pathlib.Path, default ()
        Files in a change. Imports of deleted or renamed files are also followed.
    programs : iterable of pathlib.Path, default ()
        Other files whose imports to follow.
    progress : bool, default False
        True to show progress on stderr.

    Attributes
    ----------
    root : pathlib.Path
        Root of the project.
    files : set of pathlib.Path
        Python files of the project, including those that the change deletes.
    explored : set of pathlib.Path
        Those of the files that the tests depend on, and the tests themselves.
    """

    def __init__(
        self,
        root: Path,
        tests: Iterable[Path],
        changed: Iterable[Path] = (),
        programs: Iterable[Path] = (),
        *,
        progress: bool = False,
    ) -> None:
        self.root = root
        self._tests = set(tests)
        self.files: set[Path] = {*project_files(root), *changed, *self._tests}
        self._packages = {file.parent for file in self.files if file.name == "__init__.py"}
        self._named: dict[str, set[Path]] = {}
        self._inside: dict[Path, set[Path]] = {}
        # Files of packages by the names that they have if a package's folder is on Python's path.
        self._named_inside: dict[str, set[Path]] = {}
        # Files by their real paths, without links.
        self._real: dict[str, set[Path]] = {}
        for file in self.files:
            self._inside.setdefault(file.parent, set()).add(file)
            self._real.setdefault(os.path.realpath(file), set()).add(file)
            for name, is_root in self._names_of(file):
                names = self._named if is_root else self._named_inside
                names.setdefault(name, set()).add(file)
        loaded = modules_loaded_first(root, self._tests)
        self._plugins = {file for name in loaded for file in self.named(name)}
        # Files that import each file, as far as the tests reach.
        self._importers: dict[Path, set[Path]] = {}
        self._unfollowed: set[Path] = set()
        self._processes: set[Path] = set()
        self._inspecting: set[Path] = set()
        self._fixtures_by_name: set[Path] = set()
        with progress_report("following imports", show=progress) as advance:
            self._explore([*self._tests, *programs], advance)

    def dependents(self, file: Path) -> set[Path]:
        """Return a file, and the files that import it directly or indirectly."""
        return self.closure({file} | self._unfollowed)

    def closure(self, start: Collection[Path]) -> set[Path]:
        """Return the given files, and all files that import one of them directly or indirectly."""
        return set(self._origins(start))

    def distances(self, file: Path) -> dict[Path, int]:
        """Return the length of the shortest chain of imports from each file to a file.

        The length is 0 for the file itself, and 1 for a file that imports it. Files that only count
        as dependents because their imports cannot be followed are left out.
        """
        found, waiting = {file: 0}, [file]
        for other in waiting:
            for importer in self._importers.get(other, ()):
                if importer not in found:
                    found[importer] = found[other] + 1
                    waiting.append(importer)
        return found

    def running_processes(self) -> dict[Path, Path]:
        """Return the files that start other programs, and those that import such a file.

        With each one, return the file that starts a program and takes the fewest imports to reach.
        """
        return self._origins(sorted(self._processes))

    def inspecting(self) -> set[Path]:
        """Return the files that examine functions as text or code, and those that import one."""
        return self.closure(self._inspecting)

    def naming_fixtures(self) -> set[Path]:
        """Return the files that may set up fixtures while a test runs, and their importers."""
        return self.closure(self._fixtures_by_name)

    def beside_tests(self) -> set[Path]:
        """Return the files that the tests reach and that belong to them; see `is_beside_tests`."""
        return {file for file in self.explored if self.is_beside_tests(file)}

    def find(self, path: str) -> set[Path]:
        """Return the Python files that a path in a diff may refer to.

        The path is relative to the root of the project. If there is no such file, it may be
        relative to a folder below it, such as the one in which ``git diff --relative`` ran. Links
        to the file are included.
        """
        exact = self.root / path
        if exact.is_file():
            return {exact, *self._real.get(os.path.realpath(exact), ())}
        return {exact, *(file for file in self.files if file.as_posix().endswith(f"/{path}"))}

    def named(self, name: str) -> set[Path]:
        """Return the files that can be imported by a dotted name."""
        return self._named.get(name, set())

    def is_beside_tests(self, file: Path) -> bool:
        """Return True if a file contains tests, or fixtures and helpers for tests."""
        parts = file.relative_to(self.root).parts if file.is_relative_to(self.root) else ()
        special = is_test_file(file) or file.name == "conftest.py"
        return special or file in self._tests or not TEST_FOLDERS.isdisjoint(parts)

    def _origins(self, start: Iterable[Path]) -> dict[Path, Path]:
        """Return the given files and all that import one of them, each with the nearest of them."""
        found = {file: file for file in start}
        waiting = list(found)
        for file in waiting:
            for importer in self._importers.get(file, ()):
                if importer not in found:
                    found[importer] = found[file]
                    waiting.append(importer)
        return found

    def _explore(self, waiting: list[Path], advance: Callable[[int, int], None]) -> None:
        """Read the given files and every file that they import directly or indirectly."""
        seen = set(waiting)
        while waiting:
            advance(len(seen) - len(waiting), len(seen))
            file = waiting.pop()
            imports = read_imports(file)
            beside = self.is_beside_tests(file)
            if imports.unfollowed:
                self._unfollowed.add(file)
            if beside and imports.inspects:
                self._inspecting.add(file)
            if beside and imports.fixture_by_name:
                self._fixtures_by_name.add(file)
            if imports.processes and beside:
                # What another program imports is not known.
                self._unfollowed.add(file)
                self._processes.add(file)
            needed = self._needed(file, imports)
            if beside:
                needed |= self._plugins | set(self._conftests(file))
            for other in needed - {file}:
                self._importers.setdefault(other, set()).add(file)
                if other not in seen:
                    seen.add(other)
                    waiting.append(other)
        self.explored = seen

    def _needed(self, file: Path, imports: ModuleImports) -> set[Path]:
        """Return the files that a file imports, and the packages that contain them."""
        found: set[Path] = set()
        for name in imports.names:
            found |= self._absolute(name)
        for name in imports.stated:
            top = name.partition(".")[0]
            if top not in self._named and top not in sys.stdlib_module_names:
                found |= self._named_inside.get(name, self._named_inside.get(top, set()))
        for level, name in imports.relative:
            # Each dot after the first goes up one folder.
            start = file.parents[min(level, len(file.parents)) - 1]
            found |= self._below(start, [part for part in name.split(".") if part])
        # Importing a module runs the __init__ of each package above it, its own ones included.
        return found | {init for one in (*found, file) for init in self._inits(one)}

    def _absolute(self, name: str) -> set[Path]:
        """Return the files that a dotted name may refer to: a module, or a name inside a module."""
        if name.endswith(".*"):
            # A star import may bring the modules of a package, if ``__all__`` names them.
            packages = self._named.get(name[:-2], set())
            return packages | {file for one in packages for file in self._members(one)}
        if name.endswith(".**"):
            packages = self._absolute(name[:-3])
            return packages | {file for one in packages for file in self._below_package(one)}
        while name and name != "**":
            if name in self._named:
                return self._named[name]
            if name.startswith("**.") and (end := name[3:]) in self._named_inside:
                return self._named_inside[end] | self.named(end)
            name = name.rpartition(".")[0]
        return set()

    def _below(self, start: Path, parts: list[str]) -> set[Path]:
        """Return the files that names below a folder may refer to, for a relative import."""
        star = parts[-1:] == ["*"]
        parts = parts[:-1] if star else parts
        for count in range(len(parts), -1, -1):
            place = start.joinpath(*parts[:count])
            options = (place / "__init__.py", place.with_suffix(".py") if count else place)
            if found := {option for option in options if option in self.files}:
                return found | {file for one in found if star for file in self._members(one)}
        return set()

    def _members(self, file: Path) -> set[Path]:
        """Return the files beside a package's ``__init__``; none for a module."""
        return self._inside.get(file.parent, set()) if file.name == "__init__.py" else set()

    def _below_package(self, file: Path) -> set[Path]:
        """Return the files below the folder of a package's ``__init__``; none for a module."""
        if file.name != "__init__.py":
            return set()
        return {one for one in self.files if one.is_relative_to(file.parent)}

    def _inits(self, file: Path) -> Iterator[Path]:
        """Yield the ``__init__.py`` of each package that contains a file."""
        folder = file.parent
        while folder in self._packages:
            yield folder / "__init__.py"
            folder = folder.parent

    def _conftests(self, file: Path) -> Iterator[Path]:
        """Yield the conftest.py files whose fixtures and hooks apply to a test file."""
        for folder in file.parents:
            if (conftest := folder / "conftest.py") in self.files:
                yield conftest
            if folder == self.root:
                return

    def _names_of(self, file: Path) -> Iterator[tuple[str, bool]]:
        """Yield the dotted names by which a file can be imported, one for each possible root.

        With each name, yield False if its root is a package, so that few projects import from it.
        """
        names = [] if file.name == "__init__.py" else [file.stem]
        for folder in file.parents:
            if names:
                yield ".".join(names), folder not in self._packages or folder == self.root
            if folder == self.root:
                return
            names.insert(0, folder.name)


def graph_of(
    rootdir: Path, tests: Iterable[CollectedTest], changes: Sequence[ChangedFile]
) -> ImportGraph:
    """Return the imports of the project that a suite and a change belong to.

    Parameters
    ----------
    rootdir : pathlib.Path
        Folder that node ids are relative to.
    tests : iterable of CollectedTest
        Tests of the suite.
    changes : sequence of ChangedFile
        Changed files.
    """
    paths = {path for change in changes for path in (change.path, change.old_path)}
    root = project_root(rootdir, sorted(paths))
    changed = {root / path for path in paths if path.endswith(".py")}
    return ImportGraph(root, {test.path for test in tests}, changed)
