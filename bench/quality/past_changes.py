"""A past change of a project: its diff, the suite before it, and the tests that changed with it."""

from __future__ import annotations

import ast
import textwrap
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING

from flashwasm.qe.suites.source_files import is_test_file

if TYPE_CHECKING:
    from flashwasm.qe.suites.suite import CollectedTest

__all__ = [
    "MOST_FILES",
    "MOST_TESTS",
    "PastChange",
    "changed_tests",
    "is_product",
    "same_code",
    "suite_folder",
]

# Largest numbers of files and of tests that a change may have. A larger one is about no single
# thing, such as a new style of the whole project.
MOST_FILES, MOST_TESTS = 20, 50
# Files in folders of these names are neither part of the product nor tests of it.
_BESIDE = {
    *("benchmark", "benchmarks", "doc", "docs", "examples", "scripts"),
    *("test", "testing", "tests", "tools"),
}
_FOLDERS_OF_TESTS = ("tests", "testing", "test")


@dataclass(frozen=True)
class PastChange:
    """A change of both product and tests, with the project's files as they were between the two.

    Attributes
    ----------
    project, name : str
        Name of the project, and of the commit or the releases.
    suite : pathlib.Path
        Folder of the tests before the change. The product's files beside it are those after it.
        They stay in place until the next change is asked for.
    diff : str
        Unified diff of the product's files.
    tests : set of str
        Node ids of the tests that the change edits or removes.
    """

    project: str
    name: str
    suite: Path
    diff: str
    tests: set[str]


def is_product(path: str) -> bool:
    """Return True if a path of a project is that of a Python file that its tests may test."""
    parts = PurePosixPath(path)
    beside = is_test_file(parts) or parts.name in {"conftest.py", "setup.py"}
    return path.endswith(".py") and not beside and _BESIDE.isdisjoint(parts.parts[:-1])


def suite_folder(root: Path) -> Path:
    """Return the folder of a project's tests; the project itself if it has none for them alone."""
    folders = (root / name for name in _FOLDERS_OF_TESTS)
    return next((folder for folder in folders if folder.is_dir()), root)


def same_code(one: str | None, other: str | None) -> bool:
    """Return True if two sources differ in comments and layout only; None is no source at all."""
    return one == other or (None not in (one, other) and _code(one or "") == _code(other or ""))


def changed_tests(before: Sequence[CollectedTest], after: Sequence[CollectedTest]) -> set[str]:
    """Return the node ids of the tests whose code changes, and of those that are removed."""
    sources = {test.nodeid: test.source for test in after}
    return {t.nodeid for t in before if not same_code(t.source, sources.get(t.nodeid))}


def _code(source: str) -> str:
    """Return a source without comments and layout; the source itself if it is not Python."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return ast.dump(ast.parse(textwrap.dedent(source)))
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return source
