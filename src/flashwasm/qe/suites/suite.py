"""A suite: the tests of a pytest project."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from flashwasm.html_tables import html_table
from flashwasm.qe.suites.file_digests import changed_files
from flashwasm.qe.suites.pytest_settings import read_settings
from flashwasm.qe.suites.star_imports import brings_other_names, content_digest
from flashwasm.qe.suites.suite_files import suite_files
from flashwasm.summaries import counted, summary

if TYPE_CHECKING:
    from flashwasm.qe.suites.source_files import Skipped

__all__ = ["CollectedTest", "Suite", "add_node_id"]


@dataclass(frozen=True)
class CollectedTest:
    """A test function.

    All cases of a parametrised test share one entry, and so does a test that several classes
    inherit.

    Parameters
    ----------
    nodeid : str
        Node id as pytest prints it, relative to the suite's root:
        ``tests/test_x.py::TestA::test_b``.
    path : pathlib.Path
        File that defines the test.
    line : int
        Line of its ``def``, counted from 1.
    source : str
        Source with decorators, dedented by the indentation of its first line.
    also : tuple of str
        Other node ids under which pytest runs the test, in classes that inherit it.
    name : str, default ""
        Name of the function in its file, including its classes: ``TestA::test_b``.
    """

    nodeid: str
    path: Path
    line: int
    source: str = field(repr=False)
    also: tuple[str, ...] = ()
    name: str = field(default="", repr=False)

    _repr_html_ = html_table

    @property
    def first_line(self) -> int:
        """Line of the first decorator, or of the ``def`` if there is none."""
        name = re.escape(self.nodeid.rpartition("::")[2])
        # A decorator may also contain "def ", but hardly at the start of a line and with this name.
        found = re.search(rf"^[ \t]*(?:async[ \t]+)?def[ \t]+{name}\b", self.source, re.MULTILINE)
        return self.line - (self.source.count("\n", 0, found.start()) if found else 0)

    @property
    def last_line(self) -> int:
        """Last line of the function."""
        return self.first_line + self.source.count("\n")


def add_node_id(ids: list[str], nodeid: str, path: Path, name: str) -> None:
    """Add a node id to those of a test.

    The node id of the defining class comes first, if pytest runs the test there. The others are in
    the order in which they are added.

    Parameters
    ----------
    ids : list of str
        Node ids of the test so far, which are changed in place.
    nodeid : str
        Node id to add.
    path : pathlib.Path
        File that defines the test.
    name : str
        Name of the test's function, as in `CollectedTest`.
    """
    if nodeid not in ids:
        own = bool(ids) and nodeid.endswith(f"{path.name}::{name}")
        ids.insert(0 if own else len(ids), nodeid)


@dataclass(frozen=True)
class Suite:
    """Tests that `collect` found.

    Parameters
    ----------
    root : pathlib.Path
        pytest's rootdir, which node ids are relative to.
    tests : list of CollectedTest
        Tests, in the order of files and lines.
    skipped : list of Skipped
        Files and folders that could not be read, and parts of files that could not be followed.
    path : pathlib.Path
        Folder or file that was collected.
    digests : mapping of pathlib.Path to str
        `file_digest` of each file in which pytest looks for tests, and of each other file from
        which a test or a class of tests comes; `star_digest` of each other file that a test file
        imports by ``*``.
    """

    root: Path
    tests: list[CollectedTest]
    skipped: list[Skipped]
    path: Path = Path()
    digests: Mapping[Path, str] = field(default_factory=dict)

    _repr_html_ = html_table

    def __repr__(self) -> str:
        held = counted(len(self.tests), "tests"), f"{len(self.skipped)} skipped"
        return summary(self, repr(str(self.root)), *held)

    def changes(self) -> list[str]:
        """Return the files that were changed, removed or added since the suite was collected."""
        settings = read_settings(self.path)
        contents = {path: content_digest(digest) for path, digest in self.digests.items()}
        return [
            path
            for path in changed_files(contents, suite_files(self.path, settings, []))
            if brings_other_names(Path(path), self.digests.get(Path(path), ""), settings)
        ]
