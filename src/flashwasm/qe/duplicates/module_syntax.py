"""The text and syntax tree of a test file, with the fixtures and strings of its conftest files."""

from __future__ import annotations

import ast
import re
from collections import Counter
from collections.abc import Iterable, Iterator
from functools import cached_property, lru_cache
from pathlib import Path

from flashwasm.qe.suites.expressions import source_of
from flashwasm.qe.suites.file_digests import FileState, file_state
from flashwasm.qe.suites.syntax_trees import (
    DEFINITION_NODES,
    FUNCTION_NODES,
    PARSE_ERRORS,
    FunctionNode,
    inner_statements,
    mentioned_name,
    nodes_outside,
    parse_source,
)

__all__ = ["BUILTIN_FIXTURES", "ModuleSyntax", "Scope", "functions_in"]

# pytest's built-in fixtures, which are the same in every file.
BUILTIN_FIXTURES = {
    "cache",
    "caplog",
    "capfd",
    "capfdbinary",
    "capsys",
    "capsysbinary",
    "doctest_namespace",
    "monkeypatch",
    "pytestconfig",
    "recwarn",
    "request",
    "tmp_path",
    "tmp_path_factory",
    "tmpdir",
    "tmpdir_factory",
}
Scope = ast.Module | ast.ClassDef
# Maximum number of folders above a file to search for conftest.py.
_MOST_FOLDERS = 16
_WORD = re.compile(r"\w+")
_NAMES = re.compile(r"[\w.:/,\[\]-]{1,200}")


class ModuleSyntax:
    """A Python file.

    Parameters
    ----------
    path : pathlib.Path
        Path of the file.

    Attributes
    ----------
    tree : ast.Module
        Its syntax tree.

    Raises
    ------
    OSError
        If the file cannot be read.
    SyntaxError, ValueError, RecursionError, MemoryError
        If it cannot be parsed.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._content = path.read_bytes()
        self.tree = parse_source(self._content)
        # Names of new tests in earlier suggestions for this file.
        self.claimed: set[tuple[Scope, str]] = set()
        self._bound: dict[Scope, Counter[str]] = {}

    @cached_property
    def lines(self) -> list[str] | None:
        """Lines of the file as Python counts them; None if an editor may count differently.

        This is the case if the file is not UTF-8, begins with a byte order mark, or mixes line
        ends.
        """
        try:
            text = self._content.decode()
        except UnicodeDecodeError:
            return None
        plain = text.replace("\r\n", "\n") if "\r\n" in text else text
        mixed = (
            text[:1] == "\ufeff"
            or "\r" in plain
            or "\f" in plain
            or ("\r\n" in text and re.search(r"(?<!\r)\n", text))
        )
        return None if mixed else plain.split("\n")

    def may_contain(self, word: str) -> bool:
        """Return False if a word is certainly in no name and no string of the file.

        Python reads some characters beyond ASCII as letters of it.
        """
        return word.encode() in self._content or not self._content.isascii()

    @property
    def newline(self) -> str:
        """The line end of the file."""
        return "\r\n" if b"\r\n" in self._content else "\n"

    @cached_property
    def nodes(self) -> list[ast.AST]:
        """All nodes of the file."""
        return list(ast.walk(self.tree))

    @cached_property
    def functions(self) -> list[tuple[FunctionNode, tuple[ast.ClassDef, ...]]]:
        """Functions in the file, each with the classes around it, the nearest last."""
        return list(functions_in(self.tree))

    @cached_property
    def scopes(self) -> dict[FunctionNode, Scope]:
        """The module or class that directly contains each function."""
        classes = {owners[-1] for _, owners in self.functions if owners}
        scopes: list[Scope] = [self.tree, *classes]
        return {n: scope for scope in scopes for n in scope.body if isinstance(n, FUNCTION_NODES)}

    @cached_property
    def classes(self) -> dict[str, ast.ClassDef]:
        """Classes of the module's body, by name."""
        return {node.name: node for node in self.tree.body if isinstance(node, ast.ClassDef)}

    def bound(self, scope: Scope) -> Counter[str]:
        """Return the number of times that each name is bound in the module or in a class body."""
        if scope not in self._bound:
            self._bound[scope] = _scope_names(scope)
        return self._bound[scope]

    @cached_property
    def imports(self) -> dict[str, str]:
        """Meanings of the module's imported names, for example ``mark`` is ``pytest.mark``."""
        meanings = {}
        for node in self.tree.body:
            if isinstance(node, ast.Import):
                for alias in node.names:
                    top = alias.name.partition(".")[0]
                    meanings[alias.asname or top] = alias.name if alias.asname else top
            elif isinstance(node, ast.ImportFrom) and not node.level:
                for alias in node.names:
                    meanings[alias.asname or alias.name] = f"{node.module}.{alias.name}"
        return meanings

    @cached_property
    def identifiers(self) -> Counter[str]:
        """Number of times that each name, attribute and string occurs in the file.

        The names in definitions are not counted.
        """
        return _identifiers(self.nodes)

    @cached_property
    def function_names(self) -> set[str]:
        """Names of the functions in the file, including methods and inner functions."""
        return {node.name for node, _ in self.functions}

    @cached_property
    def variables(self) -> set[str]:
        """Names that the file assigns, deletes or has as arguments, in any scope."""
        variables = set()
        for node in self.nodes:
            if isinstance(node, ast.Name) and not isinstance(node.ctx, ast.Load):
                variables.add(node.id)
            elif isinstance(node, ast.arg):
                variables.add(node.arg)
        return variables

    @cached_property
    def conftests(self) -> list[ModuleSyntax]:
        """The conftest.py files that pytest reads for this file."""
        files = [folder / "conftest.py" for folder in self.path.parents[:_MOST_FOLDERS]]
        found = [
            _conftest(file, state)
            for file in files
            if file != self.path and (state := file_state(file)) is not None
        ]
        return [conftest for conftest in found if conftest is not None]

    @cached_property
    def conftest_names(self) -> set[str]:
        """Names, attributes and strings of the conftest.py files."""
        return {name for conftest in self.conftests for name in conftest.identifiers}

    @cached_property
    def fixtures(self) -> dict[str, list[FunctionNode]]:
        """Functions of this file and the conftest.py files that define a fixture, by its name."""
        fixtures: dict[str, list[FunctionNode]] = {}
        for module in (self, *self.conftests):
            for node, _ in module.functions:
                for name in _fixture_names(node):
                    fixtures.setdefault(name, []).append(node)
        return fixtures

    @cached_property
    def autouse_fixtures(self) -> list[FunctionNode]:
        """Functions of the fixtures that all tests use."""
        return [
            function
            for functions in self.fixtures.values()
            for function in functions
            if any("autouse" in source_of(decorator) for decorator in function.decorator_list)
        ]


