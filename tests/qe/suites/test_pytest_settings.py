"""pytest's settings in small projects: collection by parsing and by pytest itself agree."""

import os
import re
from textwrap import dedent

import pytest

from flashwasm.qe import collect
from pytest_collection import collected, pytest_collects

ONE = "def test_one(): ..."

# Files of a project. Those that a case does not name itself are these.
PROJECT = {
    "test_top.py": ONE,
    "unit/test_unit.py": """
        def test_one(): ...
        def check_two(): ...
        def it_three_works(): ...
        class TestFour:
            def test_four(self): ...
            def check_five(self): ...
        class SuiteSix:
            def test_six(self): ...
            def check_seven(self): ...
        class EndsWithChecks:
            def test_eight(self): ...
        """,
    "unit/check_files.py": "def test_in_check(): ...\ndef check_in_check(): ...",
    "unit/test_imports.py": "from test_unit import test_one, TestFour\ndef test_own(): ...",
    "integration/test_slow.py": ONE,
    "integration/deep/test_deep.py": ONE,
    "build/test_built.py": ONE,
    "vendor/test_vendor.py": ONE,
}

SETTINGS = {
    "no settings": {},
    "python_files": {"pytest.ini": "[pytest]\npython_files = check_*.py test_u*.py"},
    "python_files on lines": {
        "pytest.ini": "[pytest]\npython_files =\n    check_*.py\n    *_top.py"
    },
    "python_files with a folder": {"pytest.ini": "[pytest]\npython_files = unit/test_*.py"},
    "python_functions": {"pytest.ini": "[pytest]\npython_functions = check"},
    "python_functions as a pattern": {
        "pytest.ini": "[pytest]\npython_functions = test_* it_*_works"
    },
    "python_classes": {"pytest.ini": "[pytest]\npython_classes = Suite *Checks"},
    "python_classes, none": {"pytest.ini": "[pytest]\npython_classes ="},
    "testpaths": {"pytest.ini": "[pytest]\ntestpaths = unit integration/deep"},
    "testpaths as a pattern": {"pytest.ini": "[pytest]\ntestpaths = int*"},
    "testpaths, a file": {"pytest.ini": "[pytest]\ntestpaths = unit/check_files.py unit"},
    "testpaths, a file alone": {"pytest.ini": "[pytest]\ntestpaths = unit/check_files.py vendor"},
    "testpaths that are not there": {"pytest.ini": "[pytest]\ntestpaths = nowhere"},
    "norecursedirs": {"pytest.ini": "[pytest]\nnorecursedirs = vendor de*"},
    "norecursedirs with a folder": {"pytest.ini": "[pytest]\nnorecursedirs = integration/deep"},
    "collect_imported_tests": {"pytest.ini": "[pytest]\ncollect_imported_tests = false"},
    "addopts --ignore": {"pytest.ini": "[pytest]\naddopts = -ra --ignore=vendor --ignore unit"},
    "addopts --ignore a file": {"pytest.ini": "[pytest]\naddopts = --ignore=unit/test_unit.py"},
    "addopts --ignore-glob": {"pytest.ini": "[pytest]\naddopts = --ignore-glob='*/deep*'"},
    "addopts --deselect": {
        "pytest.ini": "[pytest]\naddopts = --deselect unit/test_unit.py::TestFour --deselect=vendor"
    },
    "addopts -o": {"pytest.ini": "[pytest]\naddopts = -o python_functions=check"},
    ".pytest.ini": {".pytest.ini": "[pytest]\npython_functions = check"},
    "pytest.ini without a section": {"pytest.ini": "", "tox.ini": "[pytest]\ntestpaths = unit"},
    "comments": {"pytest.ini": "# first\n[pytest]\n; more\ntestpaths =\n  # not this\n  unit\n"},
    "percent signs": {"pytest.ini": "[pytest]\nlog_format = %(message)s\ntestpaths = unit"},
    "pyproject.toml": {
        "pyproject.toml": """
            [tool.pytest.ini_options]
            testpaths = ["unit"]
            python_functions = "check test"
            addopts = "--ignore=unit/test_imports.py"
            """
    },
    "pyproject.toml, TOML's own types": {
        "pyproject.toml": """
            [tool.pytest]
            testpaths = ["unit", "vendor"]
            python_functions = ["check"]
            python_files = ["*.py"]
            collect_imported_tests = false
            addopts = ["--ignore=unit/test_unit.py"]
            """
    },
    "pytest.toml": {"pytest.toml": '[pytest]\ntestpaths = ["unit"]\npython_classes = ["Suite"]'},
    "tox.ini": {"tox.ini": "[tox]\nenvlist = py\n[pytest]\ntestpaths = unit"},
    "tox.ini of tox only": {"tox.ini": "[tox]\nenvlist = py", "setup.py": ""},
    "setup.cfg": {"setup.cfg": "[metadata]\nname = x\n[tool:pytest]\ntestpaths = unit"},
    "pyproject.toml without settings": {"pyproject.toml": "[project]\nname = 'x'"},
    "collect_ignore": {
        "pytest.ini": "",
        "conftest.py": """
            collect_ignore = ["vendor", "unit/test_unit.py"]
            collect_ignore += ["nowhere"]
            collect_ignore.append("integration")
            """,
    },
    "collect_ignore_glob": {
        "pytest.ini": "",
        "conftest.py": "collect_ignore_glob = ['*_top.py']\ncollect_ignore_glob.extend(['*/d*p'])",
    },
    "the nearest conftest.py": {
        "pytest.ini": "",
        "conftest.py": "collect_ignore = ['unit/test_unit.py']",
        "unit/conftest.py": "collect_ignore = ['test_imports.py']",
        "integration/conftest.py": "collect_ignore_glob = ['*']",
    },
    "conditions on the version": {
        "pytest.ini": "",
        "conftest.py": """
            import sys
            collect_ignore = []
            if sys.version_info >= (3, 8):
                collect_ignore.append("vendor")
            if sys.version_info < (3, 8):
                collect_ignore.append("unit")
            """,
    },
    "a conftest.py above the settings": {
        "conftest.py": "collect_ignore = ['test_unit.py']\ncollect_ignore_glob = ['*']",
        "unit/pytest.ini": "",
    },
    "a virtual environment": {"vendor/pyvenv.cfg": "", "pytest.ini": ""},
    "a folder with no tests but a conftest.py": {"pytest.ini": "", "empty/conftest.py": ""},
}


