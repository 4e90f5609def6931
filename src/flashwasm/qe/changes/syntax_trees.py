"""Syntax trees of Python files: parsing, the nodes that run together, and the names in them."""

from __future__ import annotations

import ast
import tokenize
import warnings
from collections.abc import Iterable, Iterator
from pathlib import Path

from flashwasm.qe.suites.file_digests import LARGEST_SOURCE_BYTES

__all__ = [
    "FUNCTION_NODES",
    "Function",
    "mentioned_name",
    "nodes_outside",
    "parse_file",
    "parse_text",
]

# A function, as a type of annotations and as the classes of its nodes.
Function = ast.FunctionDef | ast.AsyncFunctionDef
FUNCTION_NODES = (ast.FunctionDef, ast.AsyncFunctionDef)


def parse_file(path: Path) -> ast.Module | None:
    """Return the syntax tree of a file; None if it cannot be read."""
    try:
        if not path.is_file() or path.stat().st_size > LARGEST_SOURCE_BYTES:
            return None
        with tokenize.open(path) as file:
            return parse_text(file.read())
    except (OSError, SyntaxError, ValueError):
        # An unknown encoding is a syntax error, and bytes that do not fit it a value error.
        return None


def parse_text(text: str) -> ast.Module | None:
    """Return the syntax tree of a source; None if it is not Python."""
    try:
        with warnings.catch_warnings():
            # The parser may issue warnings for a file, such as about an invalid escape.
            warnings.simplefilter("ignore")
            return ast.parse(text)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return None


def nodes_outside(inner: tuple[type[ast.AST], ...], body: Iterable[ast.AST]) -> Iterator[ast.AST]:
    """Yield the nodes of a body, without those inside nodes of some classes.

    The nodes of these classes themselves are yielded.

    Parameters
    ----------
    inner : tuple of type
        Classes of the nodes whose inside is left out, such as functions, which run at another time.
    body : iterable of ast.AST
        Nodes to begin with.
    """
    waiting = [*body]
    while waiting:
        node = waiting.pop()
        yield node
        if not isinstance(node, inner):
            waiting += ast.iter_child_nodes(node)


def mentioned_name(node: ast.AST) -> str:
    """Return the name that a node of the syntax tree mentions; "" if there is none."""
    if isinstance(node, ast.Name):
        return node.id
    if isinstance(node, ast.Attribute):
        return node.attr
    return node.arg if isinstance(node, ast.arg) else ""
