"""A stopped run can be resumed: its log contains each result, and other settings are refused."""

import json
from dataclasses import replace

import pytest
from click.testing import CliRunner

from bench.commands import main as comparisons
from bench.findings import Comparison
from bench.scaling import Scaling
from bench.smallest import Overheads
from flashwasm.benchmarks.run_log import RunLog
from flashwasm.cli import main
from flashwasm.cli.bench_report import Findings
from flashwasm.cli.bench_steps import Step, own_steps, run_steps, shown
from flashwasm.errors import CorruptFileError, FlashWasmError

SETTINGS = {"numpy": "2.4.6", "--op": ["vecadd"]}


@pytest.fixture
def path(tmp_path):
    return tmp_path / "build" / "run.jsonl"


def stopped():
    raise KeyboardInterrupt


def never():
    raise AssertionError("this step was done before the stop")


def test_a_run_that_was_stopped_goes_on_with_the_next_step(path):
    first, second = own_steps("ops", ["vecadd"], 1, quick=True)
    with pytest.raises(KeyboardInterrupt):
        run_steps(
            [first, replace(second, measure=stopped)],
            Findings({}),
            RunLog.begin(path, SETTINGS),
            lambda _: None,
        )
    settings, kept = map(json.loads, path.read_text("utf-8").splitlines())
    assert settings == {"settings": SETTINGS}
    assert kept["step"] == first.name
    log = RunLog.resume(path, SETTINGS)
    assert log.steps == 1
    whole, begun = Findings({}), []
    run_steps([replace(first, measure=never), second], whole, log, begun.append)
    assert begun == [first.name, second.name]
    assert [found.size for found in whole.results] == ["1048576", "4096"]
    assert whole.results[0].as_dict() == kept["found"]["results"][0]
    again = Findings({})
    done = [replace(step, measure=never) for step in (first, second)]
    run_steps(done, again, RunLog.resume(path, SETTINGS), begun.append)
    assert again.as_dict() == whole.as_dict()


def test_findings_of_all_kinds_are_read_back(path):
    parts = {
        "rates": Comparison({"peak_flops": 1e9, "read_bytes_per_second": 1e9}),
        "overheads": Comparison({}, overheads=[Overheads(1.0, 2.0, 3.0, 4.0)]),
        "two": Comparison({}, scaling={"a": Scaling(1.9, 2.0)}),
        "encoder": Comparison({}, encoder="no model"),
    }
    steps = [Step(name, lambda part=part: part) for name, part in parts.items()]
    measured, read = Comparison({"threads": 1}), Comparison({"threads": 1})
    run_steps(steps, measured, RunLog.begin(path, {}), lambda _: None)
    kept = [replace(step, measure=never) for step in steps]
    run_steps(kept, read, RunLog.resume(path, {}), lambda _: None)
    assert read == measured
    assert measured.facts == {"threads": 1, "peak_flops": 1e9, "read_bytes_per_second": 1e9}
    assert measured.encoder == "no model"


def test_other_settings_are_refused_by_name(path):
    RunLog.begin(path, SETTINGS)
    with pytest.raises(FlashWasmError) as caught:
        RunLog.resume(path, {"numpy": "2.5.0", "--op": ["vecadd"], "model": "x"})
    message = str(caught.value)
    assert "numpy was '2.4.6' and is '2.5.0'; model was None and is 'x'" in message
    assert "leave out --resume" in message
    assert "\n" not in message


@pytest.mark.parametrize("content", ["", "[]", "{}", '{"settings": {}}\nx', '{"settings": {}}\n[]'])
def test_a_file_that_is_no_log_is_refused(path, content):
    path.parent.mkdir()
    path.write_text(content)
    with pytest.raises(CorruptFileError, match=r"run\.jsonl is not the log of a run"):
        RunLog.resume(path, {})


def test_the_commands_resume_their_logs(path, monkeypatch):
    monkeypatch.delenv("FLASHWASM_PROGRESS", raising=False)
    command = ["bench", "ops", "--op", "rms_norm", "--log", str(path)]
    done = CliRunner().invoke(main, [*command, "--json", "-"])
    assert done.exit_code == 0, done.output
    assert f"each result goes to {path}; --resume goes on after a stop" in done.stderr
    assert "measuring: 1 of 1, rms_norm 512x384, beside NumPy" in done.stderr
    again = CliRunner().invoke(main, [*command, "--resume", "--json", "-"])
    assert again.exit_code == 0, again.output
    assert f"{path} has 1 of 1 step of this run" in again.stderr
    assert again.stdout == done.stdout
    other = CliRunner().invoke(main, [*command, "--threads", "2", "--resume"])
    assert (other.exit_code, other.stdout) == (2, "")
    assert "threads was 1 and is 2" in other.stderr


def test_a_comparison_says_first_what_it_will_leave_out(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("FLASHWASM_DATA", str(tmp_path / "data"))
    monkeypatch.setenv("FLASHWASM_NODE_MODULES", str(tmp_path / "node_modules"))
    done = CliRunner().invoke(comparisons, ["peers", "--resume"])
    assert done.exit_code == 2
    *notes, refused = done.stderr.splitlines()
    assert any("tfjs is left out" in line and "make bench-peers" in line for line in notes)
    assert any("flashwasm models install" in line for line in notes)
    assert "there is no build/bench/peers.jsonl" in refused


def test_steps_are_shown_as_lines_unless_that_is_off(capsys, monkeypatch):
    for off in (False, True):
        monkeypatch.setenv("FLASHWASM_PROGRESS", "off" if off else "")
        with shown(2) as begin:
            begin("one")
            begin("two")
        lines = capsys.readouterr().err.splitlines()
        assert lines == ([] if off else ["measuring: 1 of 2, one", "measuring: 2 of 2, two"])
