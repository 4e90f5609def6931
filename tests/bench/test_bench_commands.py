"""`flashwasm bench` and `python -m bench`: their commands, options and defaults."""

import subprocess
import sys

import click
import pytest
from click.testing import CliRunner

from bench import suites
from bench.commands import main as comparisons
from bench.findings import Comparison
from bench.options import ONLY_WITH
from checkout import ROOT
from flashwasm.cli import bench_steps, main
from flashwasm.cli.bench import bench

OUTPUTS = {"--json", "--markdown"}
_LOG = {"--log", "--resume"}
# The options of each command of the package, and of the repository.
OWN = {
    "ops": {"--op", "--threads", "--html", *_LOG, *OUTPUTS},
    "attention": {"--html", *_LOG, *OUTPUTS},
    "workloads": {"--threads", "--fail-on-miss", "--html", *_LOG, *OUTPUTS},
    "all": {"--op", "--threads", "--fail-on-miss", "--html", *_LOG, *OUTPUTS},
}
_SEARCH = {"--vectors", "--embeddings", "--quick", "--threads", "--plot", "--fail-on-miss", *_LOG}
_PEERS = {"--op", "--quick", "--threads", "--plot", "--fail-on-miss", *_LOG}
_HISTORY = {"--history", "--releases", "--commits", "--record", "--weights"}
_FAULTS = {
    "--faults",
    "--mutations",
    "--seed",
    "--minutes",
    "--again",
    "--testmon",
    "--fail-on-miss",
}
_PRECISION = {"--precision", "--queries"}
COMPARED = {
    "search": {*_SEARCH, *OUTPUTS},
    "peers": {*_PEERS, *OUTPUTS},
    "all": {*_SEARCH, *_PEERS, "--record", *OUTPUTS},
    "backends": {"--quick", "--threads", "--fail-on-miss", *OUTPUTS},
    "adaptation": {"--suite", "--seeds", "--model", "--threads", "--fail-on-miss", *OUTPUTS},
    "quality": {"--coverage", "--failures", "--model", *_PRECISION, *_HISTORY, *_FAULTS, *OUTPUTS},
    "render": set(),
    "distributed": {"--keys", "--rows", "--memory", *OUTPUTS},
    "reliability": {"--minutes", "--calls", "--seed", "--log", *OUTPUTS},
}
GROUPS = [(bench, OWN), (comparisons, COMPARED)]
EACH = [(group, name, options) for group, table in GROUPS for name, options in table.items()]


def invoke(*arguments):
    return CliRunner().invoke(main, ["bench", *arguments])


def compare(*arguments):
    return CliRunner().invoke(comparisons, list(arguments))


@pytest.fixture
def asked(monkeypatch, tmp_path):
    """Measure nothing; return the arguments of each run."""
    monkeypatch.chdir(tmp_path)
    asked = []

    def no_steps(*request, **_):
        asked.append(request)
        return []

    def no_plan(request):
        asked.append((request,))
        return suites.Plan(Comparison({"threads": 1}), [], {}, [])

    monkeypatch.setattr(bench_steps, "own_steps", no_steps)
    monkeypatch.setattr(suites, "plan", no_plan)
    monkeypatch.setattr(suites, "judge", lambda *_: [])
    return asked


@pytest.mark.parametrize(("group", "table"), GROUPS, ids=["flashwasm bench", "python -m bench"])
def test_every_command_is_listed_with_a_line(group, table):
    shown = CliRunner().invoke(group, ["--help"]).stdout
    assert group.commands.keys() == table.keys()
    for name, command in group.commands.items():
        line = command.get_short_help_str(limit=200)
        assert line.endswith("."), name
        assert f"  {name} " in shown


@pytest.mark.parametrize(("group", "name", "expected"), EACH)
def test_a_command_has_its_own_options(group, name, expected):
    command = group.commands[name]
    options = [p.opts[0] for p in command.params if isinstance(p, click.Option)]
    assert len(options) == len(set(options))
    assert set(options) == expected
    shown = CliRunner().invoke(group, [name, "--help"]).stdout
    assert all(f"  {option} " in shown for option in options)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ("--record", "--record acts only with --history"),
        ("--commits 3 --releases . .", "--commits acts only with --history"),
        ("--weights --faults .", "--weights acts only with --history or --releases"),
        ("--seed 0 .", "--seed acts only with --faults"),
        ("--queries 9 --history .", "--queries acts only with --precision"),
    ],
)
def test_an_option_of_quality_that_would_not_act_is_refused(words, message):
    done = CliRunner().invoke(comparisons, ["quality", *words.split()])
    assert (done.exit_code, message in done.stderr) == (2, True)


