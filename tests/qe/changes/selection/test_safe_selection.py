"""The safe selection on a small project: every test that a change breaks is selected and runs."""

import json
import os
import shutil
from pathlib import Path

import pytest
from click.testing import CliRunner

from flashwasm.cli import main
from flashwasm.errors import ShapeError

# pytester drops every module that a run imported, and NumPy cannot be imported twice: so these two
# are imported before.
from flashwasm.qe.changes.selection.safe_selection import safe_selection
from flashwasm.qe.similarity.suite_index import SuiteIndex
from nested_pytest import IN_THIS_PROCESS
from small_project import PROJECT, change_project, record_coverage, write_project

pytest_plugins = "pytester"

CONSTANT = {"shop/limits.py": ("LIMIT = 999", "LIMIT = 9")}
NEW_TEST = {"tests/test_text.py": ("", "\ndef test_new():\n    assert True\n")}
OF_CONSTANT = {"test_large", "test_big"}
# Each change of the project, and the tests that fail after it.
CHANGES = {
    "constant": (CONSTANT, OF_CONSTANT),
    "constant and a new test": ({**CONSTANT, **NEW_TEST}, OF_CONSTANT),
    "constant and a covered line": (
        {**CONSTANT, "shop/text.py": ("text.lower()", "text.lower() + ''")},
        OF_CONSTANT,
    ),
    "offset and a new test": (
        {"shop/orders.py": ("result = 0", "result = 1"), **NEW_TEST},
        {"test_sums[def x]"},
    ),
    "conftest": ({"tests/conftest.py": ('"a name"', '"b name"')}, {"test_title"}),
    "conftest of a folder": ({"tests/web/conftest.py": ('"page"', '"book"')}, {"test_page"}),
    "helper": ({"tests/helper.py": ("500", "501")}, {"test_big"}),
    "fixture of a test file": (
        {"tests/test_orders.py": ("[1, 2]", "[1, 3]")},
        {"test_sums[def x]"},
    ),
    "version": ({"shop/__init__.py": ("1.0", "1.1")}, {"test_version"}),
    "decorator": ({"shop/limits.py": ('"def clip"', '"def shift"')}, {"test_decorated"}),
    "default": ({"shop/limits.py": ("by=1", "by=2")}, {"test_shift[1]", "test_shift[2]"}),
    "line out of its loop": (
        {"shop/orders.py": ("        result += item\n", "        pass\n    result += item\n")},
        {"test_sums[def x]"},
    ),
    "line that is deleted": ({"shop/orders.py": ("result += item", "pass")}, {"test_sums[def x]"}),
    "module that is deleted": ({"shop/text.py": None}, {"test_title", "test_plain"}),
    "module that tests import first": (
        {"shop/text.py": ("def plain(text)", "def plane(text)")},
        {"test_plain"},
    ),
    "file that is renamed": (
        {"tests/helper.py": None, "tests/help.py": ("", PROJECT["tests/helper.py"])},
        {"test_orders.py"},
    ),
    "data": ({"shop/data.json": ("", "1\n")}, set()),
}
CACHED_FUNCTION = """\
import functools

@functools.lru_cache
def one():
    return limits.clip(1)
"""
LAZY_FUNCTION = """\
kept = None

def one():
    global kept
    if kept is None:
        kept = limits.clip(1)
    return kept
"""
CALLERS = """
from shop.orders import one

def test_a():
    assert one() == 1

def test_b():
    assert one() == 1
"""


@pytest.fixture(scope="module")
def recorded(tmp_path_factory):
    """Return the path of the project's coverage, which was recorded in another folder."""
    pytest.importorskip("coverage")
    folder = tmp_path_factory.mktemp("recorded")
    write_project(folder)
    return record_coverage(folder)


@pytest.fixture
def project(pytester, monkeypatch, tmp_path, recorded):
    monkeypatch.setenv("FLASHWASM_DATA", str(tmp_path / "data"))
    monkeypatch.setenv("FLASHWASM_CACHE", str(tmp_path / "cache"))
    write_project(pytester.path)
    shutil.copy(recorded, pytester.path / "recorded.coverage")
    monkeypatch.syspath_prepend(pytester.path)
    return pytester.path


def select(*arguments):
    """Run the command with --json; return the names of its tests, and the whole document."""
    result = CliRunner().invoke(main, ["tests-for", "tests", "--json", *map(str, arguments)])
    assert result.exit_code in {0, 1}, result.output
    document = json.loads(result.stdout)
    return {name(test["nodeid"]) for test in document["tests"]}, document


