"""Coverage databases: who runs what, which tests are near, what is not run at all."""

import json
import os
import re
import sqlite3
import subprocess
import sys

import numpy as np
import pytest
from click.testing import CliRunner

import flashwasm as fw
from flashwasm.cli import main
from flashwasm.cli.line_ranges import format_lines
from flashwasm.qe import CoverageIndex
from flashwasm.qe.coverage.coverage_database import CoverageData
from flashwasm.qe.coverage.gaps import find_gaps

LIBRARY = """\
def small(x):
    return x < 10

def sign(x):
    '''Say which.'''
    if x < 0:
        return -1
    for _ in range(2):
        x += 1
    return 1

class Box:
    def fill(self, things):
        try:
            self.things = list(things)
        except TypeError:
            raise ValueError(
                "nothing"
            )
"""


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


def index_of(rows, files=("lib.py", "other.py")):
    """Return an index of {context: {file: lines}}."""
    lines = {
        (files.index(file), i): np.array(sorted(numbers))
        for i, row in enumerate(rows.values())
        for file, numbers in row.items()
    }
    return CoverageIndex(CoverageData(list(files), list(rows), lines))


ROWS = {
    "": {"lib.py": [1, 4, 12]},
    "t.py::a|setup": {"lib.py": [15]},
    "t.py::a|run": {"lib.py": [2], "other.py": [1, 2, 3]},
    "t.py::b[x|y]|run": {"lib.py": [2], "other.py": [1, 2, 3]},
    "t.py::c|run": {"lib.py": [6, 7], "other.py": [3]},
    "t.py::d|run": {"lib.py": [6]},
    "t.py::e|run": {},
}


def test_who():
    index = index_of(ROWS)
    assert index.tests == ["t.py::a", "t.py::b[x|y]", "t.py::c", "t.py::d", "t.py::e"]
    assert index.who("lib.py", [2, 99, 0]) == {"t.py::a": [2], "t.py::b[x|y]": [2]}
    assert list(index.who("./lib.py", [6, 7])) == ["t.py::c", "t.py::d"]
    assert index.who("src/lib.py", [15]) == {"t.py::a": [15]}  # Its fixture.
    assert index.who("lib.py", [1]) == {}  # What ran outside tests.
    assert index.tested("lib.py") == {2, 6, 7, 15}
    assert index.lines_of("t.py::c") == [("lib.py", 6), ("lib.py", 7), ("other.py", 3)]


def test_nearest_is_the_cosine():
    index = index_of(ROWS)
    near = index.nearest("t.py::c")
    assert [m.nodeid for m in near] == ["t.py::d", "t.py::a", "t.py::b[x|y]"]
    assert [m.score for m in near] == pytest.approx([3**-0.5, 12**-0.5, 12**-0.5])
    assert [m.shared for m in near] == [1, 1, 1]
    assert index.nearest("a", 1)[0].score == pytest.approx(1)
    assert index.nearest("e") == []


def test_nearest_agrees_with_a_matrix():
    rng = np.random.default_rng(0)
    matrix = rng.random((30, 50)) < 0.2
    matrix[7] = matrix[3]
    matrix[9] = False
    rows = {f"t.py::{i:02}|run": {"lib.py": np.flatnonzero(r) + 1} for i, r in enumerate(matrix)}
    index = index_of(rows, files=("lib.py",))
    lengths = np.sqrt(matrix.sum(axis=1))
    with np.errstate(invalid="ignore"):
        cosines = np.nan_to_num((matrix * 1.0 @ matrix.T) / np.outer(lengths, lengths))
    for i in range(30):
        found = {m.nodeid: m.score for m in index.nearest(f"t.py::{i:02}", 100)}
        expected = {f"t.py::{j:02}": c for j, c in enumerate(cosines[i]) if c > 0 and j != i}
        assert found == pytest.approx(expected)


