"""What pytest-reportlog writes, made here by pytest's own serialisation of its reports."""

import json
import subprocess
import sys

import pytest
from click.testing import CliRunner

import flashwasm as fw
from flashwasm.cli import main
from flashwasm.qe.defects.durations import read_times
from flashwasm.qe.defects.failure_files import read_failures

CONFTEST = """
import json

class Log:
    def __init__(self, config):
        self.config = config
        self.file = open("log.jsonl", "w")
        self.write({"pytest_version": "9", "$report_type": "SessionStart"})
    def write(self, document):
        self.file.write(json.dumps(document) + "\\n")
        self.file.flush()
    def pytest_runtest_logreport(self, report):
        hook = self.config.hook.pytest_report_to_serializable
        self.write(hook(config=self.config, report=report))
    pytest_collectreport = pytest_runtest_logreport

def pytest_configure(config):
    config.pluginmanager.register(Log(config))
"""
FILES = {
    "conftest.py": CONFTEST,
    "lib.py": "def inner(x):\n    return 1 / x\n\ndef outer(x):\n    try:\n"
    "        inner(x)\n    except ZeroDivisionError as e:\n        raise KeyError(1) from e\n",
    "test_x.py": "import lib, pytest\n"
    "def test_inner(): lib.inner(0)\n"
    "@pytest.mark.parametrize('x', [0])\ndef test_chain(x): lib.outer(x)\n"
    "@pytest.fixture\ndef bad(): raise RuntimeError('fixture')\n"
    "def test_fixture(bad): pass\n"
    "def test_good(): pass\n"
    "def test_skipped(): pytest.skip('later')\n",
    "test_y.py": "import nothing_there\n",
}
FRAMES = {
    "test_y.py": ("ModuleNotFoundError", "test_y.py", ""),
    "test_x.py::test_inner": ("ZeroDivisionError", "lib.py", "inner"),
    "test_x.py::test_chain[0]": ("KeyError", "lib.py", "outer"),
    "test_x.py::test_fixture": ("RuntimeError", "test_x.py", ""),
}


@pytest.fixture
def log(tmp_path, monkeypatch, request):
    for name, text in FILES.items():
        (tmp_path / name).write_text(text)
    monkeypatch.chdir(tmp_path)
    options = ["-q", "-p", "no:cacheprovider", "--continue-on-collection-errors"]
    style = f"--tb={request.param}"
    command = [sys.executable, "-m", "pytest", *options, f"--rootdir={tmp_path}", style]
    subprocess.run(command, cwd=tmp_path, check=False, capture_output=True)
    return tmp_path / "log.jsonl"


@pytest.mark.parametrize("log", ["long", "short"], indirect=True)
def test_failures(log):
    found = {one.test: one.failure for one in read_failures(log)}
    assert {test: failure.signature for test, failure in found.items()} == FRAMES
    assert found["test_x.py::test_chain[0]"].causes == ("ZeroDivisionError",)
    assert set(read_times(log)) == {
        f"test_x.py::test_{name}" for name in ("inner", "chain", "fixture", "good", "skipped")
    }


@pytest.mark.parametrize("log", ["line", "native"], indirect=True)
def test_styles_that_say_less(log):
    found = {one.test: one.failure.signature for one in read_failures(log)}
    assert found.keys() == FRAMES.keys()
    assert [found[test][0] for test in FRAMES] == [FRAMES[test][0] for test in FRAMES]
    assert found["test_x.py::test_inner"][1].endswith("lib.py")


@pytest.mark.parametrize("log", ["long"], indirect=True)
def test_commands(log):
    invoke = CliRunner().invoke
    clusters = json.loads(invoke(main, ["defects", "cluster", str(log), "--json"]).stdout)
    assert clusters["failures"] == 4
    line = ["--library", "defects.db"]
    learnt = invoke(main, ["defects", "learn", str(log), *line, "--name", "all", "--json"])
    assert json.loads(learnt.stdout)["added"] == 4
    matched = json.loads(invoke(main, ["defects", "match", str(log), *line, "--json"]).stdout)
    assert {one["status"] for one in matched["failures"]} == {"known"}


@pytest.mark.parametrize(
    "line", ['{"$report_type": "TestReport", "nodeid": 1', '{"$report_type": "TestReport"}', "[1]"]
)
def test_a_damaged_log(tmp_path, line):
    path = tmp_path / "log"
    path.write_text('{"pytest_version": "9", "$report_type": "SessionStart"}\n' + line)
    with pytest.raises(fw.CorruptFileError, match="is not a whole report log: line 2"):
        read_failures(path)


def test_a_text_of_powershell(tmp_path):
    (tmp_path / "a.txt").write_text("lib.py:7: in add\n    x\nE   KeyError: 1", "utf-16")
    (found,) = read_failures(tmp_path / "a.txt")
    assert found.failure.signature == ("KeyError", "lib.py", "add")
