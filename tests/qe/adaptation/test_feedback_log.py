"""The feedback log: judgements are read back, the last verdict counts, no row can be changed."""

import sqlite3
import threading
from pathlib import Path

import pytest

import flashwasm as fw
from flashwasm.qe import FeedbackLog, Judgement
from flashwasm.qe.adaptation import feedback_file
from flashwasm.qe.adaptation.feedback_log import Shown

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


def test_rank_and_propensity_come_from_the_last_time_the_test_was_shown(log):
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
    with pytest.raises(fw.CorruptFileError, match="this is not a feedback log"):
        log.judgements("suite")
    with pytest.raises(fw.CorruptFileError, match="this is not a feedback log"):
        log.add("suite", Judgement(A, B, accepted=True))


def test_a_log_that_another_process_creates_during_a_read_is_no_damage(log, monkeypatch):
    """The first row is written between the questions what the file contains, and how long it is."""
    log.path.parent.mkdir()
    log.path.touch()
    adding = threading.Thread(target=lambda: log.add("suite", Judgement(A, B, accepted=True)))
    connect, stat = sqlite3.connect, Path.stat

    def connected(*arguments, **options):
        monkeypatch.setattr(Path, "stat", stat_after_a_row)
        monkeypatch.setattr(feedback_file.sqlite3, "connect", connect)
        return connect(*arguments, **options)

    def stat_after_a_row(path, **options):
        monkeypatch.setattr(Path, "stat", stat)
        adding.start()
        # If the reader locks the file, the row is written afterwards.
        adding.join(0.2)
        return stat(path, **options)

    monkeypatch.setattr(feedback_file.sqlite3, "connect", connected)
    assert log.judgements("suite") == []
    adding.join(60)
    assert len(log.judgements("suite")) == 1
