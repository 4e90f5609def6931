"""A damaged feedback log: intact rows are read, and a warning names lost ones."""

import random
import sqlite3
import warnings

import pytest

import flashwasm as fw
from flashwasm.qe import FeedbackLog, Judgement
from flashwasm.qe.adaptation import feedback_file

ROWS = 120
SUITE = "/home/me/suite"


def judgement(i):
    return Judgement(f"test_{i}.py::test_a", f"test_{i % 7}.py::test_b", accepted=i % 3 == 0)


@pytest.fixture(scope="module")
def written(tmp_path_factory):
    """Return the content of a log, and its judgements."""
    log = FeedbackLog(tmp_path_factory.mktemp("log") / "log")
    return [log.add(SUITE, judgement(i)) for i in range(ROWS)], log.path.read_bytes()


@pytest.fixture
def log(tmp_path):
    return FeedbackLog(tmp_path / "log")


def read(log):
    """Return the judgements and the warnings; None and the error if the log is refused."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        try:
            return log.judgements(SUITE), [str(warning.message) for warning in caught]
        except (fw.CorruptFileError, OSError) as error:
            return None, [str(error)]


@pytest.mark.parametrize("zeroed", [0, 600])
def test_a_flipped_bit_or_a_gap_never_takes_or_changes_a_judgement_silently(written, log, zeroed):
    rows, content = written
    chance = random.Random(17)  # noqa: S311 - it draws damage, not keys.
    kinds = {"whole": 0, "warned": 0, "refused": 0}
    for _ in range(500):
        damaged = bytearray(content)
        at = chance.randrange(len(content) - zeroed)
        damaged[at : at + zeroed] = bytes(zeroed)
        damaged[chance.randrange(len(content))] ^= 1 << chance.randrange(8)
        log.path.write_bytes(damaged)
        found, said = read(log)
        if found == rows:
            kinds["whole"] += 1
        elif found is None:
            assert str(log.path) in said[0]
            kinds["refused"] += 1
        else:
            assert all(row in rows for row in found)
            assert f"{len(found)} of " in said[0]
            kinds["warned"] += 1
    # Most bits belong to an index or to nothing. Few are in the pages that all else hangs on.
    assert zeroed or kinds["whole"] > kinds["warned"] > kinds["refused"]


def test_one_damaged_row_is_named_and_the_others_are_read(written, log):
    rows, content = written
    at = content.index(b"test_41.py::test_atest_6")
    log.path.write_bytes(content[:at] + b"T" + content[at + 1 :])
    with pytest.warns(RuntimeWarning, match=rf"{ROWS - 1} of {ROWS} rows .*; lost: 42$"):
        assert log.judgements(SUITE) == [*rows[:41], *rows[42:]]
    added = log.add(SUITE, judgement(1000))
    with pytest.warns(RuntimeWarning, match=rf"{ROWS} of {ROWS + 1} rows"):
        assert log.judgements(SUITE)[-1] == added


def test_a_truncated_log_is_never_read_in_part_silently(written, log):
    rows, content = written
    for size in range(0, len(content), 1024):
        log.path.write_bytes(content[:size])
        found, said = read(log)
        # A process that was killed before its first write leaves an empty file.
        assert said or not size
        assert not found or all(row in rows for row in found)


def test_a_verdict_that_was_turned_round_is_not_read(written, log):
    """SQLite itself has no checksums: to it, the row is as good as before."""
    rows, content = written
    log.path.write_bytes(content)
    with sqlite3.connect(log.path) as connection:
        connection.execute("DROP TRIGGER judgement_update")
        connection.execute("UPDATE judgement SET accepted = 1 - accepted WHERE id = 5")
    connection.close()
    with pytest.warns(RuntimeWarning, match="lost: 5$"):
        assert log.judgements(SUITE) == [*rows[:4], *rows[5:]]


def test_a_log_without_checksums_is_read_and_goes_on_with_them(log, monkeypatch):
    """Earlier releases wrote none."""
    with monkeypatch.context() as earlier:
        earlier.setattr(feedback_file, "_checksum", lambda _: None)
        old = log.add(SUITE, judgement(1))
    with sqlite3.connect(log.path) as connection:
        connection.execute("ALTER TABLE judgement DROP COLUMN checksum")
    connection.close()
    assert log.judgements(SUITE) == [old]
    new = log.add(SUITE, judgement(2))
    assert log.judgements(SUITE) == [old, new]


def test_a_suite_whose_path_is_not_utf_8(log):
    added = log.add("/home/\udcff", judgement(1))
    assert log.judgements("/home/\udcff") == [added]
