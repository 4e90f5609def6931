"""Surroundings of a node of a syntax tree: its parents, and the functions that run it."""

from __future__ import annotations

import ast
from collections.abc import Collection, Iterator
from functools import cached_property

from flashwasm.qe.changes.functions.local_names import LocalNames, local_names
from flashwasm.qe.suites.syntax_trees import (
    DEFINITION_NODES,
    FUNCTION_NODES,
    FunctionNode,
    mentioned_name,
)

__all__ = ["Surroundings"]


class Surroundings:
    """Surroundings of each node of a syntax tree.

    Parameters
    ----------
    nodes : collection of ast.AST
        All nodes of the tree.
    of_tests : bool
        True for a file of tests, whose parameters may be fixtures.
    """

    def __init__(self, nodes: Collection[ast.AST], *, of_tests: bool) -> None:
        self._nodes = nodes
        self._of_tests = of_tests
        self._locals: dict[FunctionNode, LocalNames] = {}

    def parent(self, node: ast.AST) -> ast.AST:
        """Return the node directly around a node."""
        return self._parents[node]

    def ancestors(self, node: ast.AST) -> Iterator[ast.AST]:
        """Yield the nodes around a node, the innermost first, without the module."""
        while (node := self._parents.get(node, node)) in self._parents:
            yield node

    def functions(self, node: ast.AST) -> Iterator[FunctionNode]:
        """Yield the functions with a node in their body or as a parameter, the innermost first."""
        child = node
        for one in self.ancestors(node):
            if isinstance(one, FUNCTION_NODES):
                is_parameter = child is one.args and isinstance(node, ast.arg)
                if is_parameter or any(child is statement for statement in one.body):
                    yield one
            child = one

    def is_outermost(self, function: FunctionNode) -> bool:
        """Return True for a function that is in no other one and in no class."""
        return not any(isinstance(one, DEFINITION_NODES) for one in self.ancestors(function))

    def is_local(self, node: ast.AST) -> bool:
        """Return True for a variable that a function sets, or a parameter that its callers set.

        A parameter of a test or a fixture does not count if it may come from a fixture.
        """
        if isinstance(node, ast.Attribute):
            return False
        name = mentioned_name(node)
        for function in self.functions(node):
            if function not in self._locals:
                self._locals[function] = local_names(function)
            names = self._locals[function]
            if name in names.others or (self._of_tests and name in names.required):
                return False
            if name in names.variables:
                return True
        return False

    @cached_property
    def _parents(self) -> dict[ast.AST, ast.AST]:
        """The node directly around each node. Most files need none, and it takes long."""
        return {child: node for node in self._nodes for child in ast.iter_child_nodes(node)}
