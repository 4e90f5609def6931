"""Ranking by `SuiteIndex.similar`, with a random tiny model."""

import os
import subprocess
import sys

import numpy as np
import pytest

import flashwasm as fw
from flashwasm.qe.scoring.word_extraction import extract_words
from small_suite import GRAPH


def whitened(rows):
    """Return the oracle of half whitening and scaling, in float64 by the SVD."""
    n, dim = rows.shape
    centre = rows.mean(axis=0)
    _, deviations, directions = np.linalg.svd(rows - centre)
    variance = np.zeros(dim)
    variance[: len(deviations)] = deviations**2 / n
    trust = n / (n + dim)
    variance = trust * variance + (1 - trust) * variance.mean()

    def transform(row):
        mapped = (row - centre) @ directions.T / variance**0.25
        return mapped / np.linalg.norm(mapped)

    return transform


def assert_ranked(index, matches, query, model, left_out=()):
    """Check that scores are z-scores of cosines of whitened embeddings, the highest first."""
    encoder = fw.SentenceEncoder.load(model)
    texts = [extract_words(text) for text in [query, *(t.source for t in index.tests)]]
    asked, *rows = encoder.encode(texts).astype(np.float64)
    transform = whitened(np.array(rows))
    of = {
        t.nodeid: transform(row) @ transform(asked)
        for t, row in zip(index.tests, rows, strict=True)
    }
    others = [cosine for nodeid, cosine in of.items() if nodeid not in left_out]
    z = {nodeid: (c - np.mean(others)) / np.std(others) for nodeid, c in of.items()}
    scores = [match.score for match in matches]
    # Nine vectors in 32 dimensions have variances of very different size, so that the rounding of
    # float32 shows in the cosines.
    assert np.abs(np.subtract(scores, [z[m.nodeid] for m in matches])).max() <= 1e-3
    assert all(abs(m.components["meaning"] - of[m.nodeid]) <= 1e-4 for m in matches)
    best = sorted((c for i, c in z.items() if i not in left_out), reverse=True)[: len(scores)]
    assert np.abs(np.subtract(scores, best)).max() <= 1e-3
    assert scores == sorted(scores, reverse=True)
    assert len({match.nodeid for match in matches}) == len(matches)
    assert all(match.test.nodeid == match.nodeid for match in matches)


@pytest.mark.parametrize("k", [1, 3, 100])
def test_the_nearest_tests_to_a_free_text(build, model, k):
    index = build()
    matches = index.similar("remove the edge of a graph", k)
    assert len(matches) == min(k, 9)
    assert_ranked(index, matches, "remove the edge of a graph", model)


@pytest.mark.parametrize("k", [1, 3, 100])
@pytest.mark.parametrize(
    "query",
    [
        "suite/sub/test_graph.py::TestGraph::test_add_edge",
        "elsewhere/suite/sub/test_graph.py::TestGraph::test_add_edge",
        "sub/test_graph.py::TestGraph::test_add_edge",
        "sub/test_graph.py::TestGraph::test_add_edge[1-2]",
        "test_add_weighted_edge",
        "TestGraph::test_add_weighted_edge",
    ],
)
def test_a_test_is_not_similar_to_itself(build, suite, model, query, k):
    if "weighted" not in query:
        (suite / "sub" / "test_graph.py").write_text(GRAPH)
    index = build()
    own = next(t for t in index.tests if t.nodeid.startswith("suite/sub/") and "edge" in t.nodeid)
    matches = index.similar(query, k)
    assert len(matches) == min(k, 8)
    assert own.nodeid not in [match.nodeid for match in matches]
    assert_ranked(index, matches, own.source, model, left_out=[own.nodeid])


def test_of_several_equal_tests_only_the_query_is_left_out(build, suite):
    source = "".join(f"class Test{i}:\n    def test_x(self): assert edge\n" for i in range(9))
    (suite / "test_copies.py").write_text(source)
    index = build(suite / "test_copies.py")
    (match,) = index.similar("Test7::test_x", 1)
    assert match.nodeid != "suite/test_copies.py::Test7::test_x"
    assert match.nodeid == "suite/test_copies.py::Test0::test_x"


def test_an_inherited_test_is_found_by_any_of_its_node_ids(build, suite):
    source = "class TestA:\n    def test_x(self): ...\n    def test_y(self): ...\n"
    (suite / "test_child.py").write_text(source + "class TestB(TestA): ...\n")
    index = build(suite / "test_child.py")
    names = [[match.nodeid for match in index.similar(f"{c}::test_x")] for c in ("TestA", "TestB")]
    assert names == [["suite/test_child.py::TestA::test_y"]] * 2


@pytest.mark.parametrize(
    ("query", "message"),
    [
        (
            "test_add_node",
            r"2 node ids: suite/test_g.*::test_add_node, suite/sub/.*node;",
        ),
        ("TestGraph::test_remove", "2 node ids"),
        ("test_graph.py::TestGraph::test_no", "has the form of a node id, but no test has it"),
        ("test_graph.py::TestGraph::test_remov", "nearest are suite/.*::test_remove, .*; `pytest"),
        ("no.py::", "has the form of a node id"),
        ("", "query is empty"),
        (" \n", "query is empty"),
    ],
)
def test_queries_that_name_no_single_test_are_refused(build, query, message):
    with pytest.raises(fw.ShapeError, match=message):
        build().similar(query)


def test_an_error_names_up_to_ten_candidates(build, suite):
    source = "".join(f"class Test{i}:\n    def test_x(self): ...\n" for i in range(12))
    (suite / "test_many.py").write_text(source)
    with pytest.raises(
        fw.ShapeError, match=r"12 node ids: (\S+::test_x, ){10}\.\.\.; give a longer"
    ):
        build(suite / "test_many.py").similar("test_x")


@pytest.mark.parametrize("k", [0, -1, 1.5])
def test_k_must_be_positive(build, k):
    with pytest.raises((fw.ShapeError, fw.DTypeError), match="k"):
        build().similar("graph", k)


def test_a_text_with_colons_and_blanks_is_no_node_id(build):
    assert len(build().similar("what std::sort does to a graph", 2)) == 2


def test_an_empty_suite(build, folders, monkeypatch):
    monkeypatch.setattr(fw.SentenceEncoder, "load", None)  # No model is needed for it.
    (folders / "empty").mkdir()
    index = build(folders / "empty")
    assert (index.tests, index.similar("anything"), index.similar("a::b")) == ([], [], [])


@pytest.mark.parametrize(
    ("source", "words"),
    [
        ("def test_add(self): return 1", "test add"),
        ("parseHTTPRequest", "parse http request"),
        ("assertEqual(x, self.assertEqual)", "assert equal"),
        ("Füße_zählen", "füße zählen"),
        ("1 + 2", "1 + 2"),
    ],
)
def test_words_of_a_source(source, words):
    # Keywords are left out even if they are parts of names, such as "assert" here.
    assert extract_words(source) == words.replace("assert ", "")


# This runs in a process of its own, because a fork is not safe in pytest's, which has threads.
FORK = """
import os, sys
from flashwasm.qe import SuiteIndex
index = SuiteIndex.build(sys.argv[1], model=sys.argv[2], scorers=["meaning"])
expected = index.similar("test_one")
child = os.fork()
if child == 0:
    os._exit(0 if index.similar("test_one") == expected else 1)
sys.exit(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="the platform has no fork")
def test_an_index_works_in_a_forked_process(suite, model):
    subprocess.run([sys.executable, "-c", FORK, suite, model], check=True)
