"""The lines of a source that hold code, compared with the lines that Python reports as it runs."""

import sys

import pytest

from flashwasm.qe.coverage.code_lines import code_lines

SOURCE = '''\
"""A module.

Of two lines.
"""
# A comment.

import os


class A:
    """A class."""

    x = 1

    def f(
        self,
        y,
        z=2,
    ):
        """A docstring
        of two lines."""
        global G
        # A comment.
        if y:
            "Neither a docstring."
            G = max(
                y,
                z,
            )
        else:
            G = 3
        try:
            return (lambda: None)()
        finally:
            G = 4


def only():
    """A function that returns None from its docstring."""


A().f(1)
A().f(0)
only()
'''
WITHOUT_CODE = {*range(1, 7), 8, 9, 11, 12, 14, 16, 17, *range(19, 24), 25, 29, 30, 34}


def test_lines_without_code(tmp_path):
    (tmp_path / "a.py").write_text(SOURCE)
    found = code_lines(tmp_path / "a.py")
    assert found == sorted(found)
    assert WITHOUT_CODE.isdisjoint(found)
    ran = set()

    def trace(frame, event, _argument):
        if frame.f_code.co_filename == "a.py":
            ran.update({frame.f_lineno} if event == "line" else ())
            return trace
        return None

    code = compile(SOURCE, "a.py", "exec", dont_inherit=True)
    before = sys.gettrace()
    sys.settrace(trace)
    try:
        exec(code, {"__name__": "a"})  # noqa: S102 - the test wrote this source.
    finally:
        sys.settrace(before)
    # An import stores the docstrings of the module and of the class, and Python reports the
    # string in line 25, but neither is code.
    assert ran - {1, 11, 25} <= set(found)
    assert {7, 10, 13, 15, 24, 26, 31, 33, 35, 38} <= ran


@pytest.mark.parametrize("source", ["def f(:\n", "return 1\n", None], ids=str)
def test_no_lines_of_what_is_not_python(tmp_path, source):
    if source is not None:
        (tmp_path / "a.py").write_text(source)
    assert code_lines(tmp_path / "a.py") is None