@pytest.fixture
def project(tmp_path, monkeypatch):
    monkeypatch.setenv("FLASHWASM_CACHE", str(tmp_path / "cache"))
    folder = tmp_path / "project"
    folder.mkdir()
    monkeypatch.chdir(folder)
    return folder


def write(folder, files):
    for name, content in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(dedent(content))


@pytest.mark.slow
@pytest.mark.parametrize("files", SETTINGS.values(), ids=SETTINGS)
def test_a_rootdir_is_collected_as_pytest_without_arguments_does(project, files):
    write(project, PROJECT | files)
    # Here `pytest` runs in the folder of the settings.
    folder = project / "unit" if "unit/pytest.ini" in files else project
    os.chdir(folder)
    suite = collect(".")
    expected = pytest_collects(cwd=folder)
    assert collected(suite) == expected.tests
    assert suite.skipped == []


@pytest.mark.slow
@pytest.mark.parametrize("path", ["unit", "unit/check_files.py", "integration/deep"])
@pytest.mark.parametrize(
    "name", ["testpaths", "python_functions", "addopts --ignore", "collect_ignore", "setup.cfg"]
)
def test_a_path_below_the_rootdir_is_collected_as_pytest_collects_it(project, name, path):
    """For a path that is given, pytest's ``testpaths`` do not count, and other settings do."""
    write(project, PROJECT | SETTINGS[name])
    assert collected(collect(path)) == pytest_collects(path, cwd=project).tests


@pytest.mark.parametrize(
    ("files", "reason"),
    [
        ({"pytest.ini": "[pytest]\naddopts = --doctest-modules"}, "pytest.ini addopts .*doctests"),
        ({"pytest.ini": "[pytest]\ntestpaths 'unit"}, "pytest.ini not read as pytest's settings"),
        ({"pyproject.toml": "[tool.pytest]\nx ="}, "pyproject.toml not read as pytest's settings"),
        (
            {"pyproject.toml": "[tool.pytest.ini_options]\naddopts = 7"},
            "pyproject.toml not read as pytest's settings",
        ),
        (
            {"conftest.py": "collect_ignore = []\nif input:\n    collect_ignore += ['unit']"},
            "conftest.py line 3: the full value of collect_ignore is known only at run time",
        ),
        (
            {"conftest.py": "from os.path import join\ncollect_ignore = [join('a', 'b'), 'unit']"},
            "conftest.py line 2: the full value of collect_ignore is known only at run time",
        ),
        (
            {"conftest.py": "def pytest_ignore_collect(): ..."},
            "conftest.py line 1: pytest_ignore_collect may change which tests are collected",
        ),
        ({"unit/conftest.py": "def (:"}, "conftest.py not read: .*line 1"),
    ],
)
def test_what_cannot_be_followed_is_named(project, files, reason):
    write(project, PROJECT | files)
    suite = collect(".")
    (skipped,) = suite.skipped
    assert re.match(reason, f"{skipped.path.name} {skipped.reason}")
    assert "test_top.py::test_one" in collected(suite)
