"""Collection of real suites, and of similar small ones, compared with pytest itself."""

import importlib.util
from pathlib import Path
from textwrap import dedent

import pytest

from flashwasm.qe import collect
from pytest_collection import absolute, collected, pytest_collects, unexplained


@pytest.fixture(autouse=True)
def folders(tmp_path, monkeypatch):
    """Keep every test away from the user's folders; return the suite's folder, and work in it."""
    monkeypatch.setenv("FLASHWASM_DATA", str(tmp_path / "data"))
    monkeypatch.setenv("FLASHWASM_CACHE", str(tmp_path / "cache"))
    (tmp_path / "suite").mkdir()
    monkeypatch.chdir(tmp_path / "suite")
    return tmp_path / "suite"


def write(folder, files):
    for name, content in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(dedent(content))


@pytest.mark.slow
@pytest.mark.parametrize(("package", "least"), [("numpy", 0.8), ("networkx", 0.95)])
def test_an_installed_packages_suite_is_what_pytest_collects(folders, package, least):
    """Parsing and running agree on all node ids, but for those that a reason explains."""
    suite = collect(Path(importlib.util.find_spec(package).origin).parent)
    # Neither the settings nor the conftest.py of a checkout around the environment count.
    site = suite.path.parent
    (folders / "pytest.ini").write_text("")
    options = ["-c", str(folders / "pytest.ini"), f"--rootdir={site}", "-W", "ignore"]
    collection = pytest_collects(suite.path, cwd=folders, options=options)
    assert unexplained(suite, collection, cwd=folders, rootdir=site) == ([], [])
    theirs, ours = absolute(collection.tests, site), absolute(collected(suite), suite.root)
    assert len(theirs & ours) >= least * len(theirs)
    assert len({one.path for one in suite.skipped}) <= 10


UNITTEST = {
    "pytest.ini": "",
    "shop/__init__.py": "",
    "shop/testing.py": """
        import unittest
        from unittest import TestCase, mock
        import unittest.case as case_module
        class ShopCase(TestCase):
            def setUp(self): ...
            def helper(self): ...
        class AsyncCase(unittest.IsolatedAsyncioTestCase): ...
        class SharedChecks:
            def test_shared(self): ...
            def test_hidden(self): ...
        class Deep(case_module.TestCase):
            def test_deep(self): ...
        """,
    "tests/__init__.py": "",
    "tests/base.py": """
        from shop.testing import *
        from shop import testing as t
        class Renamed(t.ShopCase):
            def test_in_base(self): ...
        class TestNot(t.ShopCase):
            __test__ = False
            def test_no(self): ...
        """,
    "tests/test_first.py": """
        import functools
        import unittest
        from .base import Renamed, TestNot, ShopCase, SharedChecks
        class Orders(ShopCase, SharedChecks):
            test_hidden = None
            def test_total(self): ...
            def testCamel(self): ...
            def check(self): ...
            @unittest.skip("no")
            def test_skipped(self): ...
            @property
            def test_property(self): ...
            class TestInner(ShopCase):
                def test_inner(self): ...
        class Again(Orders):
            def test_total(self): ...
            test_alias = Orders.check
        class Only(ShopCase):
            def runTest(self): ...
        class OnlyHelpers(ShopCase):
            def runTest(self): ...
            def test_one(self): ...
        class Empty(ShopCase): ...
        class TestYes(TestNot):
            __test__ = True
            def test_yes(self): ...
        class Base(ShopCase):
            def test_of_base(self): ...
        class FromDeleted(Base): ...
        del Base
        """,
    "tests/test_second.py": """
        from tests.test_first import *
        from shop.testing import AsyncCase as Renamed
        import tests.base
        class Waits(Renamed):
            async def test_wait(self): ...
        class Dotted(tests.base.Renamed):
            def test_dotted(self): ...
        """,
    "tests/test_abstract.py": """
        import abc
        import unittest
        class Contract(unittest.TestCase, abc.ABC):
            @abc.abstractmethod
            def make(self): ...
            def test_contract(self): ...
        class Fulfilled(Contract):
            def make(self): ...
        class TestAbstract(abc.ABC):
            @abc.abstractmethod
            def test_named(self): ...
        class TestConcrete(TestAbstract):
            def test_named(self): ...
        """,
    "tests/test_order.py": """
        import unittest
        class Root(unittest.TestCase):
            def test_x(self): ...
            def test_y(self): ...
        class Left(Root): ...
        class Right(Root):
            test_x = None
        class Bottom(Left, Right): ...
        if __name__ == "__main__":
            class Never(Root): ...
            unittest.main()
        """,
}


