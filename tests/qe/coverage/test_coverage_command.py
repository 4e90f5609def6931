"""`flashwasm coverage` with its subcommands who, nearest, redundant and gap."""

import json
import re

import pytest
from click.testing import CliRunner

from coverage_data import index_of
from flashwasm.cli import main
from flashwasm.qe import CoverageIndex
from flashwasm.qe.coverage.line_ranges import format_lines
from flashwasm.qe.coverage.source_digests import write_digests
from flashwasm.storage.digests import digest_of


def invoke(*arguments):
    result = CliRunner().invoke(main, ["coverage", *map(str, arguments)])
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    return result


@pytest.mark.usefixtures("database")
def test_commands_print_text_and_json():
    assert invoke("who", "lib.py:1-2,6").stdout.splitlines() == [
        "6\tt.py::test_sign",
        "6\tt.py::test_sign_again",
        "2\tt.py::test_small",
    ]
    document = json.loads(invoke("who", "lib.py:14", "--json").stdout)
    assert document["tests"] == [{"nodeid": "t.py::test_box", "lines": [14]}]
    assert invoke("nearest", "test_sign").stdout == "1.000\t2\tt.py::test_sign_again\n"
    document = json.loads(invoke("nearest", "test_sign", "--json").stdout)
    assert document["matches"] == [{"nodeid": "t.py::test_sign_again", "score": 1.0, "shared": 2}]
    assert invoke("redundant").stdout.splitlines() == [
        "2 tests run the same lines",
        "    t.py::test_sign",
        "    t.py::test_sign_again",
    ]
    lines = invoke("gap").stdout.splitlines()
    assert lines[0].endswith("lib.py:8 in sign")
    assert lines[1].strip() == "no test runs lines 8-10"
    assert lines[2].strip() == "uncovered 0.60, size 1.39, branches 2.00"
    assert lines[3].strip() == "extend: t.py::test_sign"
    document = json.loads(invoke("gap", "--json", "-k", "1").stdout)
    assert [gap["function"] for gap in document["gaps"]] == ["sign"]


def test_sources_that_changed_since_the_recording_are_named(database):
    lib = database.parent / "lib.py"
    write_digests(database, {"lib.py": digest_of(lib), "absent.py": "0"})
    for command in (["who", "lib.py:6"], ["gap"]):
        assert "changed since" not in invoke(*command).stderr
    lib.write_text("# A new first line.\n" + lib.read_text())
    for command in (["who", "lib.py:6"], ["gap"], ["gap", "--json"]):
        said = invoke(*command).stderr
        assert "1 file changed since .coverage was recorded, for example lib.py" in said
    assert json.loads(invoke("gap", "--json").stdout)["changed"] == ["lib.py"]


def test_commands_explain(database):
    lib = CoverageIndex.load(database).files[0]
    lines = invoke("who", "lib.py:1-7", "--explain").stdout.splitlines()
    assert lines[:3] == ["t.py::test_sign", "    its own: 6-7", "    its fixtures: none"]
    document = json.loads(invoke("who", "lib.py:7", "--explain", "--json").stdout)
    assert document["tests"][0]["its_own"] == [7]
    assert invoke("nearest", "test_sign", "--explain").stdout.splitlines() == [
        "1.000  t.py::test_sign_again",
        f"    both run {lib}:6-7",
    ]
    document = json.loads(invoke("nearest", "test_sign", "--explain", "--json").stdout)
    assert document["matches"][0]["lines"] == {lib: [6, 7]}
    assert f"    all run {lib}:6-7" in invoke("redundant", "--explain").stdout.splitlines()
    document = json.loads(invoke("redundant", "--explain", "--json").stdout)
    assert document["lines"] == [{lib: [6, 7]}]
    assert invoke("gap", "--explain").stdout.splitlines()[4] == "    this test runs: 6-7"


def test_gaps_of_the_lines_that_a_diff_adds(database, folder):
    source = (folder / "lib.py").read_text()
    (folder / "web").mkdir()
    (folder / "web" / "lib.py").write_text(source)
    names = "--- a/{0}\n+++ b/{0}\n"
    # Two commits change one file. The file without a newline at its end is not measured.
    text = (
        names.format("lib.py") + "@@ -7 +7,2 @@\n     return -1\n+    # 8\n"
        "commit 2\n" + names.format("lib.py") + "@@ -16 +16,2 @@\n x\n+y\n" + names.format("new.py")
    ) + "@@ -1 +1,2 @@\n-a\n\\ No newline at end of file\n+a\n+b\n"
    (folder / "x.diff").write_text(text)
    result = invoke("gap", "--diff", "x.diff", "--json")
    assert [gap["lines"] for gap in json.loads(result.stdout)["gaps"]] == [[8], [17]]
    assert result.stderr == "changed files without data in the database: 1, for example new.py\n"
    (folder / "x.diff").write_text(text.replace("lib.py", "web/lib.py"))
    result = invoke("gap", "--diff", "x.diff")
    assert (result.exit_code, result.stdout) == (0, "")
    assert result.stderr.endswith("no gap\n")
    assert "without data in the database: 2, for example web/lib.py" in result.stderr
    assert database.exists()


