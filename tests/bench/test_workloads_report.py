"""`flashwasm bench workloads`: targets that are met, missed or not measured, in each report."""

import json

import pytest
from click.testing import CliRunner

from flashwasm.cli import bench_steps, main
from flashwasm.qe import MeasuredOperation, WorkloadBenchmark
from flashwasm.qe.workloads.strategies import StrategyResult


def benchmark(speedup, warm_ms):
    operations = (
        MeasuredOperation("search", warm_ms, 3.0, 2.0, 1.0, meets_target=warm_ms <= 1),
        MeasuredOperation("encode", None, None, None, 1.0, meets_target=False, missing="no model"),
    )
    met = speedup >= 2, warm_ms <= 1
    return WorkloadBenchmark(
        *("coverage-analysis", "8 x 512 x 64", "stored scores", speedup, 1.0, speedup, 0.5, 2.0),
        *(operations, warm_ms, 1.0, *met, all(met)),
    )


@pytest.fixture
def bench(monkeypatch):
    def run(speedup, warm_ms, *options):
        monkeypatch.setattr(bench_steps, "WORKLOADS", ["coverage-analysis"])
        monkeypatch.setattr(
            bench_steps, "benchmark_workload", lambda _: benchmark(speedup, warm_ms)
        )
        strategies = [StrategyResult("latency-optimized", 1.0, 8.0, 2.0, 32.0)]
        monkeypatch.setattr(bench_steps, "run_strategies", lambda: strategies)
        return CliRunner().invoke(main, ["bench", "workloads", *options])

    return run


@pytest.mark.parametrize(
    ("speedup", "warm_ms", "code"), [(3.0, 0.5, 0), (1.0, 0.5, 1), (3.0, 1.5, 1)]
)
def test_a_miss_is_printed_as_one(bench, speedup, warm_ms, code):
    result = bench(speedup, warm_ms, "--markdown", "-", "--fail-on-miss")
    assert result.exit_code == code
    assert "| missed |" in result.stdout if code else "| missed |" not in result.stdout
    assert "not measured: no model" in result.stdout
    assert "latency-optimized" in result.stdout


def test_json(bench):
    document = json.loads(bench(3.0, 0.5, "--json", "-").stdout)
    (workload,) = document["workloads"]
    assert [one["warm_ms"] for one in workload["operations"]] == [0.5, None]
    assert document["strategies"][0]["peak_memory_mb"] == 32


def test_there_is_no_plot(bench):
    result = bench(3.0, 0.5, "--plot", "a.png")
    assert (result.exit_code, "No such option" in result.stderr) == (2, True)
