"""Commands that write to a full device print one clear line, and never half a report."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

import tiny_bert
from coverage_data import index_of
from flashwasm.cli import main
from flashwasm.cli.tests_for.github import annotate_nothing
from small_suite import FILES

FAILURE = "=== FAILURES ===\n___ test_a ___\nx.py:1: in f\n    g()\nE   ValueError: bad\n"
COMMANDS = {
    "duplicates --sarif": "duplicates suite --sarif OUT",
    "duplicates --html": "duplicates suite --html OUT",
    "duplicates --write-baseline": "duplicates suite --write-baseline OUT",
    "coverage gap": "coverage gap --coverage coverage.fw --html OUT",
    "defects cluster": "defects cluster failures.txt --html OUT",
    "index build suite": "index build suite suite -o OUT",
    "index build functions": "index build functions lib.py -o OUT",
    "index build coverage": "index build coverage coverage.fw -o OUT",
    "index build failures": "index build failures failures.txt -o OUT",
    "index build vectors": "index build vectors vectors.npy -o OUT",
    "embed": "embed text --model model -o OUT.npy",
    "embed --tokens": "embed text --model model --tokens -o OUT.npz",
    "bench": "bench ops --op vecadd --json OUT",
}


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    """Work in a folder with inputs for all commands."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("FLASHWASM_DATA", str(tmp_path / "data"))
    for name, source in FILES.items():
        (tmp_path / "suite" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "suite" / name).write_text(source)
    (tmp_path / "failures.txt").write_text(FAILURE)
    (tmp_path / "lib.py").write_text("def f(x):\n    y = x\n    return y\n")
    index_of({"t.py::a|run": {"lib.py": [1, 2]}}).save(tmp_path / "coverage.fw")
    np.save(tmp_path / "vectors.npy", np.eye(4, dtype=np.float32))
    tiny_bert.write(tmp_path / "model")
    return tmp_path


@pytest.mark.parametrize("command", COMMANDS.values(), ids=COMMANDS)
def test_a_report_for_a_full_device_ends_in_a_line_that_names_it(command):
    arguments = command.split()
    name = next(argument for argument in arguments if argument.startswith("OUT"))
    Path(name).symlink_to("/dev/full")
    done = CliRunner().invoke(main, arguments)
    assert (done.exit_code, done.stdout) == (2, ""), done.output
    line = done.stderr.splitlines()[-1]
    assert "Traceback" not in done.stderr
    assert name in line
    assert "No space left on device" in line or "not a file" in line
    assert Path("/dev/full").is_char_device()


@pytest.mark.parametrize("command", ["probe", "embed text --model model", "index info coverage.fw"])
def test_text_for_a_full_device_ends_in_a_line_that_says_so(command):
    with open("/dev/full", "w") as device:  # noqa: PTH123 - it is no file.
        done = subprocess.run(
            [sys.executable, "-m", "flashwasm", *command.split()],
            stdout=device,
            stderr=subprocess.PIPE,
            text=True,
            check=False,
        )
    assert done.returncode == 2
    line = done.stderr.splitlines()[-1]
    assert "Traceback" not in done.stderr
    assert "No space left on device" in line


def test_outputs_of_a_step_for_a_full_device_name_it(monkeypatch):
    monkeypatch.setenv("GITHUB_OUTPUT", "/dev/full")
    with pytest.raises(OSError, match=r"No space left on device: '/dev/full'$"):
        annotate_nothing("no change")
