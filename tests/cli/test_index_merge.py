"""The command ``flashwasm index merge``: each kind of file, and files that cannot be merged."""

import json

import numpy as np
import pytest
from click.testing import CliRunner

from coverage_data import index_of
from flashwasm.cli import main
from flashwasm.qe import SuiteIndex
from small_suite import FILES

FAILED = "{}:7: in parse\n    x()\nE   ValueError: bad\n"


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    """Write the small suite to a folder, and work there."""
    monkeypatch.setenv("FLASHWASM_DATA", str(tmp_path / "data"))
    monkeypatch.setenv("FLASHWASM_CACHE", str(tmp_path / "cache"))
    monkeypatch.chdir(tmp_path)
    for name, source in {**FILES, "pytest.ini": ""}.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(source)
    return tmp_path


def run(*arguments, status=0):
    done = CliRunner().invoke(main, [str(argument) for argument in arguments])
    assert done.exit_code == status, done.output
    return done.output


def test_suites_of_two_jobs_become_one():
    for path, out in (
        ("sub", "1.fw"),
        ("test_graph.py", "2.fw"),
        ("test_same.py", "3.fw"),
        (".", "0.fw"),
    ):
        run("index", "build", "suite", path, "-o", out)
    assert "9 tests are in whole.fw" in run("index", "merge", "whole.fw", "1.fw", "2.fw", "3.fw")
    asked = ["--query", "test_path", "--json"]
    found = [json.loads(run("similar", file, *asked)) for file in ("whole.fw", "0.fw")]
    assert found[0]["matches"] == found[1]["matches"]
    # The target may be one of the files.
    report = json.loads(run("index", "merge", "1.fw", "1.fw", "2.fw", "--json"))
    assert report["tests"] == len(SuiteIndex.load("1.fw").tests) == 7


def test_coverage_and_failures_of_two_jobs_become_one(folder):
    for i, name in enumerate(["test_one", "test_two"]):
        index_of({f"test_same.py::{name}": {"lib.py": {1, i + 2}}}).save(folder / f"{i}.fw")
        (folder / f"{i}.log").write_text(FAILED.format("lib.py"))
        run("index", "build", "failures", f"{i}.log", "-o", f"{i}.db")
    assert "2 tests are in all.fw" in run("index", "merge", "all.fw", "0.fw", "1.fw")
    assert "test_two" in run("coverage", "who", "lib.py:3", "--coverage", "all.fw")
    assert "1 defect is in all.db" in run("index", "merge", "all.db", "0.db", "1.db")
    run("index", "build", "suite", "sub", "-o", "sub.fw", "--coverage", "0.fw")
    run("index", "build", "suite", "test_same.py", "-o", "same.fw", "--coverage", "1.fw")
    output = run("index", "merge", "x.fw", "sub.fw", "same.fw", status=2)
    assert "sub.fw contains coverage" in output
    assert "(--coverage)" in output
    run("index", "merge", "x.fw", "sub.fw", "same.fw", "--coverage", "all.fw")
    assert "coverage" in run("index", "info", "x.fw")


@pytest.fixture(params=["suite", "coverage", "failures"])
def parts(request, folder):
    """Write the index files of two jobs, which have nothing in common; return their names."""
    for i in (1, 2):
        if request.param == "suite":
            (folder / f"test_{i}.py").write_text(f"def test_{i}(): assert {i}\n")
            run("index", "build", "suite", f"test_{i}.py", "-o", f"{i}.fw")
        elif request.param == "coverage":
            index_of({f"a.py::test_{i}": {"lib.py": {i}}}).save(folder / f"{i}.fw")
        else:
            (folder / f"{i}.log").write_text(FAILED.format("lib.py").replace("bad", "bad" * i))
            run("defects", "learn", f"{i}.log", "--library", f"{i}.fw", "--name", f"defect {i}")
    return ["1.fw", "2.fw"]


def test_the_first_of_the_inputs_is_not_lost_if_the_target_is_forgotten(parts, folder):
    before = (folder / "1.fw").read_bytes()
    output = run("index", "merge", *parts, status=2)
    assert "OUT, 1.fw, exists, and 1 of its 1 " in output
    assert "give -o OUT" in output
    assert (folder / "1.fw").read_bytes() == before
    # With -o, a file may be replaced whatever is in it.
    run("index", "merge", "-o", "1.fw", "2.fw")
    assert (folder / "1.fw").read_bytes() != before


def test_a_second_run_of_ci_replaces_the_target(parts, folder):
    run("index", "merge", "-o", "all.fw", *parts)
    first = (folder / "all.fw").read_bytes()
    run("index", "merge", "all.fw", *parts)
    assert (folder / "all.fw").read_bytes() == first
    # One of two tests or defects was removed meanwhile.
    run("index", "merge", "all.fw", "2.fw")
    run("index", "merge", "all.fw", "1.fw", status=2)
    run("index", "merge", "all.fw", "all.fw", "1.fw")


def test_a_target_that_is_no_index_of_this_kind_is_not_replaced(parts, folder):
    np.save("rows.npy", np.ones((2, 3), np.float32))
    run("index", "build", "vectors", "rows.npy", "-o", "vectors.fw")
    assert "is a flat-index; give -o" in run("index", "merge", "vectors.fw", *parts, status=2)
    (folder / "note.txt").write_text("a note")
    assert "is no index file; give -o" in run("index", "merge", "note.txt", *parts, status=2)
    assert (folder / "note.txt").read_text() == "a note"


def test_files_that_do_not_fit_together_end_with_one_line(folder):
    run("index", "build", "suite", "sub", "-o", "sub.fw")
    index_of({"a.py::test": {"lib.py": {1}}}).save(folder / "coverage.fw")
    np.save("rows.npy", np.ones((2, 3), np.float32))
    run("index", "build", "vectors", "rows.npy", "-o", "vectors.fw")
    refused = {
        ("sub.fw", "coverage.fw"): "sub.fw is a suite-index, and coverage.fw a coverage-index",
        ("vectors.fw",): "vectors.fw is a flat-index; expected suites, coverage or failures",
        ("sub/test_path.py",): "is neither a file of flashwasm nor a database",
        ("coverage.fw", "--coverage", "coverage.fw"): "--coverage applies to suite files only",
        ("absent.fw",): "absent.fw",
        (): "Missing argument 'FILES...'",
    }
    for files, message in refused.items():
        output = run("index", "merge", "out.fw", *files, status=2)
        assert message in output, output
        assert "Traceback" not in output
    assert not (folder / "out.fw").exists()
