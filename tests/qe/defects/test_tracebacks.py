"""Tracebacks read from text: Python's own, chains and groups of exceptions."""

import sys

import pytest

from failures import caught, raised
from flashwasm.qe import read_failure
from flashwasm.qe.defects.tracebacks import Frame, plain


def chained():
    try:
        {}["missing"]
    except KeyError:
        raise TypeError("two\nValueError: a line of the message") from None


def implicitly_chained():
    try:
        {}["missing"]
    except KeyError:
        [].pop(1)


def recursive():
    return recursive()


@pytest.mark.parametrize(
    ("function", "exception", "message", "causes"),
    [
        (chained, "TypeError", "two", ()),
        (implicitly_chained, "IndexError", "pop from empty list", ("KeyError",)),
        (recursive, "RecursionError", "maximum recursion depth exceeded", ()),
        (lambda: sys.exit(3), "SystemExit", "3", ()),
    ],
)
def test_tracebacks_of_python_are_read(function, exception, message, causes):
    failure = read_failure("2026-11-23 ERROR: something\n" + caught(function))
    assert (failure.exception, failure.message, failure.causes) == (exception, message, causes)
    assert failure.frames[-1].path == __file__


@pytest.mark.skipif(sys.version_info < (3, 11), reason="exception groups are newer")
def test_exception_groups():
    def grouped():
        errors = [raised(chained), raised(implicitly_chained)]
        raise ExceptionGroup("several", errors)  # noqa: F821 - a name of newer Pythons.

    failure = read_failure(caught(grouped))
    assert failure.exception == "TypeError"
    assert failure.place.function == "chained"
    assert "ExceptionGroup" in failure.causes


@pytest.mark.parametrize(
    ("path", "is_product"),
    [
        ("src/lib.py", True),
        ("tests/test_lib.py", False),
        ("lib/tests/helpers.py", False),
        ("conftest.py", False),
        ("C:\\lib\\lib_test.py", False),
        ("/usr/lib/python3.12/json/decoder.py", False),
        ("/venv/lib/python3.12/site-packages/numpy/core.py", False),
        ("<string>", False),
        ("latest/contests.py", True),
    ],
)
def test_frames_of_the_product_are_told_from_others(path, is_product):
    assert Frame(path, 1, "f").is_product is is_product


@pytest.mark.parametrize(
    "text", ["", "\n", "all went well", "\x1b[31m", "E", "E   ", "a" * 200_000]
)
def test_texts_without_a_traceback_have_no_exception(text):
    failure = read_failure(text)
    assert (failure.exception, failure.frames, failure.place) == ("", (), None)
    assert len(failure.text) <= 1 << 16


@pytest.mark.parametrize("piece", [" ", "\t", "1", "=", "_", "a.", "\x1b[1m", "a:1: in b "])
def test_a_line_of_a_megabyte_is_no_line_of_a_traceback(piece):
    """Its beginning is enough to know that; to compare all of it would take minutes."""
    failure = "lib.py:7: in add\n    x.y\nE   AttributeError: no y"
    found = read_failure(f"{piece * (1 << 20)}\n{failure}")
    assert found.signature == ("AttributeError", "lib.py", "add")
    assert len(plain("a" * 5000 + "\nb")) == 4002
