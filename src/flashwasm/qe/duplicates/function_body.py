"""The body of a test function, with keys that are equal for equivalent tests.

Two tests with the same source are equivalent only if their names refer to the same objects. An
attribute of ``self`` belongs to the class, and a helper function to the file. So a key contains the
meaning of each free name in addition to the body.
"""

from __future__ import annotations

import ast
import builtins
import copy
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING
from unittest import TestCase

from flashwasm.qe.duplicates.literal_marking import FunctionNode, Literal, mark_literals
from flashwasm.qe.duplicates.module_syntax import BUILTIN_FIXTURES, ModuleSyntax

if TYPE_CHECKING:
    from flashwasm.qe.duplicates.module_syntax import Scope
    from flashwasm.qe.suites.suite import CollectedTest

__all__ = ["FunctionBody", "read_bodies"]

_FUNCTIONS = (ast.FunctionDef, ast.AsyncFunctionDef)
# Maximum nesting of nodes to compare. Copying a node takes six nested calls for each level, and
# Python allows a thousand.
_DEEPEST = 120


@dataclass(frozen=True)
class FunctionBody:
    """The function of a test.

    Parameters
    ----------
    test : CollectedTest
        The test.
    node : ast.FunctionDef or ast.AsyncFunctionDef
        Syntax tree of the function, without its docstring.
    exact : str
        Key of the body including literals. Tests with the same key are equivalent.
    shape : str
        Key of the body with a mark in place of each literal. Tests with the same shape differ only
        in literals.
    literals : list of Literal
        Literals, in order.
    definition : ast.FunctionDef or ast.AsyncFunctionDef
        Syntax tree of the function in the tree of the module.
    module : ModuleSyntax
        File of the function.
    """

    test: CollectedTest
    node: FunctionNode
    exact: str
    shape: str
    literals: list[Literal]
    definition: FunctionNode
    module: ModuleSyntax

    @property
    def scope(self) -> Scope | None:
        """The module or class that directly contains the function; None for other parents."""
        return self.module.scopes.get(self.definition)


def read_bodies(
    tests: list[CollectedTest], progress: Callable[[int, int], None] | None = None
) -> list[FunctionBody]:
    """Return the bodies of tests.

    Left out are tests that call, assert and raise nothing, tests that are nested too deeply, and
    tests in files that cannot be parsed or have changed since the tests were collected.
    ``progress`` is called with the number of files read so far and the number of files.
    """
    by_file: dict[Path, list[CollectedTest]] = {}
    for test in tests:
        by_file.setdefault(test.path, []).append(test)
    bodies = []
    for done, (path, own) in enumerate(by_file.items()):
        if progress is not None:
            progress(done, len(by_file))
        try:
            syntax = ModuleSyntax(path)
        except (OSError, SyntaxError, ValueError, RecursionError, MemoryError):
            continue
        module = _ModuleScope(syntax)
        bodies += [body for test in own if (body := module.body(test)) is not None]
    return bodies


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

    def body(self, test: CollectedTest) -> FunctionBody | None:
        """Return the body of a test in this file; None if there is none or it does nothing."""
        definition, owner = self._functions.get(test.line, (None, None))
        if definition is None or _depth(definition) > _DEEPEST:
            return None
        node = copy.deepcopy(definition)
        if ast.get_docstring(node, clean=False) is not None:
            node.body = node.body[1:]
        if not any(isinstance(n, (ast.Call, ast.Assert, ast.Raise)) for n in _walk(node.body)):
            return None
        context = self._context(node, owner)
        decorators = [ast.dump(decorator) for decorator in node.decorator_list]
        head = repr((type(node).__name__, ast.dump(node.args), decorators, context))
        exact = head + "".join(ast.dump(statement) for statement in node.body)
        marked, literals = mark_literals(node)
        shape = head + "".join(ast.dump(statement) for statement in marked.body)
        return FunctionBody(test, node, exact, shape, literals, definition, self._syntax)

    def _find(self, tree: ast.Module) -> None:
        """Record the functions of the file, each with the nearest class around it."""
        waiting: list[tuple[ast.AST, ast.ClassDef | None]] = [(tree, None)]
        while waiting:
            node, owner = waiting.pop()
            for child in ast.iter_child_nodes(node):
                if isinstance(child, _FUNCTIONS):
                    self._functions[child.lineno] = (child, owner)
                waiting.append((child, child if isinstance(child, ast.ClassDef) else owner))

    def _context(self, node: FunctionNode, owner: ast.ClassDef | None) -> list[str]:
        """Return the meanings of the free names of a function, one on each line."""
        arguments = {argument.arg for argument in node.args.args}
        names = {n.id for n in _walk(node.body) if isinstance(n, ast.Name)}
        stored = {
            n.id
            for n in _walk(node.body)
            if isinstance(n, ast.Name) and isinstance(n.ctx, ast.Store)
        }
        context = []
        for name in sorted(names - stored - arguments):
            if name in self._meanings:
                context.append(f"{name} is {self._meanings[name]}")
            elif not hasattr(builtins, name):
                context.append(f"{name} is of {self._path}")
        own_attributes = {
            n.attr
            for n in _walk(node.body)
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


def _depth(node: ast.AST) -> int:
    """Return the depth of a syntax tree, including the root node."""
    depth, level = 0, [node]
    while level:
        depth += 1
        level = [child for one in level for child in ast.iter_child_nodes(one)]
    return depth


def _walk(statements: list[ast.stmt]) -> list[ast.AST]:
    """Return all nodes of some statements."""
    return [node for statement in statements for node in ast.walk(statement)]
