"""Tests that run a changed function only in another process, and tests beside them that do not.

Each case has a test file and helpers. Its ``test_broken`` depends on what a child process returns,
so it must be selected. Its ``test_apart`` starts nothing. It must not be selected either, unless
the sources do not show that.
"""

import importlib.util
import os
import re

import pytest

from flashwasm.qe.changes.diffs.unified_diff import read_diff
from flashwasm.qe.changes.selection.safe_selection import safe_selection
from flashwasm.qe.coverage.coverage_index import CoverageIndex
from flashwasm.qe.similarity.suite_index import SuiteIndex
from program_cases import CASES, CHANGE, FILES, TESTS
from small_project import change_project, run_pytest


@pytest.fixture(scope="module")
def project(tmp_path_factory):
    """Return the project with the files of all cases, its index, and its coverage."""
    if importlib.util.find_spec("coverage") is None:
        pytest.skip("coverage.py is not installed")
    if not hasattr(os, "fork"):
        pytest.skip("the cases fork")
    root = tmp_path_factory.mktemp("project")
    files = dict(FILES)
    for name, case in TESTS.items():
        files |= case.files(name)
    for path, text in files.items():
        (root / path).parent.mkdir(exist_ok=True)
        (root / path).write_text(text)
    done = run_pytest(root, "-q", "--fw-record=.coverage", "tests")
    assert done.returncode == 0, done.stdout + done.stderr
    index = SuiteIndex.build(root / "tests", scorers=["characters"], adapted=False)
    return root, index, CoverageIndex.load(root / ".coverage")


@pytest.fixture(scope="module")
def change(project):
    """Change the function; return the selected tests and those that the change breaks."""
    root, index, coverage = project
    diff = change_project(root, {"shop/core.py": CHANGE})
    selected = {one.test.nodeid for one in safe_selection(index, read_diff(diff), coverage).sure}
    done = run_pytest(root, "-q", "-rfE", "tests")
    return selected, set(re.findall(r"^(?:FAILED|ERROR) (\S+)", done.stdout, re.MULTILINE))


@pytest.mark.parametrize("name", CASES)
def test_a_test_whose_result_comes_from_another_process(change, name):
    selected, broken = change
    assert any(nodeid.startswith(f"tests/test_{name}.py::test_broken") for nodeid in broken)
    assert f"tests/test_{name}.py::test_broken" in selected


@pytest.mark.parametrize("name", TESTS)
def test_a_test_beside_it_that_starts_nothing(change, name):
    selected, broken = change
    assert f"tests/test_{name}.py::test_apart" not in broken
    assert (f"tests/test_{name}.py::test_apart" in selected) == TESTS[name].apart


def test_no_failing_test_is_left_out(change):
    selected, broken = change
    assert {nodeid.partition("[")[0] for nodeid in broken} <= selected
