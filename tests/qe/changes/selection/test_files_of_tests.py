"""Files among the tests that other tests depend on without an import: data, and hooks of pytest."""

import pytest

from flashwasm.qe.changes.diffs.unified_diff import read_diff
from flashwasm.qe.changes.selection.safe_selection import safe_selection
from flashwasm.qe.similarity.suite_index import SuiteIndex
from small_project import change_project

FILES = {
    "pytest.ini": "[pytest]\n",
    "shop.py": "X = 1\n",
    "tests/test_a.py": "def test_a():\n    assert True\n",
    # Its imports cannot be followed, so it may depend on every file.
    "tests/test_program.py": "import subprocess\n\ndef test_program():\n    assert True\n",
    "tests/conftest.py": "collect_ignore = ['data']\n",
    "tests/web/conftest.py": "X = 1\n",
    "tests/web/test_page.py": "def test_page():\n    assert True\n",
    "tests/data/sample.py": "X = 1\n",
    "tests/data/test_sample.py": "X = 1\n",
    "tests/data/package/__init__.py": "X = 1\n",
    "tests/data/package/conftest.py": "X = 1\n",
}


@pytest.fixture
def selected(tmp_path):
    """Return a function that changes files of a project and returns the names of the tests."""
    for name, text in FILES.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)

    def select(edits):
        diff = change_project(tmp_path, edits)
        index = SuiteIndex.build(tmp_path / "tests", scorers=["characters"], adapted=False)
        found = safe_selection(index, read_diff(diff)).sure
        return {one.test.nodeid.rpartition("::")[2] for one in found}

    return select


@pytest.mark.parametrize("name", [name for name in FILES if name.startswith("tests/data/")])
def test_python_files_that_no_test_imports_are_data_of_all_tests(selected, name):
    assert selected({name: ("X = 1", "X = 2")}) == {"test_a", "test_page", "test_program"}


def test_a_deleted_test_file_is_no_data(selected):
    assert selected({"tests/test_a.py": None}) == {"test_program"}


@pytest.mark.parametrize(
    "hook",
    [
        "def pytest_collection_modifyitems(items):\n    items[0].name\n",
        "import os\nos.environ['SHOP'] = '1'\n",
        "import sys\nsys.path.insert(0, 'lib')\n",
    ],
)
@pytest.mark.parametrize("added", [True, False])
def test_a_conftest_that_affects_the_whole_run_reaches_tests_elsewhere(
    selected, tmp_path, hook, added
):
    if not added:
        (tmp_path / "tests/web/conftest.py").write_text(hook)
    edit = ("", hook) if added else (hook, "")
    assert selected({"tests/web/conftest.py": edit}) == {"test_a", "test_page", "test_program"}


def test_another_conftest_reaches_the_tests_below_it(selected):
    assert selected({"tests/web/conftest.py": ("X = 1", "X = 2")}) == {"test_page", "test_program"}
