"""The number of cases that ``pytest.mark.parametrize`` gives a test, read from its source."""

from __future__ import annotations

import ast
from collections.abc import Iterator, Sequence
from pathlib import Path

from flashwasm.qe.suites.expressions import source_of
from flashwasm.qe.suites.syntax_trees import DEFINITION_NODES, parse_file

__all__ = ["literal_cases"]

_Sequence = (ast.List, ast.Tuple, ast.Set)


def literal_cases(path: Path) -> dict[str, int | None]:
    """Return the number of cases of each parametrised test of a file, by its name in the file.

    The values may be a list in the source, the name of a list of the module, or a range of numbers.
    Marks of the class and of the module multiply those of the function.

    Parameters
    ----------
    path : pathlib.Path
        Path of the file. Nothing in it is executed.

    Returns
    -------
    dict of str to (int or None)
        None if the values are not literals. Tests with one case are left out. A file that cannot be
        read has no tests.
    """
    tree = parse_file(path)
    if tree is None:
        return {}
    lists = {
        target.id: node.value
        for node in tree.body
        if isinstance(node, ast.Assign)
        for target in node.targets
        if isinstance(target, ast.Name)
    }
    found = _cases(tree.body, "", _product(_marks(tree.body), lists), lists)
    return {name: count for name, count in found if count != 1}


def _cases(
    body: Sequence[ast.stmt], prefix: str, outer: int | None, lists: dict[str, ast.expr]
) -> Iterator[tuple[str, int | None]]:
    """Yield the qualified name of each function, and its number of cases."""
    for node in body:
        if not isinstance(node, DEFINITION_NODES):
            continue
        own = list(node.decorator_list)
        if isinstance(node, ast.ClassDef):
            own += _marks(node.body)
        count = _product(own, lists)
        total = None if outer is None or count is None else outer * count
        if isinstance(node, ast.ClassDef):
            yield from _cases(node.body, f"{prefix}{node.name}::", total, lists)
        else:
            yield f"{prefix}{node.name}", total


def _marks(body: Sequence[ast.stmt]) -> list[ast.expr]:
    """Return the marks that ``pytestmark`` gives all tests of a module or a class."""
    for node in body:
        if isinstance(node, ast.Assign) and any(
            isinstance(target, ast.Name) and target.id == "pytestmark" for target in node.targets
        ):
            return node.value.elts if isinstance(node.value, _Sequence) else [node.value]
    return []


def _product(marks: Sequence[ast.expr], lists: dict[str, ast.expr]) -> int | None:
    """Return the number of cases that marks give together; None if one is not known."""
    product = 1
    for mark in marks:
        if isinstance(mark, ast.Call) and source_of(mark.func).endswith("parametrize"):
            count = _length(_values(mark), lists)
            if count is None:
                return None
            # pytest makes one skipped case of an empty list.
            product *= max(count, 1)
    return product


def _values(mark: ast.Call) -> ast.expr | None:
    """Return the second argument of ``parametrize``."""
    if len(mark.args) > 1:
        return mark.args[1]
    return next((word.value for word in mark.keywords if word.arg == "argvalues"), None)


def _length(values: ast.expr | None, lists: dict[str, ast.expr]) -> int | None:
    """Return the number of values in an expression; None if they are not literals."""
    if isinstance(values, ast.Name):
        values = lists.get(values.id)
    if isinstance(values, _Sequence):
        return None if any(isinstance(v, ast.Starred) for v in values.elts) else len(values.elts)
    if isinstance(values, ast.Dict):
        return None if None in values.keys else len(values.keys)
    if isinstance(values, ast.Constant) and isinstance(values.value, str):
        return len(values.value)
    if (
        isinstance(values, ast.Call)
        and isinstance(values.func, ast.Name)
        and values.func.id == "range"
    ):
        try:
            return len(range(*(ast.literal_eval(argument) for argument in values.args)))
        except (TypeError, ValueError):
            return None
    return None
