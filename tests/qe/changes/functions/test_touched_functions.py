"""The functions of a file that a change touches."""

import pytest

from file_changes import change_of
from flashwasm.qe.changes.functions.touched_functions import touched_functions

BEFORE = '''\
"""A module."""
X = 1

@dec(
    "a",
)
def f(x, y=(1,
            2)):
    """Say it.

    More.
    """
    # A comment.
    if x:
        return 1
    return 2


def outer():
    def inner():
        return 3
    return inner

class C:
    z = 4

    def g(self):
        return 5
def one(): return 6
'''

# An edit of BEFORE, the first changed line of each touched function with the last line of its body,
# the lines of new functions, and the reasons why the change reaches more than the callers of these
# functions. The last lines of bodies are those before the change, the others those after it.
EDITS = {
    "line of a function": (("return 2", "return 3"), {16: 16}, [], []),
    "comment in a function": (("# A comment.", "# Another."), {13: 16}, [], []),
    "line that is removed": (("    return 2\n", ""), {16: 16}, [], []),
    "line that is added": (("    if x:\n", "    x = 0\n    if x:\n"), {14: 16}, [], []),
    "line below the last": (("return 2\n", "return 2\n    x = 3\n"), {17: 16}, [], []),
    "whole body": (("return 5", "return 6"), {28: 28}, [], []),
    "inner function": (("return 3", "return 4"), {21: 21}, [], []),
    "outer function": (("return inner", "return None"), {22: 22}, [], []),
    "new inner function": (
        ("    return inner", "    def new():\n        return 7\n    return inner"),
        {22: 22},
        [23],
        ["a.py:23 is in a new function"],
    ),
    "new function": (
        ("\n\ndef outer", "\n\ndef new():\n    return 7\n\ndef outer"),
        {},
        [20],
        ["a.py:19 runs at import", "a.py:20 is in a new function"],
    ),
    "constant": (("X = 1", "X = 2"), {}, [], ["a.py:2 runs at import"]),
    "decorator": (('"a"', '"b"'), {}, [], ["a.py:5 runs at import"]),
    "default": (("2)):", "3)):"), {}, [], ["a.py:8 runs at import"]),
    "docstring": (("More.", "Less."), {}, [], ["a.py:11 runs at import"]),
    "class body": (("z = 4", "z = 5"), {}, [], ["a.py:25 runs at import"]),
    "function of one line": (("return 6", "return 7"), {}, [], ["a.py:29 runs at import"]),
    "function that is removed": (
        ("    def g(self):\n        return 5\n", "    pass\n"),
        {27: 28},
        [],
        ["a.py:27 runs at import"],
    ),
}


@pytest.mark.parametrize(("edit", "functions", "new", "wider"), EDITS.values(), ids=EDITS)
def test_functions_that_a_change_touches(tmp_path, edit, functions, new, wider):
    assert BEFORE.count(edit[0]) == 1
    after = BEFORE.replace(*edit)
    (tmp_path / "a.py").write_text(after)
    touched = touched_functions(change_of(BEFORE, after), tmp_path / "a.py")
    assert {changed[0]: max(lines) for lines, changed in touched.functions.items()} == functions
    assert touched.new == new
    assert touched.wider == wider


def test_changes_that_cannot_be_followed_reach_more(tmp_path):
    file = tmp_path / "a.py"
    file.write_text("def f(:\n    return 1\n")
    change = change_of("def f():\n    return 1\n", file.read_text())
    assert touched_functions(change, file).wider == ["a.py cannot be read"]
    file.write_text("other\n")
    assert touched_functions(change, file).wider == ["a.py is not as the diff leaves it"]
