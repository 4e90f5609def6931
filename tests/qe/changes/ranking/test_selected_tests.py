"""Selection of the tests for a change, and the command `tests-for`."""

import json
import re
import subprocess

import numpy as np
import pytest
from click.testing import CliRunner

import flashwasm as fw
from flashwasm.cli import main
from flashwasm.qe import (
    ChangedFile,
    CoverageIndex,
    SuiteIndex,
    rank_tests,
)
from flashwasm.qe.changes.ranking.case_counts import case_counts
from flashwasm.qe.changes.ranking.run_budget import parse_budget, within_budget
from flashwasm.qe.coverage.coverage_database import CoverageData
from flashwasm.qe.defects.durations import read_times, read_times_and_cases
from shop_program import DIFF, SHOP

TESTS = """\
import pytest
from shop import add_item, empty_basket, total_price

def test_add_item(): assert add_item([], 1) == [1]

@pytest.mark.parametrize("n", [1, 2])
def test_total_price(n): assert total_price([n]) == n

def test_empty_basket(): assert empty_basket([1]) == []
"""


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    monkeypatch.setenv("FLASHWASM_DATA", str(tmp_path / "data"))
    monkeypatch.setenv("FLASHWASM_CACHE", str(tmp_path / "cache"))
    (tmp_path / "shop").mkdir()
    monkeypatch.chdir(tmp_path / "shop")
    for name, content in {"shop.py": SHOP, "test_shop.py": TESTS, "pytest.ini": ""}.items():
        (tmp_path / "shop" / name).write_text(content)
    return tmp_path / "shop"


def names(selected):
    return [one.test.nodeid.rpartition("::")[2] for one in selected]


def coverage_of(rows):
    lines = {(0, i): np.array(numbers) for i, numbers in enumerate(rows.values())}
    return CoverageIndex(CoverageData(["shop.py"], list(rows), lines))


COVERED = {
    "test_shop.py::test_add_item|run": [2, 5],
    "test_shop.py::test_total_price[1]|run": [5, 6],
    "test_shop.py::test_total_price[2]|run": [5, 6],
}


def change(**fields):
    given = {"path": "shop.py", "old_path": "shop.py", "text": "price = sum(basket)", **fields}
    return ChangedFile(**given)


# Ranking.


def test_without_coverage_the_evidence_decides():
    text = "def total_price(): total_price"
    ranked = rank_tests(
        SuiteIndex.build("."), [change(path="price.py", old_path="price.py", text=text)]
    )
    assert names(ranked)[0] == "test_total_price"
    assert {one.level for one in ranked} == {2}
    reason = r"by evidence: ((names|text|words) \+\d\.\d(, |$)){3}"
    assert re.fullmatch(reason, ranked[0].reason)


def test_tests_that_run_changed_lines_come_first():
    index = SuiteIndex.build(".")
    ranked = rank_tests(index, [change(old_lines={6})], coverage_of(COVERED))
    assert names(ranked) == ["test_total_price", "test_add_item", "test_empty_basket"]
    assert [one.level for one in ranked] == [1, 2, 2]
    assert ranked[0].reason == "it runs shop.py:6"
    assert ranked[0].components["changed lines"] == 1.0
    assert ranked[1].reason.startswith("by evidence: changed files +4.0")
    assert "changed files" not in ranked[2].components
    # Three tests run line 5 and one runs line 2, so line 2 counts more.
    ranked = rank_tests(index, [change(old_lines={2})], coverage_of(COVERED))
    assert names(ranked)[0] == "test_add_item"
    # Paths of the database may be shorter than those of the suite, but not longer.
    below = {"x/" + name: lines for name, lines in COVERED.items()}
    assert rank_tests(index, [change(old_lines={6})], coverage_of(below))[0].level == 2
    new = change(path="new.py", old_path="new.py", new_lines={1})
    assert {one.level for one in rank_tests(index, [new], coverage_of(COVERED))} == {2}


