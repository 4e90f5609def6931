"""Index files: a loaded index equals the saved one, and damaged and stale files are recognised."""

import json
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

import flashwasm as fw
import tiny_bert
from flashwasm.cli import main
from flashwasm.qe import CoverageIndex, FunctionIndex, SuiteIndex
from flashwasm.qe.coverage.coverage_database import CoverageData
from flashwasm.qe.inspection.file_inspection import verify_file
from flashwasm.storage.file_format import Container
from flashwasm.storage.file_reading import read_container
from flashwasm.storage.file_writing import write_container

SUITE = {
    "test_graph.py": "class TestGraph:\n"
    "    def test_add(self, graph): assert graph.add_edge(1, 2)\n"
    "    def test_remove(self, graph): assert graph.remove_node(1)\n"
    "    def test_again(self, graph): assert graph.remove_node(1)\n",
    "test_path.py": "def test_path(): assert length(1) == 2\n",
    "test_broken.py": "def (",
}
PROGRAM = {
    "graph.py": "class Graph:\n"
    "    def add_edge(self, a, b):\n        '''Join two nodes.'''\n        self.edges.add((a, b))\n"
    "    def remove_node(self, a):\n        '''Take a node away.'''\n        del self.nodes[a]\n",
}


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    """Write a suite and a program to a folder, and work there."""
    monkeypatch.setenv("FLASHWASM_DATA", str(tmp_path / "data"))
    monkeypatch.setenv("FLASHWASM_CACHE", str(tmp_path / "cache"))
    monkeypatch.chdir(tmp_path)
    for place, files in (("suite", SUITE), ("program", PROGRAM)):
        (tmp_path / place).mkdir()
        for name, source in files.items():
            (tmp_path / place / name).write_text(source)
    return tmp_path


@pytest.fixture
def model(folder):
    tiny_bert.write(folder / "model")
    return str(folder / "model")


def invoke(*arguments):
    return CliRunner().invoke(main, [str(argument) for argument in arguments])


def coverage(rows):
    """Return an index made from the lines of ``lib.py`` that each test runs."""
    lines = {(0, i): np.array(sorted(row)) for i, row in enumerate(rows.values())}
    return CoverageIndex(CoverageData(["lib.py"], list(rows), lines))


def all_scores(index):
    """Return the node ids and scores of the tests that resemble each test."""
    return [[(m.nodeid, m.score) for m in index.similar(test.nodeid, 9)] for test in index.tests]


@pytest.mark.parametrize("with_model", [False, True])
def test_a_loaded_suite_equals_the_saved_one(folder, model, one_thread, with_model):
    names = None if with_model else ["characters", "structure"]
    run = coverage({"test_graph.py::TestGraph::test_add": [1, 2], "test_path.py::test_path": [2]})
    options = {"model": model if with_model else None, "runtime": one_thread}
    built = SuiteIndex.build("suite", scorers=names, coverage=run, **options)
    built.save("suite.fw")
    loaded = SuiteIndex.load("suite.fw", runtime=one_thread)
    assert loaded.tests == built.tests
    assert loaded.scorers == built.scorers
    assert loaded.skipped == built.skipped
    assert all_scores(loaded) == all_scores(built)
    assert loaded.similar("graph edges", 3) == built.similar("graph edges", 3)
    assert loaded.changes() == []
    # An index that was loaded can be saved again, as the same bytes.
    loaded.save("again.fw")
    assert (folder / "again.fw").read_bytes() == (folder / "suite.fw").read_bytes()


def test_loading_neither_counts_terms_nor_embeds(model, one_thread, monkeypatch):
    SuiteIndex.build("suite", model=model, runtime=one_thread).save("suite.fw")
    monkeypatch.setattr("flashwasm.qe.scoring.tfidf_matrix.TfIdfMatrix._fit", None)
    monkeypatch.setattr(fw.SentenceEncoder, "encode", None)
    monkeypatch.setenv("FLASHWASM_CACHE", "other")
    assert len(all_scores(SuiteIndex.load("suite.fw", runtime=one_thread))) == 4


def test_without_the_model_tests_are_compared_and_texts_are_refused(folder, model, one_thread):
    built = SuiteIndex.build("suite", model=model, scorers=["meaning"], runtime=one_thread)
    built.save("suite.fw")
    (folder / "model").rename(folder / "elsewhere")
    loaded = SuiteIndex.load("suite.fw", runtime=one_thread)
    assert all_scores(loaded) == all_scores(built)
    with pytest.raises(fw.CapabilityError, match="flashwasm models install"):
        loaded.similar("graph edges")


