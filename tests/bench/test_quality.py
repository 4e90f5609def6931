"""`python -m bench quality`: its measures, and its tables of small suites."""

import json
from dataclasses import replace

import numpy as np
import pytest
from click.testing import CliRunner

import flashwasm as fw
import tiny_bert
from bench.commands import main
from bench.quality.baselines import Bm25, CharacterTfIdf
from bench.quality.failures import measure_failures
from bench.quality.functions import undocumented
from bench.quality.known import measure_known
from bench.quality.labelled_failures import LabelledFailure, read_labelled
from bench.quality.measures import (
    average_precision,
    figures,
    interval,
    ndcg,
    ranked,
    reciprocal_rank,
)
from bench.quality.precision import PrecisionRow

pytest.importorskip("sklearn")

TESTS = """\
from shop import *

class TestBasket:
    def test_add_item(self): assert add_item([], 1) == [1]
    def test_add_two_items(self): assert add_item(add_item([], 1), 2) == [1, 2]

class TestPrice:
    def test_total_price(self): assert total_price([1, 2]) == 3
    def test_total_price_of_nothing(self): assert total_price([]) == 0
"""
SHOP = '''\
def add_item(basket, item):
    """Put an item into the basket."""
    return [*basket, item]

def total_price(basket):
    """Sum what everything costs."""
    return sum(basket)
'''


