"""The benchmarks: results are checked before they are timed, and the command reports them."""

import json
from dataclasses import replace

import numpy as np
import pytest
from click.testing import CliRunner

from flashwasm.bench.operations.cases import CASES
from flashwasm.bench.report import cells, duration, markdown
from flashwasm.bench.runner import WrongResultError, run_cases
from flashwasm.bench.search.cases import SEARCH_CASES
from flashwasm.bench.search.runner import absent, run_search
from flashwasm.cli import main

SMALL = next(case for case in CASES if case.operation == "vecadd")


@pytest.mark.parametrize("case", CASES, ids=lambda case: f"{case.operation} {case.size}")
def test_baseline_and_oracle_agree(case):
    """A NumPy baseline that computed something else would make any speed-up worthless."""
    inputs = case.make(np.random.default_rng(1))
    wide = [x.astype(np.float64) if x.dtype == np.float32 else x for x in inputs]
    # Several arrays of one shape become one.
    expected = np.asarray(case.oracle(*wide))
    assert np.isfinite(expected).all()
    assert np.abs(np.asarray(case.baseline(*inputs)) - expected).max() <= case.tolerance


def test_a_result_has_what_it_says():
    (result,) = run_cases([SMALL])
    assert 0 < result.best <= result.median
    assert result.rate == pytest.approx(SMALL.work / result.best / 1e9)
    assert result.speedup_over_numpy == pytest.approx(result.numpy / result.best)
    assert result.speedup_over_scalar == pytest.approx(result.scalar / result.best)
    assert 0 < result.copy_share < 1
    assert result.error <= result.tolerance
    assert len(cells(result)) == markdown([result], "title").splitlines()[2].count("|") - 1


@pytest.mark.parametrize("contender", ["run", "baseline"])
@pytest.mark.parametrize("wrong", [1e-3, np.nan])
def test_wrong_results_are_not_timed(contender, wrong):
    right = getattr(SMALL, contender)
    case = replace(SMALL, **{contender: lambda *a, **k: right(*a, **k) + np.float32(wrong)})
    with pytest.raises(WrongResultError, match="vecadd 4096"):
        list(run_cases([case]))


def test_durations_have_units():
    assert [duration(s) for s in (2.5, 0.0123, 4.56e-6, 1e-8)] == [
        "2.5 s",
        "12.3 ms",
        "4.56 µs",
        "0.01 µs",
    ]


@pytest.mark.slow
def test_the_command_writes_what_it_measured(tmp_path):
    json_file, markdown_file = tmp_path / "r.json", tmp_path / "r.md"
    arguments = ["bench", "ops", "--op", "vecadd", "--json", str(json_file)]
    done = CliRunner().invoke(main, [*arguments, "--markdown", str(markdown_file)])
    assert done.exit_code == 0, done.output
    assert "vecadd" in done.stdout
    document = json.loads(json_file.read_text())
    assert document["machine"]["threads"] == 1
    assert {r["operation"] for r in document["results"]} == {"vecadd"}
    assert all(r["best"] > 0 for r in document["results"])
    assert "numpy.add" in markdown_file.read_text()


def test_an_unknown_operation_is_refused():
    done = CliRunner().invoke(main, ["bench", "ops", "--op", "nothing"])
    assert done.exit_code == 2
    assert "'nothing' is not one of attention" in done.stderr


@pytest.mark.parametrize("case", SEARCH_CASES, ids=lambda case: f"{case.operation} {case.data}")
def test_indexes_find_what_they_are_measured_on(case):
    results = list(run_search(case, 1500))
    if not results:  # The model is not installed.
        return
    rates = {(r.name, r.queries, r.ef): r.rate for r in results}
    assert len(rates) == len(results)
    assert {"flashwasm float32", "flashwasm int8", "NumPy"} <= {r.name for r in results}
    for result in results:
        assert result.rate > 0
        assert result.recall >= (0.95 if result.ef == 0 or result.ef >= 64 else 0.85), result
        if result.name.startswith("flashwasm"):
            assert result.megabytes > 0
            assert result.build_seconds > 0


def test_libraries_that_are_not_there_are_named(monkeypatch, tmp_path):
    monkeypatch.setattr("importlib.util.find_spec", lambda _: None)
    monkeypatch.setenv("FLASHWASM_NODE_MODULES", str(tmp_path / "node_modules"))
    lines = absent(SEARCH_CASES)
    for package, install in {
        "faiss": "pip install faiss-cpu",
        "hnswlib": "pip install hnswlib",
        "hnswlib-wasm": "npm i --ignore-scripts hnswlib-wasm",
        "simsimd": "pip install simsimd",
        "usearch": "pip install usearch",
    }.items():
        assert f"{package}: not installed ({install})" in lines


@pytest.mark.slow
def test_the_command_measures_indexes(tmp_path):
    json_file, markdown_file = tmp_path / "r.json", tmp_path / "r.md"
    arguments = ["bench", "search", "--vectors", "1000", "--json", str(json_file)]
    done = CliRunner().invoke(main, [*arguments, "--markdown", str(markdown_file)])
    assert done.exit_code == 0, done.output
    document = json.loads(json_file.read_text())
    assert {r["operation"] for r in document["search"]} == {"FlatIndex", "HNSWIndex"}
    assert "results" not in document
    assert "recall@k" in markdown_file.read_text()
