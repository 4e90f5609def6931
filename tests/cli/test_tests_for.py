"""The command `tests-for` as users call it: with real git, real pytest and a real shell."""

import json
import os
import runpy
import shlex
import shutil
import sqlite3
import subprocess
import sys
import xml.etree.ElementTree as ET
from contextlib import closing
from pathlib import Path
from types import SimpleNamespace

import pytest
from click.testing import CliRunner

import flashwasm
from flashwasm.cli import main
from flashwasm.cli.tests_for import pytest_run
from git_repository import commit_all
from small_project import change_project, record_coverage, write_project

TEXT = {"shop/text.py": ("text.lower()", "text.lower() + ''")}
DEFECT = {"shop/text.py": ("text.lower()", "text.upper()")}
COVERED = {"shop/orders.py": ("result = 0", "result = 0 + 0")}
OF_COVERED = {"tests/test_orders.py::test_sums"}
OF_TEXT = {"tests/test_text.py::test_title", "tests/test_text.py::test_plain"}


@pytest.fixture
def project(tmp_path, monkeypatch):
    """Return a committed project, which is the working folder."""
    monkeypatch.setenv("FLASHWASM_DATA", str(tmp_path / "data"))
    monkeypatch.setenv("FLASHWASM_CACHE", str(tmp_path / "cache"))
    for variable in ("GITHUB_OUTPUT", "GITHUB_STEP_SUMMARY", "PYTEST_ADDOPTS"):
        monkeypatch.delenv(variable, raising=False)
    folder = tmp_path / "project"
    folder.mkdir()
    write_project(folder)
    (folder / ".gitignore").write_text(".coverage\n__pycache__\n")
    commit_all(folder)
    monkeypatch.chdir(folder)
    return folder


@pytest.fixture(scope="module")
def recorded_elsewhere(tmp_path_factory):
    """Return the folder of a project with its coverage."""
    pytest.importorskip("coverage")
    folder = tmp_path_factory.mktemp("recorded")
    write_project(folder)
    record_coverage(folder)
    return folder


@pytest.fixture
def recorded(project, recorded_elsewhere):
    """Return the project with its coverage, where coverage.py leaves it.

    The coverage is recorded once for all tests. Its paths become those of the project.
    """
    database = shutil.copy(recorded_elsewhere / ".coverage", project)
    with closing(sqlite3.connect(database)) as connection, connection:
        paths = (str(recorded_elsewhere), str(project))
        connection.execute("UPDATE file SET path = replace(path, ?, ?)", paths)
    return project


def invoke(*arguments):
    result = CliRunner().invoke(main, ["tests-for", *map(str, arguments)])
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    return result


def ids(*arguments, status=0):
    """Return the node ids that the command prints as ``--format ids``, and its notes."""
    result = invoke("tests", "--format", "ids", *arguments)
    assert result.exit_code == status, result.output
    return result.stdout.splitlines(), result.stderr


def shell(project, command, *, below="."):
    """Run a line of a shell in a folder of the project, with this environment's two commands."""
    names = ("flashwasm", "pytest")
    functions = [f'{name}() {{ {shlex.quote(sys.executable)} -m {name} "$@"; }}' for name in names]
    source = str(Path(flashwasm.__file__).parents[1])
    env = {**os.environ, "PYTHONPATH": os.pathsep.join([source, str(project)])}
    return subprocess.run(
        ["/bin/sh", "-c", "\n".join([*functions, command])],
        cwd=project / below,
        env=env,
        capture_output=True,
        text=True,
        check=False,
    )


# The change: --diff and --since.


