"""Tests that a change touches: their own lines, and the fixtures and constants that they use."""

import difflib

import pytest

from flashwasm.qe import SuiteIndex, read_diff
from flashwasm.qe.changes.ranking.touched_tests import touched_tests

pytest.importorskip("sklearn")

CONFTEST = """\
import pytest

@pytest.fixture
def base():
    return 1

@pytest.fixture
def page(base):
    return base

@pytest.fixture(autouse=True)
def clean():
    yield

def pytest_configure(config):
    pass
"""
TESTS = """\
import pytest
from shop import basket
from shop import total as total_of

SIZE = 3
OTHER = 4

def helper():
    return SIZE

@pytest.fixture
def full(page):
    return basket(page)

@pytest.mark.parametrize("x", [
    1,
])
def test_a(x):
    assert helper() == x
    assert x

def test_b(full):
    assert full

@pytest.mark.usefixtures("base")
def test_c():
    assert OTHER

class TestIt:
    limit = 2

    def setup_method(self):
        self.x = 1

    def test_d(self):
        assert self.x == total_of(self.limit)

    def test_e(self):
        pass

pytestmark = []
"""
ALL = {"test_a", "test_b", "test_c", "test_d", "test_e"}
# The edit, and the tests that it touches.
IN_TESTS = {
    "line of a test": (("    assert x\n", "    assert not x\n"), {"test_a"}),
    "line removed from a test": (("    assert x\n", ""), {"test_a"}),
    "case of a test": (("    1,\n", "    1, 2,\n"), {"test_a"}),
    "decorator that is removed": (('@pytest.mark.usefixtures("base")\n', ""), {"test_c"}),
    "test that is removed": (("def test_b(full):\n    assert full\n", ""), set()),
    "constant": (("SIZE = 3", "SIZE = 5"), {"test_a"}),
    "constant that is added to": (("SIZE = 3\n", "SIZE = 3\nSIZE += 1\n"), {"test_a"}),
    "item of a constant": (("OTHER = 4\n", "OTHER = 4\nOTHER['x'] = 5\n"), {"test_c"}),
    "attribute of a constant": (("OTHER = 4\n", "OTHER = 4\nOTHER.x = 5\n"), {"test_c"}),
    "mark that is added": (("pytestmark = []", "pytestmark = []\npytestmark += [1]"), ALL),
    "constant that is removed": (("OTHER = 4\n", ""), {"test_c"}),
    "helper": (("return SIZE", "return SIZE + 1"), {"test_a"}),
    "fixture": (("return basket(page)", "return page"), {"test_b"}),
    "import": (("import basket", "import basket as basket"), {"test_b"}),
    "import under another name": (("import total ", "import all "), {"test_d"}),
    "attribute of a class": (("limit = 2", "limit = 3"), {"test_d"}),
    "setup of a class": (("self.x = 1", "self.x = 2"), {"test_d", "test_e"}),
    "mark of all tests": (("pytestmark = []", "pytestmark = [1]"), ALL),
    "statement": (("SIZE = 3\n", "SIZE = 3\nprint(1)\n"), ALL),
    "comment": (("SIZE = 3\n", "# Three.\nSIZE = 3\n"), set()),
    "syntax error": (("SIZE = 3", "SIZE = ("), ALL),
}
IN_CONFTEST = {
    "fixture": (("return 1", "return 2"), {"test_b", "test_c"}),
    "fixture of a fixture": (("return base", "return base + 1"), {"test_b"}),
    "fixture of all tests": (("    yield\n", "    yield 1\n"), ALL | {"test_f"}),
    "hook": (("pass", "return"), ALL | {"test_f"}),
}


def touched(folder, name, edit):
    """Edit a file of the suite, and return the names of the tests that the edit touches."""
    before = (folder / name).read_text()
    assert before.count(edit[0]) == 1
    after = before.replace(*edit)
    tests = SuiteIndex.build(folder / "tests", scorers=["characters"]).tests
    (folder / name).write_text(after)
    if not edit[1].endswith("("):  # No test could be collected after a syntax error.
        tests = SuiteIndex.build(folder / "tests", scorers=["characters"]).tests
    lines = [text.splitlines(keepends=True) for text in (before, after)]
    diff = "".join(difflib.unified_diff(*lines, f"a/{name}", f"b/{name}"))
    return {one.rpartition("::")[2] for one in touched_tests(tests, read_diff(diff))}


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.setenv("FLASHWASM_CACHE", str(tmp_path / "cache"))
    files = {
        "pytest.ini": "",
        "tests/conftest.py": CONFTEST,
        "tests/unit/test_x.py": TESTS,
        "tests/test_y.py": "def test_f(): pass\n",
    }
    for name, text in files.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    return tmp_path


@pytest.mark.parametrize(("edit", "expected"), IN_TESTS.values(), ids=IN_TESTS)
def test_edits_of_a_test_file(folder, edit, expected):
    assert touched(folder, "tests/unit/test_x.py", edit) == expected


@pytest.mark.parametrize(("edit", "expected"), IN_CONFTEST.values(), ids=IN_CONFTEST)
def test_edits_of_a_conftest(folder, edit, expected):
    assert touched(folder, "tests/conftest.py", edit) == expected


def test_a_test_file_that_is_renamed_touches_its_tests(folder):
    (folder / "tests/test_y.py").rename(folder / "tests/test_z.py")
    diff = "diff --git a/tests/test_y.py b/tests/test_z.py\nsimilarity index 100%\n"
    diff += "rename from tests/test_y.py\nrename to tests/test_z.py\n"
    tests = SuiteIndex.build(folder / "tests", scorers=["characters"]).tests
    assert touched_tests(tests, read_diff(diff)) == {"tests/test_z.py::test_f"}
