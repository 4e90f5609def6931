"""Suggested tests: each applies as a patch, is collected, and passes as the tests before it did."""

import re
import shutil
import subprocess
import sys
from collections import Counter
from pathlib import Path
from textwrap import dedent

import pytest
from click.testing import CliRunner

from flashwasm.cli import main
from flashwasm.qe import collect, find_duplicates

RUFF = Path(sys.executable).with_name("ruff")
GIT = shutil.which("git")


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    monkeypatch.setenv("FLASHWASM_CACHE", str(tmp_path / "cache"))
    folder = tmp_path / "suite"
    folder.mkdir()
    (folder / "pytest.ini").write_text("")
    monkeypatch.chdir(folder)
    return folder


def suggestions(folder):
    return [g.suggestion for g in find_duplicates(collect(folder, cache=False).tests)]


def outcomes(folder):
    """Run pytest; return how many cases passed, failed and so on."""
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "--tb=short", "-p", "no:cacheprovider"],
        capture_output=True,
        text=True,
        check=False,
        cwd=folder,
    )
    found = re.findall(r"(\d+) (passed|failed|skipped|xfailed|error)", done.stdout)
    assert found, done.stdout + done.stderr
    return Counter({word: int(number) for number, word in found})


def apply_patch(folder):
    """Apply what `flashwasm duplicates --patch` prints, by real git; return the patch."""
    result = CliRunner().invoke(main, ["duplicates", ".", "--patch"])
    assert result.exit_code == 1, result.output
    subprocess.run([GIT, "init", "-q"], cwd=folder, check=True)
    done = subprocess.run(
        [GIT, "apply", "-"], input=result.stdout_bytes, cwd=folder, check=False, capture_output=True
    )
    assert done.returncode == 0, done.stderr.decode() + result.stdout
    return result.stdout


def both(first, second, between=""):
    """Return two tests with the bodies given."""
    return dedent(f"def test_a():\n{first}\n{between}def test_b():\n{second}\n")


