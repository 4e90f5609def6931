"""Evaluation of conditions on Python's version and platform, without running a file."""

from __future__ import annotations

import ast
import operator
import os
import platform
import sys
from collections.abc import Callable
from typing import Any

from flashwasm.qe.suites.expressions import source_of

__all__ = ["truth"]

# Values of the interpreter that runs this program. The suite is assumed to run on the same.
_KNOWN: dict[str, Any] = {
    "TYPE_CHECKING": False,
    "typing.TYPE_CHECKING": False,
    "t.TYPE_CHECKING": False,
    "sys.version_info": tuple(sys.version_info),
    "sys.version_info.major": sys.version_info.major,
    "sys.version_info[0]": sys.version_info.major,
    "sys.version_info[:2]": tuple(sys.version_info[:2]),
    "sys.platform": sys.platform,
    "os.name": os.name,
    "platform.system()": platform.system(),
}
_COMPARE: dict[type[ast.cmpop], Callable[[Any, Any], Any]] = {
    ast.Eq: operator.eq,
    ast.NotEq: operator.ne,
    ast.Lt: operator.lt,
    ast.LtE: operator.le,
    ast.Gt: operator.gt,
    ast.GtE: operator.ge,
}


def truth(condition: ast.expr) -> bool | None:
    """Return the truth of a condition; None if it is known only at run time.

    Examples
    --------
    >>> truth(ast.parse("sys.version_info >= (3, 8)", mode="eval").body)
    True
    >>> truth(ast.parse("has_torch", mode="eval").body) is None
    True
    """
    if isinstance(condition, ast.UnaryOp) and isinstance(condition.op, ast.Not):
        inner = truth(condition.operand)
        return None if inner is None else not inner
    if isinstance(condition, ast.BoolOp):
        return _joined(condition)
    if isinstance(condition, ast.Compare):
        return _compared(condition)
    if isinstance(condition, ast.Call) and source_of(condition.func) == "sys.platform.startswith":
        start = _known(condition.args[0]) if condition.args else None
        return sys.platform.startswith(start) if isinstance(start, str) else None
    value = _known(condition)
    return None if value is None else bool(value)


def _joined(condition: ast.BoolOp) -> bool | None:
    """Return the truth of conditions joined by ``and`` or ``or``; None if unknown."""
    parts = [truth(part) for part in condition.values]
    decisive = isinstance(condition.op, ast.Or)
    if decisive in parts:
        return decisive
    return None if None in parts else not decisive


def _compared(condition: ast.Compare) -> bool | None:
    """Return the truth of a comparison; None if unknown."""
    if source_of(condition.left) == "__name__":
        # pytest imports test files, so __name__ is never "__main__".
        return isinstance(condition.ops[0], ast.NotEq)
    compare = _COMPARE.get(type(condition.ops[0]))
    left, right = _known(condition.left), _known(condition.comparators[0])
    if compare is None or None in (left, right) or len(condition.ops) > 1:
        return None
    try:
        return bool(compare(left, right))
    except TypeError:
        return None


def _known(node: ast.expr) -> object | None:
    """Return the value of an expression; None if unknown."""
    try:
        return ast.literal_eval(node)  # type: ignore[no-any-return]
    except (ValueError, TypeError, RecursionError):
        return _KNOWN.get(source_of(node))
