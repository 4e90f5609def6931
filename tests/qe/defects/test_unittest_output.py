"""Output of `python -m unittest`, and texts that are not a report."""

import subprocess
import sys

import pytest

import flashwasm as fw
from failures import caught
from flashwasm.qe.defects.failure_files import read_failure_file, read_failures

SUITE = '''
import unittest

PRINTED = "Traceback (most recent call last):\\n  File 'x', line 1\\nOSError: printed"
RULE = "=" * 70

def look_up(key):
    return {}[key]

class TestMany(unittest.TestCase):
    def test_key(self):
        """A docstring, which unittest prints."""
        print(PRINTED)
        look_up("a")
    def test_message(self):
        self.assertEqual(1, 2, f"one\\n{RULE}\\ntwo")
    def test_parts(self):
        for i in range(3):
            with self.subTest("part", i=i):
                self.assertEqual(i, 1)
    @unittest.expectedFailure
    def test_unexpected(self): pass
    @unittest.expectedFailure
    def test_expected(self): look_up("expected")
    @unittest.skip("later")
    def test_skipped(self): pass
    def test_passes(self): pass

class TestClass(unittest.TestCase):
    @classmethod
    def setUpClass(cls): raise OSError("no setup")
    def test_never(self): pass
'''
EXPECTED = {
    ("test_u.TestMany::test_key", "KeyError", "look_up"),
    ("test_u.TestMany::test_message", "AssertionError", "test_message"),
    ("test_u.TestMany::test_parts [part] (i=0)", "AssertionError", "test_parts"),
    ("test_u.TestMany::test_parts [part] (i=2)", "AssertionError", "test_parts"),
    ("test_u.TestClass::setUpClass", "OSError", "setUpClass"),
}


@pytest.fixture(scope="module")
def outputs(tmp_path_factory):
    """Return unittest's output, without options and with -v and --buffer."""
    folder = tmp_path_factory.mktemp("unittest")
    (folder / "test_u.py").write_text(SUITE)
    run = "import sys, unittest\nfor options in ([], ['-v', '-b']):\n"
    run += "    unittest.main('test_u', argv=['unittest', *options], exit=False)\n"
    run += "    print('-' * 9, 'next', '-' * 9, file=sys.stderr, flush=True)"
    done = subprocess.run(
        [sys.executable, "-c", run], cwd=folder, capture_output=True, text=True, check=True
    )
    return done.stderr.split("-" * 9 + " next " + "-" * 9 + "\n")[:2]


@pytest.mark.parametrize("position", [0, 1])
def test_each_failure_keeps_its_own_exception_and_frame(outputs, folder, position):
    (folder / "x.txt").write_text(outputs[position])
    found = read_failure_file("x.txt")
    pairs = {
        (f.test, f.failure.exception, getattr(f.failure.place, "function", None))
        for f in found.failures
    }
    # Before Python 3.11 unittest prints no heading for a test that passes unexpectedly.
    assert pairs - {("test_u.TestMany::test_unexpected", "", None)} >= EXPECTED
    assert len(found.failures) in {5, 6}
    assert found.counted == 6


def test_runs_in_one_text_are_all_read(outputs, folder):
    (folder / "x.txt").write_text("".join(outputs))
    assert read_failure_file("x.txt").counted == 12
    stamped = "".join(f"2026-01-02T10:00:00Z {line}\n" for line in outputs[0].splitlines())
    (folder / "y.txt").write_text(stamped)
    assert read_failure_file("y.txt").counted == 6


@pytest.mark.parametrize(("order", "other"), [(1, "pytest"), (-1, "unittest")])
def test_output_of_another_kind_is_said(outputs, folder, order, other):
    pytest_text = "= FAILURES =\n_ test_a _\nE   KeyError: 1\n= 1 failed in 0.01s =\n"
    (folder / "x.txt").write_text("".join([pytest_text, outputs[0]][::order]))
    found = read_failure_file("x.txt")
    note = f"it also contains failures of a {other} run, which are not read"
    assert note in found.notes
    assert found.counted == (6 if other == "pytest" else 1)


def test_a_run_without_failures_has_none(folder):
    (folder / "x.txt").write_text(f"...\n{'-' * 70}\nRan 3 tests in 0.001s\n\nOK (skipped=1)\n")
    assert read_failure_file("x.txt").failures == []


def test_several_tracebacks_are_refused(folder):
    one = caught(lambda: {}["a"])
    (folder / "x.txt").write_text(f"log\n{one}\nlog\n{caught([].pop)}")
    with pytest.raises(fw.CorruptFileError, match="contains 2 tracebacks"):
        read_failures("x.txt")
    (folder / "x.txt").write_text(f"log\n{one}")
    assert [found.failure.exception for found in read_failures("x.txt")] == ["KeyError"]


@pytest.mark.parametrize(
    "text",
    [
        "/p/a.py:2: KeyError: no\n/p/b.py:6: assert 1 == 2\n",
        (
            "-- test_a --\n>   f()\nE   KeyError: 1\n\na.py:3: KeyError\n"
            "-- test_b --\n>   g()\nE   OSError\n\nb.py:4: OSError\n"
        ),
    ],
    ids=["line", "long"],
)
def test_several_failures_without_pytests_headings_are_refused(folder, text):
    (folder / "x.txt").write_text(text)
    with pytest.raises(fw.CorruptFileError, match="contains 2 tracebacks"):
        read_failures("x.txt")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("all went well", "is not a report, not output of pytest or unittest, and not a traceback"),
        (f'{"*" * 70}\nFile "a.py", line 3, in a.f\nFailed example:\n    f(1)', "doctest"),
    ],
)
def test_other_texts_are_refused(folder, text, message):
    (folder / "x.txt").write_text(text)
    with pytest.raises(fw.CorruptFileError, match=message):
        read_failures("x.txt")


@pytest.mark.parametrize(
    "text", ["", "..s.  [100%]\n", "== 3 passed in 0.10s ==", "no tests ran in 0.01s"]
)
def test_texts_of_runs_without_failures(folder, text):
    (folder / "x.txt").write_text(text)
    assert read_failures("x.txt") == []
