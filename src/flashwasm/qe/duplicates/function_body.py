"""The body of a test function, with keys that are equal for equivalent tests.

Two tests with the same source are equivalent only if their names refer to the same objects. An
attribute of ``self`` belongs to the class, and a helper function to the file. So a key contains the
meaning of each free name in addition to the body.
"""

from __future__ import annotations

import ast
import builtins
import copy
import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING
from unittest import TestCase

from flashwasm.qe.duplicates.literal_marking import FunctionNode, Literal, mark_literals
from flashwasm.qe.duplicates.module_syntax import BUILTIN_FIXTURES, ModuleSyntax

if TYPE_CHECKING:
    from flashwasm.qe.duplicates.module_syntax import Scope
    from flashwasm.qe.suites.suite import CollectedTest

__all__ = ["BodyReader", "FunctionBody", "FunctionKeys", "read_keys"]

_FUNCTIONS = (ast.FunctionDef, ast.AsyncFunctionDef)
# Maximum nesting of nodes to compare. Copying a node takes six nested calls for each level, and
# Python allows a thousand.
_DEEPEST = 120


@dataclass(frozen=True)
class FunctionKeys:
    """Keys of a test's function that are equal for equivalent functions.

    Parameters
    ----------
    test : CollectedTest
        The test.
    name : str
        Name of the function.
    exact : bytes
        Digest of the body including literals. Tests with the same digest are equivalent.
    shape : bytes
        Digest of the body with a mark in place of each literal. Tests with the same digest differ
        only in literals.
    """

    test: CollectedTest
    name: str
    exact: bytes
    shape: bytes


@dataclass(frozen=True)
class FunctionBody:
    """The function of a test.

    Parameters
    ----------
    test : CollectedTest
        The test.
    node : ast.FunctionDef or ast.AsyncFunctionDef
        Syntax tree of the function, without its docstring.
    literals : list of Literal
        Literals, in order.
    definition : ast.FunctionDef or ast.AsyncFunctionDef
        Syntax tree of the function in the tree of the module.
    module : ModuleSyntax
        File of the function.
    """

    test: CollectedTest
    node: FunctionNode
    literals: list[Literal]
    definition: FunctionNode
    module: ModuleSyntax

    @property
    def scope(self) -> Scope | None:
        """The module or class that directly contains the function; None for other parents."""
        return self.module.scopes.get(self.definition)


def read_keys(
    tests: Sequence[CollectedTest], progress: Callable[[int, int], None] | None = None
) -> list[FunctionKeys]:
    """Return the keys of tests. Only one syntax tree is in memory at a time.

    Left out are tests that call, assert and raise nothing, tests that are nested too deeply, and
    tests in files that cannot be parsed or have changed since the tests were collected.
    ``progress`` is called with the number of files read so far and the number of files.
    """
    by_file: dict[Path, list[CollectedTest]] = {}
    for test in tests:
        by_file.setdefault(test.path, []).append(test)
    found = []
    for done, (path, own) in enumerate(by_file.items()):
        if progress is not None:
            progress(done, len(by_file))
        if (module := _read_module(path)) is not None:
            found += [keys for test in own if (keys := module.keys(test)) is not None]
    return found


class BodyReader:
    """Reads the bodies of tests. It reads each file once."""

    def __init__(self) -> None:
        self._modules: dict[Path, _ModuleScope | None] = {}

    def read(self, found: Sequence[FunctionKeys]) -> list[FunctionBody]:
        """Return the bodies of tests that `read_keys` found, without those that changed since."""
        for path in {keys.test.path for keys in found} - self._modules.keys():
            self._modules[path] = _read_module(path)
        bodies = (
            module.body(keys.test)
            for keys in found
            if (module := self._modules[keys.test.path]) is not None
            and module.keys(keys.test) == keys
        )
        return [body for body in bodies if body is not None]


def _read_module(path: Path) -> _ModuleScope | None:
    """Return the functions of a file; None if it cannot be parsed."""
    try:
        return _ModuleScope(ModuleSyntax(path))
    except (OSError, SyntaxError, ValueError, RecursionError, MemoryError):
        return None


