"""The change of one file, as read from its diff."""

import difflib

from flashwasm.qe import read_diff


def change_of(before, after, context=3):
    """Return the change of a.py from one text to another, with lines of context around it."""
    lines = [text.splitlines(keepends=True) for text in (before, after)]
    (change,) = read_diff("".join(difflib.unified_diff(*lines, "a/a.py", "b/a.py", n=context)))
    return change
