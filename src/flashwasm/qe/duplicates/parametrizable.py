"""Proof that one parametrised test is equivalent to several tests, from their source alone.

flashwasm executes nothing. So the proof fails if anything is unknown: a decorator, a base class or
a fixture in another file. Then the group is reported without a suggestion.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from flashwasm.qe.duplicates.module_syntax import BUILTIN_FIXTURES, functions_in
from flashwasm.qe.suites.expressions import source_of
from flashwasm.qe.suites.syntax_trees import (
    DEFINITION_NODES,
    FUNCTION_NODES,
    FunctionNode,
    mentioned_name,
    nodes_outside,
)

if TYPE_CHECKING:
    from flashwasm.qe.duplicates.function_body import FunctionBody
    from flashwasm.qe.duplicates.module_syntax import ModuleSyntax, Scope

__all__ = ["can_be_one_test", "parametrize_marks"]

# Marks of plugins that look up files by the test's name, or order tests by name.
_MARKS_BY_NAME = {
    "array_compare",
    "benchmark",
    "default_cassette",
    "dependency",
    "image_comparison",
    "mpl_image_compare",
    "order",
    "vcr",
}
# Functions that inspect the local variables, the code or the references of their caller.
_INTROSPECTION = {
    "_getframe",
    "currentframe",
    "dir",
    "eval",
    "exec",
    "f_locals",
    "findsource",
    "getrefcount",
    "getsource",
    "getsourcelines",
    "locals",
    "vars",
}
_NAME_OF_TEST = {"name", "__name__", "nodeid", "originalname"}
_SETUP = ("setup_method", "teardown_method", "setup_function", "teardown_function")


def can_be_one_test(bodies: Sequence[FunctionBody]) -> bool:
    """Return True if one parametrised test is proven to be equivalent to several tests.

    Parameters
    ----------
    bodies : sequence of FunctionBody
        Bodies of tests of one file with the same shape and the same decorators.
    """
    first = bodies[0]
    module = first.module
    if module.lines is None or any(body.scope is not first.scope for body in bodies):
        return False
    scope = first.scope
    return (
        scope is not None
        and "pytest_generate_tests" not in module.bound(module.tree)
        and _is_plain_class(module, scope)
        and _have_names_of_their_own(bodies, scope)
        and _run_in_the_same_classes(bodies)
        and _are_plain_functions(module, first.node)
        and not _knows_the_name(module, scope, first.node)
        and _literals_can_be_values(bodies)
    )


def parametrize_marks(module: ModuleSyntax, scope: Scope, node: FunctionNode) -> bool:
    """Return True if a test may already have several cases, because of marks or fixtures."""
    own = [*node.decorator_list, *getattr(scope, "decorator_list", [])]
    marks = (source_of(decorator) for decorator in own)
    fixtures = _fixtures_of(module, node)
    return (
        any("parametrize" in mark for mark in marks)
        or any("params" in source_of(d) for f in fixtures for d in f.decorator_list)
        or (module.identifiers["pytestmark"] > 0 and module.identifiers["parametrize"] > 0)
        or module.identifiers["metafunc"] > 0
        or "metafunc" in module.conftest_names
    )


def _is_plain_class(module: ModuleSyntax, scope: Scope) -> bool:
    """Return True for the module, and for a class whose bases are plain classes of the module."""
    waiting, seen = [scope], set()
    while waiting:
        one = waiting.pop()
        if isinstance(one, ast.Module) or one in seen:
            continue
        seen.add(one)
        marked = all(_mark_name(module, decorator) for decorator in one.decorator_list)
        bases = [source_of(base) for base in one.bases]
        if one.keywords or not marked:
            return False
        for base in bases:
            if base == "object":
                continue
            if base not in module.classes or module.bound(module.tree)[base] != 1:
                return False
            waiting.append(module.classes[base])
    return True


def _have_names_of_their_own(bodies: Sequence[FunctionBody], scope: Scope) -> bool:
    """Return True if each test's name is bound once, and nothing else in the file names it."""
    module = bodies[0].module
    names = module.bound(scope)
    return all(
        names[name] == 1 and not module.identifiers[name] and name not in module.conftest_names
        for name in (body.node.name for body in bodies)
    )


def _run_in_the_same_classes(bodies: Sequence[FunctionBody]) -> bool:
    """Return True if pytest runs the tests in the same classes, and in no other file."""
    places = []
    for body in bodies:
        ids = [body.test.nodeid, *body.test.also]
        ends = {nodeid.rpartition("::") for nodeid in ids}
        if {name for _, _, name in ends} != {body.node.name}:
            return False
        places.append({place for place, _, _ in ends})
    files = {place.partition("::")[0] for place in places[0]}
    return len(files) == 1 and all(place == places[0] for place in places)