class _ModuleScope:
    """The functions of a file by line, and the meanings of its imported names.

    Parameters
    ----------
    syntax : ModuleSyntax
        The file.
    """

    def __init__(self, syntax: ModuleSyntax) -> None:
        self._syntax = syntax
        self._path = path = syntax.path
        tree = syntax.tree
        self._functions: dict[int, tuple[FunctionNode, ast.ClassDef | None]] = {}
        self._find(tree)
        self._meanings: dict[str, str] = {}
        for node in ast.walk(tree):
            if isinstance(node, ast.ImportFrom):
                # A relative import depends on the folder, so the folder is part of the meaning.
                source = f"{path.parent if node.level else ''}{'.' * node.level}{node.module or ''}"
                for alias in node.names:
                    self._meanings[alias.asname or alias.name] = f"{source}:{alias.name}"
            elif isinstance(node, ast.Import):
                for alias in node.names:
                    name = alias.name if alias.asname else alias.name.partition(".")[0]
                    self._meanings[alias.asname or name] = name

    def keys(self, test: CollectedTest) -> FunctionKeys | None:
        """Return the keys of a test in this file; None if there is none or it does nothing."""
        if (function := self._function(test)) is None:
            return None
        node, nodes, owner = function
        if not any(isinstance(n, (ast.Call, ast.Assert, ast.Raise)) for n in nodes):
            return None
        # A decorator or a default may use a value of the file, such as a list of parameters.
        context = self._context(node, [*nodes, *_walk([*node.decorator_list, node.args])], owner)
        decorators = [ast.dump(decorator) for decorator in node.decorator_list]
        head = repr((type(node).__name__, ast.dump(node.args), decorators, context))
        exact = _digest(head, node.body)
        marked, _ = mark_literals(node)
        return FunctionKeys(test, node.name, exact, _digest(head, marked.body))

    def body(self, test: CollectedTest) -> FunctionBody | None:
        """Return the body of a test in this file; None if there is none."""
        if (function := self._function(test)) is None:
            return None
        node = function[0]
        _, literals = mark_literals(node)
        definition = self._functions[test.line][0]
        return FunctionBody(test, node, literals, definition, self._syntax)

    def _function(
        self, test: CollectedTest
    ) -> tuple[FunctionNode, list[ast.AST], ast.ClassDef | None] | None:
        """Return the function of a test without its docstring, its nodes, and its class.

        Return None if there is no function on the test's line, or if it is nested too deeply.
        """
        definition, owner = self._functions.get(test.line, (None, None))
        if definition is None or _depth(definition) > _DEEPEST:
            return None
        node = copy.copy(definition)
        if ast.get_docstring(node, clean=False) is not None:
            node.body = node.body[1:]
        return node, _walk(node.body), owner

    def _find(self, tree: ast.Module) -> None:
        """Record the functions of the file, each with the nearest class around it."""
        waiting: list[tuple[ast.AST, ast.ClassDef | None]] = [(tree, None)]
        while waiting:
            node, owner = waiting.pop()
            for child in ast.iter_child_nodes(node):
                if isinstance(child, _FUNCTIONS):
                    self._functions[child.lineno] = (child, owner)
                waiting.append((child, child if isinstance(child, ast.ClassDef) else owner))

    def _context(
        self, node: FunctionNode, nodes: list[ast.AST], owner: ast.ClassDef | None
    ) -> list[str]:
        """Return the meanings of the free names of a function, one on each line."""
        arguments = {argument.arg for argument in node.args.args}
        used = [n for n in nodes if isinstance(n, ast.Name)]
        names = {n.id for n in used}
        stored = {n.id for n in used if isinstance(n.ctx, ast.Store)}
        context = []
        for name in sorted(names - stored - arguments):
            if name in self._meanings:
                context.append(f"{name} is {self._meanings[name]}")
            elif not hasattr(builtins, name):
                context.append(f"{name} is of {self._path}")
        own_attributes = {
            n.attr
            for n in nodes
            if isinstance(n, ast.Attribute)
            and isinstance(n.value, ast.Name)
            and n.value.id in {"self", "cls"}
        }
        # The methods that unittest.TestCase defines are the same in all classes. Any other
        # attribute may differ between them.
        if owner is not None and not all(hasattr(TestCase, name) for name in own_attributes):
            context.append(f"self is {owner.name} of {self._path}")
        fixtures = arguments - {"self", "cls"} - BUILTIN_FIXTURES
        parametrised = {
            name.strip()
            for decorator in node.decorator_list
            for constant in ast.walk(decorator)
            if isinstance(constant, ast.Constant) and isinstance(constant.value, str)
            for name in constant.value.split(",")
        }
        if fixtures - parametrised:
            where = f"{owner.name} of " if owner is not None else ""
            context.append(f"fixtures are of {where}{self._path}")
        return context


def _digest(head: str, statements: list[ast.stmt]) -> bytes:
    """Return the SHA-256 of a function's head and the syntax trees of its statements."""
    digest = hashlib.sha256(head.encode("utf-8", "surrogatepass"))
    for statement in statements:
        digest.update(ast.dump(statement).encode("utf-8", "surrogatepass"))
    return digest.digest()


def _depth(node: ast.AST) -> int:
    """Return the depth of a syntax tree, including the root node."""
    depth, level = 0, [node]
    while level:
        depth += 1
        level = [child for one in level for child in ast.iter_child_nodes(one)]
    return depth


def _walk(trees: Sequence[ast.AST]) -> list[ast.AST]:
    """Return all nodes of some trees."""
    return [node for tree in trees for node in ast.walk(tree)]
