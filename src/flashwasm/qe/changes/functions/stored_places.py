"""Places that a function fills and that may outlive its call."""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from flashwasm.qe.changes.functions.local_names import declared_names
from flashwasm.qe.changes.functions.places import calls_code, mentioned_places, place_of, root_of
from flashwasm.qe.suites.syntax_trees import FunctionNode, mentioned_name

__all__ = ["Store", "fresh_names", "global_names", "stored_places"]

# Methods that store in their object.
_STORING = {
    *("add", "append", "appendleft", "extend", "extendleft", "insert", "push", "put"),
    *("put_nowait", "register", "remember", "set", "setdefault", "store", "update"),
}
# Methods that write to a file.
_WRITING = {"dump", "mkdir", "save", "touch", "write_bytes", "write_text"}
_SETTERS = {"__delattr__", "__setattr__", "delattr", "setattr"}
_MUTABLE = (ast.Dict, ast.List, ast.Set, ast.Call)
# Expressions whose value is a new object, or one that never changes.
_NEW = (
    *(ast.BinOp, ast.Compare, ast.Constant, ast.Dict, ast.DictComp, ast.GeneratorExp),
    *(ast.JoinedStr, ast.List, ast.ListComp, ast.Set, ast.SetComp, ast.Tuple, ast.UnaryOp),
)
# Functions, beside classes, that return a new object.
_MAKERS = {
    *("__new__", "bytearray", "cls", "copy", "deepcopy", "defaultdict", "deque", "dict"),
    *("frozenset", "list", "object", "replace", "set", "sorted", "tuple"),
}


class Store(NamedTuple):
    """A store into an object that may outlive the call.

    Parameters
    ----------
    root : str
        First name of the expression, or "" if it does not begin with a name.
    place : str
        The place that is filled; "" if its name is not known.
    """

    root: str
    place: str


def stored_places(function: FunctionNode, nodes: Sequence[ast.AST]) -> Iterator[Store]:
    """Yield the stores of a function with some nodes, but those into objects that it created."""
    new = _new_objects(function, nodes)
    counters = {
        id(node.target)
        for node in nodes
        # No call of a counter finds the result of an earlier one.
        if isinstance(node, ast.AugAssign) and not calls_code([node.value])
    }
    for node in nodes:
        if isinstance(node, ast.Call):
            yield from _stores_of_call(node, new)
        elif isinstance(node, (ast.Attribute, ast.Subscript)) and not (
            isinstance(node.ctx, ast.Load) or id(node) in counters
        ):
            yield from _outliving(node, new)


def global_names(nodes: Sequence[ast.AST]) -> set[str]:
    """Return the variables of the module that nodes of a function set."""
    declared = {name for node in nodes if isinstance(node, ast.Global) for name in node.names}
    return declared & _stored_names(nodes)


def fresh_names(function: FunctionNode, nodes: Sequence[ast.AST]) -> set[str]:
    """Return the names that each call binds anew: no parameter with a mutable default is one."""
    names = _stored_names(nodes)
    names |= {node.name for node in nodes if isinstance(node, ast.ExceptHandler) and node.name}
    names -= declared_names(nodes)
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


def _stored_names(nodes: Sequence[ast.AST]) -> set[str]:
    """Return the variables that nodes set."""
    names = (node for node in nodes if isinstance(node, ast.Name))
    return {node.id for node in names if isinstance(node.ctx, ast.Store)}


def _outliving(node: ast.Attribute | ast.Subscript, new: set[str]) -> Iterator[Store]:
    """Yield the store into an attribute or an item, unless it belongs to a new object."""
    root = root_of(node)
    # Such as the replacement of sys.stdout, which is undone.
    replaced = isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name)
    if root in new or (replaced and root in sys.stdlib_module_names):
        return
    yield Store(root, place_of(node))
    key = node.slice if isinstance(node, ast.Subscript) else None
    if isinstance(key, ast.Constant) and isinstance(key.value, str):
        yield Store(root, f".{key.value}")  # As in vars(self)["name"].


def _stores_of_call(node: ast.Call, new: set[str]) -> Iterator[Store]:
    """Yield the stores of a call."""
    name, parts = mentioned_name(node.func), [*node.args]
    receiver = node.func.value if isinstance(node.func, ast.Attribute) else None
    if name in _SETTERS and len(parts) > 1:
        named = [one for one in parts[:2] if isinstance(one, ast.Constant)]
        places = mentioned_places(named) or {place_of(parts[0])}
        yield from (Store(root_of(parts[0]), place) for place in places)
    elif name in _WRITING or (name == "open" and _opens_to_write(node)):
        parts += [receiver] if receiver is not None else []
        yield from (Store(place, place) for place in mentioned_places(parts))
    elif receiver is not None and name in _STORING:
        # A call or a literal, which has no place, is a new object in most cases.
        stores = [Store(root_of(receiver), place_of(receiver))]
        yield from (one for one in stores if one.place and one.root not in new)


def _opens_to_write(node: ast.Call) -> bool:
    """Return True if a call of ``open`` has a mode that writes, or one that is not known."""
    modes = [one.value for one in node.keywords if one.arg == "mode"]
    # The mode is the second argument of the function, and the first of a path's method.
    modes += node.args[int(isinstance(node.func, ast.Name)) :][:1]
    values = [one.value if isinstance(one, ast.Constant) else "w" for one in modes]
    return any(isinstance(value, str) and set("awx+") & set(value) for value in values)


def _new_objects(function: FunctionNode, nodes: Sequence[ast.AST]) -> set[str]:
    """Return the local variables that only refer to objects which the function created."""
    made: dict[str, bool] = {}
    seen = {id(node.target) for node in nodes if isinstance(node, ast.AugAssign)}
    for node in nodes:
        if isinstance(node, (ast.Assign, ast.AnnAssign, ast.NamedExpr)):
            targets = node.targets if isinstance(node, ast.Assign) else [node.target]
            for target in targets:
                seen.add(id(target))
                if isinstance(target, ast.Name) and node.value is not None:
                    made[target.id] = made.get(target.id, True) and _is_new(node.value)
    others = _stored_names([node for node in nodes if id(node) not in seen])
    given = function.args
    others |= {one.arg for one in (*given.posonlyargs, *given.args, *given.kwonlyargs)}
    # Each call gets a new tuple of further arguments, and a new dictionary of those by name.
    made |= {one.arg: True for one in (given.vararg, given.kwarg) if one and one.arg not in made}
    return {name for name, new in made.items() if new} - others


def _is_new(value: ast.expr) -> bool:
    """Return True if the value of an expression is a new object, in most cases."""
    if isinstance(value, ast.IfExp):
        return _is_new(value.body) and _is_new(value.orelse)
    if isinstance(value, ast.BoolOp):
        return all(map(_is_new, value.values))
    if isinstance(value, ast.Call):
        name = mentioned_name(value.func)
        return name in _MAKERS or name.lstrip("_")[:1].isupper()
    return isinstance(value, _NEW)
