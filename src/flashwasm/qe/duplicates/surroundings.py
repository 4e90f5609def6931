"""Set-up, autouse fixtures and marks: the code that runs around a test.

Two tests with one body are no duplicates if different code prepares them.
"""

from __future__ import annotations

import ast
from collections.abc import Iterable, Iterator, Sequence
from functools import lru_cache
from typing import TYPE_CHECKING

from flashwasm.qe.suites.syntax_trees import FUNCTION_NODES, FunctionNode

if TYPE_CHECKING:
    from pathlib import Path

    from flashwasm.qe.duplicates.module_syntax import ModuleSyntax, Scope

__all__ = ["surroundings_of"]

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


def surroundings_of(module: ModuleSyntax, owners: Sequence[ast.ClassDef]) -> list[str]:
    """Return descriptions of all that runs around the tests of a class or of a module.

    Parameters
    ----------
    module : ModuleSyntax
        File of the tests.
    owners : sequence of ast.ClassDef
        Classes around them, if there are any.

    Returns
    -------
    list of str
        Equal for tests with the same surroundings. Code is described by its syntax tree and its
        file, because its names refer to objects of this file.
    """
    found = [f"{file} runs around tests" for file in _conftests(module.path)]
    scopes: list[Scope] = [module.tree, *owners]
    for scope in scopes:
        code = [ast.dump(node) for node in _around(scope.body)]
        if isinstance(scope, ast.ClassDef):
            code += map(ast.dump, (*scope.decorator_list, *scope.keywords))
            if any(ast.unparse(base) not in _PLAIN_BASES for base in scope.bases):
                code.append(f"the bases of {scope.name}")
        if code:
            found.append(f"{code} of {module.path}")
    return found


def _around(body: Iterable[ast.stmt]) -> Iterator[ast.stmt]:
    """Yield the statements of a module or class that set up its tests or mark them."""
    for statement in body:
        if isinstance(statement, FUNCTION_NODES):
            if statement.name in _SET_UP or _is_autouse(statement):
                yield statement
        elif isinstance(statement, (ast.Assign, ast.AnnAssign, ast.AugAssign)):
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
        if file != path and file.is_file() and _runs_around(file, file.stat().st_mtime_ns)
    ]


@lru_cache(maxsize=1024)
def _runs_around(file: Path, _changed: int) -> bool:
    """Return True if a conftest.py has autouse fixtures or hooks, or cannot be read."""
    try:
        text = file.read_text("utf-8", "replace")
    except OSError:
        return True
    return "autouse" in text or any(hook in text for hook in _HOOKS)