@pytest.mark.parametrize(
    ("arguments", "status"),
    [
        ([], 1),
        (["-k", "1"], 1),
        (["--fail-on", "partial"], 1),
        (["--fail-on", "untested"], 0),
        (["--exit-zero"], 0),
        (["--fail-on", "new"], 2),
    ],
    ids=str,
)
@pytest.mark.usefixtures("database")
def test_the_exit_status_of_gap(arguments, status):
    assert invoke("gap", *arguments).exit_code == status


def test_a_function_is_untested_only_if_none_of_its_statements_is_run(folder):
    (folder / "lib.py").write_text("def f(x):\n    y = x\n    return y\n\n\ndef g():\n    pass\n")
    index_of({"t.py::a|run": {"lib.py": [1, 2]}}).save(folder / "coverage.fw")
    gap = ["gap", "--coverage", "coverage.fw"]
    found = json.loads(invoke(*gap, "--json").stdout)["gaps"]
    assert {one["function"]: one["untested"] for one in found} == {"f": False, "g": True}
    # Of the diff's lines of f none is run, but the function is tested.
    (folder / "x.diff").write_text("--- a/lib.py\n+++ b/lib.py\n@@ -3 +3 @@\n-x\n+    return y\n")
    diff = [*gap, "--diff", "x.diff"]
    assert invoke(*diff, "--fail-on", "partial").exit_code == 1
    assert invoke(*diff, "--fail-on", "untested").exit_code == 0


def test_lines_that_run_at_import_are_named(folder):
    rows = {"": {"lib.py": [1, 2, 5, 8]}, "t.py::a|run": {"lib.py": [2, 6]}}
    index_of(rows).save(folder / "coverage.fw")
    result = invoke("who", "lib.py:1,3-5", "--coverage", "coverage.fw")
    assert (result.exit_code, result.stdout) == (1, "")
    assert result.stderr == (
        "no test runs lib.py:1,3-5, but 1, 5 ran outside of tests, as at import\n"
    )
    assert invoke("who", "lib.py:3", "--coverage", "coverage.fw").stderr == (
        "no test runs lib.py:3\n"
    )


@pytest.mark.parametrize(
    ("lines", "nearest"),
    [
        # A blank line, a docstring and the end of a call.
        ("3", "line 2 (run by t.py::test_small) and line 4 (run outside of tests, as at import)"),
        ("5", "and line 6 (run by t.py::test_sign and 1 other test)"),
        ("19-99999999999", "line 18 (run by no test)"),
        ("3,5", "line 2 (run by t.py::test_small) and line 6 ("),
    ],
)
@pytest.mark.usefixtures("database")
def test_lines_without_code_are_no_gap(lines, nearest):
    result = invoke("who", f"lib.py:{lines}")
    assert (result.exit_code, result.stdout) == (1, "")
    assert result.stderr.startswith(f"lib.py:{lines} holds no code; the nearest code is in ")
    assert nearest in result.stderr
    # With a line of code among them, the lines are a gap.
    assert invoke("who", f"lib.py:{lines},8").stderr == f"no test runs lib.py:{lines},8\n"


def test_the_source_below_the_working_folder_counts(folder):
    built = "/built/elsewhere/lib.py"
    index_of({"t.py::a|run": {built: [4]}}, [built]).save(folder / "c.fw")
    (folder / "lib.py").write_text("def f():\n    # A comment.\n\n    return 1\n")
    said = invoke("who", "lib.py:2-3", "--coverage", "c.fw").stderr
    assert said == (
        "lib.py:2-3 holds no code; the nearest code is in line 1 (run by no test) and "
        "line 4 (run by t.py::a)\n"
    )
    (folder / "lib.py").unlink()
    assert invoke("who", "lib.py:2-3", "--coverage", "c.fw").stderr == "no test runs lib.py:2-3\n"


def test_lines_of_fixtures_are_listed_apart(folder):
    index = index_of({"t.py::a|setup": {"lib.py": [1, 2]}, "t.py::a|run": {"lib.py": [2, 4]}})
    file = folder / "coverage.fw"
    index.save(file)
    found = invoke("who", "lib.py:1-4", "--explain", "--json", "--coverage", file)
    document = json.loads(found.stdout)
    (test,) = document["tests"]
    assert (test["its_own"], test["its_fixtures"]) == ([2, 4], [1])


# Cases of three tests: all cases of the first run lines 2 and 4, and one of the second runs others.
CASES = {
    "t.py::test_all[1]|run": {"lib.py": [2, 4]},
    "t.py::test_all[2]|run": {"lib.py": [2, 4]},
    "t.py::test_some[1]|run": {"lib.py": [2, 4]},
    "t.py::test_some[2]|setup": {"lib.py": [3]},
    "t.py::test_some[2]|run": {"lib.py": [2]},
    "t.py::test_some[3]|run": {"lib.py": [9]},
    "t.py::test_one[1]|run": {"lib.py": [2, 4]},
    "t.py::test_two[1]|setup": {"lib.py": [3]},
    "t.py::test_two[1]|run": {"lib.py": [10]},
    "t.py::test_two[2]|run": {"lib.py": [4]},
}


