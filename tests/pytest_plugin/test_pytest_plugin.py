"""The pytest plugin in real runs of pytest: its summary lines. Its errors never fail a run."""

import os
import re
import shutil
import subprocess
import sys

import pytest

# Most runs happen in this process, and pytester drops every module that a run imported. But NumPy
# cannot be imported twice, so modules that import it are imported here, before the first run.
import flashwasm.qe.changes.ranking.selected_tests
import flashwasm.qe.similarity.suite_index  # noqa: F401 - see above.
from flashwasm.qe import FailureLibrary, read_failure
from git_repository import commit_all
from nested_pytest import IN_THIS_PROCESS

pytest_plugins = "pytester"

TESTS = """\
import pytest
from shop import add_item, total_price

def test_add_item(): assert add_item([], 1) == [1]
@pytest.mark.parametrize("n", [1, 2])
def test_total_price(n): assert total_price([n]) == n
class TestEmpty:
    def test_nothing_at_all(self): assert not []
"""
SHOP = """\
def add_item(basket, item):
    return [*basket, item]

def total_price(basket):
    raise KeyError("price")
"""
WORKING_SHOP = SHOP.replace('raise KeyError("price")', "return sum(basket)")
DIFF = """\
--- a/shop.py
+++ b/shop.py
@@ -4,2 +4,2 @@
 def total_price(basket):
-    return sum(basket)
+    raise KeyError("price")
"""
# A conftest that reports a second for each test of `total_price`, so that no test needs to sleep.
DURATIONS = """\
import pytest

@pytest.hookimpl(tryfirst=True)
def pytest_runtest_logreport(report):
    report.duration = float(report.when == "call" and "total_price" in report.nodeid)
"""
PLUGIN = ["-v", "-p", "flashwasm.pytest_plugin", *IN_THIS_PROCESS]
# The change, for tests about something else than the coverage database.
CHANGE = ["--fw-diff=x.diff", "--fw-no-coverage"]


@pytest.fixture(autouse=True)
def folder(pytester, monkeypatch, tmp_path):
    """Write a shop with its tests and a diff of it; make its folder the working one."""
    monkeypatch.setenv("FLASHWASM_CACHE", str(tmp_path / "cache"))
    for name, content in {"shop.py": SHOP, "test_shop.py": TESTS, "x.diff": DIFF}.items():
        (pytester.path / name).write_text(content)
    (pytester.path / "pytest.ini").write_text("[pytest]\n")
    return pytester.path


@pytest.fixture
def run(pytester):
    """Return a function that runs pytest and returns its exit status and what it printed."""

    def run(*arguments):
        done = pytester.runpytest_inprocess(*PLUGIN, *arguments)
        assert "Traceback" not in done.stderr.str()
        return done.ret, done.stdout.str()

    return run


def run_alone(*arguments):
    """Run pytest in a process of its own; return its exit status and what it printed."""
    command = [sys.executable, "-m", "pytest", "-p", "xdist", *PLUGIN, *arguments]
    env = {k: v for k, v in os.environ.items() if not k.startswith("PYTEST_")}
    env["PYTEST_DISABLE_PLUGIN_AUTOLOAD"] = "1"
    done = subprocess.run(
        command, capture_output=True, text=True, check=False, timeout=120, env=env
    )
    assert "Traceback" not in done.stderr, done.stderr
    return done.returncode, done.stdout


def order(output):
    """Return the names of the tests that ran, in their order."""
    return re.findall(r"::(\w+)(?:\[\d\])? (?:PASSED|FAILED)", output)


def section(output):
    """Return the lines of the plugin's own section in the summary."""
    found = re.search(r"^=+ flashwasm =+\n(.*?)^=", output, re.MULTILINE | re.DOTALL)
    return [line for line in found[1].splitlines() if line] if found else []


def learn_no_price(folder):
    """Write a library with one resolved defect, which the shop's failures belong to."""
    library = FailureLibrary(folder / "x.db", create=True)
    frames = (
        "test_shop.py:6: in test_total_price\n    x()\nshop.py:5: in total_price\n    raise x\n"
    )
    failure = read_failure(f"{frames}E   KeyError: 'price'")
    library.learn("no price", [failure], resolved=True, note="issue 12")


def test_silent_unless_asked(run):
    status, output = run()
    assert (status, section(output)) == (1, [])
    names = ["test_add_item", "test_total_price", "test_total_price", "test_nothing_at_all"]
    assert order(output) == names


