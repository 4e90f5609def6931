"""The functions, classes and constants that a change is about: their names and their text."""

from __future__ import annotations

import ast
import re
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from flashwasm.qe.changes.diffs.file_versions import file_versions
from flashwasm.qe.suites.file_digests import LARGEST_SOURCE_BYTES, file_state
from flashwasm.qe.suites.source_files import is_test_file
from flashwasm.qe.suites.syntax_trees import (
    DEFINITION_NODES,
    assignment_targets,
    mentioned_name,
    try_parse,
)

if TYPE_CHECKING:
    from flashwasm.qe.changes.diffs.unified_diff import ChangedFile

__all__ = [
    "assigned_names",
    "changed_definitions",
    "changed_functions",
    "distinctive_words",
    "inner_statements",
    "words_of_name",
]

# Lines of a diff that begin a definition, or set a constant of a module.
_HEAD = re.compile(r"\s*(?:async\s+def|def|class)\s+(\w+)")
_CONSTANT = re.compile(r"([^\W\d]\w*)\s*(?::[^=]+)?=[^=]")
_NAME = re.compile(r"\w+")
_WORD = re.compile(r"[A-Z]?[a-z]+|[A-Z]+(?![a-z])|[0-9]+")
# A word of a changed name is distinctive if at most this share of the definitions of its file have
# it, or at most this number of them.
_DISTINCTIVE_SHARE, _DISTINCTIVE_COUNT = 0.05, 3


class _Span(NamedTuple):
    """Lines of a definition, and its name below those of the classes that it lies in."""

    first: int
    last: int
    names: tuple[str, ...]
    is_class: bool = False


def changed_definitions(changes: Sequence[ChangedFile], root: Path) -> set[str]:
    """Return the names of the definitions whose lines a change adds, edits or removes.

    A line inside a method names the method and its class. A definition that its file registers
    under another name, as in ``{"upper": do_upper}``, has that name, too. Names that Python
    defines, such as ``__init__``, are left out, because many classes have them.

    Parameters
    ----------
    changes : sequence of ChangedFile
        Changed files. Test files among them are left out.
    root : pathlib.Path
        Folder that their paths are relative to. It holds the files after the change.
    """
    found: set[str] = set()
    for change, sides in _product(changes, root):
        # The diff knows removed definitions, and those of a file that is not there.
        found.update(_names_in_text(change.text))
        for side in sides:
            touched = {name for span in side.touched() for name in span.names}
            # A wrapper may be registered in place of what it wraps.
            others = _registered_as(side.tree, touched)
            found.update(touched, others, _registered_as(side.tree, others))
    return {name for name in found if not (name.startswith("__") and name.endswith("__"))}


def changed_functions(changes: Sequence[ChangedFile], root: Path) -> str:
    """Return the text of the functions and constants that a change edits.

    The text is that after the change. For a function that only loses lines, it is that before.

    Parameters
    ----------
    changes : sequence of ChangedFile
        Changed files. Test files among them are left out.
    root : pathlib.Path
        Folder that their paths are relative to. It holds the files after the change.
    """
    texts: list[str] = []
    for _, sides in _product(changes, root):
        seen: set[tuple[str, ...]] = set()
        for side in sides:
            spans = sorted({span for span in side.touched() if not span.is_class})
            lines = side.text.split("\n")
            # A function that lost lines is taken from the file before the change only if no line
            # of it was added.
            new = [span for span in spans if span.names not in seen]
            texts += ("\n".join(lines[span.first - 1 : span.last]) for span in new)
            seen.update(span.names for span in spans)
    return "\n".join(texts)


def distinctive_words(changes: Sequence[ChangedFile], root: Path) -> set[str]:
    """Return the words in the names of changed definitions that few others of their file have.

    For ``parse_import``, in a file with other functions that parse, this is "import".

    Parameters
    ----------
    changes : sequence of ChangedFile
        Changed files. Test files among them are left out.
    root : pathlib.Path
        Folder that their paths are relative to. It holds the files after the change.
    """
    found: set[str] = set()
    for _, sides in _product(changes, root):
        for side in sides:
            names = {span.names for span in _spans(side.tree.body, ())}
            count = Counter(word for name in names for word in set(words_of_name(name[-1])))
            most = max(_DISTINCTIVE_COUNT, _DISTINCTIVE_SHARE * len(names))
            touched = {word for span in side.touched() for word in words_of_name(span.names[-1])}
            found |= {word for word in touched if count[word] <= most}
    return found


