"""Output of real runs of pytest, in all styles of traceback: every failure is read and counted."""

import itertools
import os
import re
import subprocess
import sys

import pytest

import flashwasm as fw
from flashwasm.qe.defects.failure_files import read_failure_file, read_failures

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
    environment = {name: value for name, value in os.environ.items() if name != "CI"}
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


@pytest.mark.parametrize("name", [name for name in MATRIX if name != "no-rN-80"])
def test_as_many_failures_are_read_as_pytest_counts(outputs, name):
    path = outputs / f"{name}.txt"
    found = read_failure_file(path)
    # pytest -qq prints no count.
    expected = own_count((outputs / name.replace("-qq-", "-q-")).with_suffix(".txt").read_text())
    assert (len(found.failures), found.notes) == (expected, [])
    style = name.partition("-")[0]
    of = {one.test.replace("test_many.py::", ""): one.failure.exception for one in found.failures}
    if style != "no" and not name.startswith("auto-rN") and "-qq" not in name:
        assert {test: of[test] for test in EXPECTED} == EXPECTED
    junit = read_failure_file(outputs / f"{name}.xml")
    assert (len(junit.failures), junit.flaky) == (expected, [])
    of = {
        # A failure without a frame is named as in the report.
        one.test.replace("test_many.py::", "").removeprefix("test_many").lstrip(".:"): (
            one.failure.exception
        )
        for one in junit.failures
    }
    assert {test: of[test] for test in EXPECTED} == EXPECTED


def test_a_count_without_any_failure_is_an_error(outputs):
    message = "no failure that can be read: pytest counts 18 failed, 5 errors, but the text shows 0"
    with pytest.raises(fw.CorruptFileError, match=message):
        read_failures(outputs / "no-rN-80.txt")


@pytest.mark.parametrize(
    "stamp",
    [
        "2024-06-11T10:01:{:02}.1234567Z ",
        "[6:14:{:02} AM]  ",
        "    ",
        "unit | ",
        "job\t10:00:{:02} ",
    ],
)
def test_what_stands_before_each_line_of_a_log_is_removed(outputs, folder, stamp):
    whole = outputs / "short-v-80.txt"
    lines = whole.read_text().splitlines()
    stamped = [f"{stamp.format(i % 60)}{line}".rstrip() for i, line in enumerate(lines)]
    (folder / "log").write_text("started\n" + "\n".join(stamped))
    found, expected = read_failure_file("log"), read_failure_file(whole)
    assert [one.test for one in found.failures] == [one.test for one in expected.failures]
    places = [one.failure.place for one in expected.failures]
    assert [one.failure.place for one in found.failures] == places


def test_a_log_with_different_things_before_its_lines_is_refused(folder):
    lines = ["10:00:01 build:", "worker ", "==> 10:00:02 "]
    text = ["= FAILURES =", "_ test_a _", "E   KeyError: 1", "= 1 failed in 0.01s ="]
    (folder / "log").write_text(
        "\n".join(f"{lines[i % 3]}{line}" for i, line in enumerate(text * 3))
    )
    with pytest.raises(fw.CorruptFileError, match="cannot be read: the lines of the report have"):
        read_failures("log")


def test_a_difference_from_the_count_is_said(folder):
    (folder / "part.txt").write_text(
        "= short test summary info =\nFAILED test_a.py::test_b - KeyError: 1\n"
        "= 3 failed, 1 error in 0.10s ="
    )
    note = "pytest counts 3 failed, 1 error, but the text shows 1"
    with pytest.warns(RuntimeWarning, match=note):
        (found,) = read_failures("part.txt")
    assert (found.test, found.failure.exception) == ("test_a.py::test_b", "KeyError")


def test_several_runs_in_one_text_are_all_read(outputs, folder):
    texts = [(outputs / f"{name}.txt").read_text() for name in ("long-q-80", "short-v-80")]
    (folder / "all.txt").write_text("\n".join([*texts, texts[0], "make: *** [test] Error 1"]))
    found = read_failure_file("all.txt")
    assert (len(found.failures), found.counted, found.notes) == (69, 69, [])


PASTED = "a.py:3: in f\n    x\nE   KeyError: 1\n"
RUN_WITHOUT_SUMMARY = "= FAILURES =\n_ test_a _\nE   KeyError: 1\n1 failed in 0.01s\n"


@pytest.mark.parametrize(
    ("text", "failures", "counted"),
    [
        (RUN_WITHOUT_SUMMARY * 3, 3, 3),
        (f"{PASTED}--- Captured stdout call ---\n= 1 failed in 0.01s =\n", 1, None),
        (
            "> x\nE   Failed: no\nE   = FAILURES =\nE   = 1 failed in 0.01s =\n\na.py:5: Failed",
            1,
            None,
        ),
        ("= FAILURES =\n_ test_a _\nE   KeyError: 1\n_ test_b _\nE   Key", 2, None),
        (f"ImportError while loading conftest 'conftest.py'.\n{PASTED}", 1, None),
        ("..s [ 60%]\ntest_a.py .x [100%]\n", 0, None),
    ],
)
def test_parts_of_an_output(folder, text, failures, counted):
    (folder / "x.txt").write_text(text)
    found = read_failure_file("x.txt")
    assert (len(found.failures), found.counted, found.notes) == (failures, counted, [])


@pytest.mark.parametrize(
    "text",
    [
        ".F [ 60%]\n.. [100%]\n",
        "test_a.py ..F\ntest_b.py . [100%]\n",
        "INTERNALERROR> KeyError: 1\n",
        "= FAILURES =\n",
        "3 failed in 0.10s",
    ],
)
def test_outputs_that_show_no_failure_but_have_one_are_refused(folder, text):
    (folder / "x.txt").write_text(text)
    with pytest.raises(fw.CorruptFileError):
        read_failures("x.txt")
