"""Outline of a Python file: the names that it binds, as far as they matter to pytest's collection.

Each name in a module or a class has a binding of one of the kinds in this file. `outline_parser`
reads the bindings from the syntax tree.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, NamedTuple

__all__ = [
    "BINDING_RANK",
    "Alias",
    "Binding",
    "CallResult",
    "ClassName",
    "ClassOutline",
    "FunctionSpan",
    "ImportedName",
    "ModuleOutline",
    "Unfollowed",
    "Value",
]


class FunctionSpan(NamedTuple):
    """A function: its name, the line of its ``def``, and its first and last line.

    Lines count from 1. The first line is that of the first decorator, if there is one.
    """

    name: str
    line: int
    first: int
    last: int


class ClassName(NamedTuple):
    """A class of the same file, by its qualified name: ``A.B`` for a class B inside a class A."""

    qualified: str


class ImportedName(NamedTuple):
    """A name that an import binds.

    The module begins with dots if the import is relative. The attribute is the name inside the
    module, or empty if the name is the module itself.
    """

    module: str
    attribute: str


class Alias(NamedTuple):
    """An alias of a dotted name, as in ``test_b = test_a``."""

    target: str
    line: int


class CallResult(NamedTuple):
    """The result of a call: the dotted name of the function, and those among its arguments."""

    line: int
    called: str
    arguments: list[str]


class Unfollowed(NamedTuple):
    """A part that only running the file would resolve, with the line and the reason."""

    line: int
    reason: str


class Value(NamedTuple):
    """A value that is not a test, such as a constant or a fixture. It hides an inherited test."""


Binding = FunctionSpan | ClassName | ImportedName | Alias | CallResult | Unfollowed | Value

# If a condition decides between two bindings, the outline keeps the one that may be a test.
BINDING_RANK: dict[type[Binding], int] = {
    FunctionSpan: 3,
    ClassName: 3,
    ImportedName: 2,
    Alias: 2,
    CallResult: 1,
    Unfollowed: 1,
    Value: 0,
}

_KINDS: dict[str, type[Binding]] = {
    kind.__name__: kind
    for kind in (FunctionSpan, ClassName, ImportedName, Alias, CallResult, Unfollowed, Value)
}


@dataclass(frozen=True)
class ClassOutline:
    """Outline of a class.

    Parameters
    ----------
    name : str
        Qualified name: ``A.B`` for a class B inside a class A.
    line : int
        Line of its ``class``.
    bases : list of str
        Base classes as dotted names. A base that is not a dotted name ends with a parenthesis.
    metaclass : str
        Metaclass, in the same form as a base; "" if there is none.
    decorators : list of str
        Dotted names of its decorators.
    names : dict of str to Binding
        Names that its body binds.
    conditional : dict of str to int
        Lines of the functions and classes that are defined under a condition only.
    abstract : list of str
        Names of abstract methods.
    has_constructor : bool
        True if it defines ``__init__`` or ``__new__``: pytest does not collect such a class.
    is_test : bool or None
        Value of ``__test__``; None if it is not set.
    unfollowed : list of Unfollowed
        Statements that may bind more names.
    """

    name: str
    line: int
    bases: list[str]
    metaclass: str
    decorators: list[str]
    names: dict[str, Binding]
    conditional: dict[str, int]
    abstract: list[str]
    has_constructor: bool
    is_test: bool | None
    unfollowed: list[Unfollowed]


@dataclass(frozen=True)
class ModuleOutline:
    """Outline of a module.

    Parameters
    ----------
    names : dict of str to Binding
        Names that it binds at its top level.
    conditional : dict of str to int
        Lines of those functions and classes among the names that a condition may leave undefined.
    classes : dict of str to ClassOutline
        Classes by qualified name, including nested ones.
    deleted : list of str
        Names that it deletes at the end. Its classes may inherit from them.
    stars : list of tuple of (str, int)
        Modules of which it imports all names by ``*``, and the lines of these imports.
    exported : list of str or None
        Value of ``__all__``; None if it is not set to literal names.
    is_test : bool or None
        Value of ``__test__``, None if it is not set.
    unfollowed : list of Unfollowed
        Statements that may bind more names.
    """

    names: dict[str, Binding]
    conditional: dict[str, int]
    classes: dict[str, ClassOutline]
    deleted: list[str]
    stars: list[tuple[str, int]]
    exported: list[str] | None
    is_test: bool | None
    unfollowed: list[Unfollowed]

    def to_json(self) -> dict[str, Any]:
        """Return the outline as lists and dicts, for `from_json`."""
        classes = [
            {**vars(one), "names": _names_to_json(one.names)} for one in self.classes.values()
        ]
        return {**vars(self), "names": _names_to_json(self.names), "classes": classes}

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> ModuleOutline:
        """Return the outline from data that `to_json` returned."""
        classes = [
            ClassOutline(
                **{
                    **fields,
                    "names": _names_from_json(fields["names"]),
                    "unfollowed": [Unfollowed(*one) for one in fields["unfollowed"]],
                }
            )
            for fields in data["classes"]
        ]
        return cls(
            names=_names_from_json(data["names"]),
            conditional=data["conditional"],
            classes={one.name: one for one in classes},
            deleted=data["deleted"],
            stars=[(module, line) for module, line in data["stars"]],
            exported=data["exported"],
            is_test=data["is_test"],
            unfollowed=[Unfollowed(*one) for one in data["unfollowed"]],
        )


def _names_to_json(names: dict[str, Binding]) -> dict[str, list[Any]]:
    """Return bindings as lists that begin with the kind of the binding."""
    return {name: [type(binding).__name__, *binding] for name, binding in names.items()}


def _names_from_json(data: dict[str, list[Any]]) -> dict[str, Binding]:
    """Return the bindings from data that `_names_to_json` returned."""
    return {name: _KINDS[kind](*fields) for name, (kind, *fields) in data.items()}