# The files of a suite have few conftest.py files in common.
@lru_cache(maxsize=32)
def _conftest(file: Path, _state: FileState) -> ModuleSyntax | None:
    """Return a conftest.py; None if it cannot be read."""
    try:
        return ModuleSyntax(file)
    except (OSError, *PARSE_ERRORS):
        return None


def functions_in(scope: Scope) -> Iterator[tuple[FunctionNode, tuple[ast.ClassDef, ...]]]:
    """Yield the functions inside a module or class, also those inside its functions and classes.

    Yields
    ------
    function : ast.FunctionDef or ast.AsyncFunctionDef
    classes : tuple of ast.ClassDef
        The classes around it, the nearest last.
    """
    waiting: list[tuple[ast.AST, tuple[ast.ClassDef, ...]]] = [(scope, ())]
    while waiting:
        node, owners = waiting.pop()
        if isinstance(node, FUNCTION_NODES):
            yield node, owners
        inner = (*owners, node) if isinstance(node, ast.ClassDef) else owners
        waiting += ((statement, inner) for statement in inner_statements(node))


def _scope_names(scope: Scope) -> Counter[str]:
    """Return the number of times that each name is bound in the body of a module or class."""
    names: Counter[str] = Counter()
    # What a function or class inside it binds is no name of the scope.
    for node in nodes_outside((*DEFINITION_NODES, ast.Lambda), scope.body):
        if isinstance(node, DEFINITION_NODES):
            names[node.name] += 1
        elif isinstance(node, ast.Name) and not isinstance(node.ctx, ast.Load):
            names[node.id] += 1
        elif isinstance(node, ast.alias):
            names[node.asname or node.name.partition(".")[0]] += 1
        elif isinstance(node, ast.ExceptHandler) and node.name:
            names[node.name] += 1
    return names


def _identifiers(nodes: Iterable[ast.AST]) -> Counter[str]:
    """Return the number of times that each name, attribute and string occurs in some nodes."""
    names: Counter[str] = Counter()
    for node in nodes:
        if name := mentioned_name(node):
            names[name] += 1
        elif isinstance(node, ast.Constant) and isinstance(node.value, str):
            # The name of a test may be in a list of names or node ids, but not in a sentence.
            names.update(_WORD.findall(node.value) if _NAMES.fullmatch(node.value) else [])
        elif isinstance(node, ast.alias):
            names[node.asname or node.name] += 1
    return names


def _fixture_names(node: FunctionNode) -> Iterator[str]:
    """Yield the names of the fixture that a function defines, if it defines one."""
    for decorator in node.decorator_list:
        call = decorator if isinstance(decorator, ast.Call) else None
        target = decorator if call is None else call.func
        if not source_of(target).endswith("fixture"):
            continue
        keywords = [] if call is None else call.keywords
        values = [k.value for k in keywords if k.arg == "name"]
        names = [v.value for v in values if isinstance(v, ast.Constant)]
        yield str(names[0]) if names else node.name
