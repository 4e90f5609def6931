"""Marking of literals: the copy has a mark in place of each, and the function stays as it is."""

import ast

from flashwasm.qe.duplicates.literal_marking import mark_literals

SOURCE = """\
async def test_a(self, size: int = 3):
    values: "list[int]" = [1, -2]
    with context(key={"b": 4}) as (x, y):
        assert f"{x:>5}" == b"six" if y else await other(7)
    match x:
        case 8:
            pass
        case _:
            raise ValueError("nine")
"""
MARKED = """\
async def test_a(self, size: int=3):
    values: 'list[int]' = _literal
    with context(key=_literal) as (x, y):
        assert f'{x:>5}' == _literal if y else await other(_literal)
    match x:
        case 8:
            pass
        case _:
            raise ValueError(_literal)"""


def test_literals_are_marked_in_a_copy():
    (node,) = ast.parse(SOURCE).body
    before = ast.dump(node, include_attributes=True)
    marked, literals = mark_literals(node)
    assert ast.unparse(marked) == MARKED
    assert [one.source for one in literals] == ["[1, -2]", "{'b': 4}", "b'six'", "7", "'nine'"]
    marked.name = "test_b"
    marked.args.args = []
    assert ast.dump(node, include_attributes=True) == before


def test_the_given_expressions_replace_the_literals():
    (node,) = ast.parse("def test_a():\n    f(1, [2])").body
    marked, _ = mark_literals(node, [ast.Name("one", ast.Load()), ast.Name("two", ast.Load())])
    assert ast.unparse(marked) == "def test_a():\n    f(one, two)"
