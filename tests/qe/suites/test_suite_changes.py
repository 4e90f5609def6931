"""Files whose changes make a collected suite stale: those from which tests come."""

import pytest

import flashwasm as fw
from flashwasm.qe import collect
from flashwasm.qe.suites.suite_merging import merge_suites

# Files in one folder: a product's module, which tests call, and files of tests.
FILES = {
    "pytest.ini": "[pytest]\n",
    "cart.py": "class Cart:\n    def add(self, x): return x\n",
    "prices.py": "class Prices: ...\nclass TestingPrices(Prices):\n    def __init__(self): ...\n",
    "base.py": "class Base:\n    def check(self): ...\n    def test_base(self): ...\n",
    "mixin.py": "class Mixin:\n    def check(self): ...\n",
    "facade.py": "from base import Base\n",
    "later.py": "def helper(): ...\n",
    "chain/__init__.py": "from .inner import *\n",
    "chain/inner.py": "from .deep import TestDeep\n",
    "chain/deep.py": "class TestDeep:\n    def test_deep(self): ...\n",
    "test_cart.py": "from cart import Cart\n"
    "from prices import TestingPrices\n"
    "from mixin import Mixin\n"
    "from facade import Base\n"
    "from later import *\n"
    "from chain import TestDeep\n"
    "def test_add(): assert Cart().add(1)\n"
    "class TestCart(Mixin, Base): ...\n",
}
# Files that may define the tests of test_cart.py, or pass them on.
SOURCES = [
    "base.py",
    "chain/__init__.py",
    "chain/deep.py",
    "chain/inner.py",
    "facade.py",
    "mixin.py",
    "prices.py",
    "test_cart.py",
]


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.setenv("FLASHWASM_CACHE", str(tmp_path / "cache"))
    folder = tmp_path / "shop"
    for name, text in FILES.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text)
    return folder


def test_the_tests_come_from_all_of_these_files(folder):
    found = [nodeid for test in collect(folder).tests for nodeid in (test.nodeid, *test.also)]
    assert sorted(found) == [
        "test_cart.py::TestCart::test_base",
        "test_cart.py::TestDeep::test_deep",
        "test_cart.py::test_add",
    ]


@pytest.mark.parametrize("name", [name for name in FILES if name.endswith(".py")])
def test_a_changed_file_makes_the_suite_stale_if_tests_come_from_it(folder, name):
    suite = collect(folder)
    assert suite.changes() == []
    (folder / name).write_text(FILES[name] + "# A comment.\n")
    assert suite.changes() == ([str(folder / name)] if name in SOURCES else [])


# Changes of later.py, of which a file of tests imports all names, and whether it may then bring a
# test.
LATER = {
    "body": ("def helper(): return 1\n", False),
    "line": ("\n\ndef helper(): ...\n", False),
    "another helper": ("X = 1\ndef helper(): ...\ndef other(): ...\n", False),
    "test": ("def helper(): ...\ndef test_later(): ...\n", True),
    "class": ("class Case: ...\n", True),
    "import": ("from base import Base\n", True),
    "star": ("from cart import *\n", True),
    "names": ("__all__ = ['helper']\ndef helper(): ...\n", True),
    "not Python": ("def (\n", True),
    "removed": (None, True),
}


@pytest.mark.parametrize(("text", "stale"), LATER.values(), ids=LATER)
def test_a_file_that_is_imported_by_a_star_counts_if_it_may_bring_a_test(folder, text, stale):
    suite = collect(folder)
    later = folder / "later.py"
    if text is None:
        later.unlink()
    else:
        later.write_text(text)
    assert suite.changes() == ([str(later)] if stale else [])


@pytest.mark.parametrize("text", ["def test_new(): ...\n", "class TestNew: ...\n"])
def test_stars_are_followed_from_file_to_file(folder, text):
    (folder / "later.py").write_text("from further import *\n")
    (folder / "further.py").write_text("def helper(): ...\n")
    suite = collect(folder)
    (folder / "further.py").write_text("def helper(): return 1\n")
    assert suite.changes() == []
    (folder / "further.py").write_text(text)
    assert suite.changes() == [str(folder / "further.py")]


def test_a_method_counts_if_it_may_be_a_test(folder):
    text = "class Box:\n    SIZE = 1\n    def fill(self): ...\n"
    (folder / "later.py").write_text(text)
    suite = collect(folder)
    (folder / "later.py").write_text(text + "    def empty(self): ...\n")
    assert suite.changes() == []
    (folder / "later.py").write_text(text + "    def test_box(self): ...\n")
    assert suite.changes() == [str(folder / "later.py")]


def test_a_file_of_tests_is_watched_even_if_it_has_none_yet(folder):
    (folder / "test_new.py").write_text("from cart import Cart\n")
    (folder / "test_bad.py").write_text("def (\n")
    suite = collect(folder)
    (folder / "test_new.py").write_text("def test_new(): ...\n")
    (folder / "test_bad.py").write_text("def test_bad(): ...\n")
    (folder / "test_added.py").write_text("def test_added(): ...\n")
    names = ("test_added.py", "test_bad.py", "test_new.py")
    assert suite.changes() == [str(folder / name) for name in names]


@pytest.mark.parametrize("order", [1, -1])
def test_parts_agree_on_a_file_that_only_one_of_them_imports_by_a_star(folder, order):
    (folder / "test_none.py").write_text("def helper(): ...\n")
    (folder / "test_star.py").write_text("from test_none import *\n")
    parts = [collect(folder / name) for name in ("test_star.py", "test_none.py")][::order]
    merged, _ = merge_suites(parts, ["one", "other"])
    # Every change of a file of tests counts.
    (folder / "test_none.py").write_text("def helper(): return 1\n")
    assert str(folder / "test_none.py") in merged.changes()
    again = collect(folder / "test_star.py")
    with pytest.raises(fw.ShapeError, match=r"different versions of .*test_none\.py"):
        merge_suites([parts[0], parts[1], again], ["one", "other", "again"])