def test_identical_rows():
    index = index_of(ROWS)
    assert index.identical() == [["t.py::a", "t.py::b[x|y]"]]
    assert index.identical(without=["other.py"]) == [["t.py::a", "t.py::b[x|y]"]]
    alike = {"t.py::a": {"lib.py": [1], "t.py": [5]}, "t.py::b": {"lib.py": [1], "t.py": [9]}}
    index = index_of(alike, files=("lib.py", "t.py"))
    assert index.identical() == []
    assert index.identical(without=["t.py"]) == [["t.py::a", "t.py::b"]]


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda i: i.who("no.py", [1]), "no file 'no.py'"),
        (lambda i: i.nearest("no"), "no test 'no'"),
        (lambda i: i.nearest("a", 0), "k: expected at least 1"),
    ],
)
def test_what_is_not_there(call, message):
    with pytest.raises(fw.ShapeError, match=message):
        call(index_of(ROWS))


def test_names_that_several_have():
    rows = {"a/t.py::x": {"a/lib.py": [1]}, "b/t.py::x": {"b/lib.py": [1]}}
    index = index_of(rows, files=("a/lib.py", "b/lib.py"))
    with pytest.raises(fw.ShapeError, match=r"'x' may be a/t\.py::x, b/t\.py::x"):
        index.nearest("x")
    with pytest.raises(fw.ShapeError, match=r"'lib\.py' may be a/lib\.py, b/lib\.py"):
        index.who("lib.py", [1])


# Databases.


@pytest.fixture
def database(folder):
    """Return a database that coverage.py itself wrote, with contexts as pytest-cov names them."""
    coverage = pytest.importorskip("coverage")
    data = coverage.CoverageData(str(folder / ".coverage"))
    for context, lines in {
        "": [1, 4, 12, 13],
        "t.py::test_small|run": [2],
        "t.py::test_sign|run": [6, 7],
        "t.py::test_sign_again|run": [6, 7],
        "t.py::test_box|setup": [14],
        "t.py::test_box|run": [14, 15],
    }.items():
        data.set_context(context)
        data.add_lines({str(folder / "lib.py"): lines})
    data.write()
    data.close()
    (folder / "lib.py").write_text(LIBRARY)
    return folder / ".coverage"


def test_what_coverage_wrote(database):
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
        with pytest.raises(fw.CorruptFileError, match=r"database|schema is version 99"):
            CoverageIndex.load(name)
    with pytest.raises(fw.ShapeError, match="does not exist"):
        CoverageIndex.load("no")


def test_a_database_without_contexts(folder):
    coverage = pytest.importorskip("coverage")
    data = coverage.CoverageData(str(folder / ".coverage"))
    data.add_lines({"lib.py": [1]})
    data.write()
    data.close()
    with pytest.raises(fw.ShapeError, match="no test contexts; record it with: pytest --cov"):
        CoverageIndex.load(".coverage")


# Gaps.


def test_gaps(database, folder):
    index = CoverageIndex.load(database)
    gaps, absent = find_gaps(index, folder)
    assert absent == []
    assert {gap.function: gap.lines for gap in gaps} == {
        "sign": [8, 9, 10],
        "Box.fill": [17],
    }
    first = gaps[0]
    assert first.function == "sign"
    assert first.nearest_test == "t.py::test_sign"
    assert first.components == pytest.approx({"uncovered": 3 / 5, "size": np.log(4), "branches": 2})
    assert first.risk == pytest.approx(3 / 5 * np.log(4) * 2)
    # A diff's lines: the statement of line 17 goes on to line 19.
    (only,), _ = find_gaps(index, folder, only={"lib.py": [18]})
    assert only.lines == [17]
    assert find_gaps(index, folder, only={"lib.py": [2], "new.py": [1]}) == ([], [])
    (folder / "lib.py").unlink()
    assert find_gaps(index, folder) == ([], [str(folder / "lib.py")])


def test_a_function_that_nothing_runs_has_its_neighbour_to_extend(folder):
    (folder / "lib.py").write_text(LIBRARY)
    rows = {"t.py::small": {"lib.py": [2]}, "t.py::box": {"lib.py": [14, 15]}}
    gaps, _ = find_gaps(index_of(rows, files=("lib.py",)), folder)
    assert {gap.function: gap.nearest_test for gap in gaps}["sign"] == "t.py::small"


# The commands.


def invoke(*arguments):
    result = CliRunner().invoke(main, ["coverage", *map(str, arguments)])
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    return result


