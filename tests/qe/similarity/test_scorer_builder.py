"""Indexes with all scorers and with those that are installed, and explanations of matches."""

import numpy as np
import pytest

import flashwasm as fw
import tiny_bert
from flashwasm.qe import CoverageIndex, SuiteIndex
from flashwasm.qe.coverage.coverage_database import CoverageData
from flashwasm.qe.similarity.explanation import Explainer

SUITE = {
    "test_a.py": "def test_add(tmp_path): assert graph.add_edge(1, 2)\n"
    "def test_add_twice(tmp_path): assert graph.add_edge(2, 1)",
    "test_b.py": "class TestB:\n    def test_remove(self): self.graph.remove_node(1)\n",
    "test_c.py": "async def test_weights(): assert sum(weights) == approx(1)",
}


@pytest.fixture
def suite(folders):
    (folders / "suite").mkdir()
    for name, source in SUITE.items():
        (folders / "suite" / name).write_text(source)
    return folders / "suite"


def test_all_scorers_together(suite, folders):
    tiny_bert.write(folders / "model")
    index = SuiteIndex.build(suite, model=folders / "model")
    assert (index.scorers, index.missing) == (["characters", "structure", "meaning"], [])
    match, *_ = index.similar("test_add", 3, explain=True)
    assert match.nodeid == "suite/test_a.py::test_add_twice"
    assert match.components.keys() == {"characters", "structure", "meaning"}
    assert match.components["structure"] == pytest.approx(1)
    # Names that two tests have come before names that more tests have.
    assert match.explanation.identifiers[:2] == ["add_edge", "tmp_path"]
    # A description has no structure that could be compared.
    (match, *_) = index.similar("the sum of weights", 1)
    assert match.components.keys() == {"characters", "meaning"}
    assert match.explanation is None


def test_coverage_is_one_more_scorer(suite):
    # The database was recorded inside the suite's folder, so its node ids lack the folder's name.
    # One of the tests is parametrised: its cases count as one test.
    rows = {
        "test_a.py::test_add|run": [1, 2, 3, 4],
        "test_b.py::TestB::test_remove[1]|run": [1, 2],
        "test_b.py::TestB::test_remove[2]|run": [3, 4],
        "test_a.py::test_add_twice|run": [9],
    }
    lines = {(0, i): np.array(numbers) for i, numbers in enumerate(rows.values())}
    coverage = CoverageIndex(CoverageData(["lib.py"], list(rows), lines))
    index = SuiteIndex.build(suite, scorers=["structure"], coverage=coverage)
    assert index.scorers == ["structure", "coverage"]
    of = {m.nodeid.rpartition("::")[2]: m.components["coverage"] for m in index.similar("test_add")}
    assert of == pytest.approx({"test_remove": 1, "test_add_twice": 0, "test_weights": 0})
    assert index.similar("test_weights")[0].components["coverage"] == 0


def test_search_and_duplicates(suite):
    index = SuiteIndex.build(suite)
    assert index.search("sum::weights", 1)[0].nodeid == "suite/test_c.py::test_weights"
    assert index.search(" ") == []
    assert [group.tier for group in index.duplicates()] == [2]


def test_without_the_model_tests_are_compared_by_terms(suite):
    index = SuiteIndex.build(suite)
    assert index.scorers == ["characters", "structure"]
    (reason,) = index.missing
    assert "flashwasm models install all-MiniLM-L6-v2" in reason
    assert index.similar("test_add", 1)[0].nodeid == "suite/test_a.py::test_add_twice"
    with pytest.raises(fw.CapabilityError, match="no-such"):
        SuiteIndex.build(suite, model="no-such")
    with pytest.raises(fw.CapabilityError, match="models install"):
        SuiteIndex.build(suite, scorers=["meaning"])
    with pytest.raises(fw.ShapeError, match="words have no structure"):
        SuiteIndex.build(suite, scorers=["structure"]).similar("the sum of weights")
    with pytest.raises(fw.ShapeError, match="scorers: expected one of"):
        SuiteIndex.build(suite, scorers=["bm25"])


def test_an_empty_suite(folders):
    (folders / "empty").mkdir()
    assert SuiteIndex.build(folders / "empty").similar("anything") == []


def test_explanations_have_the_shared_names_and_lines():
    a = "def test_a():\n    graph.add(weird)\n    assert graph\n    x()"
    b = "def test_b():\n  graph.add(weird)\n  assert graph == 1\n  x()"
    explainer = Explainer([a, b, "graph", "graph add"])
    explanation = explainer.explain(a, b)
    assert explanation.identifiers == ["weird", "add", "graph"]
    assert explanation.lines == ["graph.add(weird)"]
    assert explainer.explain("(", "(").identifiers == []
