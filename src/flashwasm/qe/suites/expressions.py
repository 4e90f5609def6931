"""Expressions of a syntax tree, read as the names that they hold."""

from __future__ import annotations

import ast
from collections.abc import Iterator

from flashwasm.qe.suites.module_outline import Alias, Binding, CallResult, FunctionSpan, Value

__all__ = ["assigned", "base_names", "dotted_name", "source_of", "unpacked_names"]


def dotted_name(node: ast.expr) -> str:
    """Return the dotted name that an expression is; "" if it is something else.

    Examples
    --------
    >>> dotted_name(ast.parse("a.b", mode="eval").body)
    'a.b'
    """
    attributes = []
    while isinstance(node, ast.Attribute):
        attributes.append(node.attr)
        node = node.value
    return ".".join([node.id, *reversed(attributes)]) if isinstance(node, ast.Name) else ""


def source_of(node: ast.AST) -> str:
    """Return the source of a node, written in the standard way; "..." if it is nested too deeply.

    Python parses expressions that are nested deeper than it can write them.

    Examples
    --------
    >>> source_of(ast.parse("f( 1,2 )", mode="eval"))
    'f(1, 2)'
    """
    try:
        return ast.unparse(node)
    except RecursionError:
        return "..."


def assigned(name: str, value: ast.expr) -> Binding:
    """Return what a name is bound to that is assigned a value."""
    if isinstance(value, (ast.Name, ast.Attribute)) and (target := dotted_name(value)):
        return Alias(target, value.lineno)
    if isinstance(value, ast.Lambda):
        last = value.end_lineno or value.lineno
        return FunctionSpan(name, value.lineno, value.lineno, last)
    if isinstance(value, ast.Call):
        called = dotted_name(value.func.func if isinstance(value.func, ast.Call) else value.func)
        return CallResult(
            value.lineno, called, [found for one in value.args if (found := dotted_name(one))]
        )
    return Value()


def unpacked_names(target: ast.expr) -> Iterator[str]:
    """Yield the names in a target such as ``a, b``."""
    if isinstance(target, (ast.Tuple, ast.List)):
        for node in ast.walk(target):
            if isinstance(node, ast.Name):
                yield node.id


def base_names(node: ast.expr) -> Iterator[str]:
    """Yield the base classes that an expression in a list of bases stands for."""
    if isinstance(node, ast.Subscript):
        # The base ``Generic[T]`` is Generic, as far as tests are concerned.
        yield from base_names(node.value)
    elif isinstance(node, ast.Call) and dotted_name(node.func).endswith("with_metaclass"):
        for argument in node.args:
            yield from base_names(argument)
    else:
        yield dotted_name(node) or f"({source_of(node)})"