def test_deleted_and_renamed_files_count_by_their_old_name(folder):
    index = SuiteIndex.build(".")
    (folder / "shop.py").rename(folder / "store.py")
    for moved, level, reason in (
        # A deleted file, a file that is renamed and edited, and one that is only renamed.
        (change(old_lines={6}), 1, "it runs shop.py:6"),
        (change(path="store.py", old_lines={6}, new_lines={6}), 1, "it runs store.py:6"),
        (change(path="store.py"), 2, "by evidence: changed files +4.0"),
    ):
        first, *_ = rank_tests(index, [moved], coverage_of(COVERED))
        assert first.level == level
        assert first.reason.startswith(reason)
    # Tests that run a file with the same name in another folder are no evidence.
    (folder / "web").mkdir()
    (folder / "web" / "shop.py").write_text(SHOP)
    lines = {(0, i): np.array(numbers) for i, numbers in enumerate(COVERED.values())}
    other = CoverageIndex(CoverageData(["web/shop.py"], list(COVERED), lines))
    ranked = rank_tests(index, [change(old_lines={6})], other)
    assert {one.level for one in ranked} == {2}
    assert not any("changed files" in one.components for one in ranked)


def test_the_score_is_the_sum_of_the_components():
    index = SuiteIndex.build(".")
    for coverage in (None, coverage_of(COVERED)):
        for one in rank_tests(index, [change(old_lines={6}, new_lines={6})], coverage):
            assert one.score == pytest.approx(sum(one.components.values()))
            assert {"text", "names", "file name", "imports", "co-change"} <= one.components.keys()


def test_an_edited_test_comes_before_all_others():
    edited = change(path="test_shop.py", old_path="test_shop.py", new_lines={6})
    ranked = rank_tests(SuiteIndex.build("."), [edited], coverage_of(COVERED))
    assert (names(ranked)[0], ranked[0].reason) == ("test_total_price", "the change touches it")
    # A line that is removed from a test file touches its tests: it is not known where it was.
    removed = change(path="test_shop.py", old_path="test_shop.py", old_lines={6})
    assert {one.level for one in rank_tests(SuiteIndex.build("."), [removed])} == {0}
    with pytest.raises(fw.ShapeError, match="it changes nothing"):
        rank_tests(SuiteIndex.build("."), [])


def test_the_text_of_a_decorator_is_not_taken_for_the_head_of_the_test(folder):
    text = "@mark(\n    'def x'\n)\ndef test_a(x):\n    assert x\n\ndef test_b(): assert 1\n"
    (folder / "test_shop.py").write_text(text)
    index = SuiteIndex.build(".")
    for line, edited in ((1, "test_a"), (5, "test_a"), (7, "test_b")):
        changed = change(path="test_shop.py", old_path="test_shop.py", new_lines={line})
        levels = {one.test.nodeid: one.level for one in rank_tests(index, [changed])}
        assert [name for name, level in levels.items() if level == 0] == [f"test_shop.py::{edited}"]


@pytest.mark.parametrize(
    ("budget", "expected"),
    [("2", 2), ("60s", 60.0), ("0.5s", 0.5), ("2m", 120.0), (" 3 ", 3)],
)
def test_budgets_are_seconds_or_numbers_of_tests(budget, expected):
    assert parse_budget(budget) == expected
    assert type(parse_budget(budget)) is type(expected)


@pytest.mark.parametrize("budget", ["", "0", "-1", "1h", "s", "1.5"])
def test_budgets_that_are_refused(budget):
    with pytest.raises(fw.ShapeError, match="expected seconds as 60s"):
        parse_budget(budget)


def test_tests_within_a_budget():
    ranked = rank_tests(SuiteIndex.build("."), [change(old_lines={6})], coverage_of(COVERED))
    assert names(within_budget(ranked, 2, {})) == ["test_total_price", "test_add_item"]
    times = {"test_shop.py::test_total_price": 2.0}
    assert names(within_budget(ranked, 2.15, times)) == ["test_total_price", "test_add_item"]
    # A test that takes longer than the whole budget is passed over.
    assert names(within_budget(ranked, 1.0, times)) == ["test_add_item", "test_empty_basket"]
    assert within_budget(ranked, 0.05, {}) == []


