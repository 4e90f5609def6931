"""The options ``--workers`` and ``--cluster``: what a command prints is the same with them."""

import json
import sys

import pytest
from click.testing import CliRunner

import tiny_bert
from flashwasm.cli import main
from small_suite import FILES


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    """Write the small suite and a model to a folder, and work there."""
    monkeypatch.setenv("FLASHWASM_DATA", str(tmp_path / "data"))
    monkeypatch.setenv("FLASHWASM_CACHE", str(tmp_path / "cache"))
    monkeypatch.chdir(tmp_path)
    for name, source in FILES.items():
        (tmp_path / "suite" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "suite" / name).write_text(source)
    tiny_bert.write(tmp_path / "model")
    return tmp_path


def run(*arguments, status=0):
    done = CliRunner().invoke(main, [str(argument) for argument in arguments])
    assert done.exit_code == status, done.output
    return done.output if status else done.stdout


def test_two_workers_print_what_none_prints(folder):
    texts = ["add an edge", "remove a node", "--model", "model", "--json"]
    assert json.loads(run("embed", *texts, "--workers", 2)) == json.loads(run("embed", *texts))
    asked = ["suite", "-q", "add an edge", "--model", "model", "--no-cache", "--json"]
    spread, alone = (run("similar", *asked, *more) for more in (["--workers", "2"], []))
    assert json.loads(spread)["matches"] == json.loads(alone)["matches"]
    build = ["index", "build", "suite", "suite", "--model", "model", "--no-cache", "-o"]
    run(*build, "spread.fw", "--workers", 1)
    run(*build, "alone.fw")
    assert (folder / "spread.fw").read_bytes() == (folder / "alone.fw").read_bytes()


def test_without_a_model_workers_change_nothing():
    asked = ["suite", "-q", "add an edge", "--json"]
    found = [json.loads(run("similar", *asked, *more)) for more in ([], ["--workers", "2"])]
    assert found[0] == found[1]


def test_a_cluster_that_cannot_be_used_ends_with_one_line(monkeypatch):
    text = ["embed", "text", "--model", "model", "--cluster"]
    assert "exclude each other" in run(*text, "tcp://x:1", "--workers", 2, status=2)
    monkeypatch.setitem(sys.modules, "dask.distributed", None)
    output = run(*text, "tcp://127.0.0.1:1", status=2)
    assert 'pip install "flashwasm[dask]"' in output
    assert "Traceback" not in output


def test_a_cluster_prints_what_none_prints(monkeypatch):
    distributed = pytest.importorskip("dask.distributed")
    monkeypatch.setattr("flashwasm.distributed.dask_cluster._PATIENCE", 1)
    output = run("embed", "text", "--model", "model", "--cluster", "tcp://127.0.0.1:1", status=2)
    assert "no dask scheduler answers" in output
    texts = ["embed", "add an edge", "remove a node", "--model", "model"]
    # The worker is a thread of this process: tests/distributed has a cluster of processes.
    options = {"processes": False, "protocol": "tcp://", "dashboard_address": ":0"}
    with distributed.LocalCluster(n_workers=1, **options) as cluster:
        assert run(*texts, "--cluster", cluster.scheduler_address) == run(*texts)