def test_changes_since_a_revision_with_files_that_git_does_not_track(project):
    change_project(project, TEXT)
    (project / "tests" / "test_new.py").write_text("def test_new(): assert True\n")
    found, notes = ids("--since", "HEAD")
    assert set(found) == {*OF_TEXT, "tests/test_new.py::test_new"}
    assert "3 tests chosen, 8 left out" in notes
    commit_all(project)
    result = invoke("tests", "--since", "HEAD", "--dry-run")
    assert (result.exit_code, result.stderr) == (1, "the change is empty\n")
    assert set(ids("--since", "HEAD~1")[0]) == set(found)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (
            ["--since", "no-such"],
            "Error: 'no-such' is not a revision that git knows; git says: bad rev",
        ),
        (["--since", "HEAD", "--diff", "-"], "Error: --diff and --since exclude each other"),
        ([], "Error: give the change: --diff FILE, --diff - or --since REV"),
    ],
    ids=["no revision", "both", "none"],
)
@pytest.mark.usefixtures("project")
def test_a_change_that_is_not_there_is_an_error_and_runs_nothing(capfd, options, message):
    result = invoke("tests", *options)
    assert (result.exit_code, result.stdout, capfd.readouterr().out) == (2, "", "")
    assert result.stderr.splitlines()[-1].startswith(message)
    assert "Traceback" not in result.stderr


def test_a_diff_with_colours_is_read(project):
    change_project(project, TEXT)
    done = shell(
        project, "git diff --color=always | flashwasm tests-for tests --diff - --format ids"
    )
    assert set(done.stdout.splitlines()) == OF_TEXT


def test_the_log_of_git_may_be_required(project, monkeypatch):
    (project / "x.diff").write_text(change_project(project, TEXT))
    options = ["tests", "--diff", "x.diff", "--history", "--dry-run"]
    assert invoke(*options).exit_code == 0
    shutil.rmtree(project / ".git")
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(project.parent))
    result = invoke(*options)
    assert (result.exit_code, result.stdout) == (2, "")
    message = "Error: --history: tests is not in a git working tree: not a git repository"
    assert message in result.stderr
    assert result.stderr.endswith("; leave it out to do without git's log\n")


# The coverage database.


def test_the_database_is_found_where_coverage_leaves_it(recorded):
    change_project(recorded, COVERED)
    found, notes = ids("--since", "HEAD")
    assert set(found) == OF_COVERED
    assert f"using the coverage database {recorded / '.coverage'} (--no-coverage" in notes
    document = json.loads(invoke("tests", "--since", "HEAD", "--json").stdout)
    assert document["coverage"] == str(recorded / ".coverage")
    found, notes = ids("--since", "HEAD", "--no-coverage")
    assert set(found) > OF_COVERED
    assert "coverage database" not in notes


@pytest.mark.parametrize(
    ("name", "text"),
    [
        (".coveragerc", "[run]\ndata_file = build/lines.db\n"),
        ("pyproject.toml", "[tool.coverage.run]\ndata_file = 'build/lines.db'\n"),
    ],
)
def test_the_settings_of_coverage_say_where_it_is(recorded, name, text):
    (recorded / name).write_text(text)
    (recorded / "build").mkdir()
    (recorded / ".coverage").rename(recorded / "build" / "lines.db")
    commit_all(recorded)
    change_project(recorded, COVERED)
    assert set(ids("--since", "HEAD")[0]) == OF_COVERED


def test_a_database_that_cannot_be_used_is_said(project):
    change_project(project, TEXT)
    found, notes = ids("--since", "HEAD")
    missing = project / ".coverage"
    assert f"no coverage database at {missing}, so imports alone select the tests" in notes
    coverage = pytest.importorskip("coverage")
    data = coverage.CoverageData(str(project / ".coverage"))
    data.add_lines({str(project / "shop" / "text.py"): [1, 2]})
    data.close()
    again, notes = ids("--since", "HEAD")
    assert "imports alone select the tests, as the coverage database cannot be used: " in notes
    assert "has no test contexts; record it with: pytest --fw-record DB" in notes
    assert set(again) == set(found) == OF_TEXT
    (project / ".coverage").write_text("no database")
    assert "cannot be used" in ids("--since", "HEAD")[1]
    assert invoke("tests", "--since", "HEAD", "--coverage", ".coverage").exit_code == 2
    result = invoke("tests", "--since", "HEAD", "--coverage", "x.db", "--no-coverage")
    assert "--coverage and --no-coverage exclude each other" in result.stderr


