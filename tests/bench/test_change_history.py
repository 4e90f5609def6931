"""`python -m bench quality --history` and `--releases`, on a small project with a history."""

import json
import shutil
import subprocess
from contextlib import closing
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

import tiny_bert
from bench.commands import main
from bench.quality.change_ranking import (
    OURS,
    PERFECT,
    WITH_COVERAGE,
    WITHOUT_MODEL,
    RankedChange,
    measures_of,
    rank_change,
    scores_of,
    total,
)
from bench.quality.evidence_weights import WeightChoice
from bench.quality.git_history import commits_of
from bench.quality.past_changes import MOST_TESTS, changed_tests, is_product, same_code
from bench.quality.releases import change_between
from flashwasm.qe import CoverageIndex, SuiteIndex, rank_tests, read_diff
from flashwasm.qe.changes.ranking.evidence import WEIGHTS
from flashwasm.qe.suites.suite import CollectedTest

pytest.importorskip("sklearn")

SHOP = """\
def add_item(basket, item):
    return [*basket, item]

def total_price(basket):
    return sum(basket)
"""
TESTS = """\
from shop import add_item, total_price

def test_add_item():
    assert add_item([], 1) == [1]

def test_total_price():
    assert total_price([1]) == 1

def test_nothing():
    assert not add_item
"""


def git(*words):
    who = ("-c", "user.name=x", "-c", "user.email=x@example.org", "-c", "core.hooksPath=")
    subprocess.run([shutil.which("git"), *who, *words], check=True, capture_output=True)


def commit(replaced, tests_replaced):
    """Commit the project with a text replaced in the product, and one in the tests."""
    Path("shop.py").write_text(SHOP.replace(*replaced))
    Path("tests").mkdir(exist_ok=True)
    Path("tests/test_shop.py").write_text(TESTS.replace(*tests_replaced))
    git("add", ".")
    git("commit", "-m", "x")


NONE = ("-", "-")