def test_nothing_heavy_is_imported_unless_asked(folder):
    (folder / "test_shop.py").write_text(
        "import sys\ndef test(): assert not {'numpy', 'wasmtime', 'sklearn'} & set(sys.modules)\n"
    )
    assert run_alone()[0] == 0


def test_known_defects_are_named(folder, run):
    learn_no_price(folder)
    status, output = run("--fw-known", "x.db")
    assert status == 1
    lines = section(output)
    assert [line for line in lines if not line.startswith(" ")] == [
        f"regressed: test_shop.py::test_total_price[{n}] is no price [issue 12]" for n in (1, 2)
    ]
    start = "the same KeyError, raised by the same function, total_price in shop.py, called by"
    assert lines[1].strip().startswith(start)
    (folder / "shop.py").write_text(SHOP.replace("KeyError", "TypeError"))
    assert section(run("--fw-known", "x.db")[1]) == ["new: 2 of 2 failures are of no known defect"]


def test_defects_that_failures_may_be_of_are_named(folder, run):
    library = FailureLibrary(folder / "x.db", create=True)
    text = "shop.py:5: in total_price\n    raise x\nE   KeyError: 'other'"
    library.learn("no price", [read_failure(text)])
    lines = section(run("--fw-known", "x.db")[1])
    assert lines[::2] == [
        f"perhaps: test_shop.py::test_total_price[{n}] may be no price" for n in (1, 2)
    ]
    assert lines[1] == (
        "    the same KeyError and raised by the same function, total_price in shop.py; but the "
        "test of one failure is not known, called by an unknown function and another message"
    )


def test_a_run_without_failures_says_nothing(folder, run):
    FailureLibrary(folder / "x.db", create=True)
    status, output = run("--fw-known", "x.db", "-k", "add_item")
    assert (status, section(output)) == (0, [])


def test_the_relevant_tests_run_first(run):
    status, output = run(*CHANGE)
    assert (status, section(output)) == (1, [])
    assert order(output)[:2] == ["test_total_price"] * 2
    assert len(order(output)) == 4


def test_a_selection_of_all_tests_is_said(folder, run):
    output = run(*CHANGE, "--fw-select", "9")[1]
    assert section(output) == ["0 of 4 tests are left out"]
    (folder / "x.diff").write_text(DIFF.replace("shop.py", "shop.ini"))
    assert section(run(*CHANGE, "--fw-select", "safe")[1]) == [
        "any test may depend on shop.ini, so the change may reach every test",
        "0 of 4 tests are left out",
    ]


def test_the_progress_of_ordering_is_shown(pytester, monkeypatch):
    monkeypatch.delenv("FLASHWASM_PROGRESS")
    monkeypatch.setattr("flashwasm.progress_bar._BETWEEN_LINES", -1.0)
    done = pytester.runpytest_inprocess(*PLUGIN, *CHANGE)
    assert "reading the suite: 1 of 1" in done.stderr.str()
    done = pytester.runpytest_inprocess(*PLUGIN)
    assert "reading the suite" not in done.stderr.str()


def test_tests_that_are_left_out_are_named(run):
    status, output = run(*CHANGE, "--fw-select", "2")
    assert (status, order(output)) == (1, ["test_total_price"] * 2)
    first, *names = section(output)
    # All of them lie in a file that imports the changed one.
    assert first == "2 of 4 tests are left out; the change may reach them:"
    assert {line.rpartition("::")[2] for line in names} == {"test_add_item", "test_nothing_at_all"}


@pytest.mark.slow
def test_workers_of_xdist_say_everything_once(folder):
    learn_no_price(folder)
    options = [*CHANGE, "--fw-select", "2", "--fw-known", "x.db"]
    status, output = run_alone(*options, "-n", "2")
    assert status == 1
    assert "2 failed" in output
    assert "passed" not in output
    lines = section(output)
    assert lines[0] == "2 of 4 tests are left out; the change may reach them:"
    assert sorted(line for line in lines[1:] if "::" in line) == [
        "    test_shop.py::TestEmpty::test_nothing_at_all",
        "    test_shop.py::test_add_item",
        *(f"regressed: test_shop.py::test_total_price[{n}] is no price [issue 12]" for n in (1, 2)),
    ]


