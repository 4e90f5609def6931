"""Parametrisation: one test in the place of several that differ in literals only."""

from __future__ import annotations

import ast
import keyword
from collections.abc import Sequence
from typing import TYPE_CHECKING

from flashwasm.qe.duplicates.literal_marking import FunctionNode, mark_literals

if TYPE_CHECKING:
    from flashwasm.qe.duplicates.function_body import FunctionBody

__all__ = ["parametrized"]


def parametrized(bodies: Sequence[FunctionBody]) -> str | None:
    """Return the source of a parametrised test with a case for each of several tests.

    Parameters
    ----------
    bodies : sequence of FunctionBody
        Bodies of tests with the same shape.

    Returns
    -------
    str or None
        Source, or None for methods of a unittest class, which pytest cannot parametrise.
    """
    if bodies[0].is_unittest:
        return None
    columns = list(zip(*(body.literals for body in bodies), strict=True))
    differing = [i for i, values in enumerate(columns) if len(set(values)) > 1]
    taken = {n.id for n in ast.walk(bodies[0].node) if isinstance(n, ast.Name)}
    taken |= {argument.arg for argument in bodies[0].node.args.args}
    # Two places whose literals are equal in every test share one parameter.
    parameters: dict[tuple[str, ...], str] = {}
    names = _keywords(bodies[0].node)
    for i in differing:
        if columns[i] not in parameters:
            parameters[columns[i]] = _fresh(names.get(i, "value"), taken)
    marks: list[ast.expr] = []
    for i, values in enumerate(columns):
        literal = ast.parse(values[0], mode="eval").body
        marks.append(ast.Name(parameters[values], ast.Load()) if i in differing else literal)
    node, _ = mark_literals(bodies[0].node, marks)
    node.name = _common_name([body.node.name for body in bodies])
    node.args.args = [*node.args.args, *(ast.arg(name) for name in parameters.values())]
    decorator = _decorator(list(parameters), list(parameters.values()), bodies)
    node.decorator_list = [decorator, *node.decorator_list]
    return ast.unparse(ast.fix_missing_locations(node))


def _decorator(
    columns: list[tuple[str, ...]], names: list[str], bodies: Sequence[FunctionBody]
) -> ast.expr:
    """Return ``pytest.mark.parametrize``, with the values in ``columns`` by parameter."""
    rows = [
        f"pytest.param({', '.join(values)}, id={body.node.name!r})"
        for values, body in zip(zip(*columns, strict=True), bodies, strict=True)
    ]
    source = f"pytest.mark.parametrize({', '.join(names)!r}, [{', '.join(rows)}])"
    return ast.parse(source, mode="eval").body


def _keywords(node: FunctionNode) -> dict[int, str]:
    """Return the keywords of literals by position, such as ``factor`` in ``f(factor=1)``."""
    markers = {}
    _, literals = mark_literals(node)
    marks: list[ast.expr] = [ast.Name(f"_literal_{i}", ast.Load()) for i in range(len(literals))]
    marked, _ = mark_literals(node, marks)
    for child in ast.walk(marked):
        if isinstance(child, ast.keyword) and child.arg and isinstance(child.value, ast.Name):
            position = child.value.id.removeprefix("_literal_")
            if position.isdigit():
                markers[int(position)] = child.arg
    return markers


def _fresh(name: str, taken: set[str]) -> str:
    """Return a name that is not taken, with a number if need be, and add it to ``taken``."""
    candidate, number = name, 1
    while candidate in taken or keyword.iskeyword(candidate):
        number += 1
        candidate = f"{name}_{number}"
    taken.add(candidate)
    return candidate


def _common_name(names: Sequence[str]) -> str:
    """Return the words that all names begin with; the first name if these are no test's name."""
    words = [name.split("_") for name in names]
    shared = []
    for column in zip(*words, strict=False):
        if len(set(column)) > 1:
            break
        shared.append(column[0])
    name = "_".join(shared)
    return name if name.startswith("test") and name != "test" else names[0]
