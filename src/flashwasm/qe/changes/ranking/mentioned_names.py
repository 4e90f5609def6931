"""Names that a test mentions in its source, and in the fixtures and helpers that it uses."""

from __future__ import annotations

import ast
import re
from collections import Counter, defaultdict
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

from flashwasm.qe.changes.ranking.changed_definitions import assigned_names, inner_statements
from flashwasm.qe.suites.syntax_trees import FUNCTION_NODES, FunctionNode, parse_file

if TYPE_CHECKING:
    from flashwasm.qe.suites.suite import CollectedTest

__all__ = ["MentionedNames"]

_NAME = re.compile(r"[^\W\d]\w*")
# Functions that pytest and unittest call before each test of a class or a module.
_SET_UP = {
    *("setUp", "setUpClass", "setUpModule", "setup", "setup_class", "setup_function"),
    *("setup_method", "setup_module"),
}
# Number of steps to follow: a test uses a fixture, which may use another fixture or a constant.
_STEPS = 2


class MentionedNames:
    """The names that tests mention, read from the text of their files.

    The definitions that a test uses, in its file and in each ``conftest.py`` above it, are found by
    name: fixtures, helper functions, constants, and classes without tests. No code is executed.

    Parameters
    ----------
    root : pathlib.Path
        Folder above which no ``conftest.py`` is read.
    """

    def __init__(self, root: Path) -> None:
        self._root = root
        self._files: dict[Path, _FileNames] = {}
        self._above: dict[Path, list[_FileNames]] = {}

    def directly(self, test: CollectedTest) -> Counter[str]:
        """Return the number of times that each name occurs in a test, with comments and strings."""
        return Counter(_NAME.findall(test.source))

    def through_fixtures(self, test: CollectedTest) -> set[str]:
        """Return the names in the fixtures and helpers that a test uses."""
        files = [self._file(test.path), *self._conftests(test.path.parent)]
        scopes = ["", *test.nodeid.split("::")[1:-1]]
        found = {name for scope in scopes for name in files[0].set_up.get(scope, ())}
        new = self.directly(test).keys() | found
        seen: set[str] = set()
        for _ in range(_STEPS):
            used = [file.definitions.get(name, ()) for name in new - seen for file in files]
            seen |= new
            new = {name for names in used for name in names}
            found |= new
        return found

    def _file(self, path: Path) -> _FileNames:
        """Return the definitions in a file, which is read only once."""
        if path not in self._files:
            self._files[path] = _FileNames(path)
        return self._files[path]

    def _conftests(self, folder: Path) -> list[_FileNames]:
        """Return the definitions in the ``conftest.py`` files of a folder and of its parents."""
        if folder not in self._above:
            here = [self._file(folder / "conftest.py")]
            up = folder not in {self._root, folder.parent}
            self._above[folder] = here + (self._conftests(folder.parent) if up else [])
        return self._above[folder]


class _FileNames:
    """The definitions of a file that tests use, and the names that each of them mentions.

    Parameters
    ----------
    path : pathlib.Path
        Path of the file. An unreadable file has no definitions.

    Attributes
    ----------
    definitions : dict of str to set of str
        Names in the source of each definition that is not a test.
    set_up : dict of str to set of str
        Names in the set-up functions of each class, and of the module under "".
    """

    def __init__(self, path: Path) -> None:
        self.definitions: dict[str, set[str]] = defaultdict(set)
        self.set_up: dict[str, set[str]] = defaultdict(set)
        tree = parse_file(path)
        if tree is not None:
            self._read(tree.body, "")

    def _read(self, body: Iterable[ast.stmt], scope: str) -> None:
        """Record the definitions of a module or a class."""
        for node in body:
            if isinstance(node, FUNCTION_NODES):
                if not node.name.startswith("test"):
                    self._add([node.name, *_given_names(node)], node)
                if node.name in _SET_UP:
                    self.set_up[scope] |= _names_of(node)
            elif isinstance(node, ast.ClassDef):
                functions = (one for one in node.body if isinstance(one, FUNCTION_NODES))
                if not any(one.name.startswith("test") for one in functions):
                    self._add([node.name], node)
                self._read(node.body, node.name)
            else:
                self._add(assigned_names(node), node)
                self._read(inner_statements(node), scope)

    def _add(self, names: list[str], node: ast.stmt) -> None:
        """Add the names in a statement to each name that it defines."""
        for name in names:
            self.definitions[name] |= _names_of(node)


def _given_names(node: FunctionNode) -> list[str]:
    """Return the names that decorators give a function, as in ``@fixture(name="shop")``."""
    calls = [one for one in node.decorator_list if isinstance(one, ast.Call)]
    values = [word.value for call in calls for word in call.keywords if word.arg == "name"]
    return [
        value.value
        for value in values
        if isinstance(value, ast.Constant) and isinstance(value.value, str)
    ]


def _names_of(node: ast.AST) -> set[str]:
    """Return the names in a syntax tree: of variables, attributes, arguments, and in strings."""
    found: set[str] = set()
    for one in ast.walk(node):
        if isinstance(one, ast.Name):
            found.add(one.id)
        elif isinstance(one, ast.Attribute):
            found.add(one.attr)
        elif isinstance(one, (ast.arg, ast.keyword)):
            found.add(one.arg or "")
        elif isinstance(one, ast.Constant) and isinstance(one.value, str):
            found.update(_NAME.findall(one.value))
    return found
