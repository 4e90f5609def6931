"""Logs of pytest-reportlog, written here by pytest's own serialisation of its reports."""

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
        self.file = open(config.option.tbstyle + ".jsonl", "w")
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


# One interpreter runs pytest once for each style.
RUN = """
import pytest, sys
for style in sys.argv[1:]:
    options = ["-p", "no:cacheprovider", "--continue-on-collection-errors"]
    pytest.main([*options, "--rootdir=.", f"--tb={style}"])
"""


@pytest.fixture(scope="module")
def logs(tmp_path_factory):
    """Return a folder with a log for each style of traceback."""
    folder = tmp_path_factory.mktemp("logs")
    for name, text in FILES.items():
        (folder / name).write_text(text)
    subprocess.run(
        [sys.executable, "-c", RUN, "long", "short", "line", "native"],
        cwd=folder,
        check=True,
        capture_output=True,
    )
    return folder


@pytest.mark.parametrize("style", ["long", "short"])
def test_failures_and_times_are_read(logs, style):
    log = logs / f"{style}.jsonl"
    found = {one.test: one.failure for one in read_failures(log)}
    assert {test: failure.signature for test, failure in found.items()} == FRAMES
    assert found["test_x.py::test_chain[0]"].causes == ("ZeroDivisionError",)
    assert set(read_times(log)) == {
        f"test_x.py::test_{name}" for name in ("inner", "chain", "fixture", "good", "skipped")
    }


@pytest.mark.parametrize("style", ["line", "native"])
def test_styles_without_functions_still_give_exception_and_file(logs, style):
    found = {one.test: one.failure.signature for one in read_failures(logs / f"{style}.jsonl")}
    assert found.keys() == FRAMES.keys()
    assert [found[test][0] for test in FRAMES] == [FRAMES[test][0] for test in FRAMES]
    assert found["test_x.py::test_inner"][1].endswith("lib.py")


def test_commands_read_the_log(logs, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    log, invoke = logs / "long.jsonl", CliRunner().invoke
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
def test_a_damaged_log_is_refused(tmp_path, line):
    path = tmp_path / "log"
    path.write_text('{"pytest_version": "9", "$report_type": "SessionStart"}\n' + line)
    with pytest.raises(fw.CorruptFileError, match="is not a whole report log: line 2"):
        read_failures(path)


def test_utf_16_text_of_powershell_is_read(tmp_path):
    (tmp_path / "a.txt").write_text("lib.py:7: in add\n    x\nE   KeyError: 1", "utf-16")
    (found,) = read_failures(tmp_path / "a.txt")
    assert found.failure.signature == ("KeyError", "lib.py", "add")


@pytest.mark.parametrize("key", ["$report_type", "_report_type"])
def test_subtests_are_failures_but_take_no_time_of_their_own(tmp_path, key):
    call = {"nodeid": "test_x.py::test_a", "when": "call", "duration": 0.5}
    bad = {"outcome": "failed", "longrepr": "E   KeyError: 1", key: "SubTestReport"}
    reports = [
        {"pytest_version": "9", "$report_type": "SessionStart"},
        call | {"outcome": "passed", "when": "setup", "$report_type": "TestReport"},
        call | bad,
        call | bad,
        call | {"outcome": "passed", "$report_type": "TestReport"},
    ]
    log = tmp_path / "log"
    log.write_text("\n".join(map(json.dumps, reports)))
    assert [one.failure.exception for one in read_failures(log)] == ["KeyError"] * 2
    assert read_times(log) == {"test_x.py::test_a": 1.0}
