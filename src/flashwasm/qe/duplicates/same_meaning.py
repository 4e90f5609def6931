"""The names and values in a test, to distinguish equivalent tests from similar-looking ones.

Idioms such as arrange, act and assert make the texts of different tests similar. Tests of one
function often run the same lines with different values.
"""

from __future__ import annotations

import ast
from typing import NamedTuple

from flashwasm.qe.suites.expressions import value_text
from flashwasm.qe.suites.fingerprints import parsed_without_docstrings
from flashwasm.qe.suites.syntax_trees import DEFINITION_NODES

__all__ = ["Meaning", "meaning_of"]


class Meaning(NamedTuple):
    """The names and the values of a test.

    Parameters
    ----------
    names : frozenset of str
        Functions, classes, attributes, keywords and fixtures that it uses, without local variables.
    values : frozenset of str
        Constants in it.
    """

    names: frozenset[str]
    values: frozenset[str]

    def agrees(self, other: Meaning) -> bool:
        """Return True if both use the same names, and the values of one include the other's."""
        return self.names == other.names and (
            self.values <= other.values or other.values <= self.values
        )


def meaning_of(source: str) -> Meaning:
    """Return the names and values of a test's source; none if it cannot be parsed."""
    tree = parsed_without_docstrings(source)
    if tree is None:
        return Meaning(frozenset(), frozenset())
    names: set[str] = set()
    own: set[str] = {"self", "cls"}
    values: set[str] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Name):
            (names if isinstance(node.ctx, ast.Load) else own).add(node.id)
        elif isinstance(node, ast.Attribute):
            names.add(f".{node.attr}")
        elif isinstance(node, ast.keyword) and node.arg:
            names.add(f"{node.arg}=")
        elif isinstance(node, ast.arg):
            names.add(node.arg)
        elif isinstance(node, DEFINITION_NODES):
            own.add(node.name)
        elif isinstance(node, ast.Constant):
            values.add(value_text(node.value))
    return Meaning(frozenset(names - own), frozenset(values))