def test_a_selection_by_time(folder, run):
    (folder / "conftest.py").write_text(DURATIONS)
    diff = CHANGE
    # No test has run yet, so each counts for a tenth of a second, and two of them fit.
    assert order(run(*diff, "--fw-select", "0.25s")[1]) == ["test_total_price"] * 2
    # These two took a second each. Both of them fit into 2.15 s, with one of the others, which
    # counts for 0.1 s.
    assert len(order(run(*diff, "--fw-select", "2.15s")[1])) == 3
    # One of them fits into 1.5 s. The second is passed over, and both of the others fit.
    output = run(*diff, "--fw-select", "1.5s")[1]
    assert order(output) == ["test_total_price", "test_nothing_at_all", "test_add_item"]
    assert section(output)[:2] == [
        "1 of 4 tests is left out; the change may reach it:",
        "    test_shop.py::test_total_price[2]",
    ]


@pytest.fixture
def repository(folder):
    """Commit the working shop and its tests, and leave a defect in the working tree."""
    if not shutil.which("git"):
        pytest.skip("git is not installed")
    (folder / "shop.py").write_text(WORKING_SHOP)
    commit_all(folder)
    (folder / "shop.py").write_text(SHOP)
    return folder


def test_a_git_revision(repository, run):
    folder = repository
    output = run("--fw-diff", "HEAD", "--fw-no-coverage")[1]
    assert section(output) == []
    assert order(output)[:2] == ["test_total_price"] * 2
    (folder / "shop.py").write_text(WORKING_SHOP)
    status, output = run("--fw-diff", "HEAD", "--fw-select", "1")
    assert section(output) == ["the diff changes nothing: the order is pytest's"]
    assert (status, len(order(output))) == (0, 4)


def test_a_test_that_git_does_not_track_yet_is_part_of_the_change(repository, run):
    (repository / "test_new.py").write_text("def test_new(): assert True\n")
    status, output = run("--fw-diff", "HEAD", "--fw-select", "safe")
    assert status == 1
    assert "test_new" in order(output)


# Wrong arguments of the plugin.


FAULTS = {
    "diff": ["--fw-diff=shop.py", "could not order the tests: diff: not a unified"],
    "coverage": ["--fw-coverage=no.db", "could not order the tests: coverage database"],
    "library": ["--fw-known=no.db", "could not match the failures: library '.*no.db' does not"],
    "foreign": ["--fw-known=shop.py", "could not match the failures: .*shop.py is not a whole "],
}


@pytest.mark.parametrize(("option", "line"), FAULTS.values(), ids=FAULTS)
def test_a_fault_is_a_line_and_fails_no_run(run, option, line):
    diff = ["--fw-diff=x.diff"] if "coverage" in option else []
    status, output = run(option, *diff)
    assert status == 1
    assert re.match(line, section(output)[0]), output
    assert "2 failed, 2 passed" in output


def test_everything_runs_if_no_selection_can_be_computed(folder, run):
    (folder / "x.db").write_text("no database")
    status, output = run("--fw-diff=x.diff", "--fw-coverage=x.db", "--fw-select=safe")
    assert status == 1
    assert section(output)[0].startswith("could not order the tests: ")
    assert "2 failed, 2 passed" in output


@pytest.mark.slow
def test_a_fault_of_every_worker_of_xdist_is_one_line():
    diff, of_the_diff = FAULTS["diff"]
    library, of_the_library = FAULTS["library"]
    status, output = run_alone(diff, library, "-n", "2")
    assert status == 1
    assert "2 failed, 2 passed" in output
    # Both workers order the tests, but only the controller reads the library, at the start.
    first, second = section(output)
    assert re.match(of_the_library, first)
    assert re.match(of_the_diff, second)


@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        (["--fw-select", "3"], "--fw-select needs --fw-diff"),
        (["--fw-coverage", "x.db"], "--fw-coverage needs --fw-diff"),
        (["--fw-no-coverage"], "--fw-no-coverage needs --fw-diff"),
        ([*CHANGE, "--fw-coverage", "x"], "--fw-coverage and --fw-no-coverage exclude each other"),
        (["--fw-diff", "x.diff", "--fw-select", "soon"], "--fw-select: budget 'soon': expected"),
        (["--fw-diff", "no-such"], "ERROR: --fw-diff: 'no-such' is not a file, and 'no-such' "),
        (["--fw-diff="], "ERROR: --fw-diff: '' is not a file, and '' is not a revision"),
        (["--fw-diff=--output=x"], "ERROR: --fw-diff: '--output=x' is not a file, and '--output"),
    ],
    ids=["no diff", "coverage", "no coverage", "both", "number", "revision", "nothing", "option"],
)
def test_bad_usage_is_said_at_once(pytester, repository, arguments, line):
    done = pytester.runpytest_inprocess(*PLUGIN, *arguments)
    assert done.ret == pytest.ExitCode.USAGE_ERROR
    assert line in done.stderr.str()
    assert not (repository / "x").exists()
