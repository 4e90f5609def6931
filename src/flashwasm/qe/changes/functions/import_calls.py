"""Detection of modules that may call the project's functions while they are imported."""

from __future__ import annotations

import ast
import builtins
import sys
from collections.abc import Iterator

from flashwasm.qe.suites.syntax_trees import DEFINITION_NODES, FUNCTION_NODES

__all__ = ["calls_project_at_import"]

# Methods of a class that run when another class inherits it or uses it as a decorator.
_AT_INHERITANCE = ("__init_subclass__", "__set_name__", "__class_getitem__", "__mro_entries__")


def calls_project_at_import(tree: ast.Module) -> bool:
    """Return True if the import of a module may call a function of the project.

    It calls none if it only defines functions, constants and classes, and calls only functions of
    Python's standard library, without passing its own functions to them.

    Parameters
    ----------
    tree : ast.Module
        Syntax tree of the module.
    """
    nodes = [*_at_import(tree)]
    known = {"", *dir(builtins), *_from_standard_library(nodes)}
    classes = {node.name for node in nodes if isinstance(node, ast.ClassDef)}
    if any(isinstance(n, FUNCTION_NODES) and n.name in _AT_INHERITANCE for n in nodes):
        classes = set()
    called = {_root(one) for node in nodes for one in _called(node)}
    inherited = {_root(one) for node in nodes for one in _inherited(node)}
    return not (called <= known and inherited <= known | classes)


def _called(node: ast.AST) -> list[ast.expr]:
    """Return the expressions whose values a node calls, or passes to something that may call them.

    A decorator is called with the function or the class below it, ``with`` calls the methods of its
    context manager, and ``for`` those of its iterator.
    """
    if isinstance(node, ast.Call):
        return [node.func, *node.args, *(word.value for word in node.keywords)]
    if isinstance(node, DEFINITION_NODES):
        return node.decorator_list
    if isinstance(node, (ast.With, ast.AsyncWith)):
        return [item.context_expr for item in node.items]
    return [node.iter] if isinstance(node, (ast.For, ast.comprehension)) else []


def _inherited(node: ast.AST) -> list[ast.expr]:
    """Return the base classes of a class, its metaclass and the other keywords beside them."""
    if not isinstance(node, ast.ClassDef):
        return []
    return [*node.bases, *(word.value for word in node.keywords)]


def _at_import(tree: ast.Module) -> Iterator[ast.AST]:
    """Yield the nodes of a module that run when it is imported."""
    waiting: list[ast.AST] = [tree]
    while waiting:
        node = waiting.pop()
        yield node
        if isinstance(node, FUNCTION_NODES):
            waiting += [*node.decorator_list, node.args]
        elif not isinstance(node, ast.Lambda):
            waiting += ast.iter_child_nodes(node)


def _from_standard_library(nodes: list[ast.AST]) -> Iterator[str]:
    """Yield the names that a module imports from Python's standard library."""
    for node in nodes:
        if isinstance(node, ast.Import):
            tops = ((one.name.partition(".")[0], one.asname) for one in node.names)
            yield from (name or top for top, name in tops if top in sys.stdlib_module_names)
        elif isinstance(node, ast.ImportFrom) and not node.level:
            names = [one.asname or one.name for one in node.names]
            top = (node.module or "").partition(".")[0]
            yield from names if top in sys.stdlib_module_names else ()


def _root(node: ast.AST) -> str:
    """Return the first name of an expression such as ``a.b[c]``; "" if it is no name."""
    while isinstance(node, (ast.Attribute, ast.Subscript)):
        node = node.value
    return node.id if isinstance(node, ast.Name) else ""
