"""Outline of a Python file: the tests, classes and imports that pytest's collection depends on.

The outline is read from the syntax tree. No file is imported, because reading a suite must not run
its code.
"""

from __future__ import annotations

import ast
import warnings
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from typing import Any, NamedTuple

__all__ = ["ClassOutline", "FunctionSpan", "ModuleOutline", "parse_outline"]

_FUNCTION = (ast.FunctionDef, ast.AsyncFunctionDef)
_NAME = (ast.Name, ast.Attribute)
_BLOCK = (ast.If, ast.Try, ast.With, ast.For, ast.While)

# Decorators that turn a function named ``test*`` into something other than a test.
_NOT_A_TEST = {"fixture", "property", "cached_property"}


class FunctionSpan(NamedTuple):
    """A test function: its name, the line of its ``def``, and its first and last line.

    Lines count from 1. The first line is that of the first decorator, if there is one.
    """

    name: str
    line: int
    first: int
    last: int


@dataclass(frozen=True)
class ClassOutline:
    """Outline of a class.

    Parameters
    ----------
    name : str
        Qualified name: ``A.B`` for a class B inside a class A.
    bases : list of str
        Base classes, dotted, as written.
    tests : list of FunctionSpan
        Methods named ``test*`` that the class itself defines.
    hidden : list of str
        Other attributes named ``test*``. They hide inherited tests, as ``test_add = None`` does.
    has_constructor : bool
        True if it defines ``__init__`` or ``__new__``: pytest does not collect such a class.
    is_test : bool or None
        Value of ``__test__``, None if it is not set.
    """

    name: str
    bases: list[str]
    tests: list[FunctionSpan]
    hidden: list[str]
    has_constructor: bool
    is_test: bool | None


@dataclass(frozen=True)
class ModuleOutline:
    """Outline of a module.

    Parameters
    ----------
    tests : list of FunctionSpan
        Functions named ``test*`` at its top level.
    classes : dict of str to ClassOutline
        Classes by qualified name, nested ones too.
    imports : dict of str to tuple of (str, str)
        For each name that an import binds: the module, with leading dots if the import is relative,
        and the name inside the module, empty if the name means the module itself.
    is_test : bool or None
        Value of ``__test__``, None if it is not set.
    """

    tests: list[FunctionSpan]
    classes: dict[str, ClassOutline]
    imports: dict[str, tuple[str, str]]
    is_test: bool | None

    def to_json(self) -> dict[str, Any]:
        """Return the outline as lists and dicts, for `from_json`."""
        return asdict(self)

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> ModuleOutline:
        """Return the outline of which `to_json` returned the data."""
        classes = {
            name: ClassOutline(
                **{**fields, "tests": [FunctionSpan(*span) for span in fields["tests"]]}
            )
            for name, fields in data["classes"].items()
        }
        imports = {
            name: (module, attribute) for name, (module, attribute) in data["imports"].items()
        }
        return cls(
            [FunctionSpan(*span) for span in data["tests"]], classes, imports, data["is_test"]
        )


def parse_outline(text: str) -> ModuleOutline:
    """Return the outline of a module.

    Parameters
    ----------
    text : str
        Source of the module.

    Raises
    ------
    SyntaxError, ValueError, RecursionError, MemoryError
        If the text is not Python, as `ast.parse` raises them.

    Examples
    --------
    >>> [test.name for test in parse_outline("def test_one(): ...").tests]
    ['test_one']
    """
    with warnings.catch_warnings():
        # Python warns of invalid escapes in the source. They do not matter here.
        warnings.simplefilter("ignore")
        tree = ast.parse(text)
    classes: dict[str, ClassOutline] = {}
    tests, _ = _read_scope(tree.body, "", classes)
    return ModuleOutline(tests, classes, dict(_imports(tree.body)), _test_flag(tree.body))


def _read_scope(
    body: list[ast.stmt], scope: str, classes: dict[str, ClassOutline]
) -> tuple[list[FunctionSpan], list[str]]:
    """Return the tests of a module or class, and its other names ``test*``.

    Classes inside it are added to ``classes``. ``scope`` is the prefix of their qualified names.
    """
    tests: dict[str, FunctionSpan] = {}
    hidden: list[str] = []
    for node in _statements(body):
        if isinstance(node, _FUNCTION) and node.name.startswith("test"):
            if _is_test(node):
                # Of two definitions of one name, the later one replaces the earlier, as in Python.
                tests[node.name] = _span(node)
        elif isinstance(node, ast.ClassDef):
            _read_class(node, scope, classes)
        else:
            hidden += [name for name in _assigned(node) if name.startswith("test")]
    return list(tests.values()), hidden


def _read_class(node: ast.ClassDef, scope: str, classes: dict[str, ClassOutline]) -> None:
    """Add the outline of a class, and of the classes inside it, to ``classes``."""
    name = f"{scope}{node.name}"
    tests, hidden = _read_scope(node.body, f"{name}.", classes)
    functions = {child.name for child in node.body if isinstance(child, _FUNCTION)}
    classes[name] = ClassOutline(
        name=name,
        bases=[ast.unparse(base) for base in node.bases if isinstance(base, _NAME)],
        tests=tests,
        hidden=hidden,
        has_constructor=bool(functions & {"__init__", "__new__"}),
        is_test=_test_flag(node.body),
    )


def _statements(body: list[ast.stmt]) -> Iterator[ast.stmt]:
    """Yield the statements of a scope, also those in its ``if``, ``try``, ``with`` and loops."""
    for node in body:
        yield node
        if isinstance(node, _BLOCK):
            for field in ("body", "handlers", "orelse", "finalbody"):
                for child in getattr(node, field, []):
                    yield from _statements(
                        child.body if isinstance(child, ast.ExceptHandler) else [child]
                    )


def _is_test(node: ast.FunctionDef | ast.AsyncFunctionDef) -> bool:
    """Return False if a decorator turns a function into a fixture or a property."""
    for decorator in node.decorator_list:
        called = decorator.func if isinstance(decorator, ast.Call) else decorator
        name = getattr(called, "attr", getattr(called, "id", ""))
        if name in _NOT_A_TEST:
            return False
    return True


def _span(node: ast.FunctionDef | ast.AsyncFunctionDef) -> FunctionSpan:
    """Return a function's span, its decorators included."""
    first = min([node.lineno, *(decorator.lineno for decorator in node.decorator_list)])
    return FunctionSpan(node.name, node.lineno, first, node.end_lineno or node.lineno)


def _assigned(node: ast.stmt) -> list[str]:
    """Return the names that a statement assigns to."""
    if isinstance(node, ast.Assign):
        return [target.id for target in node.targets if isinstance(target, ast.Name)]
    return []


def _test_flag(body: list[ast.stmt]) -> bool | None:
    """Return the value that a scope sets ``__test__`` to; None if it does not set it."""
    for node in body:
        if "__test__" in _assigned(node) and isinstance(node, ast.Assign):
            return bool(getattr(node.value, "value", True))
    return None


def _imports(body: list[ast.stmt]) -> Iterator[tuple[str, tuple[str, str]]]:
    """Yield each name that an import of a module binds, with the module and the name in it."""
    for node in _statements(body):
        if isinstance(node, ast.ImportFrom):
            module = "." * node.level + (node.module or "")
            for alias in node.names:
                yield alias.asname or alias.name, (module, alias.name)
        elif isinstance(node, ast.Import):
            for alias in node.names:
                # `import a.b` binds a, the package; `import a.b as c` binds c, the module a.b.
                first = alias.name.partition(".")[0]
                yield alias.asname or first, (alias.name if alias.asname else first, "")
