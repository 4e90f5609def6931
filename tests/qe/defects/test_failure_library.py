"""Failures in groups, and compared with a library of defects."""

import re
import sqlite3

import pytest

import flashwasm as fw
from failures import failure
from flashwasm.qe import FailureLibrary, cluster_failures, read_failures


def test_groups_say_why(reports):
    failures = read_failures(reports / "short.xml")
    first, *others = cluster_failures([one.failure for one in failures])
    assert len(first.members) == 3
    assert re.fullmatch(r"ValueError, and the innermost .* is \S*shop\.py in parse", first.reason)
    assert sorted(len(group.members) for group in others) == [1, 1, 1]
    assert any("no frame outside tests" in group.reason for group in others)
    assert cluster_failures([]) == []


def test_failures_are_new_known_or_regressed():
    library = FailureLibrary("defects.db", create=True)
    assert library.match(failure()).evidence == "the library is empty"
    assert library.learn("bad numbers", [failure(), failure()], note="see issue 12") == 1
    found = library.match(failure(message="worse"))
    assert (found.status, found.defect, found.note) == ("known", "bad numbers", "see issue 12")
    assert found.evidence.startswith("the same ValueError, and the innermost frame")
    assert library.learn("bad numbers", [failure(message="worse")], resolved=True) == 1
    again = FailureLibrary("defects.db")
    assert again.defects == {"bad numbers": True}
    assert again.match(failure().text).status == "regressed"
    assert again.match(failure()).note == "see issue 12"
    assert again.match(failure("KeyError", "other", "7")).status == "new"
    again.learn("bad numbers", [])
    assert again.match(failure()).status == "known"


def test_a_similar_text_in_another_frame_is_the_same_defect():
    pytest.importorskip("sklearn")
    library = FailureLibrary("defects.db", create=True)
    long = "numbers = [convert(part) for part in parts if part.strip()]; "
    library.learn("parts", [failure(extra=long, message="parts are empty")])
    library.learn("other", [failure("KeyError", "look_up", "'k'")])
    found = library.match(failure(function="parse_all", extra=long, message="parts are empty"))
    assert (found.status, found.defect) == ("known", "parts")
    assert found.evidence == "the same ValueError with a similar text"
    found = library.match(failure("TypeError", "parse_all", "parts are empty", extra=long))
    assert (found.status, found.defect) == ("new", "parts")
    assert "the most similar text is of parts (" in found.evidence


def test_without_scikit_learn_frames_decide(monkeypatch):
    def absent(*_, **__):
        raise fw.CapabilityError("scikit-learn is not installed")

    monkeypatch.setattr("flashwasm.qe.defects.failure_library.TfIdfMatrix", absent)
    library = FailureLibrary("defects.db", create=True)
    library.learn("bad numbers", [failure()])
    assert library.match(failure(message="worse")).score is None
    assert library.match(failure("KeyError")).status == "new"
    assert library.missing == ["scikit-learn is not installed"]


def test_libraries_that_are_refused(folder):
    with pytest.raises(fw.ShapeError, match="does not exist"):
        FailureLibrary("no.db")
    with pytest.raises(fw.ShapeError, match="is not a file"):
        FailureLibrary(".", create=True)
    with pytest.raises(fw.ShapeError, match="name is empty"):
        FailureLibrary("x.db", create=True).learn(" ", [])
    (folder / "foreign").write_bytes(b"no database")
    with sqlite3.connect(folder / "other.db") as other:
        other.execute("create table defect (x)")
    other.close()
    FailureLibrary("whole.db", create=True).learn("x", [failure()])
    content = (folder / "whole.db").read_bytes()
    (folder / "truncated.db").write_bytes(content[: len(content) // 2])
    for name in ("foreign", "other.db", "truncated.db"):
        with pytest.raises(fw.CorruptFileError, match=r"is not a (whole )?library"):
            FailureLibrary(name)


def test_a_new_failure_names_the_most_similar_defect():
    pytest.importorskip("sklearn")
    library = FailureLibrary("defects.db", create=True)
    library.learn("numbers", [failure()], note="see issue 12")
    found = library.match(failure("KeyError", "parse", "bad"))
    assert (found.status, found.defect, found.note) == ("new", "numbers", "")
    assert (found.components["exception"], found.components["frame"]) == (0, 1)
    assert found.example == failure().text
