"""The coverage database that --fw-diff uses: the named one, or the one that coverage.py writes."""

import shutil
from pathlib import Path

import pytest
from click.testing import CliRunner

from flashwasm.cli import main
from git_repository import commit_all
from small_project import change_project, record_coverage, run_pytest, write_project

pytest.importorskip("coverage")

# A change of a function that one test runs, and that three tests can import.
COVERED = {"shop/orders.py": ("result = 0", "result = 0 + 0")}
# One that moves the lines of another file.
MOVED = {"shop/limits.py": ("LIMIT = 999", "\nLIMIT = 999")}


@pytest.fixture
def project(tmp_path):
    write_project(tmp_path)
    # Otherwise the tests would commit bytecode, and any test may depend on a changed file of it.
    (tmp_path / ".gitignore").write_text("__pycache__/\n")
    return tmp_path


@pytest.fixture
def change(project):
    """Record the coverage, change a function, and return the options that name the change."""
    if not shutil.which("git"):
        pytest.skip("git is not installed")
    commit_all(project)
    record_coverage(project)
    change_project(project, COVERED)
    return ["--fw-diff=HEAD", "--fw-select=safe", "tests"]


def test_the_database_is_found_where_coverage_leaves_it(project, change):
    done = run_pytest(project, *change)
    assert "1 passed, 10 deselected" in done.stdout
    used = f"using the coverage database {project / '.coverage'} (--fw-no-coverage ignores it)"
    assert f"\n{used}\n" in done.stdout
    done = run_pytest(project, *change, "--fw-no-coverage")
    assert "2 passed, 9 deselected" in done.stdout
    assert "coverage database" not in done.stdout


@pytest.mark.slow
def test_workers_of_xdist_find_it_too(project, change):
    done = run_pytest(project, *change, "-p", "xdist", "-n", "2")
    assert "1 passed" in done.stdout
    assert done.stdout.count("using the coverage database") == 1


def test_the_settings_of_coverage_say_where_it_is(project):
    database = project / "lines.db"
    record_coverage(project).rename(database)
    (project / "x.diff").write_text(change_project(project, COVERED))
    (project / ".coveragerc").write_text("[run]\ndata_file = lines.db\n")
    done = run_pytest(project, "--fw-diff=x.diff", "tests")
    assert f"using the coverage database {database} (" in done.stdout


def with_the_plugin():
    return run_pytest(Path.cwd(), "--fw-diff=x.diff", "--fw-select=safe", "tests").stdout


def with_the_command():
    return CliRunner().invoke(main, ["tests-for", "tests", "--diff=x.diff", "--dry-run"]).stderr


@pytest.mark.parametrize("run", [with_the_plugin, with_the_command])
def test_a_database_outside_the_rootdir_is_found_in_the_working_folder(project, monkeypatch, run):
    monkeypatch.chdir(project)
    monkeypatch.setenv("FLASHWASM_DATA", str(project / "data"))
    monkeypatch.setenv("FLASHWASM_CACHE", str(project / "cache"))
    # The rootdir is the folder of pytest's settings. coverage.py writes to the working folder.
    (project / "pytest.ini").rename(project / "tests" / "pytest.ini")
    database = record_coverage(project)
    (project / "x.diff").write_text(change_project(project, COVERED))
    assert f"using the coverage database {database} (" in run()
    database.unlink()
    places = f"{project / 'tests' / '.coverage'} or {database}"
    assert f"no coverage database at {places}, so imports alone select" in run()


def test_no_database_is_said(project, change):
    (project / ".coverage").unlink()
    done = run_pytest(project, *change)
    assert "2 passed, 9 deselected" in done.stdout
    missing = f"no coverage database at {project / '.coverage'}"
    assert f"{missing}, so imports alone select the tests" in done.stdout
    (project / ".coverage").write_text("no database")
    done = run_pytest(project, *change)
    assert "2 passed, 9 deselected" in done.stdout
    assert "imports alone select the tests, as the coverage database cannot be used" in done.stdout


def test_a_database_of_another_version_is_ignored_unless_it_is_named(project, change):
    change_project(project, MOVED)
    commit_all(project)
    change_project(project, {"shop/orders.py": ("0 + 0", "0 + 0 + 0")})
    older = f"{project / '.coverage'} was recorded with another version of shop/"
    done = run_pytest(project, *change)
    assert "2 passed, 9 deselected" in done.stdout
    assert f"imports alone select the tests, as {older}" in done.stdout
    assert "or name it with --fw-coverage to use it as it is" in done.stdout
    done = run_pytest(project, *change, "--fw-coverage=.coverage")
    assert "1 passed, 10 deselected" in done.stdout
    assert f"\n{older}" in done.stdout
    assert "so tests may be left out\n" in done.stdout
