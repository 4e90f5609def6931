"""Lines of a Python file's functions, read from its syntax tree."""

from __future__ import annotations

import ast
from collections.abc import Collection, Iterator
from functools import cached_property
from pathlib import Path

from flashwasm.qe.changes.functions.confined_functions import confined_functions
from flashwasm.qe.changes.functions.function_body import FunctionBody
from flashwasm.qe.changes.functions.import_calls import calls_project_at_import
from flashwasm.qe.changes.functions.kept_state import (
    KeepingFunctions,
    KeptLines,
    Summaries,
    Summary,
    caches_results,
    wrapped_functions,
)
from flashwasm.qe.changes.known_names import PROCESS_NAMES
from flashwasm.qe.suites.expressions import dotted_name
from flashwasm.qe.suites.syntax_trees import (
    DEFINITION_NODES,
    FUNCTION_NODES,
    FunctionNode,
    is_literal,
    mentioned_name,
    nodes_outside,
    parse_file,
    try_parse,
)

__all__ = ["FunctionLines", "function_lines", "function_lines_of", "last_statements"]


class FunctionLines:
    """Lines of a file that run only when one of its functions is called.

    Parameters
    ----------
    tree : ast.Module
        Syntax tree of the file.
    has_tests : bool, default False
        True for a file of tests. What a test defines inside itself ends with the test, so it does
        not count as `cached` or `lazy`.

    Attributes
    ----------
    bodies : set of int
        Lines of the bodies of functions and methods, without decorators, defaults, the line of the
        ``def`` and docstrings, which run at import.
    functions : list of set of int
        Lines of the body of each function, including functions inside it. The innermost functions
        come first.
    """

    def __init__(self, tree: ast.Module, *, has_tests: bool = False) -> None:
        self._tree = tree
        self._nodes = [node for node in ast.walk(tree) if isinstance(node, FUNCTION_NODES)]
        tests = [node for node in self._nodes if has_tests and node.name.startswith("test")]
        self._inside_tests = {inner for test in tests for inner in ast.walk(test)}
        # A function inside another one has fewer lines than that.
        self.functions = sorted((_body(node) for node in self._nodes), key=len)
        self.bodies: set[int] = set().union(*self.functions)

    @cached_property
    def cached(self) -> list[set[int]]:
        """Lines of the body of each function that caches its results, such as with ``lru_cache``.

        Only the first caller runs these lines.
        """
        lambdas = (node for node in self._wrapped if isinstance(node, ast.Lambda))
        found = [set(range(node.lineno, (node.end_lineno or 0) + 1)) for node in lambdas]
        return found + [_body(one.function) for one in self._outside_tests if caches_results(one)]

    @cached_property
    def wrapped(self) -> set[str]:
        """Names of functions of any file whose results a call in this file may cache."""
        return {mentioned_name(node) for node in self._wrapped} - {""}

    def named(self, names: Collection[str]) -> list[set[int]]:
        """Return the lines of the body of each function with one of some names."""
        functions = (one.function for one in self._outside_tests)
        return [_body(function) for function in functions if function.name in names]

    @cached_property
    def uncached(self) -> list[tuple[set[int], FunctionBody]]:
        """Lines of the body of each function that is not `cached`, and what is in them."""
        found = (one for one in self._outside_tests if not caches_results(one))
        return [(_body(one.function), one) for one in found]

    def kept_lines(self, body: FunctionBody, elsewhere: Summaries) -> KeptLines | None:
        """Return lines of one of the `uncached` functions; see `KeepingFunctions.kept_lines`."""
        return self._keeping.kept_lines(body, elsewhere, self._confined)

    @cached_property
    def names(self) -> set[str]:
        """Names of the functions."""
        return {node.name for node in self._nodes}

    def summary(self, name: str) -> Summary:
        """Return what a call of the functions with one of the `names` means in other files."""
        return self._keeping.summary(name)

    @cached_property
    def generators(self) -> list[tuple[set[int], set[int]]]:
        """Lines of the body of each generator, and the lines of its first statement.

        A test that runs only other lines uses a generator that another test began.
        """
        found = (one.function for one in self._outside_tests if _yields(one.function))
        return [(_body(one), _first_lines(one)) for one in found]

    @cached_property
    def running(self) -> list[set[int]]:
        """Lines of the body of each function that mentions a start of another program.

        If the file mentions one elsewhere, all lines of functions are included as one set.
        """
        return _running(self._tree, self.functions, self.bodies)

    @cached_property
    def kinds(self) -> dict[str, list[tuple[str | None, bool]]]:
        """The docstring of each function, and True for a generator, by the function's dotted name.

        A test may see both without running the function.
        """
        kinds: dict[str, list[tuple[str | None, bool]]] = {}
        for name, kind in _kinds(self._tree, ""):
            kinds.setdefault(name, []).append(kind)
        return kinds

    @cached_property
    def calls_at_import(self) -> bool:
        """True if the import of the file may call functions of the project."""
        return calls_project_at_import(self._tree)

    @cached_property
    def statements(self) -> dict[int, range]:
        """Lines of the innermost statement around each line, without the statements inside it."""
        statements: dict[int, range] = {}
        for node in ast.walk(self._tree):
            if isinstance(node, ast.stmt):
                own = _own_lines(node)
                statements.update(dict.fromkeys(own, own))
        return statements

    def around(self, line: int) -> frozenset[int]:
        """Return the lines of the innermost function around a line; none outside of functions."""
        return self._innermost.get(line, frozenset())

    @cached_property
    def _keeping(self) -> KeepingFunctions:
        """The functions of the file that may keep results."""
        return KeepingFunctions(self._function_bodies)

    @cached_property
    def _confined(self) -> set[ast.AST]:
        """The functions inside others whose variables end with the call of the outer one."""
        return confined_functions(self._tree)

    @cached_property
    def _function_bodies(self) -> list[FunctionBody]:
        """All functions of the file."""
        return [FunctionBody(node) for node in self._nodes]

    @cached_property
    def _outside_tests(self) -> list[FunctionBody]:
        """The functions that no test defines inside itself."""
        return [one for one in self._function_bodies if one.function not in self._inside_tests]

    @cached_property
    def _wrapped(self) -> list[ast.expr]:
        """The functions that this file gives to a call which may cache their results."""
        return [one for one in wrapped_functions(self._tree) if one not in self._inside_tests]

    @cached_property
    def _innermost(self) -> dict[int, frozenset[int]]:
        """The lines of the innermost function around each line."""
        found: dict[int, frozenset[int]] = {}
        for lines in reversed(self.functions):
            found.update(dict.fromkeys(lines, frozenset(lines)))
        return found


