"""A change of comments and layout of a small project, by `tests-for` and the pytest plugin."""

import json

import pytest
from click.testing import CliRunner

from flashwasm.cli import main
from flashwasm.qe.changes.diffs.unified_diff import read_diff
from flashwasm.qe.changes.selection.safe_selection import safe_selection
from flashwasm.qe.similarity.suite_index import SuiteIndex
from small_project import change_project, run_pytest, write_project

LIMITS = {"shop/limits.py": ("def clip(x):", "# A comment.\n\ndef clip(x):  # noqa")}
TESTS = {"tests/test_text.py": ("def test_plain", "# A comment.\ndef test_plain")}
HELPER = {"tests/helper.py": ("500, 600", "\n        500,\n        600,\n    ")}
CONFTEST = {"tests/conftest.py": ("def name", "# A comment.\ndef name")}
VERSION = {"shop/__init__.py": ("1.0", "1.1")}


@pytest.fixture
def project(tmp_path, monkeypatch):
    monkeypatch.setenv("FLASHWASM_DATA", str(tmp_path / "data"))
    monkeypatch.setenv("FLASHWASM_CACHE", str(tmp_path / "cache"))
    root = tmp_path / "project"
    root.mkdir()
    write_project(root)
    monkeypatch.chdir(root)
    return root


def select(root, diff):
    """Return the selection for a diff."""
    index = SuiteIndex.build(root / "tests", scorers=["characters"], adapted=False)
    return safe_selection(index, read_diff(diff))


def invoke(*arguments):
    """Run the command with the change in x.diff."""
    return CliRunner().invoke(main, ["tests-for", "tests", "--diff", "x.diff", *arguments])


@pytest.mark.parametrize("edits", [LIMITS, TESTS, HELPER, CONFTEST, {**LIMITS, **TESTS}])
def test_no_test_notices(project, edits):
    selection = select(project, change_project(project, edits))
    assert selection.layout == list(edits)
    assert (selection.sure, selection.unread, selection.likely()) == ([], [], [])
    assert selection.only_layout
    assert selection.everything is None


def test_other_files_of_the_change_still_select_tests(project):
    selection = select(project, change_project(project, {**TESTS, **VERSION}))
    alone = select(project, change_project(project, {"shop/__init__.py": ("1.1", "1.2")}))
    assert selection.layout == list(TESTS)
    assert not selection.only_layout
    assert {s.test.nodeid for s in selection.sure} == {s.test.nodeid for s in alone.sure}
    assert all(one.level > 0 for one in selection.by_relevance())


def test_a_file_is_not_as_the_diff_leaves_it(project):
    diff = change_project(project, LIMITS)
    file = project / "shop/limits.py"
    file.write_text(file.read_text().replace("# A comment.", "# Another."))
    selection = select(project, diff)
    assert selection.layout == []
    assert selection.sure


def test_a_diff_that_changes_a_file_twice(project):
    first = change_project(project, LIMITS)
    selection = select(project, first + change_project(project, {"shop/limits.py": ("", "# b\n")}))
    assert selection.layout == []
    assert selection.sure


@pytest.mark.parametrize(
    "files",
    [
        {"pytest.ini": "[pytest]\naddopts = --flake8\n"},
        {"pytest.ini": "[pytest]\nfilterwarnings =\n    error:old:UserWarning:shop:12\n"},
    ],
    ids=["linter", "warning of a line"],
)
def test_settings_of_pytest_that_depend_on_layout(project, files):
    for path, text in files.items():
        (project / path).write_text(text)
    assert select(project, change_project(project, LIMITS)).layout == []


@pytest.mark.parametrize(
    ("path", "text"),
    [
        ("shop/new.py", "# Only a comment.\n"),
        ("setup.py", "import shop\n"),
        ("tests/data/sample.py", "x = 1\n"),
        ("tests/test_random.py", "from hypothesis import given\n\ndef test_it(): pass\n"),
    ],
)
def test_files_of_which_nothing_is_proven(project, path, text):
    (project / path).parent.mkdir(exist_ok=True)
    if "Only" not in text:
        (project / path).write_text(text)
    selection = select(project, change_project(project, {path: ("", "# A comment.\n")}))
    assert selection.layout == []
    assert not selection.only_layout


def test_doctests_of_the_file_run(project):
    (project / "pytest.ini").write_text("[pytest]\naddopts = --doctest-modules\n")
    test = project / "tests/test_text.py"
    test.write_text(f'"""\n>>> 1 + 1\n2\n"""\n{test.read_text()}')
    selection = select(project, change_project(project, TESTS))
    assert [one.path for one in selection.unread] == [test]
    assert selection.sure == []
    assert select(project, change_project(project, LIMITS)).unread == []


def test_the_command_says_that_only_comments_change(project):
    (project / "x.diff").write_text(change_project(project, LIMITS))
    said = "shop/limits.py: only comments or layout change"
    listed = invoke("--dry-run")
    assert (listed.exit_code, listed.stdout) == (1, "")
    assert said in listed.stderr
    assert "10 tests are left out, as only comments or layout change" in listed.stderr
    document = json.loads(invoke("--json").stdout)
    assert (document["tests"], document["layout"]) == ([], ["shop/limits.py"])
    assert document["left_out_reason"] == "only comments or layout change"
    for options in ([], ["--likely"], ["--budget", "3"]):
        ran = invoke(*options)
        assert (ran.exit_code, ran.stdout) == (0, "")
        assert said in ran.stderr


def test_the_plugin_runs_no_test_for_a_comment(project):
    (project / "x.diff").write_text(change_project(project, LIMITS))
    done = run_pytest(project, "-q", "--fw-diff=x.diff", "--fw-select=safe", "tests")
    assert "11 deselected" in done.stdout
    assert "shop/limits.py: only comments or layout change" in done.stdout


def test_a_folder_without_tests_is_named(project):
    (project / "x.diff").write_text(change_project(project, LIMITS))
    arguments = ["tests-for", "shop", "--diff", "x.diff", "--dry-run"]
    result = CliRunner().invoke(main, arguments)
    assert result.exit_code == 1
    assert f"no tests in {project / 'shop'}; expected a path" in result.stderr
    assert "pytest looks for tests in files named test_*.py or *_test.py" in result.stderr
