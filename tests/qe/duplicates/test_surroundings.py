"""Tests with one body that are no duplicates, because other code runs around them."""

import os
import textwrap

import pytest

from flashwasm.qe import collect, find_duplicates
from flashwasm.qe.duplicates.surroundings import _conftests

TWO_CLASSES = {
    "setup_method": """
        class Test{n}:
            def setup_method(self): configure({n})
            def test_it(self): assert run("x")
        """,
    "setUp": """
        class Test{n}(unittest.TestCase):
            def setUp(self): configure({n})
            def test_it(self): self.assertTrue(run("x"))
        """,
    "autouse fixture": """
        class Test{n}:
            @pytest.fixture(autouse=True)
            def set_up(self, monkeypatch): monkeypatch.setenv("A", "{n}")
            def test_it(self): assert run("x")
        """,
    "mark": """
        @pytest.mark.usefixtures("db{n}")
        class Test{n}:
            def test_it(self): assert run("x")
        """,
    "pytestmark": """
        class Test{n}:
            pytestmark = pytest.mark.usefixtures("db{n}")
            def test_it(self): assert run("x")
        """,
    "base class": """
        class Test{n}(Base{n}):
            def test_it(self): assert run("x")
        """,
    "super": """
        class Test{n}:
            def test_it(self): assert super().x == 1
        """,
    "class of self": """
        class Test{n}:
            x = {n}
            def test_it(self): assert run(type(self).x)
        """,
    "keyword-only fixture": """
        class Test{n}:
            @pytest.fixture
            def thing(self): return {n}
            def test_it(self, *, thing): assert run(thing)
        """,
    "fixture by name": """
        class Test{n}:
            @pytest.fixture
            def thing(self): return {n}
            def test_it(self, request): assert run(request.getfixturevalue("thing"))
        """,
    "outer class": """
        class TestOuter{n}:
            pytestmark = pytest.mark.usefixtures("db{n}")
            class TestInner:
                def test_it(self): assert run("x")
        """,
}
TEST = "from lib import run\ndef test_it(): assert run('x')\n"
GUARDED = """
try:
    from lib import run
except ImportError:
    from slow import run
def test_it(): assert run('x')
"""
WITH_FIXTURE = """
import pytest
@pytest.fixture
def db(): return {}
@pytest.mark.usefixtures('db')
def test_it(): assert print('x')
"""
SET_UP = """
class Test{}:
    def setup_method(self): run('y')
    def test_it(self): assert run('x')
"""
TWO_FILES = {
    "pytestmark": (TEST, f"import pytest\npytestmark = pytest.mark.usefixtures('db')\n{TEST}"),
    "setup_module": (TEST, f"{TEST}\ndef setup_module(): run('y')\n"),
    "autouse fixture": (
        TEST,
        f"import pytest\n@pytest.fixture(autouse=True)\ndef env(): run('y')\n{TEST}",
    ),
    "own function with a built-in name": (
        "from lib import run\ndef test_it(): assert max(1, 2) == run(2)\n",
        "from lib import run\ndef max(a, b): return a\ndef test_it(): assert max(1, 2) == run(2)\n",
    ),
    "decorator": (
        "def twice(f): return f\nfrom lib import run\n@twice\ndef test_it(): assert run('x')\n",
        "def twice(f): return None\nfrom lib import run\n@twice\ndef test_it(): assert run('x')\n",
    ),
    "import that may fail": (TEST, GUARDED),
    "import in another function": (
        TEST,
        "from slow import run\ndef test_it(): assert run('x')\ndef f():\n    from lib import run\n",
    ),
    "fixtures of a mark": (WITH_FIXTURE.format(1), WITH_FIXTURE.format(2)),
}


def groups(folder):
    return [[t.nodeid for t in one.tests] for one in find_duplicates(collect(folder).tests)]


@pytest.fixture
def suite(tmp_path, monkeypatch):
    monkeypatch.setenv("FLASHWASM_CACHE", str(tmp_path / "cache"))
    (tmp_path / "suite").mkdir()
    return tmp_path / "suite"


@pytest.mark.parametrize("name", TWO_CLASSES)
def test_two_classes(suite, name):
    code = textwrap.dedent(TWO_CLASSES[name])
    text = "import pytest, unittest\nfrom lib import configure, run\nclass Base1: pass\n"
    text += "class Base2: pass\n" + code.format(n=1) + code.format(n=2)
    (suite / "test_a.py").write_text(text)
    assert len(collect(suite).tests) == 2
    assert groups(suite) == []


@pytest.mark.parametrize("name", TWO_FILES)
def test_two_files(suite, name):
    for file, text in zip(("test_a.py", "test_b.py"), TWO_FILES[name], strict=True):
        (suite / file).write_text(text)
    assert groups(suite) == []


def test_two_folders_with_modules_of_one_name(suite):
    for folder in ("one", "two"):
        (suite / folder).mkdir()
        (suite / folder / f"test_{folder}.py").write_text(TEST)
    assert len(groups(suite)) == 1
    (suite / "one" / "lib.py").touch()
    (suite / "two" / "lib.py").touch()
    assert groups(suite) == []


def test_a_conftest_that_runs_around_tests(suite):
    (suite / "test_a.py").write_text(TEST)
    (suite / "sub").mkdir()
    (suite / "sub" / "test_b.py").write_text(TEST)
    (suite / "sub" / "conftest.py").write_text("import pytest\n")
    assert len(groups(suite)) == 1
    text = "import pytest\n@pytest.fixture(autouse=True)\ndef env(): pass\n"
    (suite / "sub" / "conftest.py").write_text(text)
    assert groups(suite) == []


def test_classes_with_the_same_set_up_are_compared(suite):
    text = "from lib import run\n" + SET_UP.format(1) + SET_UP.format(2)
    (suite / "test_a.py").write_text(text)
    ((first, second),) = groups(suite)
    assert first.endswith("test_a.py::Test1::test_it")
    assert second.endswith("test_a.py::Test2::test_it")


def test_a_conftest_that_changes_twice_at_the_same_time_is_read_again(tmp_path):
    """Clocks of file systems have steps of some milliseconds."""
    conftest, test = tmp_path / "conftest.py", tmp_path / "test_a.py"
    found = []
    for text in ("x = 1\n", "import pytest\n@pytest.fixture(autouse=True)\ndef a(): ...\n"):
        conftest.write_text(text)
        os.utime(conftest, (1e9, 1e9))
        found.append(_conftests(test))
    assert found == [[], [conftest]]
