"""Two sources that are the same program, and sources that only look so."""

import pytest

from flashwasm.qe.changes.diffs.same_code import same_code

CODE = 'def f(a, b):\n    """Add."""\n    return g(a, b) + 1\n'
# Sources before and after a change that no program can notice except by its lines.
EQUAL = {
    "comment": (CODE, f"# A comment.\n{CODE}"),
    "comment at the end of a line": (CODE, CODE.replace(":\n", ":  # noqa\n")),
    "type comment": (CODE, CODE.replace("b):\n", "b):  # type: (int, int) -> int\n")),
    "blank lines": (CODE, f"\n\n{CODE}\n\n"),
    "indentation": (CODE, CODE.replace("    ", "\t")),
    "line continuation": (CODE, CODE.replace(" + 1", " \\\n        + 1")),
    "trailing comma": ("f(a, b)\n", "f(\n    a,\n    b,\n)\n"),
    "quotes": ("x = 'a'\n", 'x = "a"\n'),
    "quotes of an f-string": ("x = f'{a}'\n", 'x = f"{a}"\n'),
    "joined strings": ("x = 'ab'\n", 'x = (\n    "a"\n    "b"\n)\n'),
    "letter of a string": ("x = u'a'\n", "x = 'a'\n"),
    "parentheses": ("if (a): return_ = (b)\n", "if a:\n    return_ = b\n"),
    "number": ("x = 0XFF + 1E5\n", "x = 0xFF + 1e5\n"),
    "statements on one line": ("a = 1; b = 2\n", "a = 1\nb = 2\n"),
    "encoding": (f"# -*- coding: utf-8 -*-\n{CODE}", CODE),
    "comment below a first line": (f"#!/bin/python\n{CODE}", f"#!/bin/python\n# A.\n{CODE}"),
}
DIFFERENT = {
    "code": ("x = 1\n", "x = 2\n"),
    "type of a number": ("x = 1\n", "x = 1.0\n"),
    "number and truth": ("x = 1\n", "x = True\n"),
    "docstring": (CODE, CODE.replace("Add.", "Adds.")),
    "spaces at the end of a docstring": (CODE, CODE.replace("Add.", "Add. ")),
    "comment inside a string": ('x = """\n# a\n"""\n', 'x = """\n# b\n"""\n'),
    "text of an f-string's expression": ('x = f"{a + b=}"\n', 'x = f"{a+b=}"\n'),
    "tuple of one": ("f((a))\n", "f((a,))\n"),
    "line moved out of a branch": ("if a:\n    b\n    c\n", "if a:\n    b\nc\n"),
    "import of a new behaviour": (CODE, f"from __future__ import annotations\n{CODE}"),
    "order of imports": ("import a\nimport b\n", "import b\nimport a\n"),
    "syntax error before": ("def\n", "x = 1\n"),
    "syntax error after": ("x = 1\n", "def\n"),
    "syntax error in both": ("def\n", "def\n# a\n"),
    "new file": ("", "# a\n"),
    "file that is emptied": ("# a\n", "\n"),
    "other encoding": (CODE, f"# -*- coding: latin-1 -*-\n{CODE}"),
    "encoding that moves": (f"# coding: cp1252\n{CODE}", f"# a\n# b\n# coding: cp1252\n{CODE}"),
    "encoding that begins alike": (CODE, f"# coding: utf-8-sig\n{CODE}"),
    "bytes that are not text": (CODE, f"# \ufffd\n{CODE}"),
    "directive of Cython": (CODE, f"# cython: boundscheck=False\n{CODE}"),
    "settings of a script": (CODE, f"# /// script\n# dependencies = []\n# ///\n{CODE}"),
    "first line of a script": (f"#!/bin/python\n{CODE}", f"\n#!/bin/python\n{CODE}"),
    # A setting of pytest may turn warnings into errors.
    "invalid escape": ('x = r"\\d"\n', 'x = "\\d"\n'),
    "number beside a word": ("x = 1 if a else 2\n", "x = 1if a else 2\n"),
    "quotes inside an f-string": ("x = f'{a[\"b\"]}'\n", "x = f\"{a['b']}\"\n"),
    "very long number": (f"x = 0x{'f' * 5000}\n", f"x = 0x{'f' * 5000}  # a\n"),
}


@pytest.mark.parametrize(("before", "after"), EQUAL.values(), ids=EQUAL)
def test_comments_and_layout_do_not_change_the_code(before, after):
    assert same_code(before, after)
    assert same_code(after, before)


@pytest.mark.parametrize(("before", "after"), DIFFERENT.values(), ids=DIFFERENT)
def test_sources_of_different_or_unknown_behaviour(before, after):
    assert not same_code(before, after)
    assert not same_code(after, before)


def test_syntax_that_older_versions_cannot_read():
    """Python before 3.14 cannot read the second text."""
    text = "try:\n    a\nexcept {}:\n    b\n"
    assert not same_code(text.format("(A, B)"), text.format("A, B"))