def test_another_model_embeds_again(folder, model, one_thread):
    SuiteIndex.build("suite", model=model, scorers=["meaning"], runtime=one_thread).save("a.fw")
    tiny_bert.write(folder / "other", num_hidden_layers=1)
    loaded = SuiteIndex.load("a.fw", model=folder / "other", runtime=one_thread)
    built = SuiteIndex.build("suite", model="other", scorers=["meaning"], runtime=one_thread)
    assert all_scores(loaded) == all_scores(built)


@pytest.mark.parametrize("with_model", [False, True])
def test_loaded_functions_equal_the_saved_ones(folder, model, one_thread, with_model):
    options = {"model": model if with_model else None, "runtime": one_thread}
    built = FunctionIndex.build("program", **options)
    built.save("functions.fw")
    loaded = FunctionIndex.load("functions.fw", runtime=one_thread)
    assert loaded.functions == built.functions
    assert loaded.search("take away a node") == built.search("take away a node")
    assert loaded.changes() == []
    (folder / "program" / "new.py").write_text("def f(): pass")
    assert loaded.changes() == [str(folder / "program" / "new.py")]
    if with_model:
        tiny_bert.write(folder / "other", num_hidden_layers=1)
        with pytest.raises(fw.CapabilityError, match="made with another model"):
            FunctionIndex.load("functions.fw", model=folder / "other", runtime=one_thread)


def test_loaded_coverage_equals_the_saved_one():
    run = coverage({"t.py::a|run": [1, 2, 3], "t.py::a|setup": [9], "t.py::b|run": [2, 3]})
    run.save("coverage.fw")
    loaded = CoverageIndex.load("coverage.fw")
    assert loaded.nearest("t.py::a", 2) == run.nearest("t.py::a", 2)
    assert loaded.who("lib.py", [3, 9]) == run.who("lib.py", [3, 9])


def test_sources_that_changed_are_named(folder, model):
    line = ["index", "build", "suite", "suite", "-o", "suite.fw", "--model", model]
    assert invoke(*line).exit_code == 0
    assert verify_file("suite.fw") == []
    for query in (
        ["similar", "suite.fw", "-q", "test_path"],
        ["duplicates", "--index", "suite.fw"],
    ):
        assert "stale" not in invoke(*query).stderr
    (folder / "suite" / "test_path.py").write_text("def test_other(): pass\n")
    (folder / "suite" / "test_new.py").write_text("")
    (folder / "suite" / "test_broken.py").unlink()
    names = [str(folder / "suite" / f"test_{n}.py") for n in ("broken", "new", "path")]
    assert verify_file("suite.fw") == names
    for query in (
        ["similar", "suite.fw", "-q", "test_path"],
        ["duplicates", "--index", "suite.fw"],
    ):
        result = invoke(*query)
        assert f"suite.fw is stale: {names[0]} and 2 more changed" in result.stderr
        assert json.loads(invoke(*query, "--json").stdout)["changed"] == names
    assert "stale" in invoke("index", "verify", "suite.fw").stderr


def test_search_reads_an_index_file():
    assert invoke("index", "build", "functions", "program", "-o", "f.fw").exit_code == 0
    for line in (["f.fw", "remove node"], ["--index", "f.fw", "remove node"]):
        result = invoke("search", *line, "--json")
        assert json.loads(result.stdout)["matches"][0]["name"] == "Graph.remove_node"
    result = invoke("search", "--index", "f.fw", "program", "remove node")
    assert (result.exit_code, "not both" in result.stderr) == (2, True)
    assert invoke("search", "remove node").exit_code == 2
    result = invoke("similar", "f.fw", "-q", "x")
    assert result.exit_code == 2
    assert "the file contains a function-index, not a suite-index" in result.stderr