@pytest.fixture
def shop(tmp_path, monkeypatch):
    """Return a repository whose commits change both, one kind only, comments only, and both."""
    monkeypatch.setenv("FLASHWASM_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("FLASHWASM_DATA", str(tmp_path / "data"))
    (tmp_path / "shop").mkdir()
    monkeypatch.chdir(tmp_path / "shop")
    # Hypothesis's plugin takes a second to load, in each run.
    Path("pytest.ini").write_text("[pytest]\naddopts = -p no:hypothesispytest\n")
    git("init")
    commit(NONE, NONE)
    commit(("[*basket, item]", "basket + [item]"), ("add_item([], 1)", "add_item([2], 1)[1:]"))
    commit(NONE, NONE)
    commit(("sum(basket)", "sum(basket, 0)"), NONE)
    commit(("sum(basket)", "sum(basket, 0)  # a comment"), ("== 1\n", "== 1  # a comment\n"))
    commit(NONE, ("total_price([1]) == 1", "total_price([1, 2]) == 3"))
    return tmp_path / "shop"


def invoke(*arguments):
    return CliRunner().invoke(main, ["quality", *map(str, arguments)])


def test_commits_that_change_both(shop):
    found = []
    for change in commits_of(shop, 25):
        removed = [line for line in change.diff.split("\n") if line.startswith("-   ")]
        found.append((*removed, change.tests))
        # The tests are those before the commit, and the product is that after it.
        ids = {test.nodeid for test in SuiteIndex.build(change.suite).tests}
        assert change.tests < ids
        after = (change.suite.parent / "shop.py").read_text()
        assert all(line[1:] in after for line in change.diff.split("\n") if line[:2] == "+ ")
    price, item = {"tests/test_shop.py::test_total_price"}, {"tests/test_shop.py::test_add_item"}
    # The latest comes first. The two in between change one kind, or comments.
    assert found == [
        ("-    return sum(basket, 0)  # a comment", price),
        ("-    return basket + [item]", item),
        ("-    return [*basket, item]", item),
    ]
    assert len(list(commits_of(shop, 1))) == 1
    # The repository itself stays as it is.
    status = [shutil.which("git"), "status", "--porcelain"]
    assert subprocess.run(status, check=True, capture_output=True).stdout == b""


def test_the_ranking_is_that_of_tests_for(shop):
    for change in commits_of(shop, 1):
        ranked = rank_change(change, None)
        index = SuiteIndex.build(change.suite)
        selected = rank_tests(index, read_diff(change.diff))
        by_id = {one.test.nodeid: one.score for one in selected}
        assert total(ranked) == pytest.approx([by_id[nodeid] for nodeid in sorted(by_id)])
        assert ranked.relevant.sum() == 1


def test_the_command_prints_values_differences_and_targets(shop):
    tiny_bert.write(shop.parent / "model")
    arguments = ["--history", shop, "--model", shop.parent / "model", "--weights"]
    result = invoke(*arguments, "--json", "-")
    assert result.exit_code == 0, result.output
    assert "3 commits that change both product and tests" in result.stderr
    document = json.loads(result.stdout)
    assert [one["project"] for one in document["changes"]] == ["shop"] * 3
    assert 0 < document["changes"][0][OURS]["MRR"] <= 1
    values, differences, weights = document["tables"]
    assert values["title"] == "Tests for 3 past changes: shop 3"
    names = [row[0] for row in values["rows"]]
    assert names[:2] == ["flashwasm", "flashwasm without a model"]
    assert names[2:-1] == ["character TF-IDF", "BM25", "names alone", "file names", "imports"]
    # One test changes in each commit, so it can be the first.
    assert values["rows"][-1] == ["a perfect order", "1.000", "1", "1.000", "1.000", "1.000"]
    assert names[-1] not in {row[2] for row in differences["rows"]}
    assert differences["rows"][0][:3] == ["flashwasm", "MRR", "character TF-IDF"]
    assert [row[0] for row in weights["rows"]] == ["of all", "in use"]
    # Three changes are too few for any interval to exclude zero.
    assert "MISSED" in document["targets"][-1]
    assert invoke(*arguments, "--fail-on-miss").exit_code == 1


def test_recorded_coverage_of_the_suite_before_each_commit(shop):
    pytest.importorskip("coverage")
    # Before the last commit, no file can be collected.
    commit(("def add_item", "def add_item("), NONE)
    commit(NONE, ("add_item([], 1)", "add_item([2], 1)[1:]"))
    result = invoke("--history", shop, "--record", "--json", "-")
    assert result.exit_code == 0, result.output
    assert result.stderr.count("left out; no test passes before it") == 1
    document = json.loads(result.stdout)
    assert len(document["changes"]) == 4
    # In three commits, the one test that runs the changed line changes too. The latest of the four
    # changes a line that this test does not run.
    assert [one[WITH_COVERAGE]["rank"] for one in document["changes"]] == [3, 1, 1, 1]
    values, differences = document["tables"]
    assert values["rows"][1][0] == WITH_COVERAGE
    assert [row[:3] for row in differences["rows"]][-3:] == [
        [WITH_COVERAGE, metric, WITHOUT_MODEL] for metric in ("MRR", "recall@10", "recall at 10 %")
    ]
    # The order is that of `tests-for` with this database.
    with closing(commits_of(shop, 2, record=True)) as changes:
        assert next(changes).coverage is None
        change = next(changes)
        index, coverage = SuiteIndex.build(change.suite), CoverageIndex.load(change.coverage)
        selected = [one.test.nodeid for one in rank_tests(index, read_diff(change.diff), coverage)]
        covered = rank_change(change, None).covered
        assert [sorted(selected)[row] for row in np.argsort(-covered)] == selected


def test_releases(shop, tmp_path):
    for name, price in (("shop-1.0", "sum(basket)"), ("shop-1.1", "sum(x for x in basket)")):
        shutil.copytree(shop, tmp_path / name, ignore=shutil.ignore_patterns(".git"))
        (tmp_path / name / "shop.py").write_text(SHOP.replace("sum(basket)", price))
    old, new = tmp_path / "shop-1.0", tmp_path / "shop-1.1"
    # Only the product differs so far.
    result = invoke("--releases", old, new)
    assert result.exit_code == 2
    assert "shop-1.0 to shop-1.1: left out" in result.stderr
    (new / "tests" / "test_shop.py").write_text(
        TESTS.replace("total_price([1])", "total_price([2])")
    )
    (new / "more.py").write_text("x = 1\n")
    (old / "gone.py").write_text("y = 1")
    for change in change_between(old, new):
        assert (change.project, change.name) == ("shop", "shop-1.0 to shop-1.1")
        assert change.tests == {"tests/test_shop.py::test_total_price"}
        assert [one.path for one in read_diff(change.diff)] == ["gone.py", "more.py", "shop.py"]
        assert (change.suite.parent / "more.py").is_file()
        assert not (change.suite.parent / "gone.py").exists()
    result = invoke("--releases", old, new, "--markdown", "-")
    assert result.exit_code == 0, result.output
    assert "not measured: the targets are for a ranking with the model" in result.stdout
    (new / "tests" / "test_shop.py").write_text(
        "\n".join(f"def test_{i}(): {i}" for i in range(99))
    )
    (old / "tests" / "test_shop.py").write_text("\n".join(f"def test_{i}(): 1" for i in range(99)))
    assert MOST_TESTS < 98
    assert list(change_between(old, new)) == []


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--history"], "--history takes one PATH or more"),
        (["--history", ".", "--failures", "shop.py"], "--history takes one PATH or more"),
        (["--history", "tests"], "is no git repository that can be read"),
        (["--releases", "tests", "tests", "."], "--releases takes none without"),
        (["--releases", "empty", "empty"], "has no tests"),
        (["--history", ".", "--record", "--releases", ".", "."], "and no --record"),
    ],
)
def test_refused(shop, arguments, message):
    (shop / "empty").mkdir()
    result = invoke(*arguments)
    assert result.exit_code == 2
    assert message in " ".join(result.stderr.split())