def test_a_budget_counts_cases_as_pytest_does():
    index = SuiteIndex.build(".")
    ranked = rank_tests(index, [change(old_lines={6})], coverage_of(COVERED))
    counts = case_counts(index.tests)
    # The first test has two cases. It fits into a budget of one as well, so that a test runs.
    for budget, expected in ((1, 1), (2, 1), (3, 2), (4, 3)):
        assert len(within_budget(ranked, budget, {}, counts)) == expected
    # Each case without a time counts for 0.1 s.
    assert len(within_budget(ranked, 0.25, {}, counts)) == 1
    assert len(within_budget(ranked, 0.35, {}, counts)) == 2
    # The cases that ran before count, by coverage and by reports.
    recorded = {f"test_shop.py::test_total_price[{n}]|run": [5] for n in range(5)}
    assert case_counts(index.tests, coverage_of(recorded)).of(ranked[0].test) == 5
    ran = {"test_shop.py::test_total_price": 7}
    assert case_counts(index.tests, coverage_of(recorded), ran).of(ranked[0].test) == 7


def test_times_of_an_earlier_run(folder):
    (folder / "x.xml").write_text(
        '<testsuite><testcase classname="a.test_b.TestC.TestD" name="test_e[1]" time="0.5"/>'
        '<testcase classname="a.test_b.TestC.TestD" name="test_e[2]" time="0.25"/>'
        '<testcase classname="test_b" name="test_f" time="?"/>'
        '<testcase classname="test_b" name="test_g"/></testsuite>'
    )
    assert read_times("x.xml") == {
        "a/test_b.py::TestC::TestD::test_e": 0.75,
        "test_b.py::test_g": 0.0,
    }
    assert read_times_and_cases("x.xml")[1] == {
        "a/test_b.py::TestC::TestD::test_e": 2,
        "test_b.py::test_g": 1,
    }
    with pytest.raises(fw.ShapeError, match="does not exist"):
        read_times("no.xml")


# The command.


def invoke(*arguments, stdin=None):
    result = CliRunner().invoke(main, list(map(str, arguments)), input=stdin)
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    return result


@pytest.fixture
def database(folder):
    coverage = pytest.importorskip("coverage")
    data = coverage.CoverageData(str(folder / ".coverage"))
    # The lines of the three `def` ran at import, and the third function ran in its own test.
    imported = {"": [1, 4, 8], "test_shop.py::test_empty_basket|run": [9]}
    for context, lines in {**COVERED, **imported}.items():
        data.set_context(context)
        data.add_lines({str(folder / "shop.py"): lines})
    data.write()
    data.close()
    return folder / ".coverage"


def test_dry_run_prints_the_tests_with_reasons(database):
    arguments = ["tests-for", ".", "--diff", "-", "--coverage", database]
    result = invoke(*arguments, "--dry-run", stdin=DIFF)
    assert result.exit_code == 0
    lines = dict(line.split("\t") for line in result.stdout.splitlines())
    assert lines == {
        "test_shop.py::test_add_item": "it runs shop.py:5",
        "test_shop.py::test_total_price": "it runs shop.py:5",
    }
    assert result.stderr.splitlines()[-1] == "2 tests chosen, 1 left out"
    document = json.loads(invoke(*arguments, "--budget", 1, "--json", stdin=DIFF).stdout)
    assert (len(document["tests"]), document["left_out"]) == (1, 2)
    assert document["tests"][0]["level"] == "runs changed lines"
    result = invoke(*arguments, "--conservative", "--dry-run", stdin=DIFF)
    assert result.stderr.splitlines()[-1] == "2 tests chosen, 1 left out"
    result = invoke(*arguments[:-2], "--no-coverage", "--dry-run", stdin=DIFF)
    assert result.stderr.splitlines()[-1] == "3 tests chosen, 0 left out"
    other = DIFF.replace("shop.py", "shop.ini")
    result = invoke(*arguments, "--dry-run", stdin=other)
    assert "any test may depend on shop.ini, so the change may reach every " in result.stderr
    assert result.stderr.splitlines()[-1] == "3 tests chosen, 0 left out"
    result = invoke(*arguments, "--likely", "--dry-run", stdin=DIFF)
    assert result.stderr.splitlines()[-1] == "2 tests chosen, 1 left out"


