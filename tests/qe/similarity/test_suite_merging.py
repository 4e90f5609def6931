"""Merged index files of parts of a suite equal that of the whole suite, or merging is refused."""

from pathlib import Path

import numpy as np
import pytest

import flashwasm as fw
import tiny_bert
from coverage_data import index_of
from flashwasm.qe import SuiteIndex
from flashwasm.storage.file_reading import read_container

FILES = {
    "pytest.ini": "[pytest]\npythonpath = tests\n",
    "tests/bases.py": "class TestBase:\n    def test_size(self): assert self.made.size\n"
    "    def test_name(self): assert self.made.name\n",
    # Classes that inherit from another file: their tests have node ids in several parts.
    "tests/a/test_early.py": "import bases\nfrom z import test_late\n"
    "def test_first(): assert 1\n"
    "class TestDerived(bases.TestBase):\n    def test_own(self): assert self.made.own\n"
    "class TestOther(test_late.TestLate): pass\n",
    "tests/a/sub/test_deep.py": "def test_deep(graph): assert graph.add_edge(1, 2)\n",
    "tests/a/test_broken.py": "def (",
    "tests/m/test_middle.py": "import bases\n"
    "class TestMiddle(bases.TestBase):\n    def test_node(self): assert graph.add_node(1)\n",
    "tests/z/__init__.py": "",
    "tests/z/test_late.py": "class TestLate:\n    def test_before(self): assert graph.remove(1)\n"
    "    def test_late(self): assert graph.remove_node(1)\n"
    "def test_last(): assert length(1) == 2\n",
    "tests/test_top.py": "def test_top(): assert graph.add_edge(3, 4)\n",
}
# Paths of parts: disjoint ones, ones that overlap, and single files in another order.
PARTS = {
    "folders": ["tests/a", "tests/m", "tests/z", "tests/test_top.py"],
    "overlapping": ["tests/z", "tests", "tests/a/sub"],
    "reversed": ["tests/test_top.py", "tests/z/test_late.py", "tests/m", "tests/a"],
}


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    """Write the suite to a folder, and work there."""
    monkeypatch.setenv("FLASHWASM_DATA", str(tmp_path / "data"))
    monkeypatch.setenv("FLASHWASM_CACHE", str(tmp_path / "cache"))
    monkeypatch.chdir(tmp_path)
    for name, source in FILES.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(source)
    tiny_bert.write(tmp_path / "model")
    return tmp_path


def built(path, out=None, **options):
    """Build the index of a path; write it to a file if one is named."""
    index = SuiteIndex.build(path, **{"model": "model", "cache": False, **options})
    if out is not None:
        index.save(out)
    return index


def parts(paths, **options):
    """Write an index file of each path, and return the files' names."""
    names = [f"{i}.fw" for i in range(len(paths))]
    for path, name in zip(paths, names, strict=True):
        built(path, name, **options)
    return names


@pytest.mark.parametrize("paths", PARTS.values(), ids=PARTS)
def test_the_parts_become_the_whole(paths, one_thread):
    whole = built("tests", "whole.fw", runtime=one_thread)
    merged = SuiteIndex.merge(parts(paths, runtime=one_thread), runtime=one_thread)
    merged.save("merged.fw")
    assert merged.tests == whole.tests
    assert merged.root == whole.root
    assert set(merged.skipped) == set(whole.skipped)
    # Every array that is searched has the same bytes.
    sections = [
        read_container(Path(name), "suite-index").sections for name in ("whole.fw", "merged.fw")
    ]
    assert sections[0].keys() == sections[1].keys()
    for name, array in sections[0].items():
        assert name in {"suite", "parameters"} or array.tobytes() == sections[1][name].tobytes()
    for test in whole.tests:
        assert merged.similar(test.nodeid, 99) == whole.similar(test.nodeid, 99)
    assert merged.similar("graph edges", 5) == whole.similar("graph edges", 5)
    assert merged.changes() == []
    # The tests that several parts inherit are there once, with all their node ids.
    base = next(test for test in merged.tests if test.name == "TestBase::test_size")
    assert [base.nodeid, *base.also] == [
        "tests/a/test_early.py::TestDerived::test_size",
        "tests/m/test_middle.py::TestMiddle::test_size",
    ]
    # The node id in the class that defines a test is its first, though another is met before.
    late = next(test for test in merged.tests if test.name == "TestLate::test_late")
    assert late.nodeid == "tests/z/test_late.py::TestLate::test_late"