@pytest.fixture
def cases(folder):
    """Return the arguments that name a database of these cases."""
    index_of(CASES).save(folder / "cases.fw")
    return ["--coverage", "cases.fw"]


def test_who_prints_all_cases_of_a_test_as_one_line(cases):
    assert invoke("who", "lib.py:2-4", *cases).stdout.splitlines() == [
        "2, 4\tt.py::test_all\t2",
        "2, 4\tt.py::test_one[1]\t1",
        "2, 4\tt.py::test_some[1]\t1",
        "2-3\tt.py::test_some[2]\t1",
        "3-4\tt.py::test_two\t2",
    ]
    # Not all cases of a test run line 3, so that no line has a number of cases.
    assert invoke("who", "lib.py:3", *cases).stdout.splitlines() == [
        "3\tt.py::test_some[2]",
        "3\tt.py::test_two[1]",
    ]
    assert invoke("who", "lib.py:2-4", "--explain", *cases).stdout.splitlines()[-6:] == [
        "t.py::test_some[2]",
        "    its own: 2",
        "    its fixtures: 3",
        "t.py::test_two  (2 cases)",
        "    its own: 4",
        "    its fixtures: 3",
    ]
    document = json.loads(invoke("who", "lib.py:2-4", "--json", *cases).stdout)
    assert [test["nodeid"].partition("::")[2] for test in document["tests"]] == [
        *("test_all[1]", "test_all[2]", "test_one[1]", "test_some[1]", "test_some[2]"),
        *("test_two[1]", "test_two[2]"),
    ]


def test_redundant_prints_all_cases_of_a_test_as_one_line(cases):
    lines = invoke("redundant", *cases).stdout.splitlines()
    assert lines == [
        "4 cases of 3 tests run the same lines",
        "    t.py::test_all  (2 cases)",
        "    t.py::test_one[1]",
        "    t.py::test_some[1]",
    ]
    (group,) = json.loads(invoke("redundant", "--json", *cases).stdout)["groups"]
    assert len(group) == 4


def test_nearest_prints_all_cases_with_the_same_lines_as_one_line(cases):
    found = invoke("nearest", "test_one", "-k", "2", *cases).stdout.splitlines()
    assert found == ["1.000\t2\tt.py::test_all\t2", "1.000\t2\tt.py::test_some[1]\t1"]
    found = invoke("nearest", "test_one", *cases).stdout.splitlines()
    assert found[2:] == ["0.707\t1\tt.py::test_some[2]\t1", "0.707\t1\tt.py::test_two[2]\t1"]
    document = json.loads(invoke("nearest", "test_one", "-k", "2", "--json", *cases).stdout)
    names = ["t.py::test_all[1]", "t.py::test_all[2]"]
    assert [match["nodeid"] for match in document["matches"]] == names
    # The other case of a test does not stand for all of its cases.
    lines = invoke("nearest", "test_all[1]", "-k", "1", "--explain", *cases).stdout.splitlines()
    assert lines == ["1.000  t.py::test_all[2]", "    both run lib.py:2, 4"]


@pytest.mark.parametrize(
    ("lines", "text"),
    [([], ""), ([3], "3"), ([1, 2], "1-2"), ([1, 2, 3, 9, 11, 12], "1-3, 9, 11-12")],
)
def test_lines_are_printed_as_ranges(lines, text):
    assert format_lines(lines) == text


@pytest.mark.parametrize(
    ("arguments", "status", "message"),
    [
        (["who", "lib.py:1"], 1, "no test runs lib.py:1"),
        (["who", "lib.py:1000000-99999999999999"], 1, "lib.py:1000000-9+ holds no code"),
        (["who", "lib.py"], 2, "is not FILE:LINES"),
        (["who", "lib.py:a"], 2, "is not FILE:LINES"),
        (["who", "lib.py:5-2"], 2, "the range 5-2 ends before it begins"),
        (["who", "no.py:1"], 2, "no file 'no.py'"),
        (["who", "lib.py:1", "--coverage", "lib.py"], 2, "not a whole coverage database"),
        (["who", "lib.py:1", "--coverage", "no"], 2, "does not exist"),
        (["nearest", "test_small"], 1, "no other test runs a line"),
        (["nearest", "test_no"], 2, "no test 'test_no'"),
        (["gap", "--diff", "no.diff"], 2, "no.diff"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
@pytest.mark.usefixtures("database")
def test_nothing_found_exits_with_1_and_bad_input_with_2(arguments, status, message):
    result = invoke(*arguments)
    assert (result.exit_code, result.stdout) == (status, "")
    assert re.search(message, result.stderr)
    assert result.stderr.count("\n") == 1
