"""The files that the tests of a suite are in, and the tests that are not all known."""

from __future__ import annotations

import os
from collections.abc import Collection
from pathlib import Path
from typing import TYPE_CHECKING

from flashwasm.qe.changes.selection.unlisted_tests import unlisted_tests
from flashwasm.qe.suites.source_files import is_test_file

if TYPE_CHECKING:
    from flashwasm.qe.similarity.suite_index import SuiteIndex
    from flashwasm.qe.suites.suite import CollectedTest

__all__ = ["FilesOfTests"]


class FilesOfTests:
    """The files of a suite's tests.

    Parameters
    ----------
    index : SuiteIndex
        Index of the suite.

    Attributes
    ----------
    tests : list of str
        Node ids of all tests.
    hidden : list of Skipped
        Files and folders with tests that are not all known.
    collected : set of pathlib.Path
        Files that pytest collects tests from.
    programs : set of pathlib.Path
        Other Python files with tests, such as doctests, or that collect tests of their own kind.
    """

    def __init__(self, index: SuiteIndex) -> None:
        self._files = {test.nodeid: _files_of(test, index.root) for test in index.tests}
        self.tests = list(self._files)
        known = {file for files in self._files.values() for file in files}
        # Folder that contains all test files.
        self._top = Path(os.path.commonpath([file.parent for file in known])) if known else None
        # Files of which some or all tests are not known.
        self._incomplete = {one.path for one in index.skipped}
        unread = [one for one in index.skipped if one.hides_tests]
        unlisted = list(unlisted_tests(index))
        self.hidden = [*unread, *unlisted]
        self.collected = known | {one.path for one in unread}
        self.programs = {one.path for one in unlisted if one.path.suffix == ".py"}
        self.programs |= {one.path / "conftest.py" for one in unlisted if one.path.is_dir()}

    def tests_in(self, files: Collection[Path]) -> set[str]:
        """Return the node ids of the tests in the given files."""
        return {nodeid for nodeid, own in self._files.items() if not own.isdisjoint(files)}

    def is_data(self, file: Path) -> bool:
        """Return True if a file among the tests is data, provided that no test imports it."""
        inside = self._top is not None and file.is_relative_to(self._top)
        has_tests = is_test_file(file) and (not file.is_file() or file in self._incomplete)
        return inside and not has_tests


def _files_of(test: CollectedTest, rootdir: Path) -> set[Path]:
    """Return the file that defines a test, and the files that inherit or import it."""
    return {test.path, *(rootdir / name.partition("::")[0] for name in (test.nodeid, *test.also))}
