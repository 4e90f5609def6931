"""Merged coverage of several runs equals the coverage of one run of all tests."""

import pytest

import flashwasm as fw
from coverage_data import index_of
from flashwasm.qe import CoverageIndex
from flashwasm.qe.coverage.coverage_matrix import CoverageMatrix
from small_project import run_pytest, write_project

ROWS = {
    "": {"lib.py": {1}},
    "a.py::test_one|run": {"lib.py": {1, 2, 5}},
    "a.py::test_one|setup": {"other.py": {7}},
    "b.py::test_two|run": {"lib.py": {2}, "other.py": {1, 7}},
    "b.py::test_three|run": {"other.py": {1}},
}


def saved(folder, name, rows, files=("lib.py", "other.py")):
    """Write an index of {context: {file: lines}} to a file, and return the path."""
    index_of(rows, files).save(folder / name)
    return folder / name


def searched(index):
    """Return everything that an index is searched by."""
    matrix = CoverageMatrix.of(index._data)  # noqa: SLF001 - no public door shows the columns.
    rows = [[row.tolist() for row in part] for part in (matrix.own, matrix.fixtures)]
    return index.files, matrix.tests, matrix.starts.tolist(), matrix.lines.tolist(), rows


def test_disjoint_and_overlapping_parts_become_the_whole(tmp_path):
    one, two, three = list(ROWS)[:3], list(ROWS)[2:], ["b.py::test_two|run"]
    paths = [
        saved(tmp_path, f"{i}.fw", {context: ROWS[context] for context in contexts}, files)
        for i, (contexts, files) in enumerate(
            [
                (one, ("other.py", "lib.py")),
                (two, ("lib.py", "other.py")),
                (three, ("lib.py", "other.py")),
            ]
        )
    ]
    assert searched(CoverageIndex.merge(paths)) == searched(index_of(ROWS))


def test_a_test_that_ran_twice_has_the_lines_of_both_runs(tmp_path):
    paths = [
        saved(tmp_path, f"{i}.fw", {"a.py::test_one": {"lib.py": lines}})
        for i, lines in enumerate([{1, 2}, {2, 9}])
    ]
    assert CoverageIndex.merge(paths).who("lib.py", range(99)) == {"a.py::test_one": [1, 2, 9]}


def test_shards_of_a_real_suite_equal_the_whole_run(tmp_path):
    """The tests are dealt out by node id, as pytest-split does, and one file runs in both."""
    write_project(tmp_path)
    dealt = [
        ["tests/test_limits.py::test_small", "tests/test_text.py", "tests/web"],
        ["tests/test_limits.py", "tests/test_orders.py", "tests/test_text.py"],
    ]
    for i, names in enumerate(dealt):
        done = run_pytest(tmp_path, "-q", "--fw-record", f"{i}.db", *names)
        assert done.returncode == 0, done.stdout
    run_pytest(tmp_path, "-q", "--fw-record", "whole.db")
    merged = CoverageIndex.merge([tmp_path / "0.db", tmp_path / "1.db"])
    assert searched(merged) == searched(CoverageIndex.load(tmp_path / "whole.db"))
    merged.save(tmp_path / "merged.fw")
    loaded = CoverageIndex.load(tmp_path / "merged.fw")
    assert loaded.changes() == []
    (tmp_path / "1.db").unlink()
    assert loaded.changes() == [str(tmp_path / "1.db")]


def test_parts_without_tests_are_refused(tmp_path):
    empty = saved(tmp_path, "empty.fw", {"": {"lib.py": {1}}})
    with pytest.raises(fw.ShapeError, match=r"empty\.fw.* have no test contexts"):
        CoverageIndex.merge([empty, empty])
    assert CoverageIndex.merge([empty, saved(tmp_path, "x.fw", ROWS)]).tests == index_of(ROWS).tests
