"""Databases of coverage.py: those that it wrote itself, and those that are refused."""

import os
import sqlite3
import subprocess
import sys

import pytest

import flashwasm as fw
from coverage_data import LIBRARY
from flashwasm.qe import CoverageIndex


def test_a_database_that_coverage_wrote_is_read(database):
    index = CoverageIndex.load(database)
    assert index.tests == [f"t.py::test_{n}" for n in ("box", "sign", "sign_again", "small")]
    assert index.who("lib.py", range(20)) == {
        "t.py::test_box": [14, 15],
        "t.py::test_sign": [6, 7],
        "t.py::test_sign_again": [6, 7],
        "t.py::test_small": [2],
    }


def test_branches_are_read_as_lines(folder):
    coverage = pytest.importorskip("coverage")
    data = coverage.CoverageData(str(folder / ".coverage"))
    data.set_context("t.py::a|run")
    data.add_arcs({"lib.py": [(-1, 2), (2, 5), (5, -1)]})
    data.write()
    data.close()
    assert CoverageIndex.load(".coverage").who("lib.py", range(9)) == {"t.py::a": [2, 5]}


def test_databases_that_are_refused(database, folder):
    content = database.read_bytes()
    (folder / "truncated").write_bytes(content[: len(content) // 2])
    (folder / "foreign").write_bytes(b"no database" * 100)
    with sqlite3.connect(folder / "other") as other:
        other.execute("create table x (y)")
    other.close()
    (folder / "later").write_bytes(content)
    with sqlite3.connect(folder / "later") as later:
        later.execute("update coverage_schema set version = 99")
    later.close()
    (folder / "damaged").write_bytes(content)
    with sqlite3.connect(folder / "damaged") as damaged:
        damaged.execute("update line_bits set file_id = 99")
    damaged.close()
    for name in ("truncated", "foreign", "other", "later", "damaged"):
        with pytest.raises(
            fw.CorruptFileError, match=rf"{name}.* database|{name}: the schema is version 99"
        ):
            CoverageIndex.load(name)
    with pytest.raises(fw.ShapeError, match="does not exist"):
        CoverageIndex.load("no")


def test_a_locked_database_is_no_broken_one(database, monkeypatch):
    connect = sqlite3.connect
    # SQLite would wait for five seconds.
    monkeypatch.setattr(sqlite3, "connect", lambda *a, **k: connect(*a, **{**k, "timeout": 0.1}))
    writer = connect(database, isolation_level=None)
    writer.execute("begin exclusive")
    with pytest.raises(fw.DeadlineExceeded, match=r"\.coverage is locked: another program writes"):
        CoverageIndex.load(database)
    writer.execute("rollback")
    writer.close()
    assert CoverageIndex.load(database).tests


def test_a_database_without_contexts_is_refused(folder):
    coverage = pytest.importorskip("coverage")
    data = coverage.CoverageData(str(folder / ".coverage"))
    data.add_lines({"lib.py": [1]})
    data.write()
    data.close()
    with pytest.raises(
        fw.ShapeError, match="no test contexts; record it with: pytest --fw-record DB"
    ):
        CoverageIndex.load(".coverage")


def test_the_database_of_a_real_run_is_read(folder):
    pytest.importorskip("coverage")
    (folder / "lib.py").write_text(LIBRARY)
    (folder / "test_lib.py").write_text(
        "import lib\ndef test_small(): assert lib.small(1)\ndef test_sign(): assert lib.sign(1)\n"
    )
    (folder / ".coveragerc").write_text("[run]\ndynamic_context = test_function\n")
    command = [sys.executable, "-m", "coverage", "run", "--source=.", "-m", "pytest", "-q"]
    environment = os.environ | {"PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"}
    subprocess.run(command, check=True, cwd=folder, env=environment, capture_output=True)
    index = CoverageIndex.load(".coverage")
    assert index.who("lib.py", [2]) == {"test_lib.test_small": [2]}
