"""Files that commands write: an impossible one is refused before the work begins."""

import json

import click
import numpy as np
import pytest
from click.testing import CliRunner

from flashwasm.cli import bench_steps, main
from flashwasm.cli.output_file import OutputFile

# Names of the parameters that are paths of files to read, which need not exist.
READ = {"database", "library", "times"}
SUITE = "def test_a(): assert lib.f(1)\n"
# Command lines whose output is below a file, and whose model is not installed.
BELOW_A_FILE = [
    "embed text -o note.txt/x.npy",
    "index build suite . -o note.txt/x --model no-such",
    "index build functions lib.py -o note.txt/x --model no-such",
    "index build coverage no-coverage -o note.txt/x",
    "index build failures note.txt -o note.txt/x",
    "index build vectors note.txt -o note.txt/x",
    "index merge note.txt/x note.txt",
    "similar . -q x --model no-such --html note.txt/x",
    "duplicates . --sarif note.txt/x",
    "duplicates . --write-baseline note.txt/x",
    "duplicates . --html note.txt/x",
    "report . -o note.txt/x --model no-such",
    "bench --op no-such --json note.txt/x",
    "bench --op no-such --markdown note.txt/x",
    "bench --op no-such --html note.txt/x",
    "bench --op no-such --log note.txt/x",
]


@pytest.fixture(autouse=True)
def folder(work):
    (work / "test_a.py").write_text(SUITE)
    (work / "lib.py").write_text("def f(x): return x\n")
    (work / "note.txt").write_text("nothing")
    return work


def run(line):
    return CliRunner().invoke(main, line.split())


def parameters(command, path=()):
    """Yield the path of each command and each of its parameters."""
    if isinstance(command, click.Group):
        context = click.Context(command)
        for name in command.list_commands(context):
            yield from parameters(command.get_command(context, name), (*path, name))
    for parameter in command.params:
        yield " ".join(path), parameter


def test_every_file_that_a_command_writes_is_checked():
    checked = 0
    for path, parameter in parameters(main):
        kind = parameter.type
        if not isinstance(kind, click.Path) or kind.exists or parameter.name in READ:
            continue
        checked += 1
        assert isinstance(kind, OutputFile), (path, parameter.name)
    assert checked > len(BELOW_A_FILE)


@pytest.mark.parametrize("line", BELOW_A_FILE)
def test_a_file_that_cannot_be_written_is_refused_first(line):
    (folder_error,) = run(line.replace("no-coverage", "note.txt")).stderr.splitlines()
    assert "Not a directory: 'note.txt/x" in folder_error
    assert folder_error.endswith("correct the path")


@pytest.mark.parametrize(
    "line", ["embed text -o -", "report . -o -", "index build suite . -o -", "bench --html -"]
)
def test_a_dash_is_refused_where_stdout_is_not_possible(line, folder):
    result = run(line)
    assert (result.exit_code, result.stdout) == (2, "")
    assert "'-' is no file; expected a path" in result.stderr
    assert not (folder / "-").exists()


@pytest.mark.parametrize(
    "line",
    [
        "index build suite test_a.py -o test_a.py",
        "index build functions lib.py -o ./lib.py",
        "index build coverage lib.py -o lib.py",
        "index build failures note.txt -o note.txt",
        "index build vectors rows.npy -o link.npy",
        "report test_a.py -o test_a.py",
        "report . --bench note.txt -o note.txt",
    ],
)
def test_an_input_is_not_overwritten(line, folder):
    np.save("rows.npy", np.eye(3, dtype=np.float32))
    (folder / "link.npy").symlink_to("rows.npy")
    before = {path: path.read_bytes() for path in folder.iterdir()}
    result = run(line)
    assert (result.exit_code, result.stdout) == (2, "")
    assert "is the input" in result.stderr
    assert {path: path.read_bytes() for path in folder.iterdir()} == before


@pytest.fixture
def nothing_to_measure(monkeypatch):
    monkeypatch.setattr(bench_steps, "own_steps", lambda *_: [])


@pytest.mark.usefixtures("nothing_to_measure")
@pytest.mark.parametrize("option", ["--json", "--json -", "--json --threads 1"])
def test_the_json_of_a_benchmark_goes_to_stdout_unless_a_file_is_named(option):
    result = run(f"bench ops {option}")
    assert result.exit_code == 0, result.stderr
    assert json.loads(result.stdout)["machine"]["threads"] == 1


@pytest.mark.usefixtures("nothing_to_measure")
def test_a_benchmark_prints_one_report_on_stdout():
    result = run("bench --json --markdown")
    assert (result.exit_code, result.stdout) == (2, "")
    assert "cannot both be stdout" in result.stderr
    assert run("bench --markdown --json r.json").stdout.strip() == ""
