"""`python -m bench adaptation`: steps are checked before timing, and missed targets are named."""

import json
from dataclasses import replace

import numpy as np
import pytest
from click.testing import CliRunner

import flashwasm as fw
from bench.adaptation import report as adaptation_report
from bench.adaptation import steps as adapter_steps
from bench.adaptation.feedback import KINDS, Quality, labels, run_quality
from bench.commands import main
from labelled_suite import classes


def test_adaptation_command(tmp_path, monkeypatch):
    """Steps are checked and timed; a suite's searches are measured where there is one."""
    for name in ("_CACHED_STEPS", "_COLD_STEPS", "_FLUSHED_BYTES"):
        monkeypatch.setattr(adapter_steps, name, 64)
    suite = classes(files=20)
    monkeypatch.setattr(adaptation_report, "labelled", lambda *_: suite)
    monkeypatch.setattr(adaptation_report, "SIZES", (50,))
    arguments = ["adaptation", "--suite", ".", "--seeds", "1", "--json"]
    done = CliRunner().invoke(main, [*arguments, str(tmp_path / "found.json")])
    assert done.exit_code == 0, done.output
    found = json.loads((tmp_path / "found.json").read_text())
    steps = {(step["rank"], step["by"]) for step in found["steps"]}
    assert steps >= {(rank, by) for rank in (2, 8) for by in ("flashwasm", "NumPy")}
    assert all(0 < step["cached_p50"] <= step["cached_p99"] for step in found["steps"])
    assert [one["feedback"] for one in found["quality"]] == list(KINDS)
    assert all(len(one["activated"]) == 1 for one in found["quality"])
    done = CliRunner().invoke(main, ["adaptation", "--markdown", "-"])
    assert "| rank 2, 384, 4 negatives | flashwasm |" in done.stdout


def test_a_suite_without_classes_to_hold_out_is_refused():
    names = [f"test_{i // 3}.py::Test::test_{i}" for i in range(6)]
    tests = labels(np.eye(6, 8, dtype=np.float32), names)
    tests = replace(tests, classes=np.where(tests.files == 0, tests.classes, -1))
    with (
        fw.Runtime(threads=1) as runtime,
        pytest.raises(fw.ShapeError, match=r"suite: expected classes .*: 1 of 2"),
    ):
        run_quality(tests, next(iter(KINDS)), 50, 1, runtime=runtime)


def test_a_step_that_differs_is_not_timed(monkeypatch):
    monkeypatch.setattr(adapter_steps, "_TOLERANCE", 0.0)
    with pytest.raises(fw.FlashWasmError, match=r"loss .* before step 0, .* expected"):
        adapter_steps.run_steps(2)


def test_what_misses_a_target_is_named():
    slow = adapter_steps.StepTimes(2, "flashwasm", 30.0, 40.0, 50.0, 60.0)
    worse = Quality("the nearest ten", 200, [0.5], [0.6], [0.5], [0.5], [True])
    noise = Quality("any, judged by a coin", 200, [0.5], [0.6], [0.7], [0.7], [True])
    found = adaptation_report.AdaptationFindings({}, [slow], "", [worse, noise])
    assert [line.partition(":")[0] for line in found.missed] == [
        "a step of rank 2",
        "the nearest ten, 200 pairs",
        "any, judged by a coin, 200 pairs",
    ]
    quick = adapter_steps.StepTimes(2, "flashwasm", 10.0, 40.0, 50.0, 60.0)
    numpys = adapter_steps.StepTimes(2, "NumPy", 300.0, 400.0, 50.0, 60.0)
    assert adaptation_report.AdaptationFindings({}, [quick, numpys]).missed == []
