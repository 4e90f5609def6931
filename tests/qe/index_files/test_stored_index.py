"""The parts of an index file: stored contents are read back, and contradictions are refused."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import flashwasm as fw
from flashwasm.qe import CoverageIndex, SuiteIndex
from flashwasm.qe.coverage.coverage_database import CoverageData
from flashwasm.qe.index_files.stored_index import (
    COVERAGE_KIND,
    SUITE_KIND,
    StoredIndex,
    is_index,
    json_section,
    row_sections,
)
from flashwasm.storage.file_format import Container
from flashwasm.storage.file_reading import read_container
from flashwasm.storage.file_writing import write_container

WIDTH = 50


def stored(path, **sections):
    write_container(path, Container(SUITE_KIND, sections=sections))
    return StoredIndex(path, SUITE_KIND)


@given(st.lists(st.sets(st.integers(0, WIDTH - 1)).map(sorted)))
def test_rows_come_back(tmp_path_factory, rows):
    arrays = [np.array(row, np.int64) for row in rows]
    path = tmp_path_factory.mktemp("rows") / "file"
    found = stored(path, **row_sections("lines", arrays)).rows("lines", len(rows), WIDTH)
    assert [row.tolist() for row in found] == rows


@pytest.mark.parametrize(
    ("values", "ends", "message"),
    [
        ([1, 2], [1, 3], "do not end where they should"),
        ([1, 2], [2, 1], "do not end where they should"),
        ([2, 1], [0, 2], "is not in order"),
        ([1, 1], [0, 2], "is not in order"),
        ([-1, 1], [0, 2], "is out of range"),
        ([1, WIDTH], [0, 2], "is out of range"),
    ],
)
def test_rows_that_contradict_each_other_are_refused(tmp_path, values, ends, message):
    sections = {"lines": np.array(values, np.int64), "lines.ends": np.array(ends, np.int64)}
    file = stored(tmp_path / "file", **sections)
    with pytest.raises(fw.CorruptFileError, match=message):
        file.rows("lines", 2, WIDTH)


def test_documents_come_back(tmp_path):
    # A name of a file in Latin-1, as Python reads it under UTF-8.
    document = {"path": b"test_\xe4.py".decode("utf-8", "surrogateescape"), "lines": [1, 2]}
    file = stored(tmp_path / "file", suite=json_section(document), text=np.zeros(3, np.uint8))
    assert file.document("suite") == document
    assert file.has("suite")
    assert not file.has("lines")
    with pytest.raises(fw.CorruptFileError, match="section 'text' cannot be read"):
        file.document("text")


@pytest.mark.parametrize(
    ("method", "value", "message"),
    [
        ("strings", "ab", "x is not a list of strings"),
        ("strings", ["a", 1], "x is not a list of strings"),
        ("pairs", {"a": "b"}, "x is not a list"),
        ("pairs", [["a", "b", "c"]], "x is not a list of pairs"),
    ],
)
def test_values_of_another_form_are_refused(tmp_path, method, value, message):
    file = stored(tmp_path / "file")
    with pytest.raises(fw.CorruptFileError, match=message):
        getattr(file, method)("x", value)


def test_numbers_that_are_not_finite_are_refused(tmp_path):
    file = stored(tmp_path / "file", idf=np.float32([1, np.nan]))
    with pytest.raises(fw.CorruptFileError, match="a number that is not finite"):
        file.floats("idf", (2,))


def test_a_file_of_another_kind_is_refused(tmp_path):
    path = tmp_path / "file"
    assert not is_index(path)
    stored(path)
    assert is_index(path)
    with pytest.raises(fw.CorruptFileError):
        StoredIndex(path, COVERAGE_KIND)
    path.write_bytes(b"no index")
    assert not is_index(path)


def test_a_suite_index_takes_no_memory_that_its_file_only_states(tmp_path):
    """The number of columns of coverage stands in the file, which may state any."""
    (tmp_path / "test_x.py").write_text("def test_a(): assert 1\ndef test_b(): assert 2\n")
    lines = {(0, i): np.array([1, 2 + i]) for i in range(2)}
    contexts = ["test_x.py::test_a", "test_x.py::test_b"]
    coverage = CoverageIndex(CoverageData(["lib.py"], contexts, lines))
    options = {"scorers": ["structure"], "adapted": False, "cache": False}
    index = SuiteIndex.build(tmp_path, coverage=coverage, **options)
    path = tmp_path / "suite.fw"
    index.save(path)
    content = read_container(path, SUITE_KIND)
    assert content.parameters["width"] == 3
    write_container(path, replace(content, parameters=content.parameters | {"width": 2**62}))
    read = SuiteIndex.load(path, adapted=False)
    assert read.similar("test_a") == index.similar("test_a")


@pytest.mark.parametrize("scorers", [[], ["x"], ["coverage", "x"]])
def test_a_suite_index_with_unknown_scorers_is_refused(tmp_path, scorers):
    (tmp_path / "test_x.py").write_text("def test_a(): assert 1\n")
    options = {"scorers": ["structure"], "adapted": False, "cache": False}
    path = tmp_path / "suite.fw"
    SuiteIndex.build(tmp_path, **options).save(path)
    content = read_container(path, SUITE_KIND)
    write_container(path, replace(content, parameters=content.parameters | {"scorers": scorers}))
    with pytest.raises(fw.CorruptFileError, match="scorers is"):
        SuiteIndex.load(path)
