"""Places that functions read and fill: variables and attributes, by name.

The place of a variable is its name, such as ``kept``, and that of an attribute begins with a dot,
such as ``.kept``. The object around an attribute is ignored, because other names may refer to it.
"""

from __future__ import annotations

import ast
import builtins
from collections.abc import Iterable

__all__ = ["calls_code", "mentioned_places", "place_of", "root_of"]


def mentioned_places(parts: Iterable[ast.AST]) -> set[str]:
    """Return the places that parts of a syntax tree mention.

    A string may be the name of an attribute, as in ``hasattr(self, "kept")``.
    """
    found = set()
    for node in (one for part in parts for one in ast.walk(part)):
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            found.add(f".{node.value}")
        elif isinstance(node, (ast.Name, ast.Attribute)):
            found.add(place_of(node))
    return found


def place_of(node: ast.AST) -> str:
    """Return the place that an expression refers to; "" if it has none.

    An item of a container, such as ``self.kept[1]``, has the place of the container.
    """
    while isinstance(node, (ast.Subscript, ast.Starred)):
        node = node.value
    if isinstance(node, ast.Name):
        return node.id
    return f".{node.attr}" if isinstance(node, ast.Attribute) else ""


def root_of(node: ast.AST) -> str:
    """Return the first name of an expression such as ``a.b[c]``; "" if it begins otherwise."""
    while isinstance(node, (ast.Attribute, ast.Subscript)):
        # Through these, a function reaches attributes that it does not name.
        if isinstance(node, ast.Attribute) and node.attr in {"__class__", "__dict__"}:
            return ""
        node = node.value
    return node.id if isinstance(node, ast.Name) else ""


def calls_code(nodes: Iterable[ast.AST]) -> bool:
    """Return True if any of some expressions calls a function that is not built in."""
    return any(_is_call(inner) for node in nodes for inner in ast.walk(node))


def _is_call(node: ast.AST) -> bool:
    """Return True if a node calls a function that is not built in."""
    return isinstance(node, ast.Call) and not (
        isinstance(node.func, ast.Name) and hasattr(builtins, node.func.id)
    )
