"""The lines of a source that hold code, which a test can run."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path
from types import CodeType

from flashwasm.qe.suites.syntax_trees import PARSE_ERRORS, is_literal, parse_file

__all__ = ["code_lines"]


def code_lines(path: Path) -> list[int] | None:
    """Return the lines of a source for which Python has instructions, ascending.

    There are none for a blank line, a comment, a docstring, ``else:`` or a closing bracket.

    Parameters
    ----------
    path : pathlib.Path
        Path of the source.

    Returns
    -------
    list of int or None
        Line numbers; None if the file cannot be read or is not Python.
    """
    tree = parse_file(path)
    if tree is None:
        return None
    try:
        code = compile(_without_literals(tree), str(path), "exec", dont_inherit=True, optimize=0)
    except PARSE_ERRORS:
        return None
    return sorted({line for line in _lines(code) if line})


def _without_literals(tree: ast.Module) -> ast.Module:
    """Remove the statements that are only a literal, such as docstrings, and return the tree.

    The import of a module or class stores its docstring, but no reader takes that for code. If
    there is no other statement, the literal stays: a function with only a docstring returns there.
    """
    for node in ast.walk(tree):
        for name in ("body", "orelse", "finalbody"):
            # The body of a lambda or of a conditional expression is no list.
            if isinstance(body := getattr(node, name, None), list):
                body[:] = [one for one in body if not is_literal(one)] or body
    return tree


def _lines(code: CodeType) -> Iterator[int | None]:
    """Yield the lines of the instructions of a code object and of those inside it."""
    yield from (line for _, _, line in code.co_lines())
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            yield from _lines(constant)
