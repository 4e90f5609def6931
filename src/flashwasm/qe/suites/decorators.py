"""Decorators that change how pytest collects a function or a class."""

from __future__ import annotations

import ast
import re
from typing import TYPE_CHECKING

from flashwasm.qe.suites.expressions import dotted_name

if TYPE_CHECKING:
    from flashwasm.qe.suites.syntax_trees import FunctionNode

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
# Decorators that replace the function by other tests, or by an object that is not a function.
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
# Decorators that give a class a constructor.
_CONSTRUCTING = {"attrs", "attributes", "dataclass", "define", "frozen", "mutable"}
# Decorators that change the tests in a class, or the classes in the module.
_CHANGING = {"ddt", "genty", "parameterized_class"}

# Code in a decorator that sets attributes of a class, or creates another class or a function.
_CHANGES = re.compile(r"\b(?:setattr|wraps|type)\(|\w\.test\w* = ")


def function_decorators(node: FunctionNode) -> str:
    """Return the kind of object that a function's name is bound to after its decorators ran.

    The result is "" for a function that may be a test, "abstract" for an abstract method, "value"
    for anything else that is not a test, and otherwise the name of the decorator that replaces it.
    """
    result = ""
    for decorator in node.decorator_list:
        name = decorator_name(decorator)
        last = name.rpartition(".")[2]
        if last in _NO_TEST:
            return "value"
        if last in _ABSTRACT:
            result = "abstract"
        # A mark may have any name, and does not replace the function.
        elif last in _REPLACING and "mark." not in name:
            return name
    return result


def constructs(name: str) -> bool:
    """Return True if a decorator of this dotted name gives a class a constructor."""
    return name == "attr.s" or name.rpartition(".")[2] in _CONSTRUCTING


def changes_tests(name: str, source: str) -> bool:
    """Return True if a decorator may change the tests of a class, or replace the class.

    Parameters
    ----------
    name : str
        Dotted name of the decorator.
    source : str
        Source of the function with that name; "" if it is not in the suite.
    """
    return _CHANGES.search(source) is not None or name.rpartition(".")[2] in _CHANGING


def decorator_name(node: ast.expr) -> str:
    """Return the dotted name of a decorator, with or without a call."""
    return dotted_name(node.func if isinstance(node, ast.Call) else node)