def make_newer(path, database):
    """Set the time of a file to a minute after that of the database."""
    made = database.stat().st_mtime
    os.utime(path, (made + 60, made + 60))


def drop_digests(database):
    """Take out what coverage.py does not write itself."""
    with closing(sqlite3.connect(database)) as connection, connection:
        connection.execute("drop table flashwasm_sources")


def test_a_database_without_digests_that_is_older_than_a_source_is_said(recorded):
    drop_digests(recorded / ".coverage")
    change_project(recorded, COVERED)
    make_newer(recorded / "shop" / "orders.py", recorded / ".coverage")
    assert "was recorded with another" not in ids("--since", "HEAD")[1]
    make_newer(recorded / "shop" / "limits.py", recorded / ".coverage")
    found, notes = ids("--since", "HEAD")
    source = recorded / "shop" / "limits.py"
    older = f"{recorded / '.coverage'} was recorded with another version of {source}"
    assert f"imports alone select the tests, as {older}; record it before" in notes
    assert set(found) > OF_COVERED
    # A database that is named is used, with a warning.
    found, notes = ids("--since", "HEAD", "--coverage", recorded / ".coverage")
    assert f"{older}, so tests may be left out" in notes
    assert set(found) == OF_COVERED


def test_a_database_without_digests_that_is_older_than_the_last_commit(recorded):
    drop_digests(recorded / ".coverage")
    os.utime(recorded / ".coverage", (1e9, 1e9))
    for path in recorded.rglob("*.py"):
        os.utime(path, (9e8, 9e8))
    change_project(recorded, COVERED)
    source = recorded / "shop" / "orders.py"
    assert f"was recorded with another version of {source}; record" in ids("--since", "HEAD")[1]


def test_digests_say_that_no_source_has_changed_since_whatever_the_times(recorded):
    change_project(recorded, COVERED)
    for path in recorded.rglob("*.py"):
        make_newer(path, recorded / ".coverage")
    found, notes = ids("--since", "HEAD")
    assert "was recorded with another" not in notes
    assert set(found) == OF_COVERED


@pytest.mark.parametrize("name", ["limits", "orders"])
def test_digests_say_that_a_source_was_changed_before_the_change(recorded, name):
    # A commit moves the lines of a file; then the change edits the same file, or another one.
    change_project(recorded, {f"shop/{name}.py": ("def ", "\n\n\ndef ")})
    commit_all(recorded)
    change_project(recorded, COVERED)
    for path in recorded.rglob("*.py"):
        os.utime(path, (9e8, 9e8))
    notes = ids("--since", "HEAD")[1]
    assert "imports alone select the tests, as " in notes
    assert f"recorded with another version of shop/{name}.py; record it before the change" in notes
    # The change since the recording is all of it.
    assert "was recorded with another" not in ids("--since", "HEAD~1")[1]


@pytest.mark.parametrize("moved", [True, False])
def test_digests_are_compared_with_the_file_before_a_diff(recorded, moved):
    if moved:
        change_project(recorded, {"shop/orders.py": ("def ", "\n\n\ndef ")})
    (recorded / "x.diff").write_text(change_project(recorded, COVERED))
    stale = "recorded with another version of shop/orders.py; record it before the change"
    assert (stale in ids("--diff", "x.diff")[1]) == moved