def name(nodeid):
    return nodeid.rpartition("::")[2]


PLUGIN = ("-p", "flashwasm.pytest_plugin", *IN_THIS_PROCESS)


def failures(pytester, *options):
    """Return the names of the tests, or of the files, that fail in a run of the project."""
    run = pytester.inline_run("tests", "-q", *PLUGIN, *options)
    failed = [*run.getreports("pytest_runtest_logreport"), *run.getreports("pytest_collectreport")]
    return {r.nodeid.rpartition("::")[2].rpartition("/")[2] for r in failed if r.failed}


@pytest.mark.parametrize("coverage", [False, True], ids=["imports", "coverage"])
@pytest.mark.parametrize(("edits", "broken"), CHANGES.values(), ids=CHANGES)
def test_every_test_that_a_change_breaks_is_selected(project, pytester, edits, broken, coverage):
    (project / "x.diff").write_text(change_project(project, edits))
    database = ["recorded.coverage"] if coverage else []
    selected, _ = select("--diff", "x.diff", *(["--coverage", *database] if database else []))
    if broken == {"test_orders.py"}:
        assert {"test_big", "test_sums"} <= selected
    else:
        assert {test.partition("[")[0] for test in broken} <= selected
    options = ["--fw-diff=x.diff", "--fw-select=safe", *(f"--fw-coverage={db}" for db in database)]
    assert failures(pytester, *options) == broken


@pytest.mark.parametrize("coverage", [False, True], ids=["imports", "coverage"])
def test_tests_that_a_change_cannot_reach_are_left_out(project, coverage):
    (project / "x.diff").write_text(change_project(project, CONSTANT))
    options = ["--coverage", "recorded.coverage"] if coverage else []
    selected, document = select("--diff", "x.diff", *options)
    assert selected == {"test_small", "test_large", "test_shift", "test_decorated"} | {
        "test_big",
        "test_sums",
    }
    assert document["left_out"] == 4
    assert document["left_out_reason"] == "the change is not known to reach them"
    assert document["sure_left_out"] == []
    assert document["everything"] is None


def test_a_line_that_runs_in_tests_only_selects_the_tests_of_its_function(project):
    edit = {"shop/limits.py": ("return min(x, LIMIT)", "return min(LIMIT, x)")}
    (project / "x.diff").write_text(change_project(project, edit))
    selected, document = select("--diff", "x.diff", "--coverage", "recorded.coverage")
    assert selected == {"test_small", "test_large", "test_big"}
    assert document["uncovered"] == {}
    assert select("--diff", "x.diff")[0] > selected


def test_changed_lines_that_no_test_covers_are_named(project):
    edit = {"shop/text.py": ("", "\ndef upper(text):\n    return text.upper()\n")}
    (project / "x.diff").write_text(change_project(project, edit))
    arguments = ["--diff", "x.diff", "--coverage", "recorded.coverage"]
    assert select(*arguments)[1]["uncovered"] == {"shop/text.py": [8]}
    arguments = ["tests-for", "tests", "--dry-run", *arguments]
    stderr = CliRunner().invoke(main, arguments).stderr
    assert "no test covers shop/text.py:8" in stderr
    new = {"shop/new.py": ("", "X = 1\n")}
    (project / "x.diff").write_text(change_project(project, new))
    assert "the coverage database has no lines of shop/new.py" in (
        CliRunner().invoke(main, arguments).stderr
    )


def test_sure_tests_that_do_not_fit_a_budget_are_named(project, pytester):
    (project / "x.diff").write_text(change_project(project, CONSTANT))
    selected, document = select("--diff", "x.diff", "--budget", 2)
    assert len(selected) == 2
    assert len(document["sure_left_out"]) == 4
    assert selected.isdisjoint(map(name, document["sure_left_out"]))
    arguments = ["tests-for", "tests", "--diff", "x.diff", "--budget", "2", "--dry-run"]
    stderr = CliRunner().invoke(main, arguments).stderr
    assert "4 tests that the change may reach are left out: tests/" in stderr
    assert len(select("--diff", "x.diff", "--budget", 2, "--conservative")[0]) == 6
    done = pytester.runpytest(*PLUGIN, "tests", "--fw-diff=x.diff", "--fw-select=2")
    done.stdout.fnmatch_lines(["9 of 11 tests are left out; the change may reach 5 of them:"])


