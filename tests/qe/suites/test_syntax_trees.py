"""Syntax trees of sources that are Python, and of those that are not."""

import ast
import os
import warnings

import pytest

from flashwasm.qe.suites.syntax_trees import (
    FUNCTION_NODES,
    PARSE_ERRORS,
    compiles,
    mentioned_name,
    nodes_outside,
    parse_file,
    parse_source,
    try_parse,
)

NOT_PYTHON = {
    "syntax": "def test_x(:\n",
    "null byte": "a = 1\0",
    "digits": f"a = {'9' * 5000}",
    "nesting": f"a = {'(' * 100_000}",
    "encoding": b"# coding: no-such-encoding\n",
    "bytes": b"a = '\xff'\n",
}


@pytest.mark.parametrize("source", NOT_PYTHON.values(), ids=NOT_PYTHON)
def test_a_source_that_is_not_python_has_no_tree(tmp_path, source):
    assert try_parse(source) is None
    assert not compiles(source)
    with pytest.raises(PARSE_ERRORS):
        parse_source(source)
    file = tmp_path / "a.py"
    file.write_bytes(source if isinstance(source, bytes) else source.encode())
    assert parse_file(file) is None


def test_a_mistaken_error_of_the_parser_is_tried_again(monkeypatch):
    parse, calls = ast.parse, []

    def mistaken(*arguments, **options):
        calls.append(arguments)
        if len(calls) == 1:
            raise SystemError("AST constructor recursion depth mismatch (before=90, after=65)")
        return parse(*arguments, **options)

    monkeypatch.setattr(ast, "parse", mistaken)
    assert ast.dump(parse_source("a = 1")) == ast.dump(parse("a = 1"))
    assert len(calls) == 2


def test_a_file_that_is_missing_or_a_pipe_has_no_tree(tmp_path):
    assert parse_file(tmp_path / "missing.py") is None
    os.mkfifo(tmp_path / "pipe.py")
    assert parse_file(tmp_path / "pipe.py") is None


def test_a_return_outside_a_function_parses_but_does_not_compile():
    assert try_parse("return 1") is not None
    assert not compiles("return 1")


def test_the_warnings_of_the_parser_are_not_shown(tmp_path):
    source = r"a = '\d'"
    (tmp_path / "a.py").write_text(source)
    with warnings.catch_warnings(record=True) as shown:
        warnings.simplefilter("always")
        assert ast.dump(parse_source(source)) == ast.dump(parse_file(tmp_path / "a.py"))
        assert compiles(source)
    assert not shown


def test_the_inside_of_a_function_is_left_out():
    tree = parse_source("def outer(given):\n    inner = 1\nafter = outer.name\n")
    found = {mentioned_name(node) for node in nodes_outside(FUNCTION_NODES, tree.body)} - {""}
    assert found == {"after", "outer", "name"}
