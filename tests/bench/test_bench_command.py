"""`flashwasm bench`: a command for each suite, its options and its default."""

import subprocess
import sys

import click
import pytest
from click.testing import CliRunner

from flashwasm.bench import suites
from flashwasm.cli import main
from flashwasm.cli.bench import bench

OUTPUTS = {"--json", "--markdown"}
# What each suite takes.
OPTIONS = {
    "ops": {"--op", "--threads", *OUTPUTS},
    "attention": {"--plot", *OUTPUTS},
    "search": {"--vectors", "--embeddings", "--threads", "--plot", "--fail-on-miss", *OUTPUTS},
    "peers": {"--op", "--threads", "--plot", "--fail-on-miss", *OUTPUTS},
    "workloads": {"--threads", "--fail-on-miss", *OUTPUTS},
    "adaptation": {"--suite", "--seeds", "--model", "--threads", "--fail-on-miss", *OUTPUTS},
    "quality": {"--coverage", "--failures", "--releases", "--model", *OUTPUTS},
}
OPTIONS["all"] = OPTIONS["search"] | OPTIONS["peers"]
FOREIGN = [(suite, "--op" if suite == "quality" else "--releases") for suite in OPTIONS]


def invoke(*arguments):
    return CliRunner().invoke(main, ["bench", *arguments])


@pytest.fixture
def asked(monkeypatch):
    """Measure nothing; return what was to be measured."""
    asked = []

    def run_suites(suite, operations, threading, searched, advance):
        assert callable(advance)
        asked.append((suite, operations, threading[0], searched))
        return suites.Findings({})

    monkeypatch.setattr(suites, "run_suites", run_suites)
    return asked


def test_every_suite_is_listed_with_a_line():
    shown = invoke("--help").stdout
    assert bench.commands.keys() == OPTIONS.keys()
    for name, command in bench.commands.items():
        line = command.get_short_help_str(limit=200)
        assert line.endswith("."), name
        assert f"  {name:10}  {line}\n" in shown


@pytest.mark.parametrize("suite", OPTIONS)
def test_a_suite_has_its_own_options(suite):
    command = bench.commands[suite]
    options = [p.opts[0] for p in command.params if isinstance(p, click.Option)]
    assert len(options) == len(set(options))
    assert set(options) == OPTIONS[suite]
    shown = invoke(suite, "--help").stdout
    assert all(f"  {option} " in shown for option in options)


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        ([], ("ops", (), 1, (20_000, None))),
        (["--op", "matmul"], ("ops", ("matmul",), 1, (20_000, None))),
        (["--threads", "2", "--op", "gelu"], ("ops", ("gelu",), 2, (20_000, None))),
        (["ops", "--op", "gelu", "--op", "matmul"], ("ops", ("gelu", "matmul"), 1, (20_000, None))),
        (["attention"], ("attention", (), 1, (20_000, None))),
        (["search", "--vectors", "100"], ("search", (), 1, (100, None))),
        (["peers", "--op", "softmax"], ("peers", ("softmax",), 1, (20_000, None))),
        (["workloads", "--fail-on-miss"], ("workloads", (), 1, (20_000, None))),
        (["all", "--vectors", "500"], ("all", (), 1, (500, None))),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_what_is_asked_for_is_measured(asked, arguments, expected):
    done = invoke(*arguments)
    assert done.exit_code == 0, done.output
    assert asked == [expected]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["no-such-suite"], "No such command 'no-such-suite'"),
        (["ops", "."], "unexpected extra argument"),
        (["--json", "-", "peers"], "unexpected extra argument"),
        (["ops", "--fail-on-miss"], "No such option"),
        (["adaptation", "--plot", "r.png"], "No such option"),
        (["search", "--vectors", "99"], "--vectors"),
        *(([suite, option], "No such option") for suite, option in FOREIGN),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_what_is_not_of_a_suite_is_refused(asked, arguments, message):
    done = invoke(*arguments)
    assert (done.exit_code, done.stdout, asked) == (2, "", [])
    assert message in done.stderr


@pytest.mark.parametrize("arguments", [["--help"], *([suite, "-h"] for suite in OPTIONS)])
def test_help_loads_no_numpy(arguments):
    code = (
        "import sys; from flashwasm.cli import main\n"
        f"main(['bench', *{arguments}], standalone_mode=False)\n"
        "print('imported:', *sorted({'numpy', 'wasmtime', 'rich'} & sys.modules.keys()))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.endswith("\nimported:\n")


@pytest.mark.parametrize("suite", ["ops", "peers", "all"])
def test_numpys_threads_are_set_before_numpy_is_loaded(suite):
    """The last thing before anything is measured is a look at the operations' names."""
    code = (
        "import os, sys; from flashwasm.cli import main\n"
        "class Spy:\n"
        "    def find_spec(self, name, *_):\n"
        "        if name == 'numpy': print(os.environ.get('OPENBLAS_NUM_THREADS'))\n"
        "sys.meta_path.insert(0, Spy())\n"
        f"main(['bench', {suite!r}, '--threads', '3', '--op', 'no-such'])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (2, "3\n")
    assert "'no-such' is not one of" in done.stderr
