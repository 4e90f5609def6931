"""Syntax trees of Python files: parsing, the nodes that run together, and the names in them."""

from __future__ import annotations

import ast
import io
import tokenize
import warnings
from collections.abc import Iterable, Iterator
from pathlib import Path

from flashwasm.qe.suites.file_digests import LARGEST_SOURCE_BYTES

__all__ = [
    "DEFINITION_NODES",
    "FUNCTION_NODES",
    "PARSE_ERRORS",
    "TRY_NODES",
    "FunctionNode",
    "assignment_targets",
    "compiles",
    "decoded_source",
    "inner_statements",
    "is_literal",
    "mentioned_name",
    "nodes_outside",
    "parse_file",
    "parse_source",
    "parse_with_warnings",
    "try_parse",
]

# The node of a function, as a type for annotations and as classes for isinstance.
FunctionNode = ast.FunctionDef | ast.AsyncFunctionDef
FUNCTION_NODES = (ast.FunctionDef, ast.AsyncFunctionDef)
DEFINITION_NODES = (*FUNCTION_NODES, ast.ClassDef)
# Python 3.10 has no ``except*``.
TRY_NODES: tuple[type[ast.AST], ...] = (ast.Try, getattr(ast, "TryStar", ast.Try))
# What the parser raises for a source that is not Python. A null byte or a number of very many
# digits is a value error, and a source that is nested too deeply one of the last two.
PARSE_ERRORS = (SyntaxError, ValueError, RecursionError, MemoryError)


def parse_file(path: Path) -> ast.Module | None:
    """Return the syntax tree of a file; None if it cannot be read."""
    try:
        if not path.is_file() or path.stat().st_size > LARGEST_SOURCE_BYTES:
            return None
        with tokenize.open(path) as file:
            return try_parse(file.read())
    except (OSError, SyntaxError, ValueError):
        # An unknown encoding is a syntax error, and bytes that do not fit it a value error.
        return None


def decoded_source(data: bytes) -> str:
    """Return the text of a Python file whose lines end with newlines, as the parser counts lines.

    A file may declare its encoding in a comment (PEP 263).

    Raises
    ------
    SyntaxError
        If there is no such encoding.
    ValueError
        If the bytes do not fit the encoding.
    """
    encoding, _ = tokenize.detect_encoding(io.BytesIO(data).readline)
    return data.decode(encoding).replace("\r\n", "\n").replace("\r", "\n")


def parse_source(source: str | bytes) -> ast.Module:
    """Return the syntax tree of a source, or raise one of `PARSE_ERRORS`.

    The parser's warnings, such as about an invalid escape, are not shown.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return parse_with_warnings(source)


def parse_with_warnings(source: str | bytes, *, minor: int | None = None) -> ast.Module:
    """Return the syntax tree of a source as `ast.parse` does, with the parser's warnings.

    The parser of Python 3.11 before 3.11.8 now and then raises a SystemError for a valid source,
    such as when another thread parses. The second attempt succeeds.

    Parameters
    ----------
    source : str or bytes
        The source.
    minor : int, optional
        Minor version of Python 3 whose syntax is accepted. None means that of this interpreter.
    """
    version = None if minor is None else (3, minor)
    try:
        return ast.parse(source, feature_version=version)
    except SystemError:
        return ast.parse(source, feature_version=version)


def try_parse(source: str | bytes) -> ast.Module | None:
    """Return the syntax tree of a source; None if it is not Python."""
    try:
        return parse_source(source)
    except PARSE_ERRORS:
        return None


def compiles(source: str | bytes) -> bool:
    """Return True if a source compiles, which also rejects a ``return`` outside a function.

    Nothing is executed.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            compile(source, "<source>", "exec", dont_inherit=True)
    except PARSE_ERRORS:
        return False
    return True


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


def inner_statements(tree: ast.AST) -> Iterator[ast.AST]:
    """Yield the statements directly inside a node, also those in its handlers and cases.

    Functions and classes are among them: no expression contains one. So a search for definitions
    need not visit the expressions, which are most nodes of a tree.
    """
    for name in ("body", "handlers", "orelse", "finalbody", "cases"):
        # The body of a lambda or of a conditional expression is no list.
        inner = getattr(tree, name, None)
        if isinstance(inner, list):
            yield from inner


def assignment_targets(node: ast.AST) -> list[ast.expr]:
    """Return what an assignment assigns to, also with ``+=``; nothing for any other node.

    Examples
    --------
    >>> len(assignment_targets(ast.parse("a = b[0] = 1").body[0]))
    2
    """
    if isinstance(node, ast.Assign):
        return node.targets
    return [node.target] if isinstance(node, (ast.AnnAssign, ast.AugAssign)) else []


def is_literal(statement: ast.stmt) -> bool:
    """Return True if a statement is only a literal, such as a docstring.

    It does nothing, and coverage.py does not count it.
    """
    return isinstance(statement, ast.Expr) and isinstance(statement.value, ast.Constant)


def mentioned_name(node: ast.AST) -> str:
    """Return the name that a node of the syntax tree mentions; "" if there is none."""
    if isinstance(node, ast.Name):
        return node.id
    if isinstance(node, ast.Attribute):
        return node.attr
    return node.arg if isinstance(node, ast.arg) else ""
