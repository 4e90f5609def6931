"""The tests that a change touches: in their lines, or in the fixtures and helpers that they use."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING

from flashwasm.qe.changes.diffs.file_versions import file_versions
from flashwasm.qe.suites.expressions import source_of
from flashwasm.qe.suites.source_files import is_test_file
from flashwasm.qe.suites.syntax_trees import DEFINITION_NODES, assignment_targets, try_parse

if TYPE_CHECKING:
    from flashwasm.qe.changes.diffs.unified_diff import ChangedFile
    from flashwasm.qe.suites.suite import CollectedTest

__all__ = ["touched_tests"]

_WORD = re.compile(r"[^\W\d]\w*")
# Names that pytest uses for all tests of a module, even if no test mentions them.
_FOR_ALL_TESTS = ("pytestmark", "pytest_", "setup_", "setUp", "teardown_", "tearDown")


def touched_tests(tests: Sequence[CollectedTest], changes: Sequence[ChangedFile]) -> set[str]:
    """Return the node ids of the tests that a change touches.

    A change touches a test if it adds, edits or removes a line of the test, or of a fixture, helper
    or constant that the test uses, in the file of the test or in a conftest.py above it.

    Parameters
    ----------
    tests : sequence of CollectedTest
        Tests of the suite.
    changes : sequence of ChangedFile
        Changed files.
    """
    found: set[str] = set()
    for change in changes:
        path = PurePosixPath(change.path)
        if is_test_file(path):
            ends = [t for t in tests if f"/{t.path.as_posix()}".endswith(f"/{path}")]
            # A path in a diff is relative to the root of the project.
            nearest = min((test.path for test in ends), key=lambda p: len(p.parts), default=None)
            inside = [test for test in ends if test.path == nearest]
        elif path.name == "conftest.py":
            folder = f"/{path.parent}/" if path.parent.name else "/"
            inside = [test for test in tests if folder in test.path.as_posix()]
        else:
            continue
        found |= _touched(inside, change)
    return found


@dataclass(frozen=True)
class _Definition:
    """A function, class or constant of a file.

    Parameters
    ----------
    names : tuple of str
        Names of its classes, and its own name. Without its own name, it counts as its class.
    first, last : int
        Its lines, with decorators.
    text : str
        Its source.
    for_all : bool
        True if pytest uses it for tests that do not mention it.
    """

    names: tuple[str, ...]
    first: int
    last: int
    text: str
    for_all: bool


def _touched(tests: Sequence[CollectedTest], change: ChangedFile) -> set[str]:
    """Return the node ids of the touched tests among those of a file or below a conftest.py."""
    everything = {test.nodeid for test in tests}
    if not tests or not change.lines:
        # The file is only renamed, or `read_diff` did not create the change, so it has no text.
        return {t.nodeid for t in tests if not change.new_lines or _is_edited(t, change)}
    is_test = is_test_file(PurePosixPath(change.path))
    file = tests[0].path if is_test else _conftest(tests[0].path, change)
    versions = file_versions(file, change)
    if versions is None:
        return everything
    before, after = _definitions(versions.before), _definitions(versions.after)
    if before is None or after is None:
        return everything
    removed, added = _changed(change.removed, before), _changed(change.added, after)
    if removed is None or added is None:
        return everything
    changed = removed | added
    names = {own[-1] for own in changed}
    reached = {
        path: _reached(names, after + _beside(path, file)) for path in {t.path for t in tests}
    }
    return {t.nodeid for t in tests if _uses(t, changed, reached[t.path])}


def _changed(
    lines: Mapping[int, str], definitions: Sequence[_Definition]
) -> set[tuple[str, ...]] | None:
    """Return the names of the innermost definitions around changed lines.

    Return None if any test may use a changed line: it is outside of definitions, or in one that
    pytest uses for all tests.
    """
    changed = set()
    for line, text in lines.items():
        around = [one for one in definitions if one.first <= line <= one.last]
        innermost = max(around, key=lambda one: len(one.names), default=None)
        if innermost is not None and not innermost.for_all:
            changed.add(innermost.names)
        elif text.strip() and not text.strip().startswith("#"):
            return None
    return changed


def _beside(test: Path, file: Path) -> list[_Definition]:
    """Return the definitions of a test file, and of each conftest.py between it and a file."""
    if test == file:
        return []
    found = _definitions(test.read_text("utf-8", "replace")) or []
    for folder in test.parents:
        if folder == file.parent:
            break
        if (conftest := folder / "conftest.py").is_file():
            found += _definitions(conftest.read_text("utf-8", "replace")) or []
    return found


def _uses(test: CollectedTest, changed: set[tuple[str, ...]], reached: set[str]) -> bool:
    """Return True if a test or its class is changed, or if the test uses a reached name."""
    names = tuple(test.nodeid.split("::")[1:])
    inside = any(names[: len(own)] == own for own in changed)
    return inside or not reached.isdisjoint(_WORD.findall(test.source))


def _reached(names: set[str], definitions: Sequence[_Definition]) -> set[str]:
    """Return names, and the names of the definitions that use them directly or indirectly.

    Tests are left out, because no test uses another test.
    """
    words: dict[str, set[str]] = {}
    for one in definitions:
        words.setdefault(one.names[-1], set()).update(_WORD.findall(one.text))
    others = {name: used for name, used in words.items() if not name.startswith("test")}
    found = {name for name in names if not name.startswith("test")}
    while more := {one for one, used in others.items() if not used.isdisjoint(found)} - found:
        found |= more
    return found


def _definitions(source: str) -> list[_Definition] | None:
    """Return the definitions of a source and of its classes; None if it cannot be read."""
    tree = try_parse(source)
    return None if tree is None else list(_inside(tree.body, (), source.split("\n")))


def _inside(
    body: Sequence[ast.stmt], scope: tuple[str, ...], lines: Sequence[str]
) -> Iterator[_Definition]:
    """Yield the definitions of a module or a class."""
    for node in body:
        last = node.end_lineno or node.lineno
        for name in _names_set_by(node):
            decorators = getattr(node, "decorator_list", [])
            first = min([node.lineno, *(one.lineno for one in decorators)])
            text = "\n".join(lines[first - 1 : last])
            autouse = any("autouse" in source_of(one) for one in decorators)
            for_all = autouse or name.startswith(_FOR_ALL_TESTS)
            # A definition that pytest uses for all tests of a class counts as the class.
            own = scope if scope and for_all else (*scope, name)
            yield _Definition(own, first, last, text, for_all and not scope)
            if isinstance(node, ast.ClassDef):
                yield from _inside(node.body, (*scope, name), lines)


def _names_set_by(node: ast.stmt) -> Iterator[str]:
    """Yield the names that a statement defines or imports, or whose items or attributes it sets."""
    if isinstance(node, DEFINITION_NODES):
        yield node.name
    elif isinstance(node, (ast.Import, ast.ImportFrom)):
        yield from ((alias.asname or alias.name).partition(".")[0] for alias in node.names)
    else:
        inner = (one for target in assignment_targets(node) for one in ast.walk(target))
        yield from (one.id for one in inner if isinstance(one, ast.Name))


def _conftest(test: Path, change: ChangedFile) -> Path:
    """Return the path of a changed conftest.py above a test file."""
    above = (folder / "conftest.py" for folder in test.parents)
    ends = f"/{change.path}"
    return next((one for one in above if one.as_posix().endswith(ends)), Path(change.path))


def _is_edited(test: CollectedTest, change: ChangedFile) -> bool:
    """Return True if a change adds or edits lines of a test, by their numbers alone."""
    first = test.line - _lines_of_decorators(test)
    lines = range(first, first + test.source.count("\n") + 1)
    return not change.new_lines.isdisjoint(lines)


def _lines_of_decorators(test: CollectedTest) -> int:
    """Return the number of lines above the ``def`` of a test's source, which are its decorators."""
    name = re.escape(test.nodeid.rpartition("::")[2])
    # A decorator may also contain "def ", but hardly at the start of a line and with this name.
    found = re.search(rf"^[ \t]*(?:async[ \t]+)?def[ \t]+{name}\b", test.source, re.MULTILINE)
    return test.source.count("\n", 0, found.start()) if found else 0