# Sources of which the tests become one. All of their tests pass.
TOGETHER = {
    "a parameter shadowed by an inner function's": """
        def test_a():
            def inner(value):
                return value
            assert inner(1) == 1
        def test_b():
            def inner(value):
                return value
            assert inner(2) == 2
        """,
    "arguments of lambdas": """
        def test_a():
            assert (lambda value: value + 1)(1) == 2
        def test_b():
            assert (lambda value: value + 1)(2) == 3
        """,
    "variables of comprehensions": """
        def test_a():
            assert [value + 1 for value in range(3)] == [1, 2, 3]
            assert sum(value_2 for value_2 in range(3)) == 3
        def test_b():
            assert [value + 2 for value in range(3)] == [2, 3, 4]
            assert sum(value_2 for value_2 in range(3)) == 3
        """,
    "bodies of classes": """
        def test_a():
            class A:
                value = 1
                other = value + 1
            assert (A.value, A.other) == (1, 2)
        def test_b():
            class A:
                value = 2
                other = value + 2
            assert (A.value, A.other) == (2, 4)
        """,
    "global and nonlocal": """
        value = 0
        def test_a():
            global value
            value_2 = 0
            def inner():
                nonlocal value_2
                value_2 = 5
            inner()
            value = 5
            assert value + value_2 == 10
        def test_b():
            global value
            value_2 = 0
            def inner():
                nonlocal value_2
                value_2 = 6
            inner()
            value = 6
            assert value + value_2 == 12
        """,
    "formatted strings": """
        def test_a():
            value = 1
            assert f"{value}-{2!r:>{3}}x" == "1-  2x"
            assert str(1) == "1"
        def test_b():
            value = 1
            assert f"{value}-{2!r:>{3}}x" == "1-  2x"
            assert str(2) == "2"
        """,
    "case patterns": """
        def test_a():
            match [1, {"k": 2}]:
                case [value, {"k": value_2, **value_3}] if value == 1:
                    assert value_2 == 2
                case [*value_4]:
                    raise AssertionError
        def test_b():
            match [3, {"k": 4}]:
                case [value, {"k": value_2, **value_3}] if value == 3:
                    assert value_2 == 4
                case [*value_4]:
                    raise AssertionError
        """,
    "assignment expressions, handlers and imports": """
        def test_a():
            import os as value_2
            if (value := 1) > 0:
                assert value == 1 and value_2
            try:
                raise ValueError(1)
            except ValueError as value_3:
                assert value_3.args == (1,)
        def test_b():
            import os as value_2
            if (value := 2) > 0:
                assert value == 2 and value_2
            try:
                raise ValueError(2)
            except ValueError as value_3:
                assert value_3.args == (2,)
        """,
    "default arguments and keywords": """
        def test_a():
            def inner(x, value=1, *, class_=2):
                return x + value + class_
            assert inner(x=1, value=3, class_=4) == 8
        def test_b():
            def inner(x, value=2, *, class_=3):
                return x + value + class_
            assert inner(x=2, value=4, class_=5) == 11
        """,
    "names of fixtures": """
        import pytest
        @pytest.fixture
        def value():
            return 7
        @pytest.fixture
        def seven(value):
            return value
        def test_a(seven):
            assert seven + 1 == 8
        def test_b(seven):
            assert seven + 2 == 9
        """,
    "names of pytest's fixtures": """
        def f(tmp_path, request):
            return (tmp_path, request)
        def test_a():
            assert f(tmp_path=1, request=2) == (1, 2)
        def test_b():
            assert f(tmp_path=3, request=4) == (3, 4)
        """,
    "parametrised tests": """
        import pytest
        @pytest.mark.parametrize("value", [1, 2])
        def test_a(value):
            assert value + 1 > 1
        @pytest.mark.parametrize("value", [1, 2])
        def test_b(value):
            assert value + 3 > 3
        """,
    "text of several lines, joined texts, comments": '''
        def test_a():
            """One."""
            x = """first
          second"""
            # Of the first.
            assert x == ("first"
                         "\\n  second")
        # Above the second.
        def test_b():
            """Two."""
            x = """third
          fourth"""
            # Of the second.
            assert x == "third\\n  fourth"  # At its end.
            # Below it.
        ''',
    "types": """
        def test_a() -> None:
            x: "int" = 1
            def inner(y: "str" = "a") -> "str":
                return y
            assert inner() * x == "a"
        def test_b() -> None:
            x: "int" = 2
            def inner(y: "str" = "b") -> "str":
                return y
            assert inner() * x == "bb"
        """,
    "lists that are used once": """
        def test_a():
            x = [1]
            y = [1]
            y.append(2)
            assert x == [1]
        def test_b():
            x = [3]
            y = [3]
            y.append(4)
            assert x == [3]
        """,
    "methods and fixtures": """
        class Helper:
            def double(self, x):
                return 2 * x
        class TestA(Helper):
            def setup_method(self, method):
                self.x = 1

            def test_double_one(self, tmp_path):
                assert self.double(self.x) == 2

            def test_double_two(self, tmp_path):
                assert self.double(self.x) != 4

            def test_double_three(self, tmp_path):
                assert self.double(self.x) != 6

            def test_double_four(self, tmp_path):
                assert self.double(self.x) != 8
        """,
    "keywords beside literals": """
        def test_a():
            return_ = 1if 1else 2
            assert"a"and return_ in[1]
        def test_b():
            return_ = 3if 1else 2
            assert"b"and return_ in[3]
        """,
    "coroutines and marks": """
        import pytest
        pytestmark = pytest.mark.filterwarnings("ignore")
        @pytest.mark.xfail(reason="it fails")
        def test_a():
            assert 1 == 2
        @pytest.mark.xfail(reason="it fails")
        def test_b():
            assert 1 == 3
        """,
    "two groups with the same words": """
        def test_add_one():
            assert 1 + 1 == 2
        def test_add_two():
            assert 1 + 2 == 3
        def test_add_less():
            assert 3 - 1 == 2
        def test_add_least():
            assert 4 - 1 == 3
        """,
    "a name that is taken": """
        def test_add():
            assert True
        def test_add_one():
            assert 1 + 1 == 2
        def test_add_two():
            assert 1 + 2 == 3
        """,
    "one line": "def test_a(): x = 1; assert x == 1\ndef test_b(): x = 2; assert x == 2",
    "no newline at the end": "def test_a():\n    assert 1\ndef test_b():\n    assert 2",
    "carriage returns": "def test_a():\r\n    assert 1\r\n\r\ndef test_b():\r\n    assert 2\r\n",
    "comments above and other letters": "# ä\n# b\ndef test_a():\n    assert 'ä' in 'äb'\n"
    "def test_b():\n    assert 'ö' in 'öb'\n",
}


@pytest.mark.parametrize("source", TOGETHER.values(), ids=TOGETHER)
def test_a_patch_applies_and_every_case_passes_as_before(folder, source):
    (folder / "test_x.py").write_bytes(dedent(source).encode())
    assert all(suggestions(folder))
    before = outcomes(folder)
    assert not before & Counter(failed=9, error=9)
    patch = apply_patch(folder)
    assert "+@pytest.mark.parametrize(" in patch.replace("+    @", "+@")
    assert outcomes(folder) == before