def function_lines(path: Path, *, has_tests: bool = False) -> FunctionLines | None:
    """Return the lines of a file's functions; None if the file cannot be read."""
    tree = parse_file(path)
    return None if tree is None else FunctionLines(tree, has_tests=has_tests)


def function_lines_of(source: str) -> FunctionLines | None:
    """Return the lines of the functions of a source; None if it is not Python."""
    tree = try_parse(source)
    return None if tree is None else FunctionLines(tree)


def last_statements(path: Path) -> dict[int, range]:
    """Return the lines of the last statement of each function of a file.

    Parameters
    ----------
    path : pathlib.Path
        Path of the file.

    Returns
    -------
    dict of int to range
        Line numbers, by the line of the ``def``. A function of only a docstring is left out.
    """
    found = {}
    for node in ast.walk(parse_file(path) or ast.Module([], [])):
        if isinstance(node, FUNCTION_NODES) and not is_literal(node.body[-1]):
            last = node.body[-1]
            found[node.lineno] = range(last.lineno, (last.end_lineno or last.lineno) + 1)
    return found


def _running(tree: ast.Module, functions: list[set[int]], bodies: set[int]) -> list[set[int]]:
    """Return the lines of the innermost functions that mention a start of another program."""
    names = {*PROCESS_NAMES, *_aliases_of_processes(tree)}
    found: list[set[int]] = []
    for node in ast.walk(tree):
        if mentioned_name(node) in names or _is_os_system(node):
            line = getattr(node, "lineno", 0)
            found.append(next((own for own in functions if line in own), bodies))
    return found


def _aliases_of_processes(tree: ast.Module) -> Iterator[str]:
    """Yield the names under which a file imports a start of another program."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            modules = ((one.name.partition(".")[0], one.asname) for one in node.names)
            yield from (alias for module, alias in modules if alias and module in PROCESS_NAMES)
        elif isinstance(node, ast.ImportFrom):
            whole = (node.module or "").partition(".")[0] in PROCESS_NAMES
            listed = [one for one in node.names if whole or one.name in {*PROCESS_NAMES, "system"}]
            yield from (one.asname or one.name for one in listed)


def _is_os_system(node: ast.AST) -> bool:
    """Return True if a node of the syntax tree is the function `os.system`."""
    return isinstance(node, ast.Attribute) and dotted_name(node) == "os.system"


def _kinds(node: ast.AST, scope: str) -> Iterator[tuple[str, tuple[str | None, bool]]]:
    """Yield the dotted name of each function below a node, its docstring, and if it is a generator.

    A function whose own nodes contain ``yield`` is a generator.
    """
    for child in ast.iter_child_nodes(node):
        name = scope
        if isinstance(child, DEFINITION_NODES):
            name = f"{scope}.{child.name}"
        if isinstance(child, FUNCTION_NODES):
            yield name, (ast.get_docstring(child, clean=False), _yields(child))
        yield from _kinds(child, name)


def _yields(function: FunctionNode) -> bool:
    """Return True if a function is a generator."""
    own = nodes_outside((*DEFINITION_NODES, ast.Lambda), function.body)
    return any(isinstance(node, (ast.Yield, ast.YieldFrom)) for node in own)


def _first_lines(function: FunctionNode) -> set[int]:
    """Return the lines of the first statement of a function after its docstring."""
    has_docstring = ast.get_docstring(function, clean=False) is not None
    first = function.body[min(int(has_docstring), len(function.body) - 1)]
    return {*_own_lines(first)}


def _own_lines(node: ast.stmt) -> range:
    """Return the lines of a statement, without the statements inside it."""
    inner = getattr(node, "body", None) or getattr(node, "cases", None)
    if not inner:
        return range(node.lineno, (node.end_lineno or node.lineno) + 1)
    first = inner[0].pattern if isinstance(node, ast.Match) else inner[0]
    return range(node.lineno, max(node.lineno + 1, first.lineno))


def _body(node: FunctionNode) -> set[int]:
    """Return the lines of a function's body, without its docstring."""
    first = node.body[0]
    start = first.lineno
    if ast.get_docstring(node, clean=False) is not None:
        start = (first.end_lineno or start) + 1
    lines = set(range(start, (node.end_lineno or node.lineno) + 1))
    # A body on the line of its ``def`` shares that line with the defaults.
    lines.discard(node.lineno)
    return lines
