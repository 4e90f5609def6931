"""Marking of the literals in a test function: two tests may differ in these alone."""

from __future__ import annotations

import ast
import copy

__all__ = ["FunctionNode", "mark_literals"]

FunctionNode = ast.FunctionDef | ast.AsyncFunctionDef
_LITERALS = (ast.Constant, ast.UnaryOp, ast.List, ast.Tuple, ast.Dict, ast.Set)


def mark_literals(
    node: FunctionNode, marks: list[ast.expr] | None = None
) -> tuple[FunctionNode, list[str]]:
    """Return a copy of a function with its literals replaced, and the literals as written.

    Parameters
    ----------
    node : ast.FunctionDef or ast.AsyncFunctionDef
        Syntax tree of the function.
    marks : list of ast.expr, optional
        Expressions that replace the literals, in order; None replaces each by the same name.

    Returns
    -------
    tuple of (ast.FunctionDef or ast.AsyncFunctionDef, list of str)
        The copy, and the source of each literal, in order.
    """
    marker = _Marker(marks)
    marked = copy.deepcopy(node)
    marker.generic_visit(ast.Module(marked.body, []))
    return marked, marker.literals


class _Marker(ast.NodeTransformer):
    """Replaces literals and remembers them.

    Parameters
    ----------
    marks : list of ast.expr, optional
        As for `mark_literals`.
    """

    def __init__(self, marks: list[ast.expr] | None) -> None:
        self._marks = marks
        self.literals: list[str] = []

    def visit(self, node: ast.AST) -> ast.AST:
        """Return a node's replacement if it is a literal; else visit the nodes inside it."""
        # Case patterns and f-strings stay: Python allows no name in the place of a pattern's value
        # or of an f-string's text.
        if isinstance(node, (ast.pattern, ast.JoinedStr)):
            return node
        if isinstance(node, _LITERALS) and _is_literal(node):
            self.literals.append(ast.unparse(node))
            mark = self._marks[len(self.literals) - 1] if self._marks else None
            return ast.Name("_literal", ast.Load()) if mark is None else mark
        return self.generic_visit(node)


def _is_literal(node: ast.expr) -> bool:
    """Return True if a node is a constant, or a list, tuple, set or dict of literals.

    A list or tuple that is assigned to is not a literal.
    """
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
