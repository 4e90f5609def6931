"""Functions that may keep results for later callers, detected in the syntax tree."""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterator, Sequence

from flashwasm.qe.changes.known_names import CACHING_CALLS, CACHING_WORDS
from flashwasm.qe.suites.expressions import source_of
from flashwasm.qe.suites.syntax_trees import (
    FUNCTION_NODES,
    FunctionNode,
    mentioned_name,
    nodes_outside,
)

__all__ = ["caches_results", "keeps_state", "wrapped_functions"]

# Functions that Python calls only if a place has no value yet.
_FOR_MISSING = {"__get__", "__getattr__", "__missing__"}
# Methods that add to a container.
_ADDING = {"add", "append", "appendleft", "extend", "insert", "setdefault", "update"}
_MUTABLE = (ast.Dict, ast.List, ast.Set, ast.Call)
_CONSTRUCTORS = {"__init__", "__post_init__", "__setstate__"}
_BRANCHES = (ast.If, ast.IfExp, ast.While, ast.Try, ast.BoolOp)


def caches_results(function: FunctionNode) -> bool:
    """Return True if only the first caller of a function may run it.

    A decorator may cache its results, or the function fills the place whose value it computes, as
    ``__missing__`` does.
    """
    names = (source_of(one).lower() for one in function.decorator_list)
    fills = function.name in _FOR_MISSING and any(_stores([*_own_nodes(function)]))
    return fills or any(word in name for name in names for word in CACHING_WORDS)


def wrapped_functions(tree: ast.Module) -> Iterator[ast.expr]:
    """Yield the functions that a file gives to a call which may cache their results.

    Examples are ``lru_cache(maxsize=None)(f)`` and ``defaultdict(f)``. A parameter of the function
    around the call says nothing about the name of the function that is given, so it is left out.
    """
    given = {
        id(node)
        for function in ast.walk(tree)
        if isinstance(function, (*FUNCTION_NODES, ast.Lambda))
        for node in _uses_of_parameters(function)
    }
    for node in ast.walk(tree):
        if isinstance(node, ast.Call):
            function = node.func
            while isinstance(function, ast.Call):
                function = function.func
            if mentioned_name(function) in CACHING_CALLS:
                yield from (one for one in node.args if id(one) not in given)


def _uses_of_parameters(function: FunctionNode | ast.Lambda) -> Iterator[ast.AST]:
    """Yield the names in a function that are its parameters."""
    names = {one.arg for one in ast.walk(function.args) if isinstance(one, ast.arg)}
    for node in ast.walk(function):
        if isinstance(node, ast.Name) and node.id in names:
            yield node


def keeps_state(function: FunctionNode, *, confined: bool = False) -> bool:
    """Return True if a function may keep results in a place that later calls see.

    It sets a global or nonlocal name, mentions a cache, or stores into an object that is neither
    its own nor an argument, or into an attribute of its own object. In both cases, a branch reads
    the same place, to find out if it was filled before.

    Parameters
    ----------
    function : ast.FunctionDef or ast.AsyncFunctionDef
        The function.
    confined : bool, default False
        True if nothing sees its nonlocal names after the call of the function around it; see
        `confined_functions`.
    """
    for node in ast.walk(function):
        name = mentioned_name(node).lower()
        if isinstance(node, ast.Global) or "cache" in name or "memo" in name:
            return True
    nodes = [*_own_nodes(function)]
    outer = {name for node in nodes if isinstance(node, ast.Nonlocal) for name in node.names}
    if outer and not confined:
        return True
    # The object that a nonlocal name refers to may be older than the call.
    own = {*_own_names(function), *sys.stdlib_module_names} - {"cls"} - outer
    stores, tested = set(_stores(nodes)), _tested(nodes)
    if any(root not in own and (not root or root in tested) for root, _ in stores):
        return True
    if function.name in _CONSTRUCTORS:
        return False  # Each call fills a new object.
    return any(root == "self" and f"self.{attribute}" in tested for root, attribute in stores)


