"""Output of real runs of pytest, in all styles of traceback: every failure is read and counted."""

import itertools
import os
import re
import subprocess
import sys

import pytest

from flashwasm.qe.defects.failure_files import read_failure_file

# A test that prints the output of another pytest, whose headings look like this one's.
SUITE = r'''
import unittest
import pytest

NESTED = """{eq} test session starts {eq}
collected 2 items
{eq} ERRORS {eq}
{un} ERROR at setup of test_value {un}
E   OSError: inner
---------- Captured stdout call ----------
{eq} FAILURES {eq}
{un} test_value {un}

>       assert 0
E       ZeroDivisionError: inner

test_in.py:2: ZeroDivisionError
{eq} short test summary info {eq}
FAILED test_in.py::test_value - ZeroDivisionError: inner
ERROR test_in.py::test_value - OSError: inner
{eq} 1 failed, 1 error in 0.01s {eq}
"""

def look_up(key):
    return {}[key]

def test_key():
    print("=" * 8, "step 2", "=" * 8)
    print("Traceback (most recent call last):\n  File 'x', line 1\nOSError: printed")
    look_up("first")

def test_prints_a_run():
    print(NESTED.format(eq="=" * 27, un="_" * 34))
    look_up("second")

@pytest.mark.parametrize("x", ["short", "long " * 60 + "- end", "a::b[c]", "_", "== FAILURES =="])
def test_value(x):
    int(x)

def test_assert():
    assert len("abc") == 4

def test_without_traceback():
    pytest.fail("stopped on purpose", pytrace=False)

def test_of_the_unexpected():
    with pytest.raises(ValueError):
        pass

@pytest.fixture
def broken():
    print("from the fixture")
    raise OSError("no setup")

def test_setup(broken):
    pass

@pytest.fixture
def leaves_badly():
    yield
    raise OSError("no teardown")

def test_teardown(leaves_badly):
    pass

def test_failure_and_teardown(leaves_badly):
    look_up("third")

def test_subtests(subtests):
    for i in range(3):
        with subtests.test("part", i=i):
            assert i == 1

class TestClass:
    def test_key(self):
        try:
            look_up("fourth")
        except KeyError as error:
            raise RuntimeError("chained") from error

class TestCase(unittest.TestCase):
    def test_equal(self):
        self.assertEqual([1], [2])

@pytest.mark.xfail
def test_expected():
    look_up("expected")

def test_passes():
    print(NESTED.format(eq="=" * 27, un="_" * 34))
'''
MODULE = '''
def double(x):
    """
    >>> double(2)
    5
    """
    return 2 * x

def divide(x):
    """
    >>> divide(0)
    1
    """
    return 1 / x
'''
# Names in the summary, and exceptions that every style but "no" shows.
EXPECTED = {
    "test_key": "KeyError",
    "test_prints_a_run": "KeyError",
    "test_value[short]": "ValueError",
    "test_value[a::b[c]]": "ValueError",
    "test_value[_]": "ValueError",
    "test_value[== FAILURES ==]": "ValueError",
    "test_assert": "AssertionError",
    "test_of_the_unexpected": "Failed",
    "test_setup": "OSError",
    "test_teardown": "OSError",
    "TestClass::test_key": "RuntimeError",
    "TestCase::test_equal": "AssertionError",
}
STYLES = ["auto", "long", "short", "line", "native", "no"]
MATRIX = [
    f"{style}{flag}-{width}"
    for style, flag, width in itertools.product(STYLES, ["-q", "-v"], [20, 80])
] + ["long-qq-80", "short-rA-400", "auto-rN-80", "no-rN-80", "long-s-80", "short-n2-80"]
# One interpreter runs pytest once for each name: style, option, width.
RUN = """
import contextlib, os, pytest, sys
for name in sys.argv[1:]:
    style, flag, width = name.split("-")
    os.environ["COLUMNS"] = width
    more = ["-p", "xdist", "-n2"] if flag == "n2" else [f"-{flag}"]
    options = ["-p", "no:cacheprovider", "--doctest-modules", "--continue-on-collection-errors"]
    with open(f"{name}.txt", "w") as output, contextlib.redirect_stdout(output):
        pytest.main([*options, f"--tb={style}", f"--junitxml={name}.xml", *more, "."])
"""


@pytest.fixture(scope="module")
def outputs(tmp_path_factory):
    """Return a folder with pytest's output for each row of the matrix."""
    folder = tmp_path_factory.mktemp("matrix")
    (folder / "test_many.py").write_text(SUITE)
    (folder / "numbers_of.py").write_text(MODULE)
    (folder / "test_broken.py").write_text("import nothing_there\n")
    environment = os.environ | {"PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"}
    environment.pop("CI", None)
    subprocess.run(
        [sys.executable, "-c", RUN, *MATRIX],
        cwd=folder,
        env=environment,
        check=True,
        capture_output=True,
    )
    return folder


def own_count(text):
    """Return the number of failures and errors by pytest's last line."""
    last = [line for line in text.splitlines() if re.search(r" in \d+\.\d+s", line)][-1]
    return sum(map(int, re.findall(r"(\d+) (?:failed|errors?)", last)))


@pytest.mark.parametrize("name", [name for name in MATRIX if name not in {"no-rN-80"}])
def test_as_many_failures_are_read_as_pytest_counts(outputs, name):
    path = outputs / f"{name}.txt"
    found = read_failure_file(path)
    expected = 22 if "-qq" in name else own_count(path.read_text())
    assert (len(found.failures), found.notes) == (expected, [])
    assert len({one.test for one in found.failures}) >= 20