# Sources of tests that differ in literals only, but are not proven to be one test.
APART = {
    "a docstring of an inner function": """
        def test_a():
            def inner():
                "One."
            assert inner() is None
        def test_b():
            def inner():
                "Two."
            assert inner() is None
        """,
    "a text that is a statement": both("    f()\n    'one'", "    f()\n    'two'"),
    "a list in a loop": """
        def test_a():
            for i in range(2):
                x = [1]
                x.append(i)
                assert len(x) == 2
        def test_b():
            for i in range(2):
                x = [2]
                x.append(i)
                assert len(x) == 2
        """,
    "a list in an inner function": """
        def test_a():
            def make():
                return [1]
            assert make() is not make()
        def test_b():
            def make():
                return [2]
            assert make() is not make()
        """,
    "a list that cases of other parameters share": """
        import pytest
        @pytest.mark.parametrize("n", [1, 2])
        def test_a(n):
            x = [1]
            x.append(n)
            assert len(x) == 2
        @pytest.mark.parametrize("n", [1, 2])
        def test_b(n):
            x = [2]
            x.append(n)
            assert len(x) == 2
        """,
    "unittest": """
        from unittest import TestCase
        class Base(TestCase): pass
        class TestA(Base):
            def test_a(self): self.assertTrue(1)
            def test_b(self): self.assertTrue(2)
        """,
    "a class of another file": """
        from other import Base
        class TestA(Base):
            def test_a(self): assert 1
            def test_b(self): assert 2
        """,
    "two classes": """
        class TestA:
            def test_a(self): assert 1
        class TestB:
            def test_b(self): assert 2
        """,
    "a byte order mark": "\ufeffdef test_a(): f(1)\ndef test_b(): f(2)\n",
    "a decorator of another file": """
        from x import d
        @d
        def test_a(): f(1)
        @d
        def test_b(): f(2)
        """,
    "patched names": """
        from unittest import mock
        @mock.patch("os.getcwd")
        def test_a(getcwd):
            getcwd.return_value = "a"
            assert __import__("os").getcwd() == "a"
        @mock.patch("os.getcwd")
        def test_b(getcwd):
            getcwd.return_value = "b"
            assert __import__("os").getcwd() == "b"
        """,
    "arguments from hypothesis": """
        from hypothesis import given, strategies as st
        @given(st.integers())
        def test_a(x): assert 1
        @given(st.integers())
        def test_b(x): assert 2
        """,
    "a fixture of an unknown place": "def test_a(db): f(1)\ndef test_b(db): f(2)",
    "the name of the test": """
        def test_a(request): assert request.node.name.endswith("a")
        def test_b(request): assert request.node.name.endswith("b")
        """,
    "a fixture that asks for the name": """
        import pytest
        @pytest.fixture
        def name(request): return request.node.name
        def test_a(name): assert name == "test_a"
        def test_b(name): assert name == "test_b"
        """,
    "a fixture for every test that asks for the name": """
        import pytest
        @pytest.fixture(autouse=True)
        def name(request): print(request.function.__name__)
        def test_a(): assert 1
        def test_b(): assert 2
        """,
    "a set-up that asks for the name": """
        class TestA:
            def setup_method(self, method): self.name = method.__name__
            def test_a(self): assert 1 and len
            def test_b(self): assert 2 and len
        """,
    "cases that the file generates": """
        def pytest_generate_tests(metafunc): metafunc.parametrize("value", [1])
        def test_a(): assert 1
        def test_b(): assert 2
        """,
    "the variable with the name of the test": both(
        "    assert os.environ['PYTEST_CURRENT_TEST'] == 'a'",
        "    assert os.environ['PYTEST_CURRENT_TEST'] == 'b'",
    ),
    "local variables": both("    assert len(locals()) < 1", "    assert len(locals()) < 2"),
    "evaluated code": both("    exec('x = 1')", "    exec('x = 2')"),
    "a test that is called": """
        def test_a(): f(1)
        def test_b(): f(2)
        def test_c(): test_a() or g()
        """,
    "a test that is named in a text": "SLOW = ['test_b']\ndef test_a(): f(1)\ndef test_b(): f(2)",
    "a test that is defined twice": """
        def test_a(): f(1)
        def test_b(): g()
        def test_b(): f(2)
        """,
    "tests within a condition": "if 1:\n  def test_a(): f(1)\n  def test_b(): f(2)",
    "arguments with defaults": "def test_a(x=1): f(x, 1)\ndef test_b(x=1): f(x, 2)",
    "many arguments": "def test_a(*x): f(x, 1)\ndef test_b(*x): f(x, 2)",
    "another meaning of pytest": "pytest = 1\ndef test_a(): f(1)\ndef test_b(): f(2)",
    "a mark that finds files by name": """
        import pytest
        @pytest.mark.vcr
        def test_a(): f(1)
        @pytest.mark.vcr
        def test_b(): f(2)
        """,
    "a comment in the head": "def test_a(  # Why.\n): f(1)\ndef test_b(): f(2)",
    "tests that only one subclass overrides": """
        class TestA:
            def test_a(self): assert 1 and len
            def test_b(self): assert 2 and len
        class TestB(TestA):
            def test_b(self): assert print() is None
        """,
}


