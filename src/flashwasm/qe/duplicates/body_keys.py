"""Digests of the bodies of functions, and the nodes in them, from one walk of the syntax tree."""

from __future__ import annotations

import ast
import hashlib
from collections.abc import Iterable

from flashwasm.qe.duplicates.literal_marking import (
    CONSTANT_NODES,
    LITERAL_KEEPERS,
    TYPE_FIELDS,
    is_literal,
)
from flashwasm.qe.suites.expressions import value_text

__all__ = ["BodyKeys"]

# What the text of a body has in place of a literal. No node has this name.
_LITERAL = "literal"


class BodyKeys:
    """The digests and the nodes of some statements.

    Parameters
    ----------
    statements : iterable of ast.stmt
        The body of a function.
    deepest : int
        Maximum nesting of nodes.

    Attributes
    ----------
    nodes : list of ast.AST
        All nodes, in the order of the source.

    Raises
    ------
    RecursionError
        If the nodes are nested more deeply than ``deepest``.
    """

    def __init__(self, statements: Iterable[ast.stmt], deepest: int) -> None:
        self.nodes: list[ast.AST] = []
        # The names of the nodes and their fields, with a mark for each literal; and the literals.
        self._code: list[str] = []
        self._literals: list[str] = []
        for statement in statements:
            self._add(statement, self._code, deepest)

    def exact(self, head: str) -> bytes:
        """Return a digest that is equal for bodies with equal syntax trees and an equal head."""
        return _digest([head, *self._code, *self._literals])

    def shape(self, head: str) -> bytes:
        """Return a digest that is equal for bodies with an equal head that differ in literals."""
        return _digest([head, *self._code])

    def _add(self, node: ast.AST, text: list[str], levels: int, *, marks: bool = True) -> None:
        """Add a node and all inside it to ``text``; with ``marks``, a mark for each literal."""
        if not levels:
            raise RecursionError
        self.nodes.append(node)
        if marks and is_literal(node):
            text.append(_LITERAL)
            text, marks = self._literals, False
        marks = marks and not isinstance(node, LITERAL_KEEPERS)
        kind = node.__class__
        text.append(kind.__name__)
        for name in kind._fields:
            value = getattr(node, name, None)
            inside = marks and name not in TYPE_FIELDS
            if isinstance(value, list):
                # The length separates these values from the fields after them.
                text.append(str(len(value)))
                for one in value:
                    self._add_value(one, text, levels - 1, marks=inside)
            else:
                self._add_value(value, text, levels - 1, marks=inside)

    def _add_value(self, value: object, text: list[str], levels: int, *, marks: bool) -> None:
        """Add the value of a field, or one of its values."""
        if not isinstance(value, ast.AST):
            text.append(value_text(value))
        elif isinstance(value, CONSTANT_NODES):
            text.append(value.__class__.__name__)
        else:
            self._add(value, text, levels, marks=marks)


def _digest(parts: list[str]) -> bytes:
    """Return the SHA-256 of some texts without line ends."""
    return hashlib.sha256("\n".join(parts).encode("utf-8", "surrogatepass")).digest()
