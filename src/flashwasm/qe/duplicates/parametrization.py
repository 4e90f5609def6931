"""Parametrisation: one test that replaces several tests that differ only in literals."""

from __future__ import annotations

import ast
import copy
import keyword
import sys
from collections.abc import Mapping, Sequence
from itertools import count
from textwrap import dedent
from typing import TYPE_CHECKING, NamedTuple

from flashwasm.qe.duplicates.literal_marking import mark_literals
from flashwasm.qe.duplicates.module_syntax import BUILTIN_FIXTURES, ModuleSyntax
from flashwasm.qe.duplicates.parametrizable import can_be_one_test
from flashwasm.qe.duplicates.parametrized_source import parametrized_lines, span_of
from flashwasm.qe.duplicates.patches import Edit
from flashwasm.qe.suites.syntax_trees import FUNCTION_NODES, FunctionNode, compiles, try_parse

if TYPE_CHECKING:
    from flashwasm.qe.duplicates.function_body import FunctionBody

__all__ = ["Parametrized", "parametrized"]

# Fixtures of common plugins. A parameter of such a name would override the fixture.
_PLUGIN_FIXTURES = {
    "benchmark",
    "client",
    "db",
    "event_loop",
    "faker",
    "loop",
    "mocker",
    "settings",
}


class Parametrized(NamedTuple):
    """A parametrised test.

    Parameters
    ----------
    text : str
        Its source, after ``import pytest`` if the file does not import pytest.
    edits : tuple of Edit
        Edits of the file that replace the tests with it.
    """

    text: str
    edits: tuple[Edit, ...]


def parametrized(bodies: Sequence[FunctionBody]) -> Parametrized | None:
    """Return a parametrised test with a case for each of several tests.

    Parameters
    ----------
    bodies : sequence of FunctionBody
        Bodies of tests of one file with the same shape.

    Returns
    -------
    Parametrized or None
        The test; None if it is not proven to be equivalent, or if the generated source does not
        have the expected syntax tree.
    """
    first, module = bodies[0], bodies[0].module
    if not can_be_one_test(bodies) or first.scope is None:
        return None
    imported = _import_of_pytest(module)
    if imported is None:
        return None
    columns = _columns(bodies)
    name = _name(bodies, set(module.bound(first.scope)) | _claimed(bodies))
    lines = parametrized_lines(bodies, name, columns)
    if lines is None or not _means(lines, _expected(first, name, columns)):
        return None
    module.claimed.add((first.scope, name))
    start, end = span_of(first)
    edits = [*imported, Edit(module.path, start, end, tuple(lines))]
    edits += [_removal(body) for body in bodies[1:]]
    text = dedent("\n".join(lines))
    if imported:
        text = f"import pytest\n\n\n{text}"
    return Parametrized(text, tuple(edits))


def _columns(bodies: Sequence[FunctionBody]) -> dict[str, list[int]]:
    """Return the parameters, each with the positions of the literals that it replaces.

    Two positions whose literals are equal in every test share a parameter. The exception are lists,
    sets and dicts, because both positions would share one object.
    """
    first, module = bodies[0], bodies[0].module
    taken = _names_in(first.definition) | set(module.bound(module.tree)) | set(module.fixtures)
    taken |= BUILTIN_FIXTURES | _PLUGIN_FIXTURES | module.conftest_names | set(keyword.kwlist)
    keywords = _keywords(first.node)
    columns: dict[str, list[int]] = {}
    known: dict[tuple[str, ...], str] = {}
    for position, literals in enumerate(zip(*(body.literals for body in bodies), strict=True)):
        values = tuple(literal.source for literal in literals)
        if len(set(values)) == 1:
            continue
        if values in known and not any(literal.is_mutable for literal in literals):
            columns[known[values]].append(position)
            continue
        known[values] = _fresh(keywords.get(position, "value"), taken)
        columns[known[values]] = [position]
    return columns


def _names_in(node: FunctionNode) -> set[str]:
    """Return every name that a function or anything inside it uses or binds."""
    names: set[str] = set()
    for one in ast.walk(node):
        if isinstance(one, (ast.keyword, ast.Attribute)):
            continue
        for _, value in ast.iter_fields(one):
            # Names are str fields of nodes: of a variable, an argument, an import, a handler, a
            # pattern or a definition. Declarations of global names have lists of str.
            texts = value if isinstance(value, list) else [value]
            names.update(text for text in texts if isinstance(text, str) and text.isidentifier())
    return names


def _keywords(node: FunctionNode) -> dict[int, str]:
    """Return the keywords of literals by position, such as ``factor`` in ``f(factor=1)``."""
    _, literals = mark_literals(node)
    marks: list[ast.expr] = [ast.Name(f"_literal_{i}", ast.Load()) for i in range(len(literals))]
    marked, _ = mark_literals(node, marks)
    keywords = {}
    for child in ast.walk(marked):
        if isinstance(child, ast.keyword) and child.arg and isinstance(child.value, ast.Name):
            position = child.value.id.removeprefix("_literal_")
            if position.isdigit():
                keywords[int(position)] = child.arg
    return keywords