@pytest.mark.parametrize("digests", [True, False], ids=["digests", "times"])
@pytest.mark.parametrize("source", ["since", "diff"])
def test_a_database_that_was_recorded_after_the_change_is_said(recorded, digests, source):
    (recorded / "x.diff").write_text(change_project(recorded, COVERED))
    commit_all(recorded)
    record_coverage(recorded)
    if not digests:
        drop_digests(recorded / ".coverage")
    options = ["--since", "HEAD~1"] if source == "since" else ["--diff", "x.diff"]
    notes = ids(*options)[1]
    assert "imports alone select the tests, as " in notes
    assert "orders.py; record it before the change" in notes


def test_a_file_of_the_same_name_in_another_folder_is_no_part_of_the_change(recorded):
    (recorded / "limits.py").write_text("x = 1\n")
    (recorded / "x.diff").write_text(change_project(recorded, {"limits.py": ("1", "2")}))
    assert "was recorded with another" not in ids("--diff", "x.diff")[1]


# The formats.


def test_node_ids_for_a_shell(project):
    change_project(project, DEFECT)
    command = "pytest -q -p no:cacheprovider $(flashwasm tests-for {} --since HEAD --format ids)"
    done = shell(project, command.format("tests"))
    assert done.returncode == 1
    assert "1 failed, 1 passed" in done.stdout
    # Paths begin at the folder in which the user stands.
    done = shell(project, command.format("."), below="tests")
    assert "1 failed, 1 passed" in done.stdout
    command = "flashwasm tests-for . --since HEAD --format ids"
    found = shell(project, command, below="tests").stdout
    assert set(found.split()) == {"test_text.py::test_title", "test_text.py::test_plain"}


def test_node_ids_have_no_parameters_and_may_be_read_from_a_file(project):
    (project / "tests" / "a b").mkdir()
    (project / "tests" / "a b" / "test_c.py").write_text(
        "import pytest\n@pytest.mark.parametrize('x', ['1 2', '[]'])\ndef test_c(x): assert x\n"
    )
    command = "flashwasm tests-for tests --since HEAD --format ids > ids.txt; pytest -q @ids.txt"
    done = shell(project, command)
    assert (project / "ids.txt").read_text() == "tests/a b/test_c.py::test_c\n"
    assert "2 passed" in done.stdout


@pytest.mark.usefixtures("project")
def test_no_test_is_found():
    result = invoke("tests", "--since", "HEAD", "--format", "ids")
    assert (result.exit_code, result.stdout) == (1, "")


def test_a_changed_test_file_that_cannot_be_read_is_among_the_ids(project):
    change_project(project, {"tests/test_text.py": ("def test_plain():", "def test_plain(:")})
    found, notes = ids("--since", "HEAD")
    assert "tests/test_text.py" in found
    assert "changed, but not readable" in notes


@pytest.mark.parametrize("with_coverage", [False, True])
def test_a_file_whose_tests_are_made_at_run_time_runs_whole_if_it_is_reached(
    project, with_coverage
):
    """Tests that parsing does not list are never left out without a word."""
    made = "from shop import text\ndef check(): assert text\n"
    for name, imports in (("made", made), ("other", "def check(): ...\n")):
        source = f"{imports}for name in ('one', 'two'):\n    globals()[f'test_{{name}}'] = check\n"
        (project / "tests" / f"test_{name}.py").write_text(source)
    commit_all(project)
    options = []
    if with_coverage:
        pytest.importorskip("coverage")
        record_coverage(project)
        options = ["--coverage", ".coverage"]
    change_project(project, TEXT)
    found, notes = ids("--since", "HEAD", *options)
    assert "tests/test_made.py" in found
    assert set(found) <= {*OF_TEXT, "tests/test_made.py"}
    assert "runs as a whole: " in notes
    assert "globals() binds names" in notes
    document = json.loads(invoke("tests", "--since", "HEAD", *options, "--json").stdout)
    assert document["files"] == ["tests/test_made.py"]


