"""Names in the expressions of a syntax tree."""

from __future__ import annotations

import ast
from collections.abc import Iterator

from flashwasm.qe.suites.module_outline import Alias, Binding, CallResult, FunctionSpan, Value

__all__ = [
    "assigned",
    "base_names",
    "dotted_name",
    "source_of",
    "unpacked_names",
    "value_text",
]


def dotted_name(node: ast.expr) -> str:
    """Return an expression that is a dotted name as a string; "" for any other expression.

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
    """Return the normalised source of a node; "..." if it cannot be written.

    `ast.parse` accepts deeper nesting than `ast.unparse`, and integers with more digits.

    Examples
    --------
    >>> source_of(ast.parse("f( 1,2 )", mode="eval"))
    'f(1, 2)'
    """
    try:
        return ast.unparse(node)
    except (RecursionError, ValueError):
        return "..."


def value_text(value: object) -> str:
    """Return a text that is equal for equal values of constants only.

    Python refuses to write an integer of more than 4,300 digits, unless in hexadecimal.

    Examples
    --------
    >>> value_text(1), value_text("1"), value_text(16**5000)[:4]
    ('1', "'1'", '0x10')
    """
    try:
        return repr(value)
    except ValueError:
        return f"{value:#x}"


def assigned(name: str, value: ast.expr) -> Binding:
    """Return the binding of a name that a value is assigned to."""
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
    """Yield the base classes in an expression in the list of a class's bases."""
    if isinstance(node, ast.Subscript):
        # The base ``Generic[T]`` counts as Generic.
        yield from base_names(node.value)
    elif isinstance(node, ast.Call) and dotted_name(node.func).endswith("with_metaclass"):
        for argument in node.args:
            yield from base_names(argument)
    else:
        yield dotted_name(node) or f"({source_of(node)})"
