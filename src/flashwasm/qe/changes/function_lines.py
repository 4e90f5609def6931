"""Lines of a Python file's functions, read from its syntax tree."""

from __future__ import annotations

import ast
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from flashwasm.qe.changes.module_imports import mentioned_name, parse_file, parse_text
from flashwasm.qe.suites.expressions import source_of

__all__ = ["FunctionLines", "function_lines", "function_lines_of"]

_FUNCTION = (ast.FunctionDef, ast.AsyncFunctionDef)


@dataclass(frozen=True)
class FunctionLines:
    """Lines of a file that run only when one of its functions is called.

    Parameters
    ----------
    bodies : set of int
        Lines of the bodies of functions and methods, without decorators, defaults, the line of the
        ``def`` and docstrings, which run at import.
    functions : list of set of int
        Lines of the body of each function, including functions inside it. The innermost functions
        come first.
    cached : list of set of int
        Lines of the body of each function that caches its results, such as with ``lru_cache``. Only
        the first caller runs these lines.
    lazy : list of set of int
        Lines of the body of each other function that sets a global name or mentions a cache. Only
        the first caller may run some of these lines.
    statements : dict of int to range
        Lines of the innermost statement around each line, without the statements inside it.
    """

    bodies: set[int]
    functions: list[set[int]]
    cached: list[set[int]]
    lazy: list[set[int]]
    statements: dict[int, range]

    def around(self, line: int) -> frozenset[int]:
        """Return the lines of the innermost function around a line; none outside of functions."""
        return self._innermost.get(line, frozenset())

    @cached_property
    def _innermost(self) -> dict[int, frozenset[int]]:
        """The lines of the innermost function around each line."""
        found: dict[int, frozenset[int]] = {}
        for lines in reversed(self.functions):
            found.update(dict.fromkeys(lines, frozenset(lines)))
        return found


def function_lines(path: Path) -> FunctionLines | None:
    """Return the lines of a file's functions; None if the file cannot be read."""
    tree = parse_file(path)
    return None if tree is None else _lines_of(tree)


def function_lines_of(source: str) -> FunctionLines | None:
    """Return the lines of the functions of a source; None if it is not Python."""
    tree = parse_text(source)
    return None if tree is None else _lines_of(tree)


def _lines_of(tree: ast.Module) -> FunctionLines:
    """Return the lines of a module's functions."""
    bodies: set[int] = set()
    functions, cached, lazy = [], [], []
    statements: dict[int, range] = {}
    for node in ast.walk(tree):
        if isinstance(node, ast.stmt):
            own = _own_lines(node)
            statements.update(dict.fromkeys(own, own))
        if isinstance(node, _FUNCTION):
            lines = _body(node)
            bodies |= lines
            functions.append(lines)
            if any("cache" in source_of(d).lower() for d in node.decorator_list):
                cached.append(lines)
            elif any(_keeps_results(inner) for inner in ast.walk(node)):
                lazy.append(lines)
    # A function inside another one has fewer lines than that.
    return FunctionLines(bodies, sorted(functions, key=len), cached, lazy, statements)


def _own_lines(node: ast.stmt) -> range:
    """Return the lines of a statement, without the statements inside it."""
    inner = getattr(node, "body", None) or getattr(node, "cases", None)
    if not inner:
        return range(node.lineno, (node.end_lineno or node.lineno) + 1)
    first = inner[0].pattern if isinstance(node, ast.Match) else inner[0]
    return range(node.lineno, max(node.lineno + 1, first.lineno))


def _body(node: ast.FunctionDef | ast.AsyncFunctionDef) -> set[int]:
    """Return the lines of a function's body, without its docstring."""
    first = node.body[0]
    start = first.lineno
    if ast.get_docstring(node, clean=False) is not None:
        start = (first.end_lineno or start) + 1
    lines = set(range(start, (node.end_lineno or node.lineno) + 1))
    # A body on the line of its ``def`` shares that line with the defaults.
    lines.discard(node.lineno)
    return lines


def _keeps_results(node: ast.AST) -> bool:
    """Return True if a node in a function indicates that the function caches results."""
    name = mentioned_name(node).lower()
    return isinstance(node, ast.Global) or "cache" in name or "memo" in name