def test_json_says_that_nothing_ran(project, capfd):
    change_project(project, DEFECT)
    document = json.loads(invoke("tests", "--since", "HEAD", "--format", "json").stdout)
    assert (document["ran"], document["exit_status"]) == (False, None)
    assert {test["nodeid"] for test in document["tests"]} == OF_TEXT
    assert json.loads(invoke("tests", "--since", "HEAD", "--json").stdout) == document
    assert capfd.readouterr().out == ""
    result = invoke("tests", "--since", "HEAD", "--json", "--format", "ids")
    assert (result.exit_code, result.stdout) == (2, "")


def test_annotations_outputs_and_summary_for_github(project, monkeypatch, tmp_path, capfd):
    for variable in ("GITHUB_OUTPUT", "GITHUB_STEP_SUMMARY"):
        monkeypatch.setenv(variable, str(tmp_path / variable))
    change_project(project, DEFECT)
    options = ["tests", "--since", "HEAD", "--format", "github", "--budget", 1]
    result = invoke(*options)
    assert result.exit_code == 1
    assert "1 failed" in capfd.readouterr().out
    warning, notice, last = result.stdout.splitlines()
    assert warning.startswith("::warning title=flashwasm::1 test that the change may reach is")
    assert notice.startswith("::notice title=flashwasm::8 other tests are left out, as ")
    assert last == "::notice title=flashwasm::1 test chosen, 9 left out"
    outputs = (tmp_path / "GITHUB_OUTPUT").read_text().splitlines()
    assert outputs == [
        "tests=tests/test_text.py::test_plain",
        "count=1",
        "left_out=9",
        "ran=true",
        "status=1",
    ]
    summary = (tmp_path / "GITHUB_STEP_SUMMARY").read_text()
    assert "| tests/test\\_text.py::test\\_plain | " in summary
    assert "pytest ended with status 1." in summary
    assert invoke(*options, "--dry-run").exit_code == 0
    assert capfd.readouterr().out == ""
    assert (tmp_path / "GITHUB_OUTPUT").read_text().endswith("ran=false\n")
    commit_all(project)
    result = invoke(*options)
    assert result.exit_code == 1
    assert result.stdout == "::notice title=flashwasm::the change is empty\n"
    assert (tmp_path / "GITHUB_OUTPUT").read_text().endswith("tests=\ncount=0\nran=false\n")


def test_github_counts_the_tests_that_classes_inherit(project, monkeypatch, tmp_path, capfd):
    for variable in ("GITHUB_OUTPUT", "GITHUB_STEP_SUMMARY"):
        monkeypatch.setenv(variable, str(tmp_path / variable))
    # Each of the two tests runs in three classes.
    source = (
        "class TestBase:\n    def test_one(self):\n        assert 1\n"
        "class TestA(TestBase): pass\nclass TestB(TestBase): pass\n"
    )
    for name in ("test_heirs.py", "test_others.py"):
        (project / "tests" / name).write_text(source)
    commit_all(project)
    change_project(project, {"tests/test_heirs.py": ("assert 1", "assert 0")})
    assert invoke("tests", "--since", "HEAD", "--format", "github").exit_code == 1
    assert "3 failed" in capfd.readouterr().out
    lines = (tmp_path / "GITHUB_OUTPUT").read_text().splitlines()
    nodeids = [f"tests/test_heirs.py::{name}::test_one" for name in ("TestBase", "TestA", "TestB")]
    # The project has ten more tests.
    assert lines[:3] == [f"tests={' '.join(nodeids)}", "count=3", "left_out=13"]
    summary = (tmp_path / "GITHUB_STEP_SUMMARY").read_text()
    for name in ("TestBase", "TestA", "TestB"):
        assert f"| tests/test\\_heirs.py::{name}::test\\_one | " in summary