@pytest.fixture
def shop(tmp_path, monkeypatch):
    monkeypatch.setenv("FLASHWASM_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("FLASHWASM_DATA", str(tmp_path / "data"))
    monkeypatch.chdir(tmp_path)
    folder = tmp_path / "old" / "shop"
    folder.mkdir(parents=True)
    (folder / "shop.py").write_text(SHOP)
    (folder / "test_shop.py").write_text(TESTS)
    return tmp_path / "old" / "shop"


def invoke(*arguments):
    return CliRunner().invoke(main, ["quality", *map(str, arguments)])


def test_measures():
    assert ranked(np.array([1.0, 3, 2, 3]), own=1).tolist() == [3, 2, 0]
    relevant = np.array([False, True, False, True])
    assert reciprocal_rank(relevant) == 0.5
    assert average_precision(relevant) == 0.5
    assert reciprocal_rank(relevant[:1]) == average_precision(relevant[:1]) == 0
    assert ndcg(np.array([0.0, 1]), np.array([1.0, 0])) == pytest.approx(1 / np.log2(3))
    assert interval(np.ones(5)) == (1, 1, 1)


def test_the_interval_of_a_difference_is_paired():
    values = np.random.default_rng(0).uniform(size=200)
    base, better = figures("w", "d", {"MRR": {"a": values, "b": values + 0.1}}, "a")
    assert (base.over, base.low) == (None, None)
    assert better.low == pytest.approx(0.1)
    assert better.high == pytest.approx(0.1)


def test_baselines():
    texts = ["add edge", "add edge add node", "remove edge"]
    for baseline in (Bm25(texts), CharacterTfIdf(texts)):
        assert ranked(baseline.scores("add node"))[0] == 1
        assert np.array_equal(baseline.scores(1), baseline.scores(texts[1]))
    # Robertson's formula for one term that one of two texts of a length has once.
    expected = np.log(1 + 1.5 / 1.5) * 2.5 / 2.5
    assert Bm25(["one", "two"]).scores("one") == pytest.approx([expected, 0])


def test_docstrings_are_taken_out():
    source = '    def f(x):\n        """Say\n        why."""\n        def g(): "no"; return x\n'
    assert undocumented(source) == "def f(x):\n    def g(): ; return x"
    assert undocumented("def f(:") == "def f(:"


def test_a_suite(shop):
    result = invoke(shop, "--json", "-")
    assert result.exit_code == 0, result.output
    document = json.loads(result.stdout)
    assert "models install" in document["missing"][0]
    rows = {(f["workload"], f["method"], f["metric"]): f for f in document["figures"]}
    row = rows["similar tests", "flashwasm without a model", "MRR"]
    assert row["data"] == "shop, same class, 4 tests"
    assert (row["queries"], row["value"]) == (4, 1.0)
    assert row["low"] <= row["over"] <= row["high"]
    assert rows["docstring search", "BM25", "MRR"]["queries"] == 1
    assert ("similar tests", "flashwasm", "MRR") not in rows


@pytest.mark.slow
def test_a_suite_with_a_model(shop):
    tiny_bert.write(shop.parent.parent / "model")
    result = invoke(shop, "--model", "model", "--markdown", "-")
    assert result.exit_code == 0, result.output
    assert "| similar tests | shop, same class, 4 tests | 4 | flashwasm | MRR |" in result.stdout


def test_codes_are_held_against_float32(shop):
    tiny_bert.write(shop.parent.parent / "model")
    arguments = [shop, "--precision", "int8", "--model", "model", "--queries", "3"]
    result = invoke(*arguments, "--json", "-")
    assert result.exit_code == 0, result.output
    whole, alone = json.loads(result.stdout)["precision"]
    assert (whole["ranked_by"], alone["ranked_by"]) == ("all scorers", "embeddings")
    assert whole["suite"] == "shop, same class, 4 tests"
    assert whole["queries"] == 3
    assert 0.9 < whole["lowest_cosine"] <= whole["median_cosine"] < 1.00001
    assert whole["over"] == pytest.approx(whole["int8"] - whole["float32"])
    assert whole["low"] <= whole["over"] <= whole["high"]
    row = PrecisionRow(**whole | {"median_cosine": 0.99, "over": 0.004})
    assert row.cells()[-1] == "met"
    assert replace(row, over=-0.006).is_missed
    assert replace(row, median_cosine=0.97).is_missed
    assert not replace(row, over=-0.006, ranked_by="embeddings").is_missed
    assert "median cosine" in invoke(*arguments, "--markdown", "-").stdout


def test_precisions_are_compared_on_suites_only(shop):
    for arguments in ([], [shop, "--faults"]):
        refused = invoke(*arguments, "--precision", "int8")
        assert refused.exit_code == 2
        assert "--precision takes one PATH or more" in refused.stderr


def test_failures(tmp_path):
    def text(function, error):
        return f"lib.py:7: in {function}\n    x()\nE   {error}: no"

    kinds = [("add", "KeyError"), ("add", "KeyError"), ("sub", "TypeError"), ("sub", "TypeError")]
    file = tmp_path / "failures.jsonl"
    rows = [{"text": text(*kind), "defect": kind[0]} for kind in kinds]
    file.write_text("\n".join(map(json.dumps, rows)))
    found = measure_failures("x", read_labelled(file), lambda *_: None)
    values = {(f.method, f.metric): f.value for f in found}
    assert values["flashwasm", "ARI"] == values["flashwasm", "MRR"] == 1
    assert measure_failures("x", [], lambda *_: None) == []
    file.write_text(json.dumps({"text": "\u2028", "defect": "x"}, ensure_ascii=False))
    assert read_labelled(file) == [LabelledFailure("\u2028", "x")]
    file.write_text('{"text": "x"}\n')
    with pytest.raises(fw.DTypeError, match=r"failures\.jsonl:1: expected JSON"):
        read_labelled(file)


def test_a_defect_that_was_seeded_twice_is_one(tmp_path):
    rows = [
        {"text": "x", "mutant": mutant, "test": test, "file": "a.py", "line": 1, "kind": "cmp"}
        for mutant, test in [(1, "t"), (2, "t"), (3, "t"), (3, "u"), (4, "t")]
    ]
    del rows[-1]["kind"]
    file = tmp_path / "failures.jsonl"
    file.write_text("\n".join(map(json.dumps, rows)))
    assert [one.defect for one in read_labelled(file)] == ["1", "1", "3", "3", "4"]


def labelled_failures():
    """Return failures of two defects by frames, and of two by assertions of the same file."""

    def by_frame(function, test):
        frames = f"test_x.py:1: in {test}\n    f()\nlib.py:7: in {function}\n    x()"
        return LabelledFailure(f"{frames}\nE   KeyError: 1", function, f"test_x.py::{test}")

    def by_test(defect, test, values):
        frame = f"test_x.py:9: in {test}\n    assert f() == 1"
        return LabelledFailure(f"{frame}\nE   assert {values}", defect, f"test_x.py::{test}")

    return [
        *(by_frame(function, f"test_{i}") for function in ("add", "sub") for i in range(4)),
        *(by_test("lost", f"test_sum_{i}", "2 == 1") for i in range(4)),
        *(by_test("kept", f"test_sum_{i}", "3 == 1") for i in range(4)),
    ]


def test_failures_called_known():
    rows = measure_known("x", labelled_failures(), lambda *_: None)
    ours, earlier, by_text = rows
    assert (ours.failures, ours.defects, ours.learnt_half) == (16, 4, 8)
    assert ours.false_known == 0
    assert not ours.is_missed
    assert (ours.known_with_frame, ours.known, ours.known_again) == (1, 0.5, 1)
    assert ours.perhaps_rightly + ours.perhaps_another == 0.5
    # The assertions are in one file, and all the texts are alike.
    assert earlier.false_known >= 0.5
    assert by_text.false_known == 1
    assert not earlier.is_missed
    assert replace(ours, false_known=0.021).is_missed
    assert ours.cells()[2:4] == ("0.00%", "<= 2%, met")
    assert measure_known("x", labelled_failures()[:4], lambda *_: None) == []


def test_a_missed_target_is_printed_and_may_fail(tmp_path):
    file = tmp_path / "failures.jsonl"
    # The same failures under two names of defects.
    rows = [
        vars(one) | {"defect": f"{one.defect} {i}"} for one in labelled_failures() for i in "ab"
    ]
    file.write_text("\n".join(map(json.dumps, rows)))
    result = invoke("--failures", file, "--markdown", "-", "--fail-on-miss")
    assert (result.exit_code, result.stdout.count("<= 2%, missed")) == (1, 1)
    assert invoke("--failures", file).exit_code == 0


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "nothing to measure"),
        (["--coverage", "x", "--failures", "f"], "expected the suite"),
        (["no"], "does not exist"),
        (["--failures", "old"], "is a directory"),
    ],
)
def test_refused(shop, arguments, message):
    (shop.parent.parent / "f").write_text("")
    result = invoke(*arguments)
    assert result.exit_code == 2
    assert message in result.stderr


def test_an_empty_folder(shop, tmp_path):
    assert shop
    (tmp_path / "empty").mkdir()
    result = invoke("empty", "--json", "-")
    assert result.exit_code == 1, result.output
    assert "nothing to measure" in result.stderr
    assert json.loads(result.stdout)["figures"] == []
