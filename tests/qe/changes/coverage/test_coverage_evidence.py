"""Evidence from a coverage database: the files that it makes read, and reasons that name files."""

import pytest

from flashwasm.qe.changes.coverage import coverage_evidence
from flashwasm.qe.changes.diffs.unified_diff import read_diff
from flashwasm.qe.changes.selection.safe_selection import safe_selection
from flashwasm.qe.coverage.coverage_index import CoverageIndex
from flashwasm.qe.similarity.suite_index import SuiteIndex
from small_project import change_project, record_coverage, write_project

CHANGE = {"shop/limits.py": ("min(x, LIMIT)", "min(x, LIMIT) + 0")}


@pytest.fixture
def project(tmp_path):
    """Write the small project; return its folder."""
    root = tmp_path / "project"
    write_project(root)
    return root


def select(project):
    """Record coverage, change a function, and return the selection."""
    coverage = CoverageIndex.load(record_coverage(project))
    diff = change_project(project, CHANGE)
    index = SuiteIndex.build(project / "tests")
    return safe_selection(index, read_diff(diff), coverage)


def test_files_of_which_no_line_ran_are_not_read(project, monkeypatch):
    (project / "shop/unused.py").write_text(
        "import subprocess\n\ndef f():\n    return subprocess\n"
    )
    read = []

    def parse_file(path):
        read.append(path.name)
        return actual(path)

    actual = coverage_evidence.parse_file
    monkeypatch.setattr(coverage_evidence, "parse_file", parse_file)
    select(project)
    assert "orders.py" in read
    assert "unused.py" not in read


def test_the_reason_names_the_file_that_starts_a_program(project):
    folder = project / "tests/programs"
    folder.mkdir()
    fixture = "@pytest.fixture(autouse=True)\ndef program():\n    multiprocessing.Process\n"
    (folder / "conftest.py").write_text(f"import multiprocessing, pytest\n\n{fixture}")
    (folder / "test_web.py").write_text("def test_web():\n    pass\n")
    own = "import subprocess\n\nsubprocess.getoutput('')\n\ndef test_own():\n    pass\n"
    (project / "tests/test_own.py").write_text(own)
    reasons = {one.test.name: one.reason for one in select(project).sure}
    starts = "may start a program that coverage does not record"
    assert f"its file depends on tests/programs/conftest.py, which {starts}" in reasons["test_web"]
    assert f"its file {starts}" in reasons["test_own"]


def test_the_reason_names_the_file_whose_function_starts_a_program(project):
    (project / "shop/run.py").write_text("import subprocess as s\n\ndef f():\n    return s.run\n")
    (project / "tests/test_run.py").write_text(
        "from shop.run import f\n\ndef test_run():\n    assert f()\n"
    )
    reasons = {one.test.name: one.reason for one in select(project).sure}
    assert "it ran a function of shop/run.py that may start a program" in reasons["test_run"]