def test_junit_xml_of_the_run_on_stdout(project, capfd):
    change_project(project, DEFECT)
    result = invoke("tests", "--since", "HEAD", "--format", "junit")
    assert result.exit_code == 1
    cases = ET.fromstring(result.stdout).iter("testcase")  # noqa: S314 - pytest wrote it.
    assert {case.get("name"): len(case) for case in cases} == {"test_title": 0, "test_plain": 1}
    # What pytest prints goes to stderr.
    printed = capfd.readouterr()
    assert printed.out == ""
    assert "1 failed, 1 passed" in printed.err
    result = invoke("tests", "--since", "HEAD", "--format", "junit", "--dry-run")
    assert (result.exit_code, result.stdout) == (2, "")


# pytest: its arguments, and its interpreter.


def test_arguments_of_pytest(project, capfd):
    change_project(project, DEFECT)
    assert invoke("tests", "--since", "HEAD", "--", "-k", "title", "-v").exit_code == 0
    printed = capfd.readouterr().out
    assert "1 passed, 1 deselected" in printed
    assert "::test_title PASSED" in printed
    # Words that do not follow the two dashes are no arguments of pytest.
    result = invoke("tests", "other", "--since", "HEAD")
    assert (result.exit_code, "unexpected extra argument" in result.stderr) == (2, True)


def test_the_interpreter_of_another_environment(project, tmp_path, capfd):
    change_project(project, TEXT)
    # An environment without packages, and one that has those of this one.
    command = [sys.executable, "-m", "venv", "--without-pip"]
    for name in ("bare", "whole"):
        subprocess.run([*command, tmp_path / name], check=True)
    installed = next((tmp_path / "whole").rglob("site-packages"))
    (installed / "x.pth").write_text(str(Path(pytest.__file__).parents[1]))
    bare, whole = (next((tmp_path / name).glob("*/python")) for name in ("bare", "whole"))
    (project / "tests" / "conftest.py").write_text(
        "import pytest, sys\nprint('prefix', sys.prefix)\n@pytest.fixture\n"
        "def name(): return 'a name'\n"
    )
    assert invoke("tests", "--since", "HEAD", "--python", whole, "--", "-s").exit_code == 0
    assert f"prefix {tmp_path / 'whole'}" in capfd.readouterr().out
    for python, message in (
        (bare, f"--python '{bare}' cannot import pytest: ModuleNotFoundError: No module named"),
        ("no-such-python", "--python 'no-such-python': there is no such program"),
    ):
        result = invoke("tests", "--since", "HEAD", "--python", python)
        assert (result.exit_code, result.stdout) == (2, "")
        assert f"Error: {message}" in result.stderr


def test_a_test_that_leaves_its_folder_does_not_change_what_is_imported(project, capfd):
    # The suite itself is no package, and is imported by its folder; the project is imported later.
    (project / "tests" / "test_away.py").write_text(
        "def test_away(tmp_path, monkeypatch):\n    monkeypatch.chdir(tmp_path)\n"
        "    from shop.text import title\n    assert title('a') == 'A'\n"
    )
    assert invoke("tests", "--since", "HEAD").exit_code == 0
    assert "1 passed" in capfd.readouterr().out


@pytest.mark.parametrize("options", [[], ["-p", "xdist", "-n1"]], ids=["", "xdist"])
def test_a_test_that_pytest_does_not_know_widens_the_choice_to_its_file(project, capfd, options):
    """A list made without running the file may be wrong; the run must not stop, nor miss a test."""
    odd = "import os\nif os.environ.get('NEVER_SET'):\n    def test_even(): ...\n"
    odd += "def test_odd(): ...\n"
    (project / "tests" / "test_odd.py").write_text(odd)
    listed, _ = ids("--since", "HEAD")
    assert "tests/test_odd.py::test_even" in listed
    change_project(project, TEXT)
    assert invoke("tests", "--since", "HEAD", "--", *options).exit_code == 0
    printed = capfd.readouterr().out
    assert "pytest does not know tests/test_odd.py::test_even: every test of its file" in printed
    assert "3 passed" in printed


