"""Set-up, autouse fixtures and marks: the code that runs around a test.

Two tests with one body are no duplicates if different code prepares them.
"""

from __future__ import annotations

import ast
from collections.abc import Iterable, Iterator, Sequence
from functools import lru_cache
from typing import TYPE_CHECKING

from flashwasm.qe.suites.expressions import source_of
from flashwasm.qe.suites.file_digests import FileState, file_state
from flashwasm.qe.suites.syntax_trees import FUNCTION_NODES, FunctionNode

if TYPE_CHECKING:
    from pathlib import Path

    from flashwasm.qe.duplicates.module_syntax import ModuleSyntax, Scope

__all__ = ["Surroundings"]

# Functions that pytest and unittest call around tests of a module or of a class.
_SET_UP = {
    *("setup_module", "teardown_module", "setup_function", "teardown_function", "setUpModule"),
    *("tearDownModule", "setup_class", "teardown_class", "setup_method", "teardown_method"),
    *("setUpClass", "tearDownClass", "setUp", "tearDown", "asyncSetUp", "asyncTearDown"),
    *("setup", "teardown", "__init__", "__init_subclass__", "run", "__call__"),
    "pytest_generate_tests",
}
# Bases that run nothing around a test that would differ between the classes.
_PLAIN_BASES = {"object", "TestCase", "unittest.TestCase"}
# Hooks in conftest.py that may run code around a test.
_HOOKS = ("pytest_runtest_", "pytest_pyfunc_call", "pytest_generate_tests", "pytest_collection_mod")


class Surroundings:
    """Descriptions of all that runs around the tests of a file.

    They are equal for tests with the same surroundings. Code is described by its syntax tree and
    its file, because its names refer to objects of this file.

    Parameters
    ----------
    module : ModuleSyntax
        File of the tests.
    """

    def __init__(self, module: ModuleSyntax) -> None:
        self._module = module
        self._outside = [f"{file} runs around tests" for file in _conftests(module.path)]
        self._inside: dict[Scope, list[str]] = {}

    def of(self, owners: Sequence[ast.ClassDef]) -> list[str]:
        """Return the descriptions for the tests of a class; ``owners`` are the classes around."""
        scopes: list[Scope] = [self._module.tree, *owners]
        return [*self._outside, *(one for scope in scopes for one in self._of_scope(scope))]

    def _of_scope(self, scope: Scope) -> list[str]:
        """Return the descriptions for the module or for one class."""
        if scope not in self._inside:
            code = [ast.dump(node) for node in self._around(scope.body)]
            if isinstance(scope, ast.ClassDef):
                code += map(ast.dump, (*scope.decorator_list, *scope.keywords))
                if any(source_of(base) not in _PLAIN_BASES for base in scope.bases):
                    code.append(f"the bases of {scope.name}")
            self._inside[scope] = [f"{code} of {self._module.path}"] if code else []
        return self._inside[scope]

    def _around(self, body: Iterable[ast.stmt]) -> Iterator[ast.stmt]:
        """Yield the statements of a module or class that set up its tests or mark them."""
        # To look into the trees of all decorators and values takes much longer.
        has_autouse = self._module.may_contain("autouse")
        has_marks = self._module.may_contain("pytestmark")
        for statement in body:
            if isinstance(statement, FUNCTION_NODES):
                if statement.name in _SET_UP or (has_autouse and _is_autouse(statement)):
                    yield statement
            elif has_marks and isinstance(statement, (ast.Assign, ast.AnnAssign, ast.AugAssign)):
                names = {n.id for n in ast.walk(statement) if isinstance(n, ast.Name)}
                if "pytestmark" in names:
                    yield statement


def _is_autouse(node: FunctionNode) -> bool:
    """Return True if a decorator of a function makes it a fixture of all tests."""
    return any("autouse" in ast.dump(decorator) for decorator in node.decorator_list)


def _conftests(path: Path) -> list[Path]:
    """Return the conftest.py files above a test file that may run code around its tests."""
    files = [folder / "conftest.py" for folder in path.parents]
    return [
        file
        for file in files
        if file != path and (state := file_state(file)) is not None and _runs_around(file, state)
    ]


@lru_cache(maxsize=1024)
def _runs_around(file: Path, _state: FileState) -> bool:
    """Return True if a conftest.py has autouse fixtures or hooks, or cannot be read."""
    try:
        text = file.read_text("utf-8", "replace")
    except OSError:
        return True
    return "autouse" in text or any(hook in text for hook in _HOOKS)