def test_a_suite_of_unittest_classes_is_what_pytest_collects(folders):
    write(folders, UNITTEST)
    collection = pytest_collects(cwd=folders)
    assert "tests/test_first.py::Only::runTest" in collection.tests
    assert "tests/test_order.py::Bottom::test_x" not in collection.tests
    suite = collect(".")
    assert collected(suite) == collection.tests
    assert suite.skipped == []


# Packages with modules that are named as others that their tests import.
SHADOWS = {
    "a package with a unittest.py": {
        "pytest.ini": "",
        "reactor/__init__.py": "",
        "reactor/trial/__init__.py": "",
        "reactor/trial/_sync.py": """
            import unittest as pyunit
            class SyncTestCase(pyunit.TestCase):
                def runTest(self): ...
            """,
        "reactor/trial/unittest.py": """
            from reactor.trial._sync import SyncTestCase
            class TestCase(SyncTestCase): ...
            """,
        "reactor/trial/test/__init__.py": "",
        "reactor/trial/test/test_trial.py": """
            import unittest as pyunit
            from reactor.trial import unittest
            class OwnTests(unittest.TestCase):
                def test_own(self): ...
            class Plain(pyunit.TestCase):
                def test_plain(self): ...
            """,
        "reactor/test/__init__.py": "",
        "reactor/test/mixins.py": "class Mixin:\n    def test_mixed(self): ...",
        "reactor/test/test_core.py": """
            from reactor.trial.unittest import TestCase
            from reactor.test.mixins import Mixin
            class Core(TestCase, Mixin):
                def test_core(self): ...
            """,
    },
    "a package with a base.py beside the tests' own": {
        "setup.py": "",
        "base.py": "class Shared:\n    def test_outer(self): ...",
        "app/__init__.py": "",
        "app/base.py": "class Shared:\n    def test_inner(self): ...",
        "app/tests/__init__.py": "",
        "app/tests/test_app.py": """
            from base import Shared
            from app.base import Shared as Inner
            class TestOuter(Shared): ...
            class TestInner(Inner): ...
            """,
    },
    "tests that are no package, and a source folder": {
        "pyproject.toml": """
            [tool.pytest.ini_options]
            pythonpath = ["src", "tests/lib"]
            """,
        "src/lib/__init__.py": "",
        "src/lib/unittest.py": "class TestCase:\n    def test_never(self): ...",
        "src/lib/checks.py": """
            from unittest import TestCase
            class Checks(TestCase):
                def test_check(self): ...
            """,
        "tests/lib/common.py": "class Common:\n    def test_common(self): ...",
        "tests/unit/helpers.py": "def test_helped(): ...",
        "tests/unit/test_unit.py": """
            from lib.checks import Checks
            from common import Common
            from helpers import test_helped
            class TestCommon(Common): ...
            """,
    },
}


@pytest.mark.parametrize("files", SHADOWS.values(), ids=SHADOWS)
def test_absolute_imports_begin_at_folders_that_are_no_packages(folders, files):
    write(folders, files)
    suite = collect(".")
    assert collected(suite) == pytest_collects(cwd=folders).tests
    assert collected(suite)
    assert suite.skipped == []
