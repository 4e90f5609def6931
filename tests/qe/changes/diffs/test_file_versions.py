"""A changed file before and after its change, and the functions that the change touches."""

import difflib
import random

import pytest

from flashwasm.qe import read_diff
from flashwasm.qe.changes.diffs.file_versions import file_versions
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


def changed(before, after, context=3):
    """Return the change of a.py as read from its diff."""
    lines = [text.splitlines(keepends=True) for text in (before, after)]
    (change,) = read_diff("".join(difflib.unified_diff(*lines, "a/a.py", "b/a.py", n=context)))
    return change


@pytest.mark.parametrize("context", [0, 1, 3])
def test_the_versions_of_a_file_are_those_of_the_diff(tmp_path, context):
    draw = random.Random(0)  # noqa: S311 - its numbers are no secret.
    for _ in range(50):
        before = [f"line {number}\n" for number in range(20)]
        after = list(before)
        for number in range(draw.randrange(1, 5)):
            at = draw.randrange(len(after))
            after[at : at + draw.randrange(3)] = [f"new {number}\n"] * draw.randrange(3)
        before, after = "".join(before), "".join(after)
        if before == after:
            continue
        change = changed(before, after, context)
        (tmp_path / "a.py").write_text(after)
        versions = file_versions(tmp_path / "a.py", change)
        assert (versions.before, versions.after) == (before, after)
        for new, old in versions.old_of.items():
            assert after.split("\n")[new - 1] == before.split("\n")[old - 1]
        # The diff may not be applied yet.
        (tmp_path / "a.py").write_text(before)
        if change.removed and change.added:
            assert file_versions(tmp_path / "a.py", change) == versions


def test_files_that_are_no_side_of_the_diff(tmp_path):
    file = tmp_path / "a.py"
    change = changed("a\nb\nc\n", "a\nB\nc\n")
    assert file_versions(file, change) is None
    for text in ("a\nb", "a\nx\nc\n", ""):
        file.write_text(text)
        assert file_versions(file, change) is None
    file.write_bytes(b"a\r\nB\r\nc\r\n")
    assert file_versions(file, change).before == "a\nb\nc\n"
    # One of several equal lines is gone, or will be.
    file.write_text("a\na\nb\n")
    (change,) = read_diff("--- a/a.py\n+++ b/a.py\n@@ -2,1 +1,0 @@\n-a\n")
    assert file_versions(file, change) is None
    # A file that the change deletes.
    file.unlink()
    assert file_versions(file, changed("a\nb\n", "")).before == "a\nb\n"


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
    touched = touched_functions(changed(BEFORE, after), tmp_path / "a.py")
    assert {changed[0]: max(lines) for lines, changed in touched.functions.items()} == functions
    assert touched.new == new
    assert touched.wider == wider


def test_changes_that_cannot_be_followed_reach_more(tmp_path):
    file = tmp_path / "a.py"
    file.write_text("def f(:\n    return 1\n")
    change = changed("def f():\n    return 1\n", file.read_text())
    assert touched_functions(change, file).wider == ["a.py cannot be read"]
    file.write_text("other\n")
    assert touched_functions(change, file).wider == ["a.py is not as the diff leaves it"]
