"""Names of a module and of its classes: those that are tests for pytest are tests for parsing."""

from textwrap import dedent

import pytest

from flashwasm.qe import collect
from pytest_collection import collected, pytest_collects

# Sources of modules. Each is written into a file of its own, and pytest collects all at once.
MODULES = {
    "assigned": """
        import functools
        def check(): ...
        test_alias = check
        test_lambda = lambda: None
        test_number = 1
        test_annotated: int = 2
        test_declared: int
        test_list, test_tuple = [], ()
        class TestA:
            def test_b(self): ...
            def helper(self): ...
            test_c = test_b
            test_d = helper
            test_e = 5
            test_f = lambda self: None
        class TestB:
            test_g = TestA.test_b
            test_h = check
        TestC = TestA
        """,
    "flags": """
        def test_a(): ...
        test_a.__test__ = False
        def test_b(): ...
        setattr(test_b, "__test__", False)
        class TestC:
            def test_d(self): ...
        TestC.__test__ = False
        class Named:
            def test_e(self): ...
        Named.__test__ = True
        class TestOf(TestC): ...
        """,
    "module flag": "__test__ = False\ndef test_a(): ...",
    "deleted": """
        def test_a(): ...
        def test_b(): ...
        del test_a
        class TestC:
            def test_d(self): ...
            def test_e(self): ...
            del test_d
        class Base:
            def test_f(self): ...
        class TestG(Base): ...
        del Base, TestC
        """,
    "later definitions": """
        def test_a(): ...
        test_a = 1
        test_b = 1
        def test_b(): ...
        class TestC:
            def test_d(self): ...
        class TestC:
            def test_e(self): ...
        class TestF:
            def test_g(self): ...
        class TestF(TestF):
            def test_h(self): ...
        class TestF(TestF):
            def test_i(self): ...
        """,
    "constructors": """
        import dataclasses, enum, typing, threading, collections
        from dataclasses import dataclass
        @dataclass
        class TestA:
            def test_x(self): ...
        @dataclasses.dataclass(frozen=True)
        class TestB:
            def test_x(self): ...
        class TestC(enum.Enum):
            ONE = 1
            def test_x(self): ...
        class TestD(Exception):
            def test_x(self): ...
        class TestE(typing.NamedTuple):
            one: int
            def test_x(self): ...
        class TestF(threading.Thread):
            def test_x(self): ...
        class TestG(dict):
            def test_x(self): ...
        class TestH(collections.UserDict):
            def test_x(self): ...
        T = typing.TypeVar("T")
        class TestI(typing.Generic[T]):
            def test_x(self): ...
        class TestJ(object):
            def test_x(self): ...
        """,
    "decorated": """
        import contextlib, functools, typing, unittest.mock
        import pytest
        @contextlib.contextmanager
        def test_a(): yield
        @functools.lru_cache
        def test_b(): ...
        @functools.wraps(test_b)
        def test_c(): ...
        @unittest.mock.patch("os.getcwd")
        def test_d(getcwd): ...
        @pytest.mark.parametrize("x", ["a[b]", "c::d", ""])
        @pytest.mark.parametrize("data", [1])
        def test_e(x, data): ...
        @pytest.mark.data
        def test_f(): ...
        @pytest.fixture(params=[1])
        def test_g(): ...
        @typing.overload
        def test_h(x: int): ...
        def test_h(x=1): ...
        class TestI:
            @classmethod
            def test_j(cls): ...
            @staticmethod
            def test_k(): ...
            @functools.cached_property
            def test_l(self): ...
            @pytest.fixture
            def test_m(self): ...
        """,
    "nested": """
        import unittest
        class TestA:
            class Inner(unittest.TestCase):
                def test_b(self): ...
            class TestSame:
                class TestSame:
                    def test_c(self): ...
            from string import Template as TestTemplate
        class Checks(unittest.TestCase):
            @unittest.skipIf(True, "no")
            def test_d(self): ...
            @property
            def test_e(self): ...
            test_f = None
            def not_test(self): ...
            test_g = not_test
        """,
    "order of ancestors": """
        class Root:
            def test_a(self): ...
        class Left(Root): ...
        class Right(Root):
            test_a = 1
        class TestDiamond(Left, Right): ...
        class TestOther(Right, Left):
            class TestDeep(Root): ...
        """,
    "a class by several names": """
        import unittest
        class Shared(unittest.TestCase):
            def test_a(self): ...
        Again = Shared
        class Holder:
            Base = Shared
        class Third(Holder.Base): ...
        """,
    "blocks": """
        import contextlib
        with contextlib.suppress(ValueError):
            def test_a(): ...
        try:
            def test_b(): ...
        finally:
            def test_c(): ...
        for number in range(2):
            def test_d(): ...
        else:
            def test_e(): ...
        if True:
            def test_f(): ...
        else:
            def test_g(): ...
        if 0:
            def test_h(): ...
        """,
    "async": """
        import unittest
        async def test_a(): ...
        class TestB:
            async def test_c(self): ...
        class D(unittest.IsolatedAsyncioTestCase):
            async def test_e(self): ...
        """,
}


def test_the_tests_of_a_module_are_those_that_pytest_collects(tmp_path, monkeypatch):
    monkeypatch.setenv("FLASHWASM_CACHE", str(tmp_path / "cache"))
    folder = tmp_path / "suite"
    folder.mkdir()
    (folder / "pytest.ini").write_text("")
    for name, source in MODULES.items():
        (folder / f"test_{name.replace(' ', '_')}.py").write_text(dedent(source))
    expected = pytest_collects(cwd=folder, options=["-W", "ignore"])
    assert expected.left_out == set()
    suite = collect(folder)
    assert collected(suite) == expected.tests
    # A second time, the outlines come from the cache.
    again = collect(folder)
    assert (again.tests, again.skipped) == (suite.tests, suite.skipped)
    # What a decorated loop or try block binds is listed, with a line for what may be undefined.
    assert {one.reason.partition(": ")[2] for one in suite.skipped} <= {
        "a condition decides whether the test is defined; it is listed"
    }


def test_an_alias_is_another_node_id_of_the_same_entry(tmp_path, monkeypatch):
    monkeypatch.setenv("FLASHWASM_CACHE", str(tmp_path / "cache"))
    (tmp_path / "pytest.ini").write_text("")
    (tmp_path / "test_a.py").write_text("def test_one(): ...\ntest_two = test_one\n")
    (test,) = collect(tmp_path, cache=False).tests
    assert (test.nodeid, test.also) == ("test_a.py::test_one", ("test_a.py::test_two",))


@pytest.mark.parametrize("order", [("A", "B"), ("B", "A")])
def test_a_circle_of_bases_ends(tmp_path, order):
    (tmp_path / "pytest.ini").write_text("")
    first, second = order
    source = f"class Test{first}(Test{second}):\n    def test_x(self): ...\nclass Test{second}("
    (tmp_path / "test_a.py").write_text(f"{source}Test{first}): ...\n")
    assert collect(tmp_path, cache=False).tests