def test_the_likely_choice_is_smaller_and_says_so(project):
    edits = {**CONSTANT, **NEW_TEST}
    (project / "x.diff").write_text(change_project(project, edits))
    selected, document = select("--diff", "x.diff", "--likely")
    assert selected == {"test_new"}
    assert {"test_large", "test_big"} <= set(map(name, document["sure_left_out"]))
    result = CliRunner().invoke(
        main, ["tests-for", "tests", "--diff", "x.diff", "--likely", "--conservative"]
    )
    assert result.exit_code == 2


@pytest.mark.parametrize(
    "contexts",
    [
        lambda test: f"other/{test}",
        lambda test: f"py311|{test}",
        lambda test: test.partition("|")[0].replace("/", ".").replace(".py::", "."),
    ],
    ids=["other project", "static and dynamic", "dotted"],
)
def test_a_test_that_the_database_does_not_know_is_selected(project, contexts):
    coverage = pytest.importorskip("coverage")
    edit = {"shop/limits.py": ("return min(x, LIMIT)", "return min(LIMIT, x)")}
    (project / "x.diff").write_text(change_project(project, edit))
    old = coverage.CoverageData(str(project / "recorded.coverage"))
    new = coverage.CoverageData(str(project / "x.coverage"))
    old.read()
    for context in filter(None, old.measured_contexts()):
        old.set_query_context(context)
        new.set_context(contexts(context))
        new.add_lines({file: old.lines(file) or [] for file in old.measured_files()})
    new.write()
    _, document = select("--diff", "x.diff", "--coverage", "x.coverage")
    assert document["left_out"] == 0


def test_a_path_that_two_files_of_the_database_may_mean_is_no_evidence(project):
    coverage = pytest.importorskip("coverage")
    edit = {"shop/limits.py": ("return min(x, LIMIT)", "return min(LIMIT, x)")}
    (project / "x.diff").write_text(change_project(project, edit))
    data = coverage.CoverageData(str(project / "recorded.coverage"))
    data.read()
    data.set_context("")
    data.add_lines({"/elsewhere/shop/limits.py": [1]})
    data.write()
    selected, document = select("--diff", "x.diff", "--coverage", "recorded.coverage")
    assert document["unmeasured"] == ["shop/limits.py"]
    assert "test_sums" in selected


def test_databases_of_two_checkouts_in_one(project):
    coverage = pytest.importorskip("coverage")
    edit = {"shop/limits.py": ("return min(x, LIMIT)", "return min(LIMIT, x)")}
    (project / "x.diff").write_text(change_project(project, edit))
    old = coverage.CoverageData(str(project / "recorded.coverage"))
    old.read()
    new = coverage.CoverageData(str(project / "x.coverage"))
    root = os.path.commonpath(old.measured_files())
    for folder in ("/ci/one", "/ci/two"):
        for context in filter(None, old.measured_contexts()):
            old.set_query_context(context)
            # The second checkout knows one test only.
            if folder == "/ci/one" or "test_small" in context:
                new.set_context(context)
                lines = {f: old.lines(f) or [] for f in old.measured_files()}
                new.add_lines({f.replace(root, folder): own for f, own in lines.items()})
    new.write()
    selected, document = select("--diff", "x.diff", "--coverage", "x.coverage")
    assert document["unmeasured"] == ["shop/limits.py"]
    assert OF_CONSTANT | {"test_small"} <= selected


def test_a_file_is_not_taken_for_another_one_of_the_same_name(project, tmp_path):
    same = {"limits.py": ("", "def cut(x):\n    return x\n")}
    user = {"tests/test_cut.py": ("", "from limits import cut\n\ndef test_cut(): cut(1)\n")}
    write_project(tmp_path)
    for folder in (project, tmp_path):
        change_project(folder, {**same, **user})
    coverage = pytest.importorskip("coverage")
    old = coverage.CoverageData(str(record_coverage(tmp_path)))
    old.read()
    new = coverage.CoverageData(str(project / "x.coverage"))
    # Coverage of the package: it has shop/limits.py, and not limits.py.
    files = [file for file in old.measured_files() if Path(file).parent.name == "shop"]
    for context in old.measured_contexts():
        old.set_query_context(context)
        new.set_context(context)
        new.add_lines({file: old.lines(file) or [] for file in files})
    new.write()
    edit = {"limits.py": ("return x", "return x + 0")}
    (project / "x.diff").write_text(change_project(project, edit))
    selected, document = select("--diff", "x.diff", "--coverage", "x.coverage")
    assert document["unmeasured"] == ["limits.py"]
    assert "test_cut" in selected
    # They ran shop/limits.py.
    assert selected.isdisjoint({"test_small", "test_large", "test_big"})


