"""The body of a test function, with keys that are equal for equivalent tests.

Two tests with the same source are equivalent only if their names refer to the same objects. An
attribute of ``self`` belongs to the class, and a helper function to the file. So a key contains the
meaning of each free name in addition to the body.
"""

from __future__ import annotations

import ast
import builtins
import copy
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING
from unittest import TestCase

from flashwasm.qe.duplicates.body_keys import BodyKeys
from flashwasm.qe.duplicates.imported_names import imported_names
from flashwasm.qe.duplicates.literal_marking import Literal, mark_literals
from flashwasm.qe.duplicates.module_syntax import BUILTIN_FIXTURES, ModuleSyntax
from flashwasm.qe.duplicates.surroundings import Surroundings
from flashwasm.qe.suites.syntax_trees import (
    FUNCTION_NODES,
    PARSE_ERRORS,
    FunctionNode,
    nodes_outside,
)

if TYPE_CHECKING:
    from flashwasm.qe.duplicates.module_syntax import Scope
    from flashwasm.qe.suites.suite import CollectedTest

__all__ = ["FunctionBody", "FunctionKeys", "read_bodies", "read_keys"]

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


def read_bodies(groups: Iterable[Sequence[FunctionKeys]]) -> Iterator[list[FunctionBody]]:
    """Yield the bodies of groups of tests that `read_keys` found.

    Tests that have changed since are left out. Only one syntax tree is in memory at a time, so that
    consecutive groups should be of one file.

    Parameters
    ----------
    groups : iterable of sequence of FunctionKeys
        Groups of one or more tests of one file.
    """
    path, module = None, None
    for group in groups:
        if group[0].test.path != path:
            path = group[0].test.path
            module = _read_module(path)
        bodies = [
            module.body(keys.test)
            for keys in group
            if module is not None and module.keys(keys.test) == keys
        ]
        yield [body for body in bodies if body is not None]


def _read_module(path: Path) -> _ModuleScope | None:
    """Return the functions of a file; None if it cannot be parsed."""
    try:
        return _ModuleScope(ModuleSyntax(path))
    except (OSError, *PARSE_ERRORS):
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
        self._functions = {found[0].lineno: found for found in syntax.functions}
        self._imports = dict(imported_names(path, nodes_outside(FUNCTION_NODES, [tree])))
        self._bound = syntax.bound(tree)
        self._around = Surroundings(syntax)

    def keys(self, test: CollectedTest) -> FunctionKeys | None:
        """Return the keys of a test in this file; None if there is none or it does nothing.

        A test is also left out if it, or the head of its class, is nested too deeply, or if its
        arguments or decorators have a number with too many digits.
        """
        try:
            return self._keys(test)
        except (RecursionError, ValueError):
            return None

    def _keys(self, test: CollectedTest) -> FunctionKeys | None:
        """Return the keys of a test; None if there is none or it does nothing."""
        if (function := self._function(test)) is None:
            return None
        node, owners = function
        body = BodyKeys(node.body, _DEEPEST)
        if not any(isinstance(n, (ast.Call, ast.Assert, ast.Raise)) for n in body.nodes):
            return None
        context = self._context(node, body.nodes, owners)
        _nodes([node.returns])
        decorators = [ast.dump(decorator) for decorator in node.decorator_list]
        head = repr((type(node).__name__, ast.dump(node.args), decorators, context))
        return FunctionKeys(test, node.name, body.exact(head), body.shape(head))

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
    ) -> tuple[FunctionNode, tuple[ast.ClassDef, ...]] | None:
        """Return the function of a test without its docstring, and its classes.

        Return None if there is no function on the test's line.
        """
        definition, owners = self._functions.get(test.line, (None, ()))
        if definition is None:
            return None
        node = copy.copy(definition)
        if ast.get_docstring(node, clean=False) is not None:
            node.body = node.body[1:]
        return node, owners

    def _context(
        self, node: FunctionNode, nodes: list[ast.AST], owners: tuple[ast.ClassDef, ...]
    ) -> list[str]:
        """Return the meanings of the free names of a function and what runs around it."""
        given = [*node.args.posonlyargs, *node.args.args, *node.args.kwonlyargs]
        arguments = {argument.arg for argument in given}
        # A decorator or a default may use a value of the file, such as a list of parameters.
        outside = _nodes([*node.decorator_list, node.args])
        context = self._meanings([*nodes, *outside], arguments)
        first = given[0].arg if given and owners else ""
        if owners and _depends_on_class(nodes, first):
            context.append(f"self is {owners[-1].name} of {self._path}")
        # A fixture of the file may replace a built-in one.
        own = self._syntax.function_names | {"request"}
        fixtures = arguments - {first, "self", "cls"} - (BUILTIN_FIXTURES - own)
        texts = {n.value for n in outside if isinstance(n, ast.Constant)}
        named = {
            name.strip() for text in texts if isinstance(text, str) for name in text.split(",")
        }
        if fixtures - named or any(
            isinstance(n, ast.Attribute) and n.attr == "usefixtures" for n in outside
        ):
            where = f"{owners[-1].name} of " if owners else ""
            context.append(f"fixtures are of {where}{self._path}")
        return [*context, *self._around.of(owners)]

    def _meanings(self, nodes: Sequence[ast.AST], arguments: set[str]) -> list[str]:
        """Return the meanings of the names in some nodes that no argument and no variable has."""
        used = [n for n in nodes if isinstance(n, ast.Name)]
        changed = {name for n in nodes if isinstance(n, ast.Global) for name in n.names}
        stored = {n.id for n in used if isinstance(n.ctx, ast.Store)} - changed
        local = dict(imported_names(self._path, nodes))
        context = []
        for name in sorted({n.id for n in used} - stored - arguments):
            if name in local:
                context.append(f"{name} is {local[name]}")
            elif name in self._imports and self._bound[name] == 1:
                context.append(f"{name} is {self._imports[name]}")
            elif self._bound[name] or "*" in self._imports or not hasattr(builtins, name):
                context.append(f"{name} is of {self._path}")
        return context


def _depends_on_class(nodes: Sequence[ast.AST], first: str) -> bool:
    """Return True if a method uses more of its class than the methods of unittest.TestCase.

    These are the same in all classes. Any other attribute may differ between them.
    """
    names = [n.id for n in nodes if isinstance(n, ast.Name)]
    if "super" in names or "__class__" in names:
        return True
    plain = sum(
        hasattr(TestCase, n.attr)
        for n in nodes
        if isinstance(n, ast.Attribute) and isinstance(n.value, ast.Name) and n.value.id == first
    )
    return bool(first) and names.count(first) > plain


def _nodes(trees: Iterable[ast.AST | None]) -> list[ast.AST]:
    """Return all nodes of some trees; raise RecursionError if one is nested too deeply."""
    nodes: list[ast.AST] = []
    level = [tree for tree in trees if tree is not None]
    levels = 0
    while level:
        if (levels := levels + 1) > _DEEPEST:
            raise RecursionError
        nodes += level
        level = [child for one in level for child in ast.iter_child_nodes(one)]
    return nodes
