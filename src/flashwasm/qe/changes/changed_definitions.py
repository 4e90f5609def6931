"""The functions, classes and constants that a change is about: their names and their text."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from flashwasm.qe.changes.module_imports import parse_file
from flashwasm.qe.suites.source_files import is_test_file

if TYPE_CHECKING:
    from flashwasm.qe.changes.unified_diff import ChangedFile

__all__ = ["assigned_names", "changed_definitions", "changed_functions", "inner_statements"]

_DEFINITION = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)
# Lines of a diff that begin a definition, or set a constant of a module.
_HEAD = re.compile(r"\s*(?:async\s+def|def|class)\s+(\w+)")
_CONSTANT = re.compile(r"([^\W\d]\w*)\s*(?::[^=]+)?=[^=]")


class _Span(NamedTuple):
    """Lines of a definition, and its name below those of the classes that it lies in."""

    first: int
    last: int
    names: tuple[str, ...]
    is_class: bool = False


def changed_definitions(changes: Sequence[ChangedFile], root: Path) -> set[str]:
    """Return the names of the definitions whose lines a change adds, edits or removes.

    A line inside a method names the method and its class. Names such as ``__init__``, which Python
    gives, are left out: every class has them.

    Parameters
    ----------
    changes : sequence of ChangedFile
        Changed files. Test files among them are left out.
    root : pathlib.Path
        Folder that their paths are relative to. It holds the files after the change.
    """
    found: set[str] = set()
    for change in _product(changes):
        # The diff knows removed definitions, and those of a file that is not there.
        found.update(_names_in_text(change.text))
        for span in _innermost(root / change.path, change):
            found.update(span.names)
    return {name for name in found if not (name.startswith("__") and name.endswith("__"))}


def changed_functions(changes: Sequence[ChangedFile], root: Path) -> str:
    """Return the text of the functions and constants with added or edited lines, after the change.

    Parameters
    ----------
    changes : sequence of ChangedFile
        Changed files. Test files among them are left out.
    root : pathlib.Path
        Folder that their paths are relative to. It holds the files after the change.
    """
    texts: list[str] = []
    for change in _product(changes):
        file = root / change.path
        spans = {span for span in _innermost(file, change) if not span.is_class}
        if spans:
            lines = file.read_text("utf-8", "replace").split("\n")
            texts += ("\n".join(lines[span.first - 1 : span.last]) for span in sorted(spans))
    return "\n".join(texts)


def inner_statements(node: ast.stmt) -> Iterator[ast.stmt]:
    """Yield the statements directly inside an ``if``, ``try``, ``with``, ``match`` or loop."""
    if isinstance(node, _DEFINITION):
        return
    for field in ("body", "handlers", "orelse", "finalbody", "cases"):
        for child in getattr(node, field, []):
            if isinstance(child, ast.stmt):
                yield child
            else:
                yield from child.body


def assigned_names(node: ast.stmt) -> list[str]:
    """Return the names that a statement assigns to."""
    if isinstance(node, ast.Assign):
        targets = node.targets
    elif isinstance(node, (ast.AnnAssign, ast.AugAssign)):
        targets = [node.target]
    else:
        return []
    inner = (one for target in targets for one in ast.walk(target))
    return [one.id for one in inner if isinstance(one, ast.Name) and isinstance(one.ctx, ast.Store)]


def _names_in_text(text: str) -> set[str]:
    """Return the names of the definitions whose heads stand in the text of a change."""
    heads = (_HEAD.match(line) or _CONSTANT.match(line) for line in text.split("\n"))
    return {head[1] for head in heads if head}


def _product(changes: Sequence[ChangedFile]) -> Iterator[ChangedFile]:
    """Yield the Python files among the changed files that are not test files."""
    for change in changes:
        if change.path.endswith(".py") and not is_test_file(Path(change.path)):
            yield change


def _innermost(file: Path, change: ChangedFile) -> Iterator[_Span]:
    """Yield the innermost definition around each added or edited line that has one."""
    tree = parse_file(file)
    spans = [] if tree is None else list(_spans(tree.body, ()))
    for line in change.new_lines:
        around = [span for span in spans if span.first <= line <= span.last]
        if around:
            yield max(around, key=lambda span: len(span.names))


def _spans(body: list[ast.stmt], scope: tuple[str, ...]) -> Iterator[_Span]:
    """Yield the definitions of a module or a class; what a function defines for itself is none."""
    for node in body:
        last = node.end_lineno or node.lineno
        if isinstance(node, _DEFINITION):
            names = (*scope, node.name)
            first = min([node.lineno, *(one.lineno for one in node.decorator_list)])
            is_class = isinstance(node, ast.ClassDef)
            yield _Span(first, last, names, is_class)
            if isinstance(node, ast.ClassDef):
                yield from _spans(node.body, names)
        else:
            for name in assigned_names(node):
                yield _Span(node.lineno, last, (*scope, name))
            yield from _spans(list(inner_statements(node)), scope)
