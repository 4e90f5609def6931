"""What one Python file defines that pytest could collect, read from its syntax tree.

Nothing is imported: reading a suite must not run it.
"""

from __future__ import annotations

import ast
import warnings
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from typing import Any, NamedTuple

__all__ = ["ClassOutline", "Outline", "Span", "parse"]

Function = (ast.FunctionDef, ast.AsyncFunctionDef)
Name = (ast.Name, ast.Attribute)
Block = (ast.If, ast.Try, ast.With, ast.For, ast.While)

# Decorators under which a function named like a test is none.
_NOT_A_TEST = {"fixture", "property", "cached_property"}


class Span(NamedTuple):
    """A test function: its name, the line of its ``def``, and its first and last line, from 1."""

    name: str
    line: int
    first: int
    last: int


@dataclass(frozen=True)
class ClassOutline:
    """A class.

    Parameters
    ----------
    name : str
        Its qualified name, ``A.B`` for a class B inside a class A.
    bases : list of str
        Its base classes, dotted, as written.
    tests : list of Span
        The methods named ``test*`` that it defines itself.
    hidden : list of str
        Other attributes named ``test*``: they hide inherited tests, as ``test_add = None`` does.
    has_constructor : bool
        Whether it defines ``__init__`` or ``__new__``, for which pytest leaves a class out.
    is_test : bool or None
        What ``__test__`` is set to, None where it is not.
    """

    name: str
    bases: list[str]
    tests: list[Span]
    hidden: list[str]
    has_constructor: bool
    is_test: bool | None


@dataclass(frozen=True)
class Outline:
    """A module.

    Parameters
    ----------
    tests : list of Span
        The functions named ``test*`` at its top level.
    classes : dict of str to ClassOutline
        Its classes by qualified name, nested ones too.
    imports : dict of str to (str, str)
        For each name that an import binds: the module, with leading dots where it is relative, and
        the name inside it, empty where the module itself is bound.
    is_test : bool or None
        What ``__test__`` is set to, None where it is not.
    """

    tests: list[Span]
    classes: dict[str, ClassOutline]
    imports: dict[str, tuple[str, str]]
    is_test: bool | None

    def to_json(self) -> dict[str, Any]:
        """Return the outline as lists and dicts, for `from_json`."""
        return asdict(self)

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> Outline:
        """Return what `to_json` was called on."""
        classes = {
            name: ClassOutline(**{**fields, "tests": [Span(*span) for span in fields["tests"]]})
            for name, fields in data["classes"].items()
        }
        imports = {
            name: (module, attribute) for name, (module, attribute) in data["imports"].items()
        }
        return cls([Span(*span) for span in data["tests"]], classes, imports, data["is_test"])


def parse(text: str) -> Outline:
    """Outline of a module.

    Parameters
    ----------
    text : str
        The module's source.

    Raises
    ------
    SyntaxError, ValueError, RecursionError, MemoryError
        As `ast.parse` does where the text is not Python.

    Examples
    --------
    >>> [test.name for test in parse("def test_one(): ...").tests]
    ['test_one']
    """
    with warnings.catch_warnings():
        # An invalid escape in somebody's test is not this package's business.
        warnings.simplefilter("ignore")
        tree = ast.parse(text)
    classes: dict[str, ClassOutline] = {}
    tests, _ = _read_scope(tree.body, "", classes)
    return Outline(tests, classes, dict(_imports(tree.body)), _test_flag(tree.body))


def _read_scope(
    body: list[ast.stmt], scope: str, classes: dict[str, ClassOutline]
) -> tuple[list[Span], list[str]]:
    """Return a scope's tests and its other names ``test*``; its classes go to ``classes``."""
    tests: dict[str, Span] = {}
    hidden: list[str] = []
    for node in _statements(body):
        if isinstance(node, Function) and node.name.startswith("test"):
            if _is_test(node):
                # Of two definitions of one name the later counts, as in Python.
                tests[node.name] = _span(node)
        elif isinstance(node, ast.ClassDef):
            _read_class(node, scope, classes)
        else:
            hidden += [name for name in _assigned(node) if name.startswith("test")]
    return list(tests.values()), hidden


def _read_class(node: ast.ClassDef, scope: str, classes: dict[str, ClassOutline]) -> None:
    name = f"{scope}{node.name}"
    tests, hidden = _read_scope(node.body, f"{name}.", classes)
    functions = {child.name for child in node.body if isinstance(child, Function)}
    classes[name] = ClassOutline(
        name=name,
        bases=[ast.unparse(base) for base in node.bases if isinstance(base, Name)],
        tests=tests,
        hidden=hidden,
        has_constructor=bool(functions & {"__init__", "__new__"}),
        is_test=_test_flag(node.body),
    )


def _statements(body: list[ast.stmt]) -> Iterator[ast.stmt]:
    """Statements of a scope, also those inside its ``if``, ``try``, ``with`` and loops."""
    for node in body:
        yield node
        if isinstance(node, Block):
            for field in ("body", "handlers", "orelse", "finalbody"):
                for child in getattr(node, field, []):
                    yield from _statements(
                        child.body if isinstance(child, ast.ExceptHandler) else [child]
                    )


def _is_test(node: ast.FunctionDef | ast.AsyncFunctionDef) -> bool:
    for decorator in node.decorator_list:
        called = decorator.func if isinstance(decorator, ast.Call) else decorator
        name = getattr(called, "attr", getattr(called, "id", ""))
        if name in _NOT_A_TEST:
            return False
    return True


def _span(node: ast.FunctionDef | ast.AsyncFunctionDef) -> Span:
    first = min([node.lineno, *(decorator.lineno for decorator in node.decorator_list)])
    return Span(node.name, node.lineno, first, node.end_lineno or node.lineno)


def _assigned(node: ast.stmt) -> list[str]:
    if isinstance(node, ast.Assign):
        return [target.id for target in node.targets if isinstance(target, ast.Name)]
    return []


def _test_flag(body: list[ast.stmt]) -> bool | None:
    for node in body:
        if "__test__" in _assigned(node) and isinstance(node, ast.Assign):
            return bool(getattr(node.value, "value", True))
    return None


def _imports(body: list[ast.stmt]) -> Iterator[tuple[str, tuple[str, str]]]:
    for node in _statements(body):
        if isinstance(node, ast.ImportFrom):
            module = "." * node.level + (node.module or "")
            for alias in node.names:
                yield alias.asname or alias.name, (module, alias.name)
        elif isinstance(node, ast.Import):
            for alias in node.names:
                # `import a.b` binds a; `import a.b as c` binds a.b.
                first = alias.name.partition(".")[0]
                yield alias.asname or first, (alias.name if alias.asname else first, "")