def test_measures_of_a_ranking():
    relevant = np.zeros(40, bool)
    relevant[[3, 12, 39]] = True
    found = measures_of(-np.arange(40.0), relevant)
    assert found["MRR"] == 1 / 4
    assert (found["rank"], found["first in 10"]) == (4, 1)
    assert found["recall@10"] == found["recall at 10 %"] == pytest.approx(1 / 3)


def test_a_perfect_order_finds_as_many_as_there_are_places():
    relevant = np.arange(100) % 5 == 0
    change = RankedChange("shop", "x", relevant, {"text": np.zeros(100)}, {}, [])
    found = measures_of(scores_of(change)[PERFECT], relevant)
    assert found["MRR"] == found["first in 10"] == 1
    assert found["recall@10"] == found["recall at 10 %"] == 10 / 20


def test_what_counts_as_product_and_as_changed():
    product = ["a.py", "src/a/b.py", "a/testing.py"]
    others = ["test_a.py", "tests/helper.py", "docs/conf.py", "setup.py", "conftest.py", "a.txt"]
    assert [path for path in product + others if is_product(path)] == product
    assert same_code("x = 1", "x =  1  # why")
    assert not same_code("x = 1", "x = 2")
    assert not same_code("x = 1", None)
    assert not same_code("def", "def f")
    # No test can tell these from each other.
    plain = "class A:\n    def f(self, x=1):\n        y = x\n        return y"
    dressed = (
        "from a import b\n@pytest.mark.skipif(b, reason='c')\nclass A:\n    'Says what it is.'\n"
        "    @unittest.skip('c')\n    def f(self, x: int = 1) -> int:\n        'Likewise.'\n"
        "        y: int = x\n        return y"
    )
    assert same_code(plain, dressed)
    assert same_code("async def f(): 1", "async def f() -> int: 1")
    for other in (
        plain.replace("x=1", "x=2"),
        plain.replace("def f", "@mark.xfail\n    def f"),
        plain.replace("    y = x", "    y: x"),
        plain.replace("    return", "    'no docstring'\n        return"),
    ):
        assert not same_code(plain, other)

    def test(name, source):
        return CollectedTest(name, Path("t.py"), 1, source)

    before = [test("a", "def a(): 1"), test("b", "def b(): 1"), test("c", "def c(): 1")]
    after = [test("a", "def a():  1"), test("b", "def b(): 2"), test("d", "def d(): 1")]
    assert changed_tests(before, after) == {"b", "c"}
    # A test that moves is the same test.
    assert changed_tests(before, [test("x.py::c", "def c():  1"), *after]) == {"b"}


def test_weights_follow_the_evidence_that_finds_the_tests(shop):
    rng = np.random.default_rng(0)
    ranked = []
    for change in commits_of(shop, 3):
        one = rank_change(change, None)
        for project in ("a", "b"):
            relevant = rng.permutation(np.arange(60) < 2)
            noise = {kind: rng.normal(size=60) for kind in WEIGHTS}
            strengths = {**noise, "names": noise["names"] + 4 * relevant}
            ranked.append(type(one)(project, "x", relevant, strengths, {}, []))
    choice = WeightChoice(ranked, lambda *_: None)
    weights = choice.weights()
    assert weights["text"] == 1.0
    assert weights["names"] > 0.8
    _, headings, rows = choice.section()
    assert headings[1:9] == tuple(WEIGHTS)
    assert [row[0] for row in rows] == [
        "without a",
        "without b",
        "each left out",
        "of all",
        "in use",
    ]
