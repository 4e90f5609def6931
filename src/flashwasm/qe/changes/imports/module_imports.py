"""Imports of one Python file, read from its syntax tree."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from flashwasm.qe.changes.known_names import (
    FUNCTION_EXAMINERS,
    IMPORTERS_BY_STRING,
    MODULE_RUNNERS,
    UNPICKLERS,
    UNRECORDED_NAMES,
)
from flashwasm.qe.suites.expressions import dotted_name
from flashwasm.qe.suites.syntax_trees import assignment_targets, mentioned_name, parse_file

__all__ = ["ModuleImports", "read_imports"]

_LINE_NUMBER = re.compile(r"\bline \d+")
_DOTTED = re.compile(r"[^\W\d]\w*(?:\.[^\W\d]\w*)*")
# The beginning of a name whose end is computed, as in ``f"a.b.{name}"`` or ``"a.b.%s" % name``.
_BEGINNING = re.compile(r"((?:[^\W\d]\w*\.)+)(?:[%{].*)?")
# The end of a name whose beginning is computed, as in ``f"{package}.part"``.
_END = re.compile(r"(?:\.[^\W\d]\w*)+")
# Import statements inside a string, such as the source of a module that a test writes to a file.
_STATEMENT = re.compile(r"\b(?:import|from)[ \t]+([^\W\d]\w*(?:\.\w+)*)")


@dataclass(frozen=True)
class ModuleImports:
    """Names that a Python file imports.

    Parameters
    ----------
    names : set of str
        Dotted names, such as ``a.b``. ``from a import b`` gives ``a`` and ``a.b``, as b may be a
        module. A star import gives ``a.*``. Strings in the form of a dotted name, and import
        statements inside strings, are included. A string with only the beginning of a name gives
        ``a.**``: all modules below it. One with only the end of a name gives ``**.b``.
    stated : set of str
        Those of the names that are in import statements.
    relative : set of (int, str)
        Relative imports: the number of dots, and the name behind them.
    unfollowed : bool
        True if it has imports that cannot be read from its text, or if it could not be read itself.
    processes : bool
        True if it mentions a function that starts another program or disables the recording.
    inspects : bool
        True if it mentions the source, the code object or the line numbers of functions.
    fixture_by_name : bool
        True if it mentions ``getfixturevalue``, which may set up a fixture while a test runs.
    """

    names: set[str] = field(default_factory=set)
    stated: set[str] = field(default_factory=set)
    relative: set[tuple[int, str]] = field(default_factory=set)
    unfollowed: bool = False
    processes: bool = False
    inspects: bool = False
    fixture_by_name: bool = False


def read_imports(path: Path) -> ModuleImports:
    """Read the imports of a file without executing it."""
    tree = parse_file(path)
    if tree is None:
        return ModuleImports(unfollowed=True, processes=True, inspects=True, fixture_by_name=True)
    reader = _ImportReader()
    for node in ast.walk(tree):
        reader.read(node)
    return reader.result()


def _names_in(text: str) -> Iterator[str]:
    """Yield the dotted names that a string may import: itself, or those in its statements."""
    # An entry point has the form "module:function".
    module = text.partition(":")[0]
    if len(module) < 200 and _DOTTED.fullmatch(module):
        yield module
    elif len(text) < 200 and (beginning := _BEGINNING.fullmatch(text)):
        yield f"{beginning[1]}**"
    elif len(text) < 200 and _END.fullmatch(text):
        yield f"**{text}"
    yield from _STATEMENT.findall(text)


class _ImportReader:
    """A reader of a file's imports, node by node of its syntax tree."""

    def __init__(self) -> None:
        self._names: set[str] = set()
        self._stated: set[str] = set()
        self._relative: set[tuple[int, str]] = set()
        # Imported names in the file, with their full dotted names.
        self._aliases: dict[str, str] = {}
        self._attributes: set[str] = set()
        self._mentioned: set[str] = set()
        # Mentions of functions that import by a string, minus the calls that could be followed.
        self._by_string = 0
        self._line_numbers = False

    def read(self, node: ast.AST) -> None:
        """Record one node, without the nodes below it."""
        if isinstance(node, ast.Import):
            for alias in node.names:
                top = alias.name.partition(".")[0]
                self._stated.add(alias.name)
                self._mentioned.update(alias.name.split("."))
                self._aliases[alias.asname or top] = alias.name if alias.asname else top
        elif isinstance(node, ast.ImportFrom):
            self._read_from(node)
        elif isinstance(node, ast.Constant) and isinstance(node.value, str):
            self._names.update(_names_in(node.value))
            self._line_numbers |= bool(_LINE_NUMBER.search(node.value))
            # A file may load this pytest plugin by its name alone.
            self._mentioned.update({"pytester"} & {node.value})
        elif isinstance(node, ast.Call):
            self._follow(node)
        elif isinstance(node, (ast.Assign, ast.AnnAssign, ast.AugAssign)):
            self._read_plugins(node)
        elif name := mentioned_name(node):
            self._mentioned.add(name)
            self._by_string += name in IMPORTERS_BY_STRING
            if isinstance(node, ast.Attribute):
                self._attributes.add(dotted_name(node))

    def result(self) -> ModuleImports:
        """Return the imports of the nodes that were read."""
        for dotted in self._attributes:
            # The module a.b may be used as an attribute after ``import a``.
            first, _, rest = dotted.partition(".")
            if first in self._aliases:
                self._names.add(f"{self._aliases[first]}.{rest}")
        unfollowed = self._by_string > 0 or not MODULE_RUNNERS.isdisjoint(self._mentioned)
        unfollowed = unfollowed or not UNPICKLERS.isdisjoint(self._attributes)
        unrecorded = not UNRECORDED_NAMES.isdisjoint(self._mentioned)
        return ModuleImports(
            self._names | self._stated,
            self._stated,
            self._relative,
            unfollowed,
            unrecorded or "os.system" in self._attributes,
            self._line_numbers or not FUNCTION_EXAMINERS.isdisjoint(self._mentioned),
            "getfixturevalue" in self._mentioned,
        )

    def _read_plugins(self, node: ast.Assign | ast.AnnAssign | ast.AugAssign) -> None:
        """Record that the value of ``pytest_plugins`` is computed, so that it is not known."""
        named = any(
            mentioned_name(target) == "pytest_plugins" for target in assignment_targets(node)
        )
        if named and node.value is not None:
            literal = (ast.Constant, ast.List, ast.Tuple, ast.Load)
            self._by_string += not all(isinstance(one, literal) for one in ast.walk(node.value))

    def _read_from(self, node: ast.ImportFrom) -> None:
        """Record ``from module import name``."""
        module = node.module or ""
        self._mentioned.update(module.split("."), (alias.name for alias in node.names))
        for alias in node.names:
            # A function that imports is not recognised under another name.
            self._by_string += alias.name in IMPORTERS_BY_STRING and alias.asname is not None
            name = f"{module}.{alias.name}".lstrip(".")
            if node.level:
                self._relative.update({(node.level, module), (node.level, name)})
            else:
                self._stated.update({module, name})
                self._aliases[alias.asname or alias.name] = name

    def _follow(self, call: ast.Call) -> None:
        """Record a call that imports a module by a literal string, or that joins a name."""
        if isinstance(call.func, ast.Attribute) and call.func.attr == "join" and call.args:
            parts = getattr(call.args[0], "elts", [])
            if getattr(call.func.value, "value", None) == "." and parts:
                self._names.add(f"{getattr(parts[0], 'value', None)}.**")
        imports = mentioned_name(call.func) in IMPORTERS_BY_STRING
        first = call.args[0] if call.args else None
        if not imports or not isinstance(first, ast.Constant):
            return
        dotted = str(first.value)
        name = dotted.lstrip(".")
        if level := len(dotted) - len(name):
            # The second argument is the package that the dots begin at. Only the file's own one is
            # followed. ``__name__`` is the package in an ``__init__``, and else a module in it.
            package = [*call.args[1:], *(keyword.value for keyword in call.keywords)]
            if [mentioned_name(one) for one in package[:1]] not in (["__name__"], ["__package__"]):
                return
            self._relative.update({(level, name), (level + 1, name)})
        self._by_string -= 1
