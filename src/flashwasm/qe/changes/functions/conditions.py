"""Conditions in functions, and the lines that only some calls run because of them."""

from __future__ import annotations

import ast
from collections.abc import Callable, Iterable, Iterator, Sequence

from flashwasm.qe.changes.functions.places import calls_code, mentioned_places
from flashwasm.qe.suites.syntax_trees import (
    TRY_NODES,
    inner_statements,
    mentioned_name,
    nodes_outside,
)

__all__ = ["assigned_places", "conditional_lines", "conditions", "hidden_branches"]

_COMPREHENSIONS = (ast.ListComp, ast.SetComp, ast.DictComp, ast.GeneratorExp)
_EXITS = (ast.Return, ast.Raise, ast.Continue, ast.Break, ast.Assert)
_INSIDE = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef, ast.Lambda)

Decides = Callable[[Iterable[ast.AST]], bool]


def conditions(node: ast.AST) -> Iterator[ast.AST]:
    """Yield the expressions of a node that decide which other nodes run."""
    if isinstance(node, (ast.If, ast.IfExp, ast.While, ast.Assert)):
        yield node.test
    elif isinstance(node, ast.BoolOp):
        yield from node.values
    elif isinstance(node, ast.Match):
        yield node.subject
        for case in node.cases:
            yield from [case.pattern, *([case.guard] if case.guard is not None else [])]
    elif isinstance(node, ast.For | ast.AsyncFor):
        yield node.iter
    elif isinstance(node, _COMPREHENSIONS):
        yield from (part for one in node.generators for part in (one.iter, *one.ifs))
    elif isinstance(node, ast.With | ast.AsyncWith):
        yield from node.body if any(map(_suppresses, node.items)) else ()
    elif isinstance(node, TRY_NODES):
        yield from getattr(node, "body", []) if getattr(node, "handlers", []) else ()


def assigned_places(nodes: Iterable[ast.AST]) -> Iterator[tuple[set[str], set[str]]]:
    """Yield the variables that nodes assign to, and the places in the expression of their value."""
    for node in nodes:
        if isinstance(node, ast.Assign):
            targets, value = node.targets, node.value
        elif isinstance(node, (ast.AnnAssign, ast.AugAssign, ast.NamedExpr)) and node.value:
            targets, value = [node.target], node.value
        elif isinstance(node, ast.For | ast.AsyncFor | ast.comprehension):
            targets, value = [node.target], node.iter
        elif isinstance(node, ast.withitem) and node.optional_vars:
            targets, value = [node.optional_vars], node.context_expr
        else:
            continue
        names = (one for target in targets for one in ast.walk(target))
        yield {one.id for one in names if isinstance(one, ast.Name)}, mentioned_places([value])


def conditional_lines(body: Sequence[ast.AST], decides: Decides) -> Iterator[int]:
    """Yield the lines that some calls of a function do not run because of some conditions.

    They are inside a statement with such a condition, or after one that may end the function, a
    loop or the statements around it.

    Parameters
    ----------
    body : sequence of ast.AST
        Statements of the function.
    decides : callable
        Function that returns True for the conditions that count.
    """
    for at, statement in enumerate(body):
        if isinstance(statement, _INSIDE):
            continue
        inner = [*inner_statements(statement)]
        ends = [one for one in nodes_outside(_INSIDE, [statement]) if isinstance(one, _EXITS)]
        if decides(conditions(statement)):
            yield from (line for one in inner for line in _lines(one))
            yield from (line for one in body[at:] for line in _lines(one) if ends)
        else:
            yield from conditional_lines(inner, decides)
            # A condition inside may end this statement early, and also what is around it.
            nodes = nodes_outside(_INSIDE, inner) if ends else ()
            if any(decides(conditions(node)) for node in nodes):
                yield from (line for one in body[at + 1 :] for line in _lines(one))


def hidden_branches(nodes: Iterable[ast.AST], decides: Decides) -> Iterator[int]:
    """Yield the lines on which some conditions decide if another function is called."""
    for node in nodes:
        if isinstance(node, ast.BoolOp):
            parts: list[ast.AST] = [*node.values[1:]]
        elif isinstance(node, ast.IfExp):
            parts = [node.body, node.orelse]
        elif isinstance(node, _COMPREHENSIONS):
            parts = [*ast.iter_child_nodes(node)]
        elif isinstance(node, ast.stmt):
            inner = (one for one in inner_statements(node) if isinstance(one, ast.stmt))
            parts = [one for one in inner if one.lineno == node.lineno]
        else:
            continue
        if calls_code(parts) and decides(conditions(node)):
            yield from _lines(node)


def _lines(node: ast.AST) -> range:
    """Return the lines of a statement, a handler of errors or the case of a match."""
    if isinstance(node, ast.match_case):
        return range(node.body[0].lineno, _lines(node.body[-1]).stop)
    first = getattr(node, "lineno", 0)
    return range(first, (getattr(node, "end_lineno", first) or first) + 1)


def _suppresses(item: ast.withitem) -> bool:
    """Return True if a context manager may suppress errors."""
    return any("suppress" in mentioned_name(node) for node in ast.walk(item.context_expr))