def _own_nodes(function: FunctionNode) -> Iterator[ast.AST]:
    """Yield the nodes of a function's body, without the bodies of functions inside it."""
    return nodes_outside((*FUNCTION_NODES, ast.Lambda), function.body)


def _own_names(function: FunctionNode) -> set[str]:
    """Return the local names of a function, without parameters that keep a mutable default."""
    names: set[str] = set()
    for node in _own_nodes(function):
        if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            names.add(node.id)
        elif isinstance(node, ast.ExceptHandler) and node.name:
            names.add(node.name)
    given = function.args
    plain = [*given.posonlyargs, *given.args]
    pairs = [*zip(reversed(plain), reversed(given.defaults), strict=False)]
    pairs += [
        (one, value)
        for one, value in zip(given.kwonlyargs, given.kw_defaults, strict=True)
        if value
    ]
    kept = {one.arg for one, value in pairs if isinstance(value, _MUTABLE)}
    every = [*plain, *given.kwonlyargs, *filter(None, (given.vararg, given.kwarg))]
    return names | {one.arg for one in every if one.arg not in kept}


def _stores(nodes: Sequence[ast.AST]) -> Iterator[tuple[str, str]]:
    """Yield the object and the attribute of each store into an object's attribute or item.

    The object is the first name of the expression, or "" if it begins with a call.
    """
    # A counter adds to its value, so no call of it finds the result of an earlier one.
    counters = {id(node.target) for node in nodes if isinstance(node, ast.AugAssign)}
    for node in nodes:
        target: ast.AST | None = None
        if isinstance(node, (ast.Attribute, ast.Subscript)) and isinstance(node.ctx, ast.Store):
            target = None if id(node) in counters else node
        elif isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
            target = node.func.value if node.func.attr in _ADDING else None
            if isinstance(target, (ast.Call, ast.Constant, ast.JoinedStr)):
                target = None  # A new object, in most cases.
        elif isinstance(node, ast.Call) and mentioned_name(node.func) == "setattr" and node.args:
            target = ast.Attribute(node.args[0], "", ast.Store())
        if target is not None:
            yield _root(target)


def _root(node: ast.AST) -> tuple[str, str]:
    """Return the first name of an expression such as ``a.b[c]``, and its first attribute."""
    attribute = ""
    while isinstance(node, (ast.Attribute, ast.Subscript)):
        if isinstance(node, ast.Attribute):
            if node.attr in {"__class__", "__dict__"}:
                return "", ""
            attribute = node.attr
        node = node.value
    return (node.id if isinstance(node, ast.Name) else ""), attribute


def _tested(nodes: Sequence[ast.AST]) -> set[str]:
    """Return the names and the attributes of ``self`` that decide which branch of a function runs.

    A name that is assigned to a tested name is tested, too. So is a string, as in
    ``hasattr(self, "name")``.
    """
    parts: list[ast.AST] = []
    for node in nodes:
        if isinstance(node, _BRANCHES):
            parts += [*filter(None, [getattr(node, "test", None)]), *getattr(node, "values", ())]
            parts += node.body if isinstance(node, ast.Try) and node.handlers else []
    found = _mentions(parts)
    values = [
        node.value for node in nodes if isinstance(node, ast.Assign) and _targets(node, found)
    ]
    return found | _mentions(values)


def _targets(node: ast.Assign, names: set[str]) -> bool:
    """Return True if an assignment sets one of some names."""
    return any(isinstance(one, ast.Name) and one.id in names for one in node.targets)


def _mentions(parts: Sequence[ast.AST]) -> set[str]:
    """Return the names, the attributes of ``self`` and the strings in parts of a syntax tree."""
    found: set[str] = set()
    for node in (one for part in parts for one in ast.walk(part)):
        if isinstance(node, ast.Name):
            found.add(node.id)
        elif isinstance(node, ast.Attribute) and mentioned_name(node.value) == "self":
            found.add(f"self.{node.attr}")
        elif isinstance(node, ast.Constant) and isinstance(node.value, str):
            found.add(f"self.{node.value}")
    return found
