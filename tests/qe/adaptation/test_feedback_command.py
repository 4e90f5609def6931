"""`flashwasm feedback`, and the log of tests that `flashwasm similar` draws at random."""

import json
import os

import pytest
from click.testing import CliRunner

import tiny_bert
from flashwasm.cli import main
from flashwasm.qe import FeedbackLog


@pytest.fixture
def suite(tmp_path, monkeypatch):
    monkeypatch.setenv("FLASHWASM_DATA", str(tmp_path / "data"))
    monkeypatch.setenv("FLASHWASM_CACHE", str(tmp_path / "cache"))
    (tmp_path / "suite").mkdir()
    (tmp_path / "suite" / "pytest.ini").write_text("")
    names = ("add_edge", "add_node", "remove_node", "path", "weight", "graph")
    source = "\n".join(f"def test_{name}(): assert graph.{name}()" for name in names)
    (tmp_path / "suite" / "test_graph.py").write_text(source)
    monkeypatch.chdir(tmp_path / "suite")
    return tmp_path / "suite"


def invoke(*arguments):
    result = CliRunner().invoke(main, [str(a) for a in arguments])
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    return result


def test_feedback_is_given_by_ends_of_node_ids(suite):
    done = invoke("feedback", "accept", "test_add_edge", "test_add_node")
    assert (done.exit_code, done.stdout) == (0, "")
    assert done.stderr == (
        "accepted: test_graph.py::test_add_node for test_graph.py::test_add_edge\n"
    )
    options = ("--rank", 2, "--propensity", 0.5, "--source", "ide", "--query", "edges", "--json")
    done = invoke("feedback", "reject", "test_add_edge", "test_path", *options)
    found = json.loads(done.stdout)
    assert found.pop("time") > "2026"
    assert found.pop("user")
    assert found == {
        "suite": str(suite),
        "query": "test_graph.py::test_add_edge",
        "test": "test_graph.py::test_path",
        "accepted": False,
        "asked": "edges",
        "rank": 2,
        "propensity": 0.5,
        "source": "ide",
    }
    assert [j.accepted for j in FeedbackLog().judgements(suite)] == [True, False]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["accept", "test_add_edge", "test_nothing"], "'test_nothing' is not a test in ."),
        (["accept", "test_path", "test_path"], "test: expected another test than the query"),
        (["accept", "test_x.py::test_a", "test_path"], "has the form of a node id"),
        (["accept", "test_path"], "Missing argument 'B'"),
        (["maybe", "test_path", "test_add_edge"], "'maybe' is not one of"),
        (["accept", "test_path", "test_graph", "--propensity", "0"], "--propensity"),
        (["accept", "test_path", "test_graph", "--suite", "nowhere"], "does not exist"),
    ],
)
def test_bad_feedback_is_one_line_and_status_2(suite, arguments, message):
    done = invoke("feedback", *arguments)
    assert done.exit_code == 2
    assert message in done.stderr
    assert done.stdout == ""
    assert FeedbackLog().judgements(suite) == []


@pytest.mark.skipif(os.name != "posix", reason="permissions are POSIX's")
def test_a_log_that_cannot_be_written_is_one_line(suite, monkeypatch):
    (suite / "file").write_text("")
    monkeypatch.setenv("FLASHWASM_DATA", str(suite / "file"))
    done = invoke("feedback", "accept", "test_path", "test_graph")
    assert done.exit_code == 2
    assert done.stderr.startswith("Error: ")
    assert done.stderr.count("\n") == 1


@pytest.mark.usefixtures("suite")
def test_tests_that_similar_draws_at_random_are_logged(tmp_path):
    tiny_bert.write(tmp_path / "model")

    def propensities(*options):
        shown = ("-q", "test_add_edge", "-k", 3, "--model", tmp_path / "model", "--json")
        matches = json.loads(invoke("similar", ".", *shown, *options).stdout)["matches"]
        return {match["nodeid"]: match["propensity"] for match in matches}

    assert list(propensities().values()) == [1, 1, 1]
    assert not FeedbackLog().path.exists()
    shown = propensities("--explore", 0.4)
    # The two best tests have two of the places. One of the three others is drawn for the third.
    assert sorted(shown.values()) == [1 / 3, 1, 1]
    for rank, (nodeid, propensity) in enumerate(shown.items(), 1):
        done = invoke("feedback", "accept", "test_add_edge", nodeid, "--json")
        written = json.loads(done.stdout)
        assert (written["rank"], written["propensity"]) == (rank, propensity)
        assert written["asked"] == "test_add_edge"