def test_a_merged_file_can_be_merged_again(one_thread):
    first, second, third = parts(["tests/a", "tests/m", "tests/z"], runtime=one_thread)
    SuiteIndex.merge([third, first], runtime=one_thread).save("both.fw")
    again = SuiteIndex.merge(("both.fw", second, first), runtime=one_thread)
    assert again.tests == SuiteIndex.merge([first, second, third], runtime=one_thread).tests


def test_tests_are_neither_embedded_nor_parsed_again(folder, one_thread, monkeypatch):
    names = parts(["tests/a", "tests/z"], runtime=one_thread)
    monkeypatch.setattr(fw.SentenceEncoder, "encode", None)
    (folder / "tests").rename(folder / "elsewhere")
    (folder / "model").rename(folder / "no model")
    assert len(SuiteIndex.merge(names, runtime=one_thread).tests) == 8


def test_coverage_is_that_of_the_whole_suite(one_thread):
    lines = {
        "tests/test_top.py::test_top": {"lib.py": {1, 2}},
        "tests/z/test_late.py::test_last": {"lib.py": {2, 3}, "other.py": {1}},
    }
    halves = [index_of(dict([item])) for item in lines.items()]
    options = {"scorers": ["characters"], "model": None, "runtime": one_thread}
    built("tests/test_top.py", "0.fw", coverage=halves[0], **options)
    built("tests/z", "1.fw", coverage=halves[1], **options)
    with pytest.raises(fw.ShapeError, match=r"0\.fw contains coverage.*merge the coverage first"):
        SuiteIndex.merge(["0.fw", "1.fw"])
    # The parts without coverage have tests that run none of these lines.
    others = parts(["tests/a", "tests/m"], **options)
    for name, own in zip(("top.fw", "late.fw"), ("tests/test_top.py", "tests/z"), strict=True):
        built(own, name, coverage=index_of(lines), **options)
    paths = ["top.fw", "late.fw", *others]
    merged = SuiteIndex.merge(paths, coverage=index_of(lines), runtime=one_thread)
    whole = built("tests", coverage=index_of(lines), **options)
    assert merged.scorers == whole.scorers == ["characters", "coverage"]
    assert merged.similar("test_top", 99) == whole.similar("test_top", 99)
    # A single file keeps its coverage.
    assert SuiteIndex.merge(["top.fw"]).scorers == ["characters", "coverage"]


def test_parts_that_do_not_fit_together_are_refused(folder, one_thread):
    lexical = {"scorers": ["characters"], "model": None, "runtime": one_thread}
    built("tests/a", "a.fw", runtime=one_thread)
    built("tests/m", "lexical.fw", **lexical)
    with pytest.raises(fw.ShapeError, match=r"a\.fw compares by .*meaning, and lexical\.fw by cha"):
        SuiteIndex.merge(["a.fw", "lexical.fw"])
    tiny_bert.write(folder / "other", num_hidden_layers=1)
    built("tests/m", "other.fw", model="other", runtime=one_thread)
    with pytest.raises(fw.ShapeError, match=r"a\.fw and other\.fw were embedded by different mod"):
        SuiteIndex.merge(["a.fw", "other.fw"])
    with fw.Runtime(threads=1, variant="scalar") as scalar:
        built("tests/m", "scalar.fw", runtime=scalar)
    with pytest.raises(fw.ShapeError, match="by other kernels"):
        SuiteIndex.merge(["a.fw", "scalar.fw"])
    (folder / "tests" / "m" / "pytest.ini").write_text("")
    built("tests/m", "root.fw", **lexical)
    with pytest.raises(fw.ShapeError, match=r"root\.fw of the one in .*m; expected parts of one"):
        SuiteIndex.merge(["lexical.fw", "root.fw"])


def test_two_versions_of_a_test_are_refused(folder, one_thread):
    options = {"scorers": ["characters"], "model": None, "runtime": one_thread}
    built("tests/m", "old.fw", **options)
    file = folder / "tests" / "m" / "test_middle.py"
    file.write_text(file.read_text().replace("add_node", "remove_node"))
    built("tests", "new.fw", **options)
    with pytest.raises(
        fw.ShapeError, match=r"old\.fw and new\.fw .* versions of .*test_middle\.py"
    ):
        SuiteIndex.merge(["old.fw", "new.fw"])


def test_the_vectors_of_overlapping_parts_are_those_of_their_tests(one_thread):
    names = parts(["tests/z", "tests"], runtime=one_thread)
    SuiteIndex.merge(names, runtime=one_thread).save("merged.fw")
    whole = read_container(Path("1.fw"), "suite-index").sections["embeddings"]
    assert np.array_equal(
        read_container(Path("merged.fw"), "suite-index").sections["embeddings"], whole
    )
