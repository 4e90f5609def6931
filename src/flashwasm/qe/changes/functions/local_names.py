"""Names in a function that cannot be those of its module."""

from __future__ import annotations

import ast
from collections.abc import Iterable
from dataclasses import dataclass

from flashwasm.qe.suites.syntax_trees import DEFINITION_NODES, FunctionNode, nodes_outside

__all__ = ["LocalNames", "declared_names", "local_names"]

# Nodes with variables of their own.
_SCOPES = (
    *(*DEFINITION_NODES, ast.Lambda),
    *(ast.ListComp, ast.SetComp, ast.DictComp, ast.GeneratorExp),
)


@dataclass(frozen=True)
class LocalNames:
    """The names that a function binds.

    Parameters
    ----------
    variables : set of str
        Variables and parameters. Their values come from expressions of the function or its callers.
    required : set of str
        Those parameters that have no default. pytest may pass a fixture of this name.
    others : set of str
        Names that the function imports, or declares as global or as those of an outer function.
    """

    variables: set[str]
    required: set[str]
    others: set[str]


def declared_names(nodes: Iterable[ast.AST]) -> set[str]:
    """Return the names that nodes declare as variables of an outer function or of the module."""
    statements = (node for node in nodes if isinstance(node, (ast.Global, ast.Nonlocal)))
    return {name for statement in statements for name in statement.names}


def local_names(function: FunctionNode) -> LocalNames:
    """Return the names that a function binds, without those of functions inside it."""
    nodes = [*nodes_outside(_SCOPES, function.body)]
    bound: set[str] = set()
    others = declared_names(nodes)
    for node in nodes:
        if isinstance(node, (ast.Import, ast.ImportFrom)):
            others |= {(one.asname or one.name).partition(".")[0] for one in node.names}
        elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            bound.add(node.id)
    given = function.args
    plain = [*given.posonlyargs, *given.args]
    required = plain[: len(plain) - len(given.defaults)]
    pairs = zip(given.kwonlyargs, given.kw_defaults, strict=True)
    required += [one for one, default in pairs if default is None]
    rest = [one for one in (given.vararg, given.kwarg) if one is not None]
    parameters = {one.arg for one in (*plain, *given.kwonlyargs, *rest)}
    return LocalNames((bound | parameters) - others, {one.arg for one in required}, others)
