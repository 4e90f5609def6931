"""Sources that a search for gaps cannot examine: outside a folder, or not in the database."""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from pathlib import Path

from flashwasm.qe.suites.file_digests import file_state
from flashwasm.qe.suites.source_files import TEST_FOLDERS, is_test_file, walk_program_files

__all__ = ["is_in_package", "is_product", "outside_sources", "source_path", "unmeasured_sources"]


def source_path(name: str, root: Path) -> Path:
    """Return the absolute path of a file in a database; relative names start at the root."""
    return Path(os.path.normpath(root / name))


def is_product(file: Path, root: Path) -> bool:
    """Return True if a file below the root contains neither tests nor helpers of tests."""
    return not _is_of_tests(file) and TEST_FOLDERS.isdisjoint(file.relative_to(root).parts[:-1])


def is_in_package(file: Path, root: Path) -> bool:
    """Return True if the folder of a file has an ``__init__.py``.

    Of other folders, coverage.py records only the files that a test imports.
    """
    return _top_package(file, root) is not None


def outside_sources(names: Iterable[str], root: Path) -> list[str]:
    """Return the files in a database that are not below a folder, without test files."""
    paths = {name: source_path(name, root) for name in names}
    return [
        name
        for name, path in paths.items()
        if not path.is_relative_to(root) and not _is_of_tests(path)
    ]


def unmeasured_sources(names: Sequence[str], root: Path) -> list[str]:
    """Return the files of measured packages that a database lacks.

    coverage.py records a file that no test imports only if it knows the folder of the sources.

    Parameters
    ----------
    names : sequence of str
        Files in the database.
    root : pathlib.Path
        Folder of the sources. Relative names start at it.

    Returns
    -------
    list of str
        Paths relative to the root. Empty files are left out, since they contain no statement.
    """
    measured = {source_path(name, root) for name in names}
    packages = {
        package
        for path in measured
        if path.is_relative_to(root) and is_product(path, root)
        if (package := _top_package(path, root)) is not None
    }
    found = {
        file
        for package in packages
        for file in walk_program_files(package, [])
        if file not in measured and is_product(file, root)
        if (state := file_state(file)) is not None and state.size
    }
    return sorted(str(file.relative_to(root)) for file in found)


def _is_of_tests(file: Path) -> bool:
    """Return True for a test file and for conftest.py."""
    return is_test_file(file) or file.name == "conftest.py"


def _top_package(file: Path, root: Path) -> Path | None:
    """Return the folder of the outermost package around a file; None if it is in no package."""
    top = None
    for folder in file.parents:
        if not (folder.is_relative_to(root) and (folder / "__init__.py").is_file()):
            break
        top = folder
    return top
