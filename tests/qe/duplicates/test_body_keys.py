"""Digests of bodies: equal where `ast.dump` gives equal texts, with and without the literals."""

import ast
from collections import defaultdict
from pathlib import Path

import pytest

from flashwasm.qe.duplicates.body_keys import BodyKeys
from flashwasm.qe.duplicates.literal_marking import mark_literals

BODIES = [
    *("f(1)", "f(2)", "f(-1)", "f(+1)", "f(~1)", "f(1, 1)", "f(1.0)", "f(True)", "f('1')"),
    *("f(u'1')", "f(b'1')", "f('literal')", "f(literal)", "f(_literal)", "f('\\ud800')", "f(...)"),
    *("f([1, 2])", "f([])", "f([[]])", "f([], [])", "f([x])", "f([1, x])", "f((1, 2))", "f({1})"),
    *("f({1: 2})", "f({**x})", "f({1: 2, **x})", "f({1: x})", "[a, b] = x", "(a, b) = x"),
    *("x: int = 1", "x: 'int' = 1", "x: 'str' = 1", "x: 'str' = 2", "x: List['str']"),
    *("f'{x}1'", "f'{x}2'", "f'{x!r}1'", "f'{x:1}'", "f'{x:2}'", "'1'"),
    *("a < b", "a <= b", "a + b", "a - b", "a and b", "not a", "del a", "global a"),
    *("return", "return None", "return 1", "import a", "from . import a", "from .. import a"),
    "def g(x: 1 = 2) -> 3: return 4",
    "def g(x: 1 = 5) -> 3: return 4",
    "def g(x: 6 = 2) -> 3: return 4",
    "def g(x: 1 = 2) -> 7: return 4",
    "def g(x, *, y=1): return 4",
    "def g(x, *, y): return 4",
    "def g(x, /): return 4",
    "match x:\n        case 1: f(1)",
    "match x:\n        case 1: f(2)",
    "match x:\n        case 2: f(1)",
    "match x:\n        case [1, *y]: f(1)",
    "try: f(1)\n    except E: pass",
    "try: f(1)\n    finally: pass",
    "if a: b\n    c",
    "if a:\n        b\n        c",
    "f(1)\n    f(2)",
    "f(2)\n    f(1)",
]


def functions():
    """Return functions of all these bodies, and the functions of the tests in this folder."""
    texts = [f"def test():\n    {body}\n" for body in BODIES]
    texts += [file.read_text("utf-8") for file in Path(__file__).parent.glob("*.py")]
    nodes = [node for text in texts for node in ast.walk(ast.parse(text))]
    return [node for node in nodes if isinstance(node, ast.FunctionDef)]


def groups(keys):
    """Return the positions of equal keys."""
    found = defaultdict(list)
    for i, key in enumerate(keys):
        found[key].append(i)
    return list(found.values())


def dumped(statements):
    return tuple(map(ast.dump, statements))


def test_exact_digests_are_equal_for_equal_trees():
    found = functions()
    keys = [BodyKeys(node.body, 100).exact("") for node in found]
    assert groups(keys) == groups([dumped(node.body) for node in found])


def test_shapes_are_equal_for_trees_that_differ_in_literals():
    # The marks are names, which the bodies with such a name have without a literal.
    found = [node for node in functions() if "_literal" not in ast.unparse(node)]
    keys = [BodyKeys(node.body, 100).shape("") for node in found]
    assert groups(keys) == groups([dumped(mark_literals(node)[0].body) for node in found])
    assert len(groups(keys)) < len(groups([dumped(node.body) for node in found]))


def test_integers_of_any_size_are_told_apart():
    bodies = [ast.parse(f"f(0x{digit * 6000})").body for digit in "112"]
    one, same, other = (BodyKeys(body, 100) for body in bodies)
    assert one.exact("") == same.exact("") != other.exact("")
    assert one.shape("") == other.shape("")


def test_the_head_is_part_of_both_digests():
    keys = BodyKeys(ast.parse("f(1)").body, 100)
    assert keys.exact("a") == keys.exact("a") != keys.exact("b")
    assert keys.shape("a") == keys.shape("a") != keys.shape("b")


def test_all_nodes_are_listed_in_the_order_of_the_source():
    tree = ast.parse("for x in [1, -2]:\n    f'{x + y}'\nimport a\n")
    listed = BodyKeys(tree.body, 100).nodes
    constant = (ast.expr_context, ast.operator, ast.unaryop)
    walked = [node for node in ast.walk(tree) if not isinstance(node, constant)]
    assert {*listed} == {*walked} - {tree}
    assert len(listed) == len(walked) - 1
    lines = [node.lineno for node in listed if hasattr(node, "lineno")]
    assert lines == sorted(lines)


def test_nodes_beyond_the_given_depth_are_refused():
    statements = ast.parse("f(g(x))").body  # Expr, Call, Call, Name.
    assert len(BodyKeys(statements, 4).nodes) == 6
    with pytest.raises(RecursionError):
        BodyKeys(statements, 3)
