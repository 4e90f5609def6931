"""The body of a function: its nodes, calls, conditions, results and stores."""

from __future__ import annotations

import ast
from functools import cached_property

from flashwasm.qe.changes.functions.conditions import assigned_places, conditions
from flashwasm.qe.changes.functions.places import mentioned_places
from flashwasm.qe.changes.functions.stored_places import (
    Store,
    fresh_names,
    global_names,
    stored_places,
)
from flashwasm.qe.suites.syntax_trees import (
    FUNCTION_NODES,
    FunctionNode,
    mentioned_name,
    nodes_outside,
)

__all__ = ["FunctionBody"]

_CONSTRUCTORS = {"__init__", "__post_init__", "__setstate__"}


class FunctionBody:
    """The body of a function, without the bodies of functions inside it.

    Parameters
    ----------
    function : ast.FunctionDef or ast.AsyncFunctionDef
        The function.
    """

    def __init__(self, function: FunctionNode) -> None:
        self.function = function

    @cached_property
    def nodes(self) -> list[ast.AST]:
        """The nodes of the body."""
        return [*nodes_outside((*FUNCTION_NODES, ast.Lambda), self.function.body)]

    @cached_property
    def stores(self) -> list[Store]:
        """The stores into objects that may outlive the call."""
        stores = stored_places(self.function, self.nodes)
        if self.function.name in _CONSTRUCTORS:  # Each call fills a new object.
            return [one for one in stores if one.root != "self"]
        return [*stores]

    @cached_property
    def fresh(self) -> set[str]:
        """The names that each call binds anew: no parameter with a mutable default is one."""
        return fresh_names(self.function, self.nodes)

    @cached_property
    def fills(self) -> set[str]:
        """The places that a call fills, by names that mean the same in its callers."""
        return {one.place for one in self.stores} - self.fresh | global_names(self.nodes)

    @cached_property
    def called(self) -> set[str]:
        """The names of the functions and methods that are called."""
        return {mentioned_name(node.func) for node in self.nodes if isinstance(node, ast.Call)}

    @cached_property
    def assigned(self) -> list[tuple[set[str], set[str]]]:
        """The variables of each assignment, and the places in the expression of their value."""
        return [*assigned_places(self.nodes)]

    @cached_property
    def deciding(self) -> set[str]:
        """The places in conditions."""
        return mentioned_places(part for node in self.nodes for part in conditions(node))

    @cached_property
    def results(self) -> set[str]:
        """The places on which the result or an error depends."""
        ends = (ast.Return, ast.Yield, ast.YieldFrom, ast.Raise)
        found = mentioned_places(node for node in self.nodes if isinstance(node, ends))
        return found.union(self.deciding, *(value for _, value in self.assigned))
