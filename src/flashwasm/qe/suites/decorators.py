"""Decorators: those that turn a function or a class into something else for pytest."""

from __future__ import annotations

import ast
import re

from flashwasm.qe.suites.expressions import dotted_name

__all__ = ["changes_tests", "constructs", "decorator_name", "function_decorators"]

# Last names of decorators after which a function is not a test.
_NO_TEST = {
    "cached_property",
    "deleter",
    "fixture",
    "getter",
    "nottest",
    "overload",
    "property",
    "setter",
    "yield_fixture",
}
_ABSTRACT = {"abstractmethod"}
# Those that put other tests, or an object that is not a function, in the function's place.
_REPLACING = {
    "command",
    "data",
    "expand",
    "file_data",
    "group",
    "idata",
    "named_data",
    "named_parameters",
    "parameters",
}
# Those that give a class a constructor.
_CONSTRUCTING = {"attrs", "attributes", "dataclass", "define", "frozen", "mutable"}
# Those after which a class holds other tests, or the module other classes.
_CHANGING = {"ddt", "genty", "parameterized_class"}

# Code of a decorator that sets attributes of a class, makes another one, or a function of it.
_CHANGES = re.compile(r"\b(?:setattr|wraps|type)\(|\w\.test\w* = ")


def function_decorators(node: ast.FunctionDef | ast.AsyncFunctionDef) -> str:
    """Return what a function is after its decorators ran.

    The result is "" for a function that may be a test, "abstract" for an abstract method, "value"
    for what is not a test, and else the name of the decorator that puts something in its place.
    """
    result = ""
    for decorator in node.decorator_list:
        name = decorator_name(decorator)
        last = name.rpartition(".")[2]
        if last in _NO_TEST:
            return "value"
        if last in _ABSTRACT:
            result = "abstract"
        # A mark may have any name, and leaves a function what it is.
        elif last in _REPLACING and "mark." not in name:
            return name
    return result


def constructs(name: str) -> bool:
    """Return True if a decorator of this dotted name gives a class a constructor."""
    return name == "attr.s" or name.rpartition(".")[2] in _CONSTRUCTING


def changes_tests(name: str, source: str) -> bool:
    """Return True if a decorator may give a class other tests, or replace the class.

    Parameters
    ----------
    name : str
        Dotted name of the decorator.
    source : str
        Source of the function that the name means; "" if the suite does not hold it.
    """
    return _CHANGES.search(source) is not None or name.rpartition(".")[2] in _CHANGING


def decorator_name(node: ast.expr) -> str:
    """Return the dotted name of a decorator, with or without a call."""
    return dotted_name(node.func if isinstance(node, ast.Call) else node)
