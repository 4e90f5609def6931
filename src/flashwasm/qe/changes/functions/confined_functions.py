"""Functions inside other functions whose variables end with the call of the outer function."""

from __future__ import annotations

import ast
from collections.abc import Iterator

from flashwasm.qe.changes.functions.local_names import declared_names
from flashwasm.qe.suites.syntax_trees import FUNCTION_NODES, nodes_outside

__all__ = ["confined_functions"]

# Nodes whose inside runs in another call, or later.
_INSIDE = (*FUNCTION_NODES, ast.Lambda, ast.GeneratorExp)
# Names of functions that reach variables without naming them.
_REFLECTION = {"_getframe", "currentframe", "eval", "exec", "locals", "stack", "vars"}


def confined_functions(tree: ast.Module) -> set[ast.AST]:
    """Return the functions whose ``nonlocal`` variables no later call of anything can see.

    The outer function creates these variables anew in each of its calls. Only the outer and the
    inner function themselves mention them. The outer function only calls the inner one, by its
    name, and gives it to nobody. Neither is a generator, which might wait for another test.

    Parameters
    ----------
    tree : ast.Module
        Syntax tree of a file.
    """
    outers = (node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef))
    return {inner for outer in outers for inner in _inside(outer)}


def _inside(outer: ast.FunctionDef) -> Iterator[ast.FunctionDef]:
    """Yield the confined functions directly inside a function."""
    own = [*_at_once(outer)]
    inners = [node for node in own if isinstance(node, ast.FunctionDef) and not node.decorator_list]
    # Most functions have none, and the rest takes long.
    if not inners:
        return
    everything = [*ast.walk(outer)]
    # The name of a method is no name of the outer function.
    unclear = _waits(own) or any(isinstance(node, ast.ClassDef) for node in everything)
    if unclear or not _REFLECTION.isdisjoint(map(_name, everything)):
        return
    created = _stored(own) | {one.arg for one in ast.walk(outer.args) if isinstance(one, ast.arg)}
    created -= declared_names(own)
    for inner in inners:
        body = [*_at_once(inner)]
        kept = declared_names(body)
        called = {id(node.func) for node in own + body if isinstance(node, ast.Call)}
        visible = {id(node) for node in own + body}
        mentions = [node for node in everything if isinstance(node, ast.Name)]
        if (
            not _waits(body)
            and kept <= created
            and inner.name not in declared_names(everything) | _stored(everything)
            and all(id(node) in called for node in mentions if node.id == inner.name)
            and all(id(node) in visible for node in mentions if node.id in kept)
        ):
            yield inner


def _at_once(function: ast.FunctionDef) -> Iterator[ast.AST]:
    """Yield the nodes that run in a call of a function, without those of functions inside it."""
    return nodes_outside(_INSIDE, function.body)


def _waits(nodes: list[ast.AST]) -> bool:
    """Return True if a function with these nodes may stop and continue later."""
    return any(isinstance(node, (ast.Yield, ast.YieldFrom, ast.Await)) for node in nodes)


def _name(node: ast.AST) -> str:
    """Return the name of a variable or an attribute; "" for another node."""
    return getattr(node, "id", "") or getattr(node, "attr", "")


def _stored(nodes: list[ast.AST]) -> set[str]:
    """Return the variables that nodes set."""
    return {n.id for n in nodes if isinstance(n, ast.Name) and not isinstance(n.ctx, ast.Load)}