def test_a_file_in_which_pytest_finds_no_test_is_said(project, capfd):
    odd = "import os\nif os.environ.get('NEVER_SET'):\n    def test_even(): ...\n"
    (project / "tests" / "test_odd.py").write_text(odd)
    change_project(project, TEXT)
    assert invoke("tests", "--since", "HEAD").exit_code == 0
    printed = capfd.readouterr().out
    assert "know tests/test_odd.py::test_even: it found no test in that file, so none" in printed
    assert "2 passed" in printed


def test_names_of_tests_with_brackets_and_colons():
    script = Path(pytest_run.__file__).parent / "inside_pytest" / "flashwasm_chosen_tests.py"
    module = runpy.run_path(str(script))
    for nodeid, names in (
        ("a/t.py::test_x[b::c[d]]", ["a", ".", "a/t.py", "a/t.py::test_x"]),
        (
            "a[1]/t.py::A::test_x[2]",
            ["a[1]", ".", "a[1]/t.py", "a[1]/t.py::A", "a[1]/t.py::A::test_x"],
        ),
    ):
        assert module["_names"](SimpleNamespace(nodeid=nodeid)) == names


def test_a_file_that_pytest_skips_is_no_unknown_test(project, capfd):
    skipping = "import pytest\npytest.skip('not here', allow_module_level=True)\n"
    (project / "tests" / "test_new.py").write_text(f"{skipping}def test_new(): ...\n")
    change_project(project, TEXT)
    assert invoke("tests", "--since", "HEAD").exit_code == 0
    printed = capfd.readouterr().out
    assert "2 passed, 1 skipped" in printed
    assert "does not know" not in printed


def test_the_tests_run_in_the_order_of_the_choice(project, capfd):
    change_project(project, DEFECT)
    order, _ = ids("--since", "HEAD")
    invoke("tests", "--since", "HEAD", "--", "-v", "-p", "no:randomly")
    printed = capfd.readouterr().out
    ran = [line.split(" ")[0] for line in printed.splitlines() if "::" in line and "%]" in line]
    assert ran == order


# The budget.


def test_a_budget_counts_cases_and_names_the_tests_that_do_not_fit(project):
    change_project(project, {"shop/limits.py": ("x + by", "x + by + 0")})
    found, notes = ids("--since", "HEAD", "--budget", 3)
    # `test_shift` has two cases.
    assert len(found) in {2, 3}
    assert "tests that the change may reach are left out: tests/" in notes
    document = json.loads(invoke("tests", "--since", "HEAD", "--budget", 3, "--json").stdout)
    cases = {test["nodeid"]: test["cases"] for test in document["tests"]}
    assert sum(cases.values()) <= 3
    everything = json.loads(invoke("tests", "--since", "HEAD", "--budget", 99, "--json").stdout)
    cases = {test["nodeid"]: test["cases"] for test in everything["tests"]}
    assert cases["tests/test_limits.py::test_shift"] == 2
    assert not everything["sure_left_out"]


def test_cases_that_are_not_known_count_as_one_and_are_said(project):
    change_project(project, {"tests/test_limits.py": ('"x", [1, 2]', '"x", list(range(3))')})
    document = json.loads(invoke("tests", "--since", "HEAD", "--budget", 99, "--json").stdout)
    assert document["unknown_cases"] == ["tests/test_limits.py::test_shift"]
    notes = ids("--since", "HEAD", "--budget", 99)[1]
    assert "the number of cases is not known: tests/test_limits.py::test_shift" in notes
    subprocess.run([sys.executable, "-m", "pytest", "-q", "--junit-xml=x.xml"], check=True)
    options = ["tests", "--since", "HEAD", "--budget", 99, "--times", "x.xml", "--json"]
    document = json.loads(invoke(*options).stdout)
    assert document["unknown_cases"] == []
    assert {t["cases"] for t in document["tests"] if t["nodeid"].endswith("test_shift")} == {3}