def test_vectors_and_failures_become_files(folder):
    rows = np.random.default_rng(0).standard_normal((20, 8)).astype(np.float32)
    np.save("rows.npy", rows)
    assert invoke("index", "build", "vectors", "rows.npy", "-o", "flat.fw").exit_code == 0
    assert fw.FlatIndex.load("flat.fw").search(rows[3:4], 1)[1].tolist() == [[3]]
    line = ["index", "build", "vectors", "rows.npy", "-o", "graph.fw", "--graph"]
    assert json.loads(invoke(*line, "--json").stdout)["vectors"] == 20
    assert isinstance(fw.HNSWIndex.load("graph.fw"), fw.HNSWIndex)
    (folder / "a.txt").write_text("lib.py:7: in add\n    x.y\nE   AttributeError: no y")
    line = ["index", "build", "failures", "a.txt", "-o", "defects.db"]
    assert json.loads(invoke(*line, "--json").stdout)["defects"] == 1
    assert "known" in invoke("defects", "match", "a.txt", "--library", "defects.db").stdout
    summary = "= short test summary info =\nFAILED t.py::test_b - KeyError: 1\n"
    (folder / "b.txt").write_text(f"{summary}= 3 failed in 0.10s =")
    result = invoke("index", "build", "failures", "b.txt", "-o", "defects.db")
    assert "b.txt: pytest counts 3 failed, but the text shows 1" in result.stderr
    for name in ("flat.fw", "graph.fw", "defects.db"):
        assert invoke("index", "verify", name).stdout == f"{name} is whole\n"


def test_info_shows_kind_sizes_and_digest(model):
    SuiteIndex.build("suite", model=model).save("suite.fw")
    report = json.loads(invoke("index", "info", "suite.fw", "--json").stdout)
    assert (report["kind"], report["version"], report["tests"]) == ("suite-index", 1, 4)
    assert report["scorers"] == ["characters", "structure", "meaning"]
    sections = {section["name"]: section["shape"] for section in report["sections"]}
    assert sections["embeddings"] == [4, 32]
    assert report["sha256"] in invoke("index", "info", "suite.fw").stdout


def changed(name, change):
    """Write a copy of an index file to ``bad.fw``, with one section or parameter changed."""
    kind = "coverage-index" if name.startswith("lines") or name == "owners" else "suite-index"
    path = "coverage.fw" if kind == "coverage-index" else "suite.fw"
    content = read_container(Path(path), kind)
    parameters, sections = dict(content.parameters), dict(content.sections)
    where = sections if name in sections else parameters
    where[name] = change(where[name])
    write_container(Path("bad.fw"), Container(kind, "", content.dtype, parameters, sections))


def last_raised(array):
    """Return a copy of an array whose last number is too large."""
    raised = array.copy()
    raised[-1] += 1 << 22 if array.dtype == np.int32 else 1
    return raised


@pytest.mark.parametrize(
    ("name", "change", "message"),
    [
        ("suite", lambda s: s[:-1], "section 'suite' cannot be read"),
        (
            "suite",
            lambda _: np.frombuffer(b'{"tests": [[1]]}', np.uint8),
            "does not describe a suite",
        ),
        ("suite", lambda _: np.frombuffer(b"[]", np.uint8), "does not describe a suite"),
        ("terms0.columns", last_raised, "a column of 'terms0' is out of range"),
        ("terms0.indices", last_raised, "an index of 'terms0' is out of range"),
        ("terms0.indices", lambda s: s[:-1], r"section 'terms0.data' is float32 of shape"),
        ("terms0.indptr", last_raised, "the columns of 'terms0' do not end"),
        ("terms0.indptr", lambda s: s[:-1], "if an earlier version wrote it, build it again"),
        ("terms0.idf", lambda s: s * np.float32(np.nan), "a number that is not finite"),
        ("embeddings", lambda s: s[:-1], "section 'embeddings' is float32 of shape"),
        ("scorers", lambda _: {"a": 1}, "scorers is not a list of strings"),
        ("model", lambda _: 3, "model is 3, not a string"),
        ("owners", last_raised, "belongs to no file or to no context"),
        ("lines", lambda s: -s, "out of range"),
        ("lines", lambda s: s[::-1].copy(), "is not in order"),
        ("lines.ends", last_raised, "do not end where they should"),
    ],
)
def test_a_file_that_contradicts_itself_is_refused(model, name, change, message):
    SuiteIndex.build("suite", model=model).save("suite.fw")
    coverage({"t.py::a|run": [1, 2, 3], "t.py::b|run": [2, 3]}).save("coverage.fw")
    changed(name, change)
    with pytest.raises(fw.CorruptFileError, match=message):
        verify_file("bad.fw")
    result = invoke("index", "verify", "bad.fw")
    assert result.exit_code == 2
    assert result.stderr.count("\n") == 1
