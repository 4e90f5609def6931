"""Cases and their timing: results are checked first, and the command reports them."""

import json
from dataclasses import replace

import numpy as np
import pytest
from click.testing import CliRunner

from bench.peers.cases import NUMPY_CASES, PEER_CASES
from flashwasm.benchmarks.cases.elementwise import vecadd_case
from flashwasm.benchmarks.cases.products import unit_top_k_case
from flashwasm.benchmarks.cases.table import CASES
from flashwasm.benchmarks.expectation import Expectation, WrongResultError
from flashwasm.benchmarks.measurement import run_cases
from flashwasm.benchmarks.report import OPERATION_HEADINGS, duration, result_row
from flashwasm.benchmarks.timing import Effort, interleaved, timer
from flashwasm.cli import main

SMALL = vecadd_case(4096)
BRIEF = Effort(seconds=0.0, least_rounds=2, least_measurement=1e-4)


UNIT_SEARCHES = [unit_top_k_case(3, 500, 16, 4, metric) for metric in ("cosine", "dot", "l2")]


@pytest.mark.parametrize("case", [*CASES, *UNIT_SEARCHES], ids=lambda case: case.name)
def test_each_baseline_computes_the_oracles_result(case):
    """A NumPy baseline that computed something else would make any speed-up worthless."""
    inputs = case.make(np.random.default_rng(1))
    expected = Expectation.of(case, inputs)
    assert all(np.isfinite(value).all() for value in expected.values)
    assert all(np.isfinite(bound).all() for bound in expected.bounds)
    if case.operation not in {"embedding", "vecadd"}:
        # Those two copy float32 numbers, or round one sum, so that float32 holds the exact result.
        assert {value.dtype for value in expected.values} == {np.dtype(np.float64)}
    expected.check_other("NumPy", case.baseline(*inputs))


def test_a_search_of_vectors_of_length_one_is_right_in_each_metric(one_thread):
    for case in UNIT_SEARCHES:
        inputs = case.make(np.random.default_rng(1))
        expected = Expectation.of(case, inputs)
        expected.checked_error("flashwasm", case.run(*inputs, runtime=one_thread))


@pytest.mark.parametrize("case", [*CASES, *PEER_CASES, *NUMPY_CASES], ids=lambda case: case.name)
def test_no_case_is_checked_against_its_own_baseline(case):
    assert case.oracle is not case.baseline


def test_a_result_has_what_it_says():
    (result,) = run_cases([SMALL], effort=BRIEF)
    assert 0 < result.best <= result.median
    assert result.rate == pytest.approx(SMALL.work / result.best / 1e9)
    assert result.speedup_over_numpy == pytest.approx(result.numpy / result.best)
    assert result.speedup_over_scalar == pytest.approx(result.scalar / result.best)
    assert 0 < result.copy_share < 1
    assert result.error <= result.tolerance
    assert len(result_row(result)) == len(OPERATION_HEADINGS)


@pytest.mark.parametrize("contender", ["run", "baseline"])
@pytest.mark.parametrize("wrong", [1e-3, np.nan])
def test_wrong_results_are_not_timed(contender, wrong):
    right = getattr(SMALL, contender)
    case = replace(SMALL, **{contender: lambda *a, **k: right(*a, **k) + np.float32(wrong)})
    with pytest.raises(WrongResultError, match="vecadd 4096"):
        list(run_cases([case], effort=BRIEF))


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


def test_contenders_take_turns():
    order = []
    timers = {name: timer(lambda name=name: order.append(name)) for name in "ab"}
    interleaved(timers, Effort.of_rounds(3))
    # Each one's untimed call comes before its timed one.
    assert "".join(order)[-12:] == "aabbaabbaabb"


def test_a_slow_first_call_does_not_decide_how_often_a_call_is_repeated():
    asked = []

    def seconds(loops):
        asked.append(loops)
        return 0.1 if len(asked) == 1 else loops * 1e-3

    effort = Effort(seconds=0.0, least_rounds=1, least_measurement=0.01)
    (times,) = interleaved({"a": seconds}, effort).values()
    assert times.best == pytest.approx(1e-3)
    assert asked[-1] == 10


def test_a_single_contender_is_called_once_a_round():
    order = []
    (times,) = interleaved({"a": timer(lambda: order.append("a"))}, Effort.of_rounds(3)).values()
    assert (times.rounds, times.best <= times.median <= times.quantile(0.99)) == (3, True)
    # The first call only says how long a call takes.
    assert len(order) == 4


def test_preparations_are_not_timed():
    order = []
    seconds = timer(lambda: order.append("run"), before=lambda: order.append("before"))
    assert seconds(2) < 1
    assert order == ["before", "run"] * 2