def _fresh(name: str, taken: set[str]) -> str:
    """Return an unused name, with a number if necessary, and add it to ``taken``."""
    numbered = (f"{name}_{number}" for number in count(2))
    candidate = name if name not in taken else next(one for one in numbered if one not in taken)
    taken.add(candidate)
    return candidate


def _claimed(bodies: Sequence[FunctionBody]) -> set[str]:
    """Return the names in the tests' scope that other suggestions use."""
    return {name for scope, name in bodies[0].module.claimed if scope is bodies[0].scope}


def _name(bodies: Sequence[FunctionBody], taken: set[str]) -> str:
    """Return the words that all names begin with; the first name if these words are in use."""
    names = [body.node.name for body in bodies]
    words = [name.split("_") for name in names]
    shared = []
    for column in zip(*words, strict=False):
        if len(set(column)) > 1:
            break
        shared.append(column[0])
    name = "_".join(shared)
    module = bodies[0].module
    # The bases and the subclasses of a class may contain a test of that name.
    known = (taken, module.function_names, module.identifiers)
    is_free = not any(name in names for names in known) and not bodies[0].test.also
    return name if name.startswith("test_") and len(shared) > 1 and is_free else names[0]


def _expected(first: FunctionBody, name: str, columns: Mapping[str, Sequence[int]]) -> FunctionNode:
    """Return the tree of the parametrised test, without its new decorator and its docstring."""
    parameters = {at: parameter for parameter, places in columns.items() for at in places}
    marks: list[ast.expr] = [
        ast.Name(parameters[i], ast.Load()) if i in parameters else copy.deepcopy(literal.node)
        for i, literal in enumerate(first.literals)
    ]
    node, _ = mark_literals(first.node, marks)
    node.name = name
    node.args.args = [*node.args.args, *map(ast.arg, columns)]
    return node


def _means(lines: list[str], expected: FunctionNode) -> bool:
    """Return True if source compiles, and has the expected syntax tree."""
    text = "\n".join(["if 1:", *lines] if lines[0][:1].isspace() else lines)
    tree = try_parse(text)
    if tree is None or not compiles(text):
        return False
    node = next(n for n in ast.walk(tree) if isinstance(n, FUNCTION_NODES))
    if ast.get_docstring(node, clean=False) is not None:
        node.body = node.body[1:]
    node.decorator_list = node.decorator_list[1:]
    return ast.dump(node) == ast.dump(expected)


def _removal(body: FunctionBody) -> Edit:
    """Return the edit that removes a test and the blank lines above it."""
    first, last = span_of(body)
    lines = body.module.lines or []
    while first > 1 and not lines[first - 2].strip():
        first -= 1
    return Edit(body.module.path, first, last, ())


def _import_of_pytest(module: ModuleSyntax) -> list[Edit] | None:
    """Return the edits that import pytest: none if it is imported, None if its name is in use."""
    bindings = module.bound(module.tree)["pytest"]
    plain = [
        alias
        for node in module.tree.body
        if isinstance(node, ast.Import)
        for alias in node.names
        if alias.name == "pytest" and alias.asname is None
    ]
    if "pytest" in module.variables or bindings != len(plain):
        return None
    return [] if plain else _new_import(module)


def _new_import(module: ModuleSyntax) -> list[Edit]:
    """Return the edit that inserts ``import pytest`` where import sorters place it."""
    body = module.tree.body
    imports = []
    for node in body[ast.get_docstring(module.tree, clean=False) is not None :]:
        if not isinstance(node, (ast.Import, ast.ImportFrom)):
            break
        imports.append(node)
    if not imports:
        return [_first_import(module)]
    own = _first_block([node for node in imports if not _is_standard(node)])
    later = [n for n in own if isinstance(n, ast.ImportFrom) or n.names[0].name > "pytest"]
    if later:
        line = later[0].lineno
        return [Edit(module.path, line, line - 1, ("import pytest",))]
    line = ((own or imports)[-1].end_lineno or 1) + 1
    return [Edit(module.path, line, line - 1, ("import pytest",) if own else ("", "import pytest"))]


def _first_import(module: ModuleSyntax) -> Edit:
    """Return the edit of a file without imports, below its docstring or first comments."""
    lines, first = module.lines or [], 0
    if ast.get_docstring(module.tree, clean=False) is not None:
        first = module.tree.body[0].end_lineno or 1
    else:
        head = next((n for n, line in enumerate(lines) if not line.startswith("#")), 0)
        # Comments directly above a test belong to the test.
        first = head if not lines[head].strip() else 0
    new = ("", "import pytest") if first else ("import pytest", "", "")
    return Edit(module.path, first + 1, first, new)


def _first_block(imports: list[ast.Import | ast.ImportFrom]) -> list[ast.Import | ast.ImportFrom]:
    """Return the imports before the first blank line between imports."""
    block = imports[:1]
    for node in imports[1:]:
        if node.lineno > (block[-1].end_lineno or 0) + 1:
            break
        block.append(node)
    return block


def _is_standard(node: ast.Import | ast.ImportFrom) -> bool:
    """Return True if an import is of the standard library."""
    if isinstance(node, ast.ImportFrom):
        name = "" if node.level else node.module or ""
    else:
        name = node.names[0].name
    return name.partition(".")[0] in {*sys.stdlib_module_names, "__future__"}
