"""Reading of test functions: a suite may be larger than memory, and may change while it is read."""

import weakref

import pytest

from flashwasm.qe.duplicates import function_body
from flashwasm.qe.duplicates.duplicate_groups import find_duplicates
from flashwasm.qe.duplicates.function_body import read_bodies, read_keys
from flashwasm.qe.suites.collection import collect

FILES = 6
TESTS = """\
def add(a, b): return a + b

def test_small():
    assert add(1, 2) == 3

def test_large():
    assert add(100, 200) == 300
"""


@pytest.fixture
def tests(tmp_path):
    """Return the tests of a suite of several files, each with a group of duplicates."""
    (tmp_path / "pytest.ini").write_text("")
    for i in range(FILES):
        (tmp_path / f"test_{i}.py").write_text(TESTS)
    return collect(tmp_path, cache=False).tests


def test_few_syntax_trees_are_in_memory_at_once(tests, monkeypatch):
    alive = weakref.WeakSet()
    most = 0

    class Watched(function_body.ModuleSyntax):
        """A file that is counted while it is in memory."""

        def __init__(self, path):
            nonlocal most
            super().__init__(path)
            alive.add(self)
            most = max(most, len(alive))

    monkeypatch.setattr(function_body, "ModuleSyntax", Watched)
    assert len(read_keys(tests)) == 2 * FILES
    # The tree of one file is freed after that of the next one was made.
    assert most == 2
    assert len(find_duplicates(tests)) == FILES


def test_a_test_that_changed_since_its_keys_were_read_is_left_out(tests):
    keys = read_keys(tests)
    path = tests[0].path
    path.write_text(TESTS.replace("add(100, 200) == 300", "add(add(1, 1), 2) == 4"))
    (bodies,) = read_bodies([[one for one in keys if one.test.path == path]])
    assert [body.node.name for body in bodies] == ["test_small"]