def test_a_test_file_that_moves_in_the_same_change(project):
    text = PROJECT["tests/test_limits.py"]
    edits = {
        "shop/limits.py": ("return min(x, LIMIT)", "return min(x, LIMIT) + 1"),
        "tests/test_limits.py": None,
        "tests/web/test_moved.py": ("", text),
    }
    (project / "x.diff").write_text(change_project(project, edits))
    selected, _ = select("--diff", "x.diff", "--coverage", "recorded.coverage")
    assert {"test_small", "test_large", "test_shift", "test_decorated", "test_big"} <= selected


@pytest.mark.parametrize("function", [CACHED_FUNCTION, LAZY_FUNCTION], ids=["cached", "lazy"])
def test_later_callers_of_a_function_that_keeps_its_result(project, tmp_path, function):
    edit = {
        "shop/orders.py": (
            "def order(",
            f"{function}\ndef order(",
        ),
        "tests/test_text.py": (
            "",
            CALLERS,
        ),
    }
    for folder in (project, tmp_path):
        write_project(folder)
        change_project(folder, edit)
    record_coverage(tmp_path)
    edit = {"shop/limits.py": ("return min(x, LIMIT)", "return min(x, LIMIT) + 1")}
    (project / "x.diff").write_text(change_project(project, edit))
    selected, _ = select("--diff", "x.diff", "--coverage", tmp_path / ".coverage")
    assert {"test_a", "test_b"} <= selected


def test_a_changed_test_file_that_cannot_be_read_fails_the_run(project, capfd):
    edit = {"tests/test_text.py": ("def test_plain():", "def test_plain(:"), **CONSTANT}
    (project / "x.diff").write_text(change_project(project, edit))
    result = CliRunner().invoke(main, ["tests-for", "tests", "--diff", "x.diff"])
    assert result.exit_code == 1
    assert "2 failed, 5 passed, 1 error" in capfd.readouterr().out
    assert "changed, but not readable: " in result.stderr


def test_the_most_similar_tests_run_if_no_test_is_known_to_be_reached(project, pytester):
    (project / "x.diff").write_text(change_project(project, {"tool.py": ("", "X = 1\n")}))
    selected, document = select("--diff", "x.diff")
    assert len(selected) == 10
    reason = "the change is not known to reach any test, and the chosen ones resemble it most"
    assert document["left_out_reason"] == reason
    done = pytester.runpytest(*PLUGIN, "tests", "--fw-diff=x.diff", "--fw-select=safe")
    done.assert_outcomes(passed=11)


@pytest.mark.parametrize(
    ("edits", "everything"),
    [
        ({"CHANGELOG.md": ("", "More.\n"), **CONSTANT}, None),
        ({"CHANGELOG.md": ("", "More.\n"), "data.json": ("", "1\n")}, "data.json"),
        (
            {
                "docs/use.md": ("", ">>> 1\n"),
                "pytest.ini": ("[pytest]\n", "[pytest]\naddopts = --doctest-glob=*.md\n"),
            },
            "docs/use.md",
        ),
    ],
    ids=["read by nothing", "beside data", "run as doctest"],
)
def test_documentation_that_no_test_reads_selects_nothing(project, edits, everything):
    (project / "x.diff").write_text(change_project(project, edits))
    selected, document = select("--diff", "x.diff")
    assert document["everything"] == everything
    assert (len(selected) == 10) == (everything is not None)


@pytest.mark.parametrize("coverage", [False, True], ids=["imports", "coverage"])
def test_documentation_selects_the_tests_that_may_read_it(project, pytester, coverage):
    (project / "CHANGELOG.md").write_text("Less.\n")
    (project / "tests/test_reading.py").write_text(
        "from pathlib import Path\n\ndef test_changelog():\n"
        "    assert Path('CHANGELOG.md').read_text() == 'Less.\\n'\n"
    )
    edit = {"CHANGELOG.md": ("Less.", "More.")}
    (project / "x.diff").write_text(change_project(project, edit))
    options = ["--coverage", "recorded.coverage"] if coverage else []
    selected, document = select("--diff", "x.diff", *options)
    assert "test_changelog" in selected
    assert document["everything"] is None
    assert document["left_out"] > 0
    assert failures(pytester, "--fw-diff=x.diff", "--fw-select=safe") == {"test_changelog"}


def test_a_change_of_no_file_is_refused(project):
    index = SuiteIndex.build(project / "tests", scorers=["characters"], adapted=False)
    with pytest.raises(ShapeError, match="it changes nothing"):
        safe_selection(index, [])