def test_commands(database):
    assert database
    assert invoke("who", "lib.py:1-2,6").stdout.splitlines() == [
        "6\tt.py::test_sign",
        "6\tt.py::test_sign_again",
        "2\tt.py::test_small",
    ]
    document = json.loads(invoke("who", "lib.py:14", "--json").stdout)
    assert document["tests"] == [{"nodeid": "t.py::test_box", "lines": [14]}]
    assert invoke("nearest", "test_sign").stdout == "1.000\t2\tt.py::test_sign_again\n"
    document = json.loads(invoke("nearest", "test_sign", "--json").stdout)
    assert document["matches"] == [{"nodeid": "t.py::test_sign_again", "score": 1.0, "shared": 2}]
    assert invoke("redundant").stdout.splitlines() == [
        "2 tests run the same lines",
        "    t.py::test_sign",
        "    t.py::test_sign_again",
    ]
    lines = invoke("gap").stdout.splitlines()
    assert lines[0].endswith("lib.py:8,9,10 in sign")
    assert lines[1].strip() == "uncovered 0.60, size 1.39, branches 2.00"
    assert lines[2].strip() == "extend: t.py::test_sign"
    document = json.loads(invoke("gap", "--json", "-k", "1").stdout)
    assert [gap["function"] for gap in document["gaps"]] == ["sign"]


def test_commands_explain(database):
    lib = CoverageIndex.load(database).files[0]
    lines = invoke("who", "lib.py:1-7", "--explain").stdout.splitlines()
    assert lines[:3] == ["t.py::test_sign", "    its own: 6-7", "    its fixtures: none"]
    document = json.loads(invoke("who", "lib.py:7", "--explain", "--json").stdout)
    assert document["tests"][0]["its_own"] == [7]
    assert invoke("nearest", "test_sign", "--explain").stdout.splitlines() == [
        "1.000  t.py::test_sign_again",
        f"    both run {lib}:6-7",
    ]
    document = json.loads(invoke("nearest", "test_sign", "--explain", "--json").stdout)
    assert document["matches"][0]["lines"] == {lib: [6, 7]}
    assert f"    all run {lib}:6-7" in invoke("redundant", "--explain").stdout.splitlines()
    document = json.loads(invoke("redundant", "--explain", "--json").stdout)
    assert document["lines"] == [{lib: [6, 7]}]
    assert invoke("gap", "--explain").stdout.splitlines()[3] == "    it runs: 6-7"


def test_fixtures_are_told_from_the_test(folder):
    index = index_of({"t.py::a|setup": {"lib.py": [1, 2]}, "t.py::a|run": {"lib.py": [2, 4]}})
    file = folder / "coverage.fw"
    index.save(file)
    found = invoke("who", "lib.py:1-4", "--explain", "--json", "--coverage", file)
    document = json.loads(found.stdout)
    (test,) = document["tests"]
    assert (test["its_own"], test["its_fixtures"]) == ([2, 4], [1])


@pytest.mark.parametrize(
    ("lines", "text"),
    [([], ""), ([3], "3"), ([1, 2], "1-2"), ([1, 2, 3, 9, 11, 12], "1-3,9,11-12")],
)
def test_ranges(lines, text):
    assert format_lines(lines) == text


@pytest.mark.parametrize(
    ("arguments", "status", "message"),
    [
        (["who", "lib.py:1"], 1, "no test runs lib.py:1"),
        (["who", "lib.py:1000000-99999999999999"], 1, "no test runs lib.py:1000000-9"),
        (["who", "lib.py"], 2, "is not FILE:LINES"),
        (["who", "lib.py:a"], 2, "is not FILE:LINES"),
        (["who", "lib.py:5-2"], 2, "is not FILE:LINES"),
        (["who", "no.py:1"], 2, "no file 'no.py'"),
        (["who", "lib.py:1", "--coverage", "lib.py"], 2, "not a whole coverage database"),
        (["who", "lib.py:1", "--coverage", "no"], 2, "does not exist"),
        (["nearest", "test_small"], 1, "no other test runs a line"),
        (["nearest", "test_no"], 2, "no test 'test_no'"),
        (["gap", "--diff", "no.diff"], 2, "no.diff|unidiff"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_nothing_found_and_bad_input(database, arguments, status, message):
    assert database
    result = invoke(*arguments)
    assert (result.exit_code, result.stdout) == (status, "")
    assert re.search(message, result.stderr)
    assert result.stderr.count("\n") == 1


def test_a_real_run(folder):
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
