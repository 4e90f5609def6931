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

# Maximum numbers of files and of tests in a change. A larger change has no single subject; it may
# be, for example, a new style of the whole project.
MOST_FILES, MOST_TESTS = 20, 50
# Files in folders with these names are neither part of the product nor tests of it.
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
        They stay in place until the next change is requested.
    diff : str
        Unified diff of the product's files.
    tests : set of str
        Node ids of the tests that the change edits or removes.
    coverage : pathlib.Path, optional
        coverage.py's database of the suite before the change, with a context for each test.
    """

    project: str
    name: str
    suite: Path
    diff: str
    tests: set[str]
    coverage: Path | None = None


def is_product(path: str) -> bool:
    """Return True if a path names a Python file of a project's product, not of its tests."""
    parts = PurePosixPath(path)
    beside = is_test_file(parts) or parts.name in {"conftest.py", "setup.py"}
    return path.endswith(".py") and not beside and _BESIDE.isdisjoint(parts.parts[:-1])


def suite_folder(root: Path) -> Path:
    """Return the folder of a project's tests; the project itself if it has no such folder."""
    folders = (root / name for name in _FOLDERS_OF_TESTS)
    return next((folder for folder in folders if folder.is_dir()), root)


def same_code(one: str | None, other: str | None) -> bool:
    """Return True if two sources have the same effect by their syntax; None is a missing source.

    Comments, layout, docstrings, annotations of functions and variables, imports, and the marks of
    pytest that skip a test are ignored: no test could detect a difference in them.
    """
    return one == other or (None not in (one, other) and _code(one or "") == _code(other or ""))


def changed_tests(before: Sequence[CollectedTest], after: Sequence[CollectedTest]) -> set[str]:
    """Return the node ids of the tests whose code changes, and of those that are removed.

    A test that moves to another file or class with the same code counts as unchanged.
    """
    sources = {test.nodeid: test.source for test in after}
    known = {test.nodeid for test in before}
    added = {_code(test.source) for test in after if test.nodeid not in known}
    return {
        test.nodeid
        for test in before
        if not same_code(test.source, sources.get(test.nodeid))
        and (test.nodeid in sources or _code(test.source) not in added)
    }


def _code(source: str) -> str:
    """Return the normalized text of a source; the source itself if it is not Python."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return ast.dump(_Essence().visit(ast.parse(textwrap.dedent(source))))
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return source


class _Essence(ast.NodeTransformer):
    """Remove the parts of a syntax tree that make no difference to a test."""

    def visit_Module(self, node: ast.Module) -> ast.AST:
        """Leave out the docstring."""
        return self._without_docstring(node)

    def visit_ClassDef(self, node: ast.ClassDef) -> ast.AST:
        """Leave out the docstring, and marks that skip the tests of the class."""
        node.decorator_list = [one for one in node.decorator_list if not _skips(one)]
        return self._without_docstring(node)

    def visit_FunctionDef(self, node: ast.FunctionDef) -> ast.AST:
        """Leave out the docstring, annotations, and marks that skip the test."""
        return self._function(node)

    def visit_AsyncFunctionDef(self, node: ast.AsyncFunctionDef) -> ast.AST:
        """Leave out the same parts as in other functions."""
        return self._function(node)

    def visit_arg(self, node: ast.arg) -> ast.AST:
        """Leave out the annotation."""
        node.annotation = None
        return node

    def visit_AnnAssign(self, node: ast.AnnAssign) -> ast.AST:
        """Leave out the annotation of an assignment. Annotations without one declare a field."""
        self.generic_visit(node)
        if node.value is None:
            return node
        return ast.Assign(targets=[node.target], value=node.value)

    def visit_Import(self, node: ast.Import) -> None:
        """Leave out the import: other statements use the imported name."""

    def visit_ImportFrom(self, node: ast.ImportFrom) -> None:
        """Leave out the import."""

    def _function(self, node: ast.FunctionDef | ast.AsyncFunctionDef) -> ast.AST:
        """Leave out the parts of a function that make no difference."""
        node.returns = None
        node.decorator_list = [one for one in node.decorator_list if not _skips(one)]
        return self._without_docstring(node)

    def _without_docstring(
        self, node: ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef
    ) -> ast.AST:
        """Leave out the docstring, and the parts inside that make no difference."""
        if ast.get_docstring(node, clean=False) is not None:
            del node.body[0]
        return self.generic_visit(node)


def _skips(decorator: ast.expr) -> bool:
    """Return True if a decorator is a mark of pytest, or of unittest, that skips a test."""
    called = decorator.func if isinstance(decorator, ast.Call) else decorator
    return ast.unparse(called).rpartition(".")[2] in {"skip", "skipif", "skipIf", "skipUnless"}
