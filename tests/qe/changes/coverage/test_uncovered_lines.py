"""The changed lines that no test ran, as lines of the changed file."""

import pytest

from file_changes import change_of
from flashwasm.qe.changes.coverage.uncovered_lines import uncovered_lines
from flashwasm.qe.changes.functions.touched_functions import touched_functions

BEFORE = """\
def f(x):
    # A comment.
    return call(
        x,
        "one",
    )

def g(x):
    if x:
        return 1
    else:
        return 2

def h(x):
    # Another comment.
    match x:
        case 1:
            return 3
"""
# Lines that coverage.py records at import and in tests of f and g; no test runs h.
RAN = {1, 3, 4, 8, 9, 10, 14}
# An edit of BEFORE, and the changed lines that no test ran.
EDITS = {
    "line inside a statement that ran": (('"one"', '"two"'), []),
    "end of a statement that ran": (("    )\n", "    ) + 1\n"), []),
    "comment": (("# A comment", "# A note"), []),
    "line of another branch": (("return 2", "return 4"), [12]),
    "else": (("    else:\n        return 2", "    return 2"), [11]),
    "branch that is removed": (("    else:\n        return 2\n", ""), [11]),
    "comment in a function without tests": (("# Another comment", "# A note"), []),
    "case without tests": (("case 1", "case 2"), [17]),
    "function without tests": (("return 3", "y = 3\n            return y"), [18, 19]),
    "new function": (("def h", "def new():\n    # A note.\n    return 5\n\ndef h"), [16]),
    "below lines that are added": (("def f", "import a\nimport b\n\ndef f"), []),
}


@pytest.mark.parametrize("context", [0, 3])
@pytest.mark.parametrize("above", ["", "# One line.\n# Two lines.\n"], ids=["", "shifted"])
@pytest.mark.parametrize(("edit", "expected"), EDITS.values(), ids=EDITS)
def test_changed_lines_that_no_test_ran(tmp_path, edit, expected, above, context):
    assert BEFORE.count(edit[0]) == 1
    after = above + BEFORE.replace(*edit)
    (tmp_path / "a.py").write_text(after)
    change = change_of(BEFORE, after, context)
    touched = touched_functions(change, tmp_path / "a.py")
    alone = [changed for body, changed in touched.functions.items() if body.isdisjoint(RAN)]
    shift = above.count("\n")
    assert uncovered_lines(change, touched, RAN, alone) == [line + shift for line in expected]