def words_of_name(name: str) -> list[str]:
    """Return the words of a name in lower case, without the "s" of a plural."""
    words = (word.lower() for word in _WORD.findall(name))
    return [word[:-1] if len(word) > 3 and word.endswith("s") else word for word in words]


def inner_statements(node: ast.stmt) -> Iterator[ast.stmt]:
    """Yield the statements directly inside an ``if``, ``try``, ``with``, ``match`` or loop."""
    if isinstance(node, DEFINITION_NODES):
        return
    for field in ("body", "handlers", "orelse", "finalbody", "cases"):
        for child in getattr(node, field, []):
            if isinstance(child, ast.stmt):
                yield child
            else:
                yield from child.body


def assigned_names(node: ast.stmt) -> list[str]:
    """Return the names that a statement assigns to."""
    inner = (one for target in assignment_targets(node) for one in ast.walk(target))
    return [one.id for one in inner if isinstance(one, ast.Name) and isinstance(one.ctx, ast.Store)]


def _names_in_text(text: str) -> set[str]:
    """Return the names of the definitions whose heads stand in the text of a change."""
    heads = (_HEAD.match(line) or _CONSTANT.match(line) for line in text.split("\n"))
    return {head[1] for head in heads if head}


def _product(
    changes: Sequence[ChangedFile], root: Path
) -> Iterator[tuple[ChangedFile, Iterator[_Side]]]:
    """Yield the changed Python files that are not test files, after the change and before it."""
    for change in changes:
        if change.path.endswith(".py") and not is_test_file(Path(change.path)):
            yield change, _sides(root / change.path, change)


class _Side(NamedTuple):
    """A file before or after a change, and the numbers of the changed lines there."""

    text: str
    tree: ast.Module
    changed: set[int]

    def touched(self) -> Iterator[_Span]:
        """Yield the innermost definition around each changed line that has one."""
        spans = list(_spans(self.tree.body, ()))
        for line in self.changed:
            around = [span for span in spans if span.first <= line <= span.last]
            if around:
                yield max(around, key=lambda span: len(span.names))


def _sides(file: Path, change: ChangedFile) -> Iterator[_Side]:
    """Yield a file after its change and then before it, as far as they can be told and read."""
    versions = file_versions(file, change)
    if versions is not None:
        sides = [(versions.after, change.new_lines), (versions.before, set(change.removed))]
    elif (state := file_state(file)) is not None and state.size <= LARGEST_SOURCE_BYTES:
        sides = [(file.read_text("utf-8", "replace"), change.new_lines)]
    else:
        sides = []
    for text, changed in sides:
        tree = try_parse(text)
        if tree is not None:
            yield _Side(text, tree, changed)


def _registered_as(tree: ast.Module, names: set[str]) -> set[str]:
    """Return the other names that a module gives to definitions.

    Such a name is the key of a definition in a dictionary, or stands beside it in a call, as in
    ``register("upper", do_upper)``; or a decorator of the definition has it. A function whose
    decorator is given the definition is another name, too.
    """
    return {name for node in ast.walk(tree) for name in _other_names(node, names)}


def _other_names(node: ast.AST, names: set[str]) -> set[str]:
    """Return the names that one node of a syntax tree gives to definitions."""
    if isinstance(node, ast.Dict):
        pairs = zip(node.keys, node.values, strict=True)
        return _strings([key for key, value in pairs if key and mentioned_name(value) in names])
    if isinstance(node, ast.Call):
        given = _arguments(node)
        return _strings(given) if any(mentioned_name(one) in names for one in given) else set()
    if isinstance(node, DEFINITION_NODES):
        calls = [one for one in node.decorator_list if isinstance(one, ast.Call)]
        given = [one for call in calls for one in _arguments(call)]
        if node.name in names:
            return _strings(given)
        return {node.name} if any(mentioned_name(one) in names for one in given) else set()
    return set()


def _arguments(call: ast.Call) -> list[ast.expr]:
    """Return the values of a call's arguments."""
    return [*call.args, *(word.value for word in call.keywords)]


def _strings(nodes: Sequence[ast.expr]) -> set[str]:
    """Return the literal strings among nodes that are single words."""
    values = [node.value for node in nodes if isinstance(node, ast.Constant)]
    return {value for value in values if isinstance(value, str) and _NAME.fullmatch(value)}


def _spans(body: list[ast.stmt], scope: tuple[str, ...]) -> Iterator[_Span]:
    """Yield the definitions of a module or a class; what a function defines for itself is none."""
    for node in body:
        last = node.end_lineno or node.lineno
        if isinstance(node, DEFINITION_NODES):
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
