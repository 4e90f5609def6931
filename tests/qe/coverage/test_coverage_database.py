"""Databases of coverage.py: those that it wrote itself, and those that are refused."""

import sqlite3
import subprocess
import sys
import tracemalloc
from contextlib import closing

import pytest

import flashwasm as fw
from coverage_data import LIBRARY
from flashwasm.qe import CoverageIndex
from flashwasm.qe.coverage.coverage_database import MOST_LINES


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


ENDLESS = """
drop table line_bits;
create view line_bits as with recursive t(file_id, context_id, numbits) as
    (select 1, 2, x'06' union all select 1, 2, x'06' from t) select * from t
"""


@pytest.mark.parametrize(
    ("edit", "message"),
    [
        ("update file set path = null", "has the name None; expected text"),
        ("update file set path = char(0)", "expected text"),
        ("update context set context = null", "expected text"),
        ("update context set context = x'00' where id = 1", "expected text"),
        ("update context set context = cast(x'ff' as text) where id = 1", "decode"),
        ("update line_bits set numbits = null", "damaged"),
        ("update line_bits set numbits = zeroblob(3000000)", "24000000 lines; expected at most"),
        ("insert into arc values (1, 2, 1099511627776, 3)", "from line 1099511627776 to 3"),
        ("insert into arc values (1, 2, 3, 4611686018427387904)", "expected integers of at most"),
        ("insert into arc values (1, 2, 1.5, 'x')", "expected integers"),
        (ENDLESS, "it contains the view 'line_bits'; expected plain tables"),
        ("create view more as select 1", "expected plain tables"),
        ("alter table line_bits add column x as (zeroblob(1000000000))", "computes a column"),
        ("create virtual table x using fts5(y)", "virtual table 'x'"),
    ],
)
def test_databases_with_foreign_values_are_refused(database, edit, message):
    with closing(sqlite3.connect(database)) as connection:
        connection.executescript(edit)
    with pytest.raises(fw.CorruptFileError, match=message) as caught:
        CoverageIndex.load(database)
    assert str(database) in str(caught.value)


def test_pages_that_are_used_again_and_again_are_refused(database):
    """Each page of a tree that names the same page below it twice doubles the number of rows."""
    with closing(sqlite3.connect(database)) as connection, connection:
        rows = [(1, 2, i, i + 1) for i in range(1, 20_000)]
        connection.executemany("insert into arc values (?, ?, ?, ?)", rows)
        query = "select rootpage from sqlite_master where name = 'arc'"
        (root,) = connection.execute(query).fetchone()
        (size,) = connection.execute("pragma page_size").fetchone()
    content = bytearray(database.read_bytes())
    page = (root - 1) * size
    assert content[page] == 5  # An inner page of a table: its cells begin with numbers of pages.
    first, second = (int.from_bytes(content[page + i : page + i + 2], "big") for i in (12, 14))
    content[page + second : page + second + 4] = content[page + first : page + first + 4]
    database.write_bytes(content)
    with pytest.raises(fw.CorruptFileError, match="it is damaged"):
        CoverageIndex.load(database)


def test_a_far_line_takes_no_more_memory_than_a_near_one(database):
    with closing(sqlite3.connect(database)) as connection, connection:
        connection.execute("insert into arc values (1, 2, -1, ?)", [MOST_LINES])
    tracemalloc.start()
    index = CoverageIndex.load(database)
    assert tracemalloc.get_traced_memory()[1] < 8 << 20
    tracemalloc.stop()
    assert MOST_LINES in set().union(*index.lines_outside_tests("lib.py"), index.tested("lib.py"))


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
    subprocess.run(command, check=True, cwd=folder, capture_output=True)
    index = CoverageIndex.load(".coverage")
    assert index.who("lib.py", [2]) == {"test_lib.test_small": [2]}


def test_tests_with_other_branches_are_not_grouped(folder):
    coverage = pytest.importorskip("coverage")
    skipped, entered = [(-1, 2), (2, 5), (5, -1)], [(-1, 2), (2, 2), (2, 5), (5, -1)]
    data = coverage.CoverageData(str(folder / ".coverage"))
    for test, jumps in {"a": skipped, "b": entered, "c": skipped, "d": entered}.items():
        data.set_context(f"t.py::{test}|run")
        data.add_arcs({"lib.py": jumps})
    data.write()
    data.close()
    index = CoverageIndex.load(".coverage")
    index.save("coverage.fw")
    groups = [["t.py::a", "t.py::c"], ["t.py::b", "t.py::d"]]
    for again in (index, CoverageIndex.load("coverage.fw"), CoverageIndex.merge(["coverage.fw"])):
        assert again.identical() == groups
        assert again.who("lib.py", [5]).keys() == {"t.py::a", "t.py::b", "t.py::c", "t.py::d"}