@pytest.mark.parametrize("source", APART.values(), ids=APART)
def test_what_is_not_proven_gets_no_suggestion(folder, source):
    (folder / "other.py").write_text("class Base: pass\n")
    (folder / "test_x.py").write_text(dedent(source))
    found = find_duplicates(collect(folder, cache=False).tests)
    assert [(group.tier, group.suggestion, group.edits) for group in found] == [(2, None, ())]
    result = CliRunner().invoke(main, ["duplicates", ".", "--patch"])
    assert (result.exit_code, result.stdout) == (1, "")


def test_a_test_that_another_file_imports_stays(folder):
    (folder / "test_x.py").write_text("def test_a(): assert 1\ndef test_b(): assert 2\n")
    (folder / "test_y.py").write_text("from test_x import test_b\n")
    assert suggestions(folder) == [None]


def test_conftest_is_read(folder):
    (folder / "test_x.py").write_text("def test_a(db): assert 1\ndef test_b(db): assert 2\n")
    conftest = "import pytest\n@pytest.fixture\ndef db(request): return {}\n"
    (folder / "conftest.py").write_text(conftest.format("1"))
    assert suggestions(folder) != [None]
    (folder / "conftest.py").write_text(conftest.format("request.node.name"))
    assert suggestions(folder) == [None]
    (folder / "conftest.py").write_text(conftest.format("1") + "SKIPPED = {'test_b'}\n")
    assert suggestions(folder) == [None]


def test_an_inherited_test_is_parametrised_in_all_its_classes(folder):
    (folder / "test_x.py").write_text(
        dedent("""
        class TestA:
            x = 1
            def test_add_one(self): assert self.x + 1 > 1
            def test_add_two(self): assert self.x + 2 > 2
        class TestB(TestA):
            x = 2
    """)
    )
    assert outcomes(folder) == {"passed": 4}
    apply_patch(folder)
    assert outcomes(folder) == {"passed": 4}


FORMATTED = '''"""Tests of a long module."""

import os

import click

import mylib


def call(*values, **named):
    """Call."""
    return os.sep and click and mylib and values and named


class TestCalls:
    """Calls."""

    def test_call_with_a_long_name_and_a_short_value(self, tmp_path, monkeypatch, capsys):
        """Call with one."""
        # A comment.
        assert call(
            "a long text that does not fit on one line with the others", 1, tmp_path, size=[1, 2]
        )
        assert call(1)

    def test_call_with_a_long_name_and_a_long_value_that_is_even_longer(
        self, tmp_path, monkeypatch, capsys
    ):
        """Call with two."""
        assert call(
            "another text that does not fit on one line with the others, as long as it is",
            2,
            tmp_path,
            size=["three hundred and thirty-three", "four hundred and forty-four", "and so on"],
        )
        assert call(2)


def test_last_red():
    assert call("red")


def test_last_blue():
    assert call("blue")
'''


@pytest.mark.skipif(not RUFF.is_file(), reason="ruff is not installed")
@pytest.mark.parametrize("length", [72, 88, 100])
def test_a_patched_file_is_formatted_and_its_imports_are_sorted(folder, length):
    (folder / "pyproject.toml").write_text(f"[tool.ruff]\nline-length = {length}\n")
    (folder / "test_x.py").write_text(FORMATTED)

    def ruff(*arguments):
        command = [RUFF, *arguments, "--no-cache", "test_x.py"]
        done = subprocess.run(command, cwd=folder, check=False, capture_output=True, text=True)
        return done.stdout + done.stderr if done.returncode else ""

    ruff("format")
    assert not ruff("format", "--check")
    patch = apply_patch(folder)
    assert "+import pytest\n" in patch
    assert not ruff("format", "--diff")
    own = 'lint.isort.known-first-party=["mylib"]'
    assert not ruff("check", "--select", "I,PT", "--isolated", "--config", own)


def test_a_patch_names_files_from_the_root_of_the_repository(folder):
    (folder / ".git").mkdir()
    inner = folder / "a b" / "tests ä"
    inner.mkdir(parents=True)
    (inner / 'test_"x.py').write_text(
        "def test_a():\n    assert 1\n\n\ndef test_b():\n    assert 2\n"
    )
    shutil.rmtree(folder / ".git")
    patch = apply_patch(folder)
    assert patch.splitlines()[0] == r'--- "a/a b/tests \303\244/test_\"x.py"'.replace(
        r"\"", r"\042"
    )
    assert outcomes(folder) == {"passed": 2}
