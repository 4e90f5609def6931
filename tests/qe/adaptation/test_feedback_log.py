"""The feedback log, the command that writes it, and showing tests at random."""

import json
import os
import sqlite3
from collections import Counter

import pytest
from click.testing import CliRunner

import flashwasm as fw
import tiny_bert
from flashwasm.cli import main
from flashwasm.qe import FeedbackLog, Judgement
from flashwasm.qe.adaptation.feedback_log import Shown
from flashwasm.qe.similarity.exploratory_ranking import explore_ranking

A, B, C = (f"test_x.py::test_{name}" for name in "abc")


@pytest.fixture
def log(tmp_path):
    return FeedbackLog(tmp_path / "folder" / "log.sqlite")


def test_a_judgement_is_written_with_its_provenance(log):
    written = log.add("suite", Judgement(A, B, accepted=True, rank=3, propensity=0.5, source="ide"))
    assert log.judgements("suite") == [written]
    assert (written.asked, written.rank, written.propensity) == (A, 3, 0.5)
    assert written.time.endswith("+00:00")
    assert written.user
    assert log.judgements("another suite") == []


def test_the_last_verdict_on_a_pair_counts(log):
    for accepted in (True, False):
        log.add("suite", Judgement(A, B, accepted=accepted))
    log.add("suite", Judgement(B, A, accepted=True))
    assert [(j.query, j.accepted) for j in log.judgements("suite")] == [(A, False), (B, True)]


def test_rank_and_propensity_are_those_of_when_it_was_shown(log):
    for propensity in (0.25, 0.125):
        log.add_shown("suite", A, "a", [Shown(C, 1, 1.0), Shown(B, 2, propensity)])
    written = log.add("suite", Judgement(A, B, accepted=False))
    assert (written.asked, written.rank, written.propensity) == ("a", 2, 0.125)
    assert log.add("other", Judgement(A, B, accepted=False)).rank is None
    own = log.add("suite", Judgement(A, B, accepted=False, rank=7, asked="b"))
    assert (own.asked, own.rank, own.propensity) == ("b", 7, None)


@pytest.mark.parametrize("table", ["judgement", "shown"])
def test_nothing_that_was_written_can_be_changed(log, table):
    log.add("suite", Judgement(A, B, accepted=True))
    log.add_shown("suite", A, "a", [Shown(B, 1, 1.0)])
    connection = sqlite3.connect(log.path)
    rows = "SELECT * FROM judgement".replace("judgement", table)
    before = connection.execute(rows).fetchall()
    for statement in (
        "UPDATE judgement SET user = 'x'",
        "DELETE FROM judgement",
        "REPLACE INTO judgement SELECT * FROM judgement",
        "INSERT OR REPLACE INTO judgement SELECT * FROM judgement",
    ):
        with pytest.raises(sqlite3.IntegrityError, match="the feedback log only grows"):
            connection.execute(statement.replace("judgement", table))
    assert connection.execute(rows).fetchall() == before
    connection.close()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"query": ""}, "query: expected a text"),
        ({"test": A}, "test: expected another test than the query"),
        ({"accepted": 1}, "accepted: expected True or False"),
        ({"rank": 0}, "rank"),
        ({"propensity": 0.0}, "propensity: expected 0 < propensity <= 1"),
        ({"propensity": 1.5}, "propensity: expected 0 < propensity <= 1"),
        ({"propensity": float("nan")}, "propensity"),
        ({"source": " "}, "source: expected a text"),
    ],
)
def test_bad_judgements_are_refused(arguments, message):
    with pytest.raises((fw.ShapeError, fw.DTypeError), match=message):
        Judgement(**{"query": A, "test": B, "accepted": True} | arguments)


def test_a_file_that_is_no_log_is_refused(log):
    log.path.parent.mkdir()
    log.path.write_bytes(b"no database" * 100)
    with pytest.raises(fw.CorruptFileError, match="this is no feedback log"):
        log.judgements("suite")
    with pytest.raises(fw.CorruptFileError, match="this is no feedback log"):
        log.add("suite", Judgement(A, B, accepted=True))


# Showing tests at random.


def test_nothing_is_random_unless_asked_for():
    assert explore_ranking([4, 2, 9], 2, 0.0) == [(4, 1.0), (2, 1.0)]
    # There is nothing below to draw from.
    assert explore_ranking([4, 2, 9], 3, 1.0, seed=0) == [(4, 1.0), (2, 1.0), (9, 1.0)]
    for share in (-0.1, 1.1, float("nan")):
        with pytest.raises(fw.ShapeError, match="explore"):
            explore_ranking([1, 2, 3], 1, share)


@pytest.mark.parametrize(("k", "share"), [(5, 0.2), (5, 1.0), (1, 0.1), (8, 0.5)])
def test_propensities_are_how_often_a_test_is_shown(k, share):
    rounds, counts, claimed = 3000, Counter(), {}
    for seed in range(rounds):
        shown = explore_ranking(list(range(40)), k, share, seed)
        assert len({i for i, _ in shown}) == k
        counts.update(i for i, _ in shown)
        claimed |= dict(shown)
    assert sum(claimed.values()) == pytest.approx(k)
    for i, propensity in claimed.items():
        # Five standard deviations.
        bound = 5 * (propensity * (1 - propensity) / rounds) ** 0.5
        assert abs(counts[i] / rounds - propensity) <= bound


def test_only_the_first_hundred_ranks_are_drawn_from():
    seen = {i for seed in range(300) for i, _ in explore_ranking(range(500), 10, 0.5, seed)}
    assert 90 < max(seen) < 100


# The commands.


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
        (["accept", "test_add_edge", "test_nothing"], "'test_nothing' is no test in ."),
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
def test_what_similar_shows_at_random_is_logged(tmp_path):
    tiny_bert.write(tmp_path / "model")

    def propensities(*options):
        shown = ("-q", "test_add_edge", "-k", 3, "--model", tmp_path / "model", "--json")
        matches = json.loads(invoke("similar", ".", *shown, *options).stdout)["matches"]
        return {match["nodeid"]: match["propensity"] for match in matches}

    assert list(propensities().values()) == [1, 1, 1]
    assert not FeedbackLog().path.exists()
    shown = propensities("--explore", 0.4)
    # One place of three, for one of the three tests below the first two.
    assert sorted(shown.values()) == [1 / 3, 1, 1]
    for rank, (nodeid, propensity) in enumerate(shown.items(), 1):
        done = invoke("feedback", "accept", "test_add_edge", nodeid, "--json")
        written = json.loads(done.stdout)
        assert (written["rank"], written["propensity"]) == (rank, propensity)
        assert written["asked"] == "test_add_edge"
