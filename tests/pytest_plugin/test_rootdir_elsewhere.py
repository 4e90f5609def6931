"""pytest's rootdir outside of the git repository, or below the folder of the coverage database."""

import json
import shutil

import pytest
from click.testing import CliRunner

from flashwasm.cli import main
from git_repository import commit_all
from small_project import change_project, record_coverage, run_pytest, write_project

pytest.importorskip("coverage")
pytestmark = pytest.mark.skipif(not shutil.which("git"), reason="git is not installed")

# A change of a function that one test runs, and that three tests can import.
CHANGE = {"shop/orders.py": ("result = 0", "result = 0 + 0")}
REACHED = "test_orders.py::test_sums"


@pytest.fixture
def project(tmp_path, monkeypatch):
    """Write the small project, commit it, and return its folder in another folder."""
    root = tmp_path / "work" / "project"
    write_project(root)
    (root / ".gitignore").write_text("__pycache__/\n")
    commit_all(root)
    monkeypatch.setenv("FLASHWASM_DATA", str(tmp_path / "data"))
    monkeypatch.setenv("FLASHWASM_CACHE", str(tmp_path / "cache"))
    return root


def selected_by_command(*arguments):
    """Return the node ids that tests-for selects, and what it says on stderr."""
    done = CliRunner().invoke(main, ["tests-for", *arguments, "--json"])
    assert done.exit_code == 0, done.output
    return [one["nodeid"] for one in json.loads(done.stdout)["tests"]], done.stderr


def test_a_rootdir_outside_of_the_repository(project, tmp_path):
    record_coverage(project)
    change_project(project, CHANGE)
    (tmp_path / "elsewhere").mkdir()
    options = ["--fw-diff=HEAD", "--fw-select=safe", "-p", "no:cacheprovider"]
    done = run_pytest(project, f"--rootdir={tmp_path / 'elsewhere'}", *options, "tests")
    assert "1 passed, 10 deselected" in done.stdout, done.stdout + done.stderr


def test_a_rootdir_above_the_repository(project, monkeypatch):
    above = project.parent
    (project / "pytest.ini").unlink()
    (above / "pytest.ini").write_text("[pytest]\npythonpath = project\n")
    commit_all(project)
    monkeypatch.chdir(above)
    change_project(project, CHANGE)
    options = ["--fw-diff=HEAD", "--fw-select=safe", "-p", "no:cacheprovider"]
    done = run_pytest(above, *options, "project/tests")
    assert "2 passed, 9 deselected" in done.stdout, done.stdout + done.stderr
    nodeids, _ = selected_by_command("project/tests", "--since=HEAD")
    assert nodeids == [f"project/tests/{name}" for name in (REACHED, "test_orders.py::test_big")]


def test_neither_the_rootdir_nor_the_tests_are_in_a_repository(tmp_path):
    write_project(tmp_path)
    done = run_pytest(tmp_path, "--fw-diff=HEAD", "-p", "no:cacheprovider", "tests/test_text.py")
    assert done.returncode == 4
    assert "--fw-diff: 'HEAD' is not a file, and " in done.stderr
    assert f"{tmp_path / 'tests' / 'test_text.py'} is not in a git working tree: " in done.stderr
    assert "give the change as a diff" in done.stderr


@pytest.fixture
def part(tmp_path, project):
    """Make the project a part of a larger one, record the coverage of both; return the part."""
    whole = tmp_path / "whole"
    shutil.copytree(project, whole / "part", ignore=shutil.ignore_patterns(".git"))
    (whole / ".gitignore").write_text("__pycache__/\n")
    (whole / "pytest.ini").write_text("[pytest]\npythonpath = part\n")
    (whole / "tests").mkdir()
    (whole / "tests" / "test_whole.py").write_text("def test_whole(): assert True\n")
    commit_all(whole)
    ran = run_pytest(whole, "--fw-record=.coverage", "-p", "no:cacheprovider", "part", "tests")
    assert "12 passed" in ran.stdout
    return whole / "part"


def test_a_database_above_the_rootdir(part, monkeypatch):
    change_project(part, CHANGE)
    options = ["--fw-diff=HEAD", "--fw-select=safe", "-p", "no:cacheprovider"]
    done = run_pytest(part, *options, "--fw-coverage=../.coverage", "tests")
    assert "1 passed, 10 deselected" in done.stdout, done.stdout + done.stderr
    monkeypatch.chdir(part)
    options = ["tests", "--since=HEAD", "--coverage=../.coverage"]
    nodeids, _ = selected_by_command(*options)
    assert nodeids == [f"tests/{REACHED}"]
    # The command finds the database in the working folder, and pytest's rootdir is below it.
    monkeypatch.chdir(part.parent)
    nodeids, said = selected_by_command("part/tests", "--since=HEAD")
    assert nodeids == [f"tests/{REACHED}"]
    assert f"using the coverage database {part.parent / '.coverage'}" in said


def test_sources_that_changed_since_a_recording_above_the_rootdir_are_seen(part, monkeypatch):
    change_project(part, {"shop/limits.py": ("LIMIT = 999", "\nLIMIT = 999")})
    commit_all(part.parent)
    change_project(part, CHANGE)
    monkeypatch.chdir(part.parent)
    nodeids, said = selected_by_command("part/tests", "--since=HEAD")
    assert len(nodeids) == 2
    assert "was recorded with another version of part/shop/limits.py" in said
    monkeypatch.chdir(part)
    done = CliRunner().invoke(
        main, ["coverage", "who", "shop/limits.py:9", "--coverage=../.coverage"]
    )
    assert "2 files changed since ../.coverage was recorded, for example part/shop/" in done.stderr


def test_similar_knows_the_tests_of_a_database_above_the_rootdir(part, monkeypatch):
    monkeypatch.chdir(part)
    record_coverage(part)
    answers = [
        CliRunner().invoke(main, ["similar", "tests", "-q", "test_small", f"--coverage={database}"])
        for database in ("../.coverage", ".coverage")
    ]
    assert answers[0].exit_code == 0, answers[0].output
    assert answers[0].stdout == answers[1].stdout
