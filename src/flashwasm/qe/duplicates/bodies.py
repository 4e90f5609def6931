"""What a test function does, as a key that other tests may share.

Two tests that look alike do the same only if their names mean the same: an attribute of ``self`` is
its class's, a helper its file's. So a key holds, beside the body, what each free name stands for.
"""

from __future__ import annotations

import ast
import builtins
import copy
import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING
from unittest import TestCase

if TYPE_CHECKING:
    from flashwasm.qe.suites.suite import CollectedTest

__all__ = ["Body", "FunctionNode", "read_bodies"]

FunctionNode = ast.FunctionDef | ast.AsyncFunctionDef
_Function = (ast.FunctionDef, ast.AsyncFunctionDef)
_LITERALS = (ast.Constant, ast.UnaryOp, ast.List, ast.Tuple, ast.Dict, ast.Set)
# Fixtures that pytest has: everywhere the same.
_BUILTIN_FIXTURES = {
    *("cache", "caplog", "capsys", "capfd", "capsysbinary", "capfdbinary", "doctest_namespace"),
    *("monkeypatch", "pytestconfig", "recwarn", "request", "tmp_path", "tmp_path_factory"),
    *("tmpdir", "tmpdir_factory"),
}


@dataclass(frozen=True)
class Body:
    """A test's function.

    Parameters
    ----------
    test : CollectedTest
        The test.
    node : ast.FunctionDef or ast.AsyncFunctionDef
        Its syntax tree, without docstring.
    exact : str
        Key of its body with every literal.
    shape : str
        The same key with a mark for each literal.
    literals : list of str
        The literals, as written, in order.
    is_unittest : bool
        Whether its class derives from a ``TestCase``, which knows no parametrisation.
    """

    test: CollectedTest
    node: FunctionNode
    exact: str
    shape: str
    literals: list[str]
    is_unittest: bool


def read_bodies(tests: list[CollectedTest]) -> list[Body]:
    """Return the bodies of tests; those that do nothing, or whose file changed, are left out."""
    by_file: dict[Path, list[CollectedTest]] = {}
    for test in tests:
        by_file.setdefault(test.path, []).append(test)
    bodies = []
    for path, own in by_file.items():
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                tree = ast.parse(path.read_bytes())
        except (OSError, SyntaxError, ValueError, RecursionError, MemoryError):
            continue
        module = _Module(path, tree)
        bodies += [body for test in own if (body := module.body(test)) is not None]
    return bodies


class _Module:
    """A file's functions by line, and what the names at its top level stand for."""

    def __init__(self, path: Path, tree: ast.Module) -> None:
        self._path = path
        self._functions: dict[int, tuple[FunctionNode, ast.ClassDef | None]] = {}
        self._find(tree, None)
        self._meanings: dict[str, str] = {}
        for node in ast.walk(tree):
            if isinstance(node, ast.ImportFrom):
                # A relative import means another module in another folder.
                source = f"{path.parent if node.level else ''}{'.' * node.level}{node.module or ''}"
                for alias in node.names:
                    self._meanings[alias.asname or alias.name] = f"{source}:{alias.name}"
            elif isinstance(node, ast.Import):
                for alias in node.names:
                    name = alias.name if alias.asname else alias.name.partition(".")[0]
                    self._meanings[alias.asname or name] = name

    def body(self, test: CollectedTest) -> Body | None:
        node, owner = self._functions.get(test.line, (None, None))
        if node is None:
            return None
        node = copy.deepcopy(node)
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
        is_unittest = owner is not None and any(
            ast.unparse(base).endswith("TestCase") for base in owner.bases
        )
        return Body(test, node, exact, shape, literals, is_unittest)

    def _find(self, node: ast.AST, owner: ast.ClassDef | None) -> None:
        for child in ast.iter_child_nodes(node):
            if isinstance(child, _Function):
                self._functions[child.lineno] = (child, owner)
            self._find(child, child if isinstance(child, ast.ClassDef) else owner)

    def _context(self, node: FunctionNode, owner: ast.ClassDef | None) -> list[str]:
        """Return what the free names of a function stand for."""
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
        # What unittest gives every class is the same in all; anything else is the class's own.
        if owner is not None and not all(hasattr(TestCase, name) for name in own_attributes):
            context.append(f"self is {owner.name} of {self._path}")
        fixtures = arguments - {"self", "cls"} - _BUILTIN_FIXTURES
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


def mark_literals(
    node: FunctionNode, marks: list[ast.expr] | None = None
) -> tuple[FunctionNode, list[str]]:
    """Return a copy of a function with its literals replaced, and the literals as written.

    Parameters
    ----------
    node : ast.FunctionDef or ast.AsyncFunctionDef
        The function.
    marks : list of ast.expr, optional
        What to put in the place of each literal; None puts the same mark in all places.
    """
    marker = _Marker(marks)
    marked = copy.deepcopy(node)
    marker.generic_visit(ast.Module(marked.body, []))
    return marked, marker.literals


class _Marker(ast.NodeTransformer):
    def __init__(self, marks: list[ast.expr] | None) -> None:
        self._marks = marks
        self.literals: list[str] = []

    def visit(self, node: ast.AST) -> ast.AST:
        # Patterns may hold literals only, and an f-string's text is no expression of its own.
        if isinstance(node, (ast.pattern, ast.JoinedStr)):
            return node
        if isinstance(node, _LITERALS) and _is_literal(node):
            self.literals.append(ast.unparse(node))
            mark = self._marks[len(self.literals) - 1] if self._marks else None
            return ast.Name("_literal", ast.Load()) if mark is None else mark
        return self.generic_visit(node)


def _is_literal(node: ast.expr) -> bool:
    """Whether a node is a number or text, or a display of such, and not stored to."""
    if isinstance(node, ast.Constant):
        return True
    if isinstance(node, ast.UnaryOp):
        return isinstance(node.op, (ast.USub, ast.UAdd)) and isinstance(node.operand, ast.Constant)
    if isinstance(node, ast.Dict):
        return all(k is not None and _is_literal(k) for k in node.keys) and all(
            _is_literal(v) for v in node.values
        )
    if isinstance(node, (ast.List, ast.Tuple, ast.Set)):
        stored = isinstance(getattr(node, "ctx", None), ast.Store)
        return not stored and all(_is_literal(element) for element in node.elts)
    return False


def _walk(statements: list[ast.stmt]) -> list[ast.AST]:
    return [node for statement in statements for node in ast.walk(statement)]
