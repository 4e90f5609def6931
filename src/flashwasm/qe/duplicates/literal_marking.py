"""Marking of the literals in a test function, to compare tests apart from their literals."""

from __future__ import annotations

import ast
import copy
from typing import TypeVar

from flashwasm.qe.suites.expressions import source_of
from flashwasm.qe.suites.syntax_trees import FUNCTION_NODES, FunctionNode

__all__ = [
    "CONSTANT_NODES",
    "LITERAL_KEEPERS",
    "TYPE_FIELDS",
    "Literal",
    "is_literal",
    "mark_literals",
]

_MUTABLE = (ast.List, ast.Dict, ast.Set)
# Nodes that may run the code inside them more than once.
_REPEATED = (ast.While, ast.comprehension, ast.Lambda, *FUNCTION_NODES)
_LOOPS = (ast.For, ast.AsyncFor)
# Nodes without fields, of which the parser uses one object for all places.
CONSTANT_NODES = (ast.expr_context, ast.operator, ast.unaryop, ast.boolop, ast.cmpop)
# Nodes whose literals are kept. Python allows no name in place of a pattern's value or of an
# f-string's text.
LITERAL_KEEPERS = (ast.pattern, ast.JoinedStr)
# Fields that are types: a literal in a type is part of the type, and no value.
TYPE_FIELDS = {"annotation", "returns"}
_Node = TypeVar("_Node", bound=ast.AST)


class Literal:
    """A literal of a function.

    Parameters
    ----------
    node : ast.expr
        The literal, with its position in the file.
    around : list of ast.AST
        Nodes of the function that contain the literal, the innermost last.

    Attributes
    ----------
    source : str
        The literal, in normalised form.
    is_statement : bool
        True if it is a whole statement, such as the docstring of an inner function. A name in its
        place would have a different meaning.
    is_mutable : bool
        True if it is a list, set or dict, or contains one.
    is_only_read : bool
        True if the code around it only compares it or only iterates over it.
    may_repeat : bool
        True if it may be evaluated more than once in a call of the function.
    """

    def __init__(self, node: ast.expr, around: list[ast.AST]) -> None:
        parent = around[-1] if around else None
        self.node = node
        self.source = source_of(node)
        self.is_statement = isinstance(parent, ast.Expr)
        self.is_mutable = any(isinstance(inner, _MUTABLE) for inner in ast.walk(node))
        iterates = (*_LOOPS, ast.comprehension)
        self.is_only_read = isinstance(parent, ast.Compare) or (
            isinstance(parent, iterates) and parent.iter is node
        )
        self.may_repeat = any(isinstance(n, (*_REPEATED, *_LOOPS)) for n in around)


def mark_literals(
    node: FunctionNode, marks: list[ast.expr] | None = None
) -> tuple[FunctionNode, list[Literal]]:
    """Return a copy of a function with its literals replaced, and the literals.

    Parameters
    ----------
    node : ast.FunctionDef or ast.AsyncFunctionDef
        Syntax tree of the function.
    marks : list of ast.expr, optional
        Expressions that replace the literals, in order; None replaces each by the same name.

    Returns
    -------
    tuple of (ast.FunctionDef or ast.AsyncFunctionDef, list of Literal)
        The copy, and the literals, in order. The copy shares its decorators, annotations, patterns
        and f-strings with the function.
    """
    marker = _Marker(marks)
    marked = copy.copy(node)
    marked.body = marker.generic_visit(ast.Module(node.body, [])).body
    marked.args = copy.copy(node.args)
    return marked, marker.literals


class _Marker:
    """Copies nodes with their literals replaced, and records the literals.

    Parameters
    ----------
    marks : list of ast.expr, optional
        As for `mark_literals`.
    """

    def __init__(self, marks: list[ast.expr] | None) -> None:
        self._marks = marks
        self._around: list[ast.AST] = []
        self.literals: list[Literal] = []

    def visit(self, node: ast.AST) -> ast.AST:
        """Return a node's replacement if it is a literal, or else a copy of the node."""
        if isinstance(node, LITERAL_KEEPERS):
            return node
        if isinstance(node, ast.expr) and is_literal(node):
            self.literals.append(Literal(node, self._around))
            mark = self._marks[len(self.literals) - 1] if self._marks else None
            return ast.Name("_literal", ast.Load()) if mark is None else mark
        self._around.append(node)
        visited = self.generic_visit(node)
        self._around.pop()
        return visited

    def generic_visit(self, node: _Node) -> _Node:
        """Return a copy of a node with the nodes inside it visited."""
        copied = node.__class__.__new__(node.__class__)
        copied.__dict__.update(node.__dict__)
        for name in node._fields:
            value = None if name in TYPE_FIELDS else getattr(node, name, None)
            if isinstance(value, list):
                inner = [self.visit(one) if isinstance(one, ast.AST) else one for one in value]
                setattr(copied, name, inner)
            elif isinstance(value, ast.AST) and not isinstance(value, CONSTANT_NODES):
                setattr(copied, name, self.visit(value))
        return copied


def is_literal(node: ast.AST) -> bool:
    """Return True if a node is a constant, or a list, tuple, set or dict of literals.

    A list or tuple that is assigned to is not a literal.
    """
    if isinstance(node, ast.Constant):
        return True
    if isinstance(node, ast.UnaryOp):
        return isinstance(node.op, (ast.USub, ast.UAdd)) and isinstance(node.operand, ast.Constant)
    if isinstance(node, ast.Dict):
        return all(k is not None and is_literal(k) for k in node.keys) and all(
            is_literal(v) for v in node.values
        )
    if isinstance(node, (ast.List, ast.Tuple, ast.Set)):
        stored = isinstance(getattr(node, "ctx", None), ast.Store)
        return not stored and all(is_literal(element) for element in node.elts)
    return False