def test_a_diff_whose_last_line_has_no_newline(database):
    no_newline = "\\ No newline at end of file\n"
    text = f"--- a/shop.py\n+++ b/shop.py\n@@ -6 +6 @@\n-    a\n{no_newline}+    b\n{no_newline}"
    result = invoke(
        "tests-for", ".", "--diff", "-", "--coverage", database, "--dry-run", stdin=text
    )
    assert "test_shop.py::test_total_price\tit runs shop.py:6" in result.stdout.splitlines()


def test_explanation_of_a_selected_test(folder):
    (folder / "x.diff").write_text(DIFF)
    arguments = ["tests-for", ".", "--diff", "x.diff", "--budget", "1", "--explain"]
    result = invoke(*arguments, "--dry-run")
    lines = result.stdout.splitlines()
    assert re.match(r"    (\w[\w -]+ -?\d\.\d{3}, )+\w[\w -]+ -?\d\.\d{3}", lines[1])
    assert lines[2].startswith("    both have: ")
    (document,) = json.loads(invoke(*arguments, "--json").stdout)["tests"]
    assert document["components"]["names"] > 0
    assert "total_price" in document["shared_identifiers"]
    assert "shared_lines" in document


def test_pytest_runs_the_selected_tests(folder, monkeypatch):
    ran = []
    real = subprocess.run

    def record(command, **options):
        done = real(command, capture_output=True, text=True, **options)
        ran.append(done.stdout)
        return done

    monkeypatch.setattr("flashwasm.cli.tests_for.pytest_run.subprocess.run", record)
    (folder / "x.diff").write_text(DIFF)
    assert invoke("tests-for", ".", "--diff", "x.diff").exit_code == 0
    assert "4 passed" in ran[0]
    (folder / "shop.py").write_text(SHOP.replace("price = sum(basket)", "price = 7"))
    assert invoke("tests-for", ".", "--diff", "x.diff", "--budget", "2").exit_code == 1
    assert "failed" in ran[1]


def test_bad_arguments_exit_with_2_and_empty_selections_with_1(folder):
    (folder / "x.diff").write_text(DIFF)
    for arguments, status in (
        (["--diff", "no.diff"], 2),
        (["--diff", "shop.py"], 2),
        (["--diff", "x.diff", "--coverage", "shop.py"], 2),
        (["--diff", "x.diff", "--budget", "1h"], 2),
        (["--diff", "x.diff", "--budget", "2s", "--times", "shop.py"], 2),
        (["--diff", "x.diff", "--budget", "0.01s", "--dry-run"], 1),
    ):
        result = invoke("tests-for", ".", *arguments)
        assert (result.exit_code, result.stdout) == (status, ""), arguments
    assert invoke("tests-for", ".", "--diff", "-", stdin="").exit_code == 1


def test_inherited_tests_are_counted_apart(folder):
    text = "class TestA:\n    def test_x(self): assert 1\n\nclass TestB(TestA): pass\n"
    (folder / "test_base.py").write_text(text)
    diff = (
        "--- a/test_base.py\n+++ b/test_base.py\n@@ -2 +2 @@\n-x\n+    def test_x(self): assert 1\n"
    )
    arguments = ["tests-for", ".", "--diff", "-", "--no-coverage", "--likely"]
    result = invoke(*arguments, "--format", "ids", stdin=diff)
    ids = result.stdout.splitlines()
    assert ids == ["test_base.py::TestA::test_x", "test_base.py::TestB::test_x"]
    assert "1 test (2 with those that subclasses inherit) chosen, " in result.stderr