def test_every_option_of_one_evaluation_is_refused_in_the_others():
    of_all = {"--history", "--releases", "--faults", "--fail-on-miss"}
    options = (_HISTORY | _FAULTS | {"--queries"}) - of_all
    assert set(ONLY_WITH) == {option.removeprefix("--") for option in options}


@pytest.mark.parametrize("name", ["peers", "search", "quality", "adaptation"])
def test_comparisons_are_in_a_checkout(name):
    done = invoke(name, "--op", "matmul")
    assert (done.exit_code, done.stdout) == (2, "")
    assert done.stderr.count("\n") == 1
    assert f"python -m bench {name}" in done.stderr
    assert name in invoke("--help").stdout


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        ([], ("ops", (), 1)),
        (["--op", "matmul"], ("ops", ("matmul",), 1)),
        (["--threads", "2", "--op", "gelu"], ("ops", ("gelu",), 2)),
        (["ops", "--op", "gelu", "--op", "matmul"], ("ops", ("gelu", "matmul"), 1)),
        (["attention"], ("attention", (), 1)),
        (["workloads", "--fail-on-miss"], ("workloads", (), 1)),
        (["all", "--threads", "2"], ("all", (), 2)),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_the_package_measures_as_asked(asked, arguments, expected):
    done = invoke(*arguments)
    assert done.exit_code == 0, done.output
    assert asked == [expected]


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["search", "--vectors", "100"], ("search", (), 1, 100, False)),
        (["peers", "--op", "softmax"], ("peers", ("softmax",), 1, 20_000, False)),
        (["peers", "--quick", "--threads", "2"], ("peers", (), 2, 600, True)),
        (["all", "--vectors", "500"], ("all", (), 1, 500, False)),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_comparisons_are_made_as_asked(asked, arguments, expected):
    done = compare(*arguments)
    assert done.exit_code == 0, done.output
    ((request,),) = asked
    found = (request.suite, request.operations, request.threads, request.vectors, request.quick)
    assert found == expected


@pytest.mark.parametrize(
    ("run", "arguments", "message"),
    [
        (invoke, ["no-such-command"], "No such command 'no-such-command'"),
        (invoke, ["ops", "."], "unexpected extra argument"),
        (invoke, ["--json", "-", "ops"], "unexpected extra argument"),
        (invoke, ["ops", "--fail-on-miss"], "No such option"),
        (invoke, ["all", "--plot", "r.png"], "No such option"),
        (compare, ["adaptation", "--plot", "r.png"], "No such option"),
        (compare, ["search", "--vectors", "99"], "--vectors"),
        (compare, ["search", "--op", "matmul"], "No such option"),
        (compare, ["all", "--quick", "--record"], "--record keeps whole results"),
        (invoke, ["ops", "--resume"], "--resume needs the log of the run: give --log FILE"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_options_of_other_commands_are_refused(asked, run, arguments, message):
    done = run(*arguments)
    assert (done.exit_code, done.stdout, asked) == (2, "", [])
    assert message in done.stderr


@pytest.mark.parametrize(
    ("module", "before"), [("flashwasm.cli", ["bench"]), ("bench.commands", [])]
)
@pytest.mark.parametrize("arguments", [["--help"], ["all", "-h"]], ids=" ".join)
def test_help_loads_no_numpy(module, before, arguments):
    code = (
        f"import sys; from {module} import main\n"
        f"main({before + arguments}, standalone_mode=False)\n"
        "print('imported:', *sorted({'numpy', 'wasmtime', 'rich'} & sys.modules.keys()))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT
    )
    assert done.stdout.endswith("\nimported:\n")


@pytest.mark.parametrize(
    ("module", "before"),
    [
        ("flashwasm.cli", ["bench", "ops"]),
        ("flashwasm.cli", ["bench", "all"]),
        ("bench.commands", ["peers"]),
    ],
)
def test_numpys_threads_are_set_before_numpy_is_loaded(module, before):
    """An unknown operation is refused after NumPy is loaded and before anything is measured."""
    code = (
        f"import os, sys; from {module} import main\n"
        "class Spy:\n"
        "    def find_spec(self, name, *_):\n"
        "        if name == 'numpy': print(os.environ.get('OPENBLAS_NUM_THREADS'))\n"
        "sys.meta_path.insert(0, Spy())\n"
        f"main({before} + ['--threads', '3', '--op', 'no-such'])"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=False, cwd=ROOT
    )
    assert (done.returncode, done.stdout) == (2, "3\n")
    assert "'no-such' is not one of" in done.stderr