def _are_plain_functions(module: ModuleSyntax, node: FunctionNode) -> bool:
    """Return True if a test has plain arguments, known decorators and known fixtures."""
    given = node.args
    if given.posonlyargs or given.kwonlyargs or given.vararg or given.kwarg or given.defaults:
        return False
    decorators = all(_is_known_decorator(module, decorator) for decorator in node.decorator_list)
    own_nodes = list(nodes_outside((*DEFINITION_NODES, ast.Lambda), node.body))
    generates = any(isinstance(n, (ast.Yield, ast.YieldFrom)) for n in own_nodes)
    return decorators and not generates and _fixtures_are_known(module, node)


def _fixtures_are_known(module: ModuleSyntax, node: FunctionNode) -> bool:
    """Return True if each fixture of a test is built in, or of its file or a conftest.py."""
    given = _marked_parameters(node)
    names = {argument.arg for argument in node.args.args} - {"self", "cls"} - given
    return all(name in BUILTIN_FIXTURES or name in module.fixtures for name in names)


def _marked_parameters(node: FunctionNode) -> set[str]:
    """Return the words in the decorators' strings, which include the names of parameters."""
    constants = [n for d in node.decorator_list for n in ast.walk(d) if isinstance(n, ast.Constant)]
    texts = [c.value for c in constants if isinstance(c.value, str)]
    return {name.strip() for text in texts for name in text.split(",")}


def _fixtures_of(module: ModuleSyntax, node: FunctionNode) -> list[FunctionNode]:
    """Return the functions of the fixtures that a test requests, directly or indirectly.

    They include autouse fixtures.
    """
    waiting = [argument.arg for argument in node.args.args]
    waiting += _marked_parameters(node)
    found = list(module.autouse_fixtures)
    waiting += [argument.arg for function in found for argument in function.args.args]
    seen: set[str] = set()
    while waiting:
        name = waiting.pop()
        if name not in seen:
            seen.add(name)
            for function in module.fixtures.get(name, []):
                found.append(function)
                waiting += [argument.arg for argument in function.args.args]
    return found


def _knows_the_name(module: ModuleSyntax, scope: Scope, node: FunctionNode) -> bool:
    """Return True if a test, its fixtures or its set-up may use the test's name or its code."""
    inside = [function for function, _ in functions_in(scope)]
    setups = [
        n
        for n in (*inside, *module.tree.body)
        if isinstance(n, FUNCTION_NODES) and n.name in _SETUP
    ]
    for one in (node, *_fixtures_of(module, node), *setups):
        words = set(_words(one))
        # Fixtures and tests get the test from `request`, and setup methods as an argument.
        asks = "request" in words or one.name in _SETUP
        if (asks and words & _NAME_OF_TEST) or "PYTEST_CURRENT_TEST" in words:
            return True
    return bool(set(_words(node)) & _INTROSPECTION)


def _words(node: ast.AST) -> Iterator[str]:
    """Yield the names, attributes, arguments and short strings inside a node."""
    for one in ast.walk(node):
        if name := mentioned_name(one):
            yield name
        elif isinstance(one, ast.Constant) and one.value == "PYTEST_CURRENT_TEST":
            yield one.value


def _literals_can_be_values(bodies: Sequence[FunctionBody]) -> bool:
    """Return True if each literal that differs can be replaced by a parameter.

    A literal list creates a new list for each evaluation, but a parameter is one list for the whole
    case. So a mutable literal must be evaluated only once in a case, or must only be read.
    """
    first = bodies[0]
    shared = len(first.test.also) > 0
    if first.scope is not None:
        shared = shared or parametrize_marks(first.module, first.scope, first.node)
    for column in zip(*(body.literals for body in bodies), strict=True):
        if len({literal.source for literal in column}) == 1:
            continue
        for literal in column:
            lasting = literal.may_repeat or shared
            if literal.is_statement or (
                literal.is_mutable and lasting and not literal.is_only_read
            ):
                return False
    return True


def _is_known_decorator(module: ModuleSyntax, decorator: ast.expr) -> bool:
    """Return True for a pytest mark that does not depend on the test's name."""
    mark = _mark_name(module, decorator)
    return mark is not None and mark not in _MARKS_BY_NAME


def _mark_name(module: ModuleSyntax, decorator: ast.expr) -> str | None:
    """Return the name of the mark that a decorator sets; None if it is not a mark of pytest."""
    head, _, rest = _meaning(module, decorator).partition("pytest.mark.")
    return rest.partition(".")[0] if rest and not head else None


def _meaning(module: ModuleSyntax, decorator: ast.expr) -> str:
    """Return a decorator's dotted name, with its first part resolved by the module's imports."""
    target = decorator.func if isinstance(decorator, ast.Call) else decorator
    parts = source_of(target).split(".")
    return ".".join([module.imports.get(parts[0], ""), *parts[1:]])
