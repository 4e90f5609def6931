"""Parts of a suite that only a run could follow: each is named with its file and line."""

import re
from textwrap import dedent

import pytest

from flashwasm.qe import collect
from pytest_collection import collected, pytest_collects, unexplained

# A file, the tests that parsing finds in it, and the reasons that are named, "" for none. pytest
# itself collects the file, so what it finds beyond must be explained.
MADE = {
    "through globals()": (
        """
        def make():
            def test(): ...
            return test
        for name in ("test_a", "test_b"):
            globals()[name] = make()
        """,
        "test_real",
        r"line 6: globals\(\) binds names; tests that come from there are not listed",
    ),
    "through globals().update": (
        "globals().update(test_a=lambda: None)",
        "test_real",
        r"line 1: globals\(\) binds names",
    ),
    "through globals() as an argument": (
        """
        def fill(names):
            names["test_a"] = lambda: None
        fill(globals())
        """,
        "test_real",
        r"line 4: globals\(\) binds names",
    ),
    "through setattr": (
        """
        import sys
        class TestA:
            def test_b(self): ...
        setattr(TestA, "test_c", lambda self: None)
        setattr(sys.modules[__name__], "test_d", lambda: None)
        """,
        "TestA::test_b test_real",
        r"line 5: setattr binds names in TestA.*\nline 6: setattr binds names in sys.modules",
    ),
    "through locals() in a class": (
        """
        class TestA:
            for name in ("test_b", "test_c"):
                locals()[name] = lambda self: None
        """,
        "test_real",
        r"line 4: locals\(\) binds names",
    ),
    "by exec": ("exec('def test_a(): ...')", "test_real", "line 1: exec may define more"),
    "a function by a call": (
        """
        def make():
            def test(): ...
            return test
        test_made = make()
        """,
        "test_real",
        "line 5: test_made is the result of a call",
    ),
    "data by a call": (
        "test_data = dict(a=1)\ndef test_a(): assert test_data",
        "test_a test_real",
        "",
    ),
    "an instance": (
        "class TestClient:\n    def __init__(self): ...\nTestThing = TestClient()\nTestThing.x = 1",
        "test_real",
        "",
    ),
    "classes by a call": (
        """
        import unittest
        class Base:
            def test_a(self): ...
        def both(base):
            return (type("One", (base, unittest.TestCase), {}),
                    type("Two", (base, unittest.TestCase), {}))
        One, Two = both(Base)
        class Data: ...
        first, second = map(len, ["a", "b"])
        """,
        "test_real",
        "line 8: One is the result of a call.*\nline 8: Two is the result of a call",
    ),
    "a class by a metaclass": (
        """
        class Meta(type):
            def __new__(mcs, name, bases, names):
                names["test_made"] = lambda self: None
                return super().__new__(mcs, name, bases, names)
        class TestA(metaclass=Meta):
            def test_b(self): ...
        """,
        "TestA::test_b test_real",
        "line 6: class TestA: Meta, the metaclass of TestA, may make tests",
    ),
    "by a decorator of the class": (
        """
        def more(cls):
            setattr(cls, "test_more", lambda self: None)
            return cls
        @more
        class TestA:
            def test_b(self): ...
        """,
        "TestA::test_b test_real",
        "line 6: class TestA: more may change TestA",
    ),
    "an unknown base": (
        """
        import importlib
        Base = importlib.import_module("elsewhere").Base
        from elsewhere import Case
        class TestA(Base):
            def test_b(self): ...
        class Other(Case):
            def test_c(self): ...
        """,
        "TestA::test_b test_real",
        r"line 5: class TestA: the base Base of TestA is not known.*\nline 7: class Other",
    ),
    "imported from outside the suite": (
        "from elsewhere import test_foreign, TestClient\nTestClient()",
        "test_real",
        "line 1: test_foreign is not in the suite",
    ),
    "a star import from outside the suite": (
        "from elsewhere import *",
        "test_real",
        "line 1: elsewhere is not in the suite",
    ),
    "a decorator that puts tests in the function's place": (
        """
        def expand(cases):
            def decorate(function):
                for case in cases:
                    globals()[f"test_{case}"] = lambda: None
            return decorate
        @expand(["one", "two"])
        def test_cases(case): ...
        """,
        "test_real",
        "line 8: expand replaces test_cases",
    ),
    "under a condition": (
        """
        import os
        if os.environ.get("NEVER_SET"):
            def test_a(): ...
            class TestB:
                def test_c(self): ...
        class TestD:
            if os.environ.get("NEVER_SET"):
                def test_e(self): ...
        """,
        "test_a TestB::test_c TestD::test_e test_real",
        "lines 4, 5, 9: a condition decides whether the test is defined; it is listed",
    ),
    "conditions that are decided": (
        """
        import os, sys
        from typing import TYPE_CHECKING
        if sys.version_info < (3,) or TYPE_CHECKING:
            def test_a(): ...
        elif sys.platform != "no such" and not os.name == "none":
            def test_b(): ...
        if sys.platform.startswith("no such"):
            def test_c(): ...
        if __name__ == "__main__":
            def test_d(): ...
        """,
        "test_b test_real",
        "",
    ),
    "alternatives": (
        """
        from json import loads as test_loads
        try:
            import no_such_module
            def test_a(): ...
        except ImportError:
            def test_a(): ...
        """,
        "test_a test_real",
        "line 2: test_loads is not in the suite",
    ),
}
ELSEWHERE = """
    import unittest
    class Base:
        def test_base(self): ...
    class Case(unittest.TestCase):
        def test_case(self): ...
    class TestClient:
        __test__ = False
    def test_foreign(): ...
    """


@pytest.fixture
def project(tmp_path, monkeypatch):
    monkeypatch.setenv("FLASHWASM_CACHE", str(tmp_path / "cache"))
    folder = tmp_path / "project"
    folder.mkdir()
    (folder / "pytest.ini").write_text("")
    # The suite imports this module, but it lies outside the suite.
    (tmp_path / "site").mkdir()
    (tmp_path / "site" / "elsewhere.py").write_text(dedent(ELSEWHERE))
    monkeypatch.setenv("PYTHONPATH", str(tmp_path / "site"))
    monkeypatch.chdir(folder)
    return folder


@pytest.mark.parametrize(("source", "expected", "reasons"), MADE.values(), ids=MADE)
def test_what_is_made_at_run_time_is_named(project, source, expected, reasons):
    text = dedent(source).rstrip() + "\ndef test_real(): ...\n"
    (project / "test_it.py").write_text(text)
    suite = collect(".")
    assert collected(suite) == {f"test_it.py::{name}" for name in expected.split()}
    assert all(one.path == project / "test_it.py" for one in suite.skipped)
    named = "\n".join(one.reason for one in suite.skipped)
    assert re.fullmatch(f"(?:{reasons}).*" if reasons else "", named), named
    collection = pytest_collects(cwd=project)
    assert unexplained(suite, collection, cwd=project, rootdir=project) == ([], [])
