"""Failures in groups, and compared with a library of defects."""

import re
import sqlite3
from contextlib import closing
from dataclasses import replace
from pathlib import Path

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


@pytest.mark.parametrize("question", ["exists", "is_file", "parent"])
def test_another_process_may_create_the_library_at_any_moment(monkeypatch, question):
    asked, made = getattr(Path, question), []

    def answer(path):
        found = asked.fget(path) if question == "parent" else asked(path)
        if not made and path.name == "defects.db":
            made.append(path)
            FailureLibrary("defects.db", create=True).learn("theirs", [failure()])
        return found

    monkeypatch.setattr(Path, question, property(answer) if question == "parent" else answer)
    FailureLibrary("defects.db", create=True).learn("ours", [failure(message="other")])
    assert made
    assert set(FailureLibrary("defects.db").defects) == {"theirs", "ours"}


def test_failures_are_new_known_or_regressed():
    library = FailureLibrary("defects.db", create=True)
    assert library.match(failure()).evidence == "the library is empty"
    assert library.learn("bad numbers", [failure(), failure()], note="see issue 12") == 1
    found = library.match(failure())
    assert (found.status, found.defect, found.note) == ("known", "bad numbers", "see issue 12")
    assert found.evidence == (
        "the same ValueError, raised by the same function, parse in lib.py, "
        "at the same statement (`x()`) and the same message"
    )
    assert library.learn("bad numbers", [failure(message="worse")], resolved=True) == 1
    again = FailureLibrary("defects.db")
    assert again.defects == {"bad numbers": True}
    assert again.match(failure().text).status == "regressed"
    assert again.match(failure()).note == "see issue 12"
    assert again.match(failure("KeyError", "other", "7")).status == "new"
    again.learn("bad numbers", [])
    assert again.match(failure()).status == "known"


def test_a_similar_text_in_another_frame_is_perhaps_the_same_defect():
    library = FailureLibrary("defects.db", create=True)
    long = "numbers = [convert(part) for part in parts if part.strip()]; "
    library.learn("parts", [failure(extra=long, message="parts are empty")])
    library.learn("other", [failure("KeyError", "look_up", "'k'")])
    found = library.match(failure(function="parse_all", extra=long, message="parts are empty"))
    assert (found.status, found.defect) == ("perhaps", "parts")
    assert found.evidence_against == (
        "the test of one failure is not known",
        "raised by another function, parse in lib.py",
    )
    found = library.match(failure("TypeError", "parse_all", "parts are empty", extra=long))
    assert (found.status, found.defect) == ("new", "parts")
    assert "the nearest text is of parts (" in found.evidence
    assert "another exception, ValueError" in found.evidence_against


def test_a_failure_learnt_without_its_test_gets_it_later(folder):
    library = FailureLibrary("defects.db", create=True)
    line = "test_lib.py:3: assert 1 == 2"
    (folder / "x.xml").write_text(
        f'<testcase classname="test_lib" name="test_a"><failure>{line}</failure></testcase>'
    )
    (found,) = read_failures("x.xml")
    assert library.learn("x", [found.failure]) == 1
    assert library.match(found).status == "perhaps"
    assert library.learn("x", [found]) == 0
    assert library.occurrences == 1
    assert library.match(found).status == "known"


# The tables of version 1, with a failure whose text was cut within the source of a function.
VERSION_1 = """
create table defect (
    id integer primary key, name text not null unique,
    resolved integer not null, note text not null
);
create table occurrence (
    id integer primary key, defect integer not null references defect (id),
    exception text not null, path text not null, function text not null, text text not null,
    unique (defect, text)
);
pragma application_id = 1180124236;
pragma user_version = 1;
insert into defect values (3, 'numbers', 1, 'see issue 12'), (7, 'assertions', 0, '');
insert into occurrence values
    (1, 3, 'ValueError', 'lib.py', 'parse', 'lib.py:7: in parse
    x()
E   ValueError: bad'),
    (4, 3, 'TypeError', 'lib.py', 'add', '>       a + b
E       TypeError: no numbers

lib.py:9: TypeError'),
    (5, 7, 'AssertionError', 'test_lib.py', '', 'test_lib.py:3: in test_sum
    assert 1 == 2
E   assert 1 == 2');
"""


@pytest.fixture
def version_1(folder):
    with closing(sqlite3.connect(folder / "old.db")) as database:
        database.executescript(VERSION_1)
    return folder / "old.db"


def check_old_failures(library):
    assert library.defects == {"numbers": True, "assertions": False}
    assert library.occurrences == 3
    found = library.match(failure())
    assert (found.status, found.defect, found.note) == ("regressed", "numbers", "see issue 12")
    text = "    def add(a, b):\n>       a + b\nE       TypeError: no numbers\n\nlib.py:9: TypeError"
    assert library.match(text).status == "regressed"
    text = "test_lib.py:3: in test_sum\n    assert 1 == 2\nE   assert 1 == 2"
    assert library.match(text).status == "known"


def test_a_library_of_version_1_is_read_and_rewritten_when_it_learns(version_1):
    content = version_1.read_bytes()
    library = FailureLibrary(version_1)
    check_old_failures(library)
    assert version_1.read_bytes() == content
    assert library.learn("numbers", [failure()], resolved=True) == 0
    with closing(sqlite3.connect(version_1)) as database:
        assert database.execute("pragma user_version").fetchone() == (2,)
        assert database.execute("pragma integrity_check").fetchone() == ("ok",)
        rows = database.execute("select id, defect, raiser from occurrence").fetchall()
    assert rows == [(1, 3, "parse"), (4, 3, "add"), (5, 7, "")]
    check_old_failures(FailureLibrary(version_1))


def test_a_library_of_version_1_stays_whole_if_it_cannot_learn(version_1):
    content = version_1.read_bytes()
    library = FailureLibrary(version_1)
    # A failure whose frames are lost gets through the check, and ends the writing.
    with pytest.raises(TypeError):
        library.learn("x", [failure(), replace(failure(message="lost"), frames=None)])
    assert version_1.read_bytes() == content
    check_old_failures(FailureLibrary(version_1))


def test_a_library_of_a_later_version_is_refused(version_1):
    with closing(sqlite3.connect(version_1)) as database:
        database.execute("pragma user_version = 3")
    with pytest.raises(fw.CorruptFileError, match="of version 3; this release reads versions 1 to"):
        FailureLibrary(version_1)


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


@pytest.mark.parametrize(
    "edit",
    [
        "update defect set name = x'00'",
        "update defect set resolved = 'no'",
        "update occurrence set text = x'ff'",
        "update occurrence set raiser = x'00'",
        "update occurrence set text = cast(x'ff' as text)",
        "create view more as select * from defect",
        "create trigger t after insert on defect begin delete from defect; end",
        "alter table defect add column more as (zeroblob(1000000000))",
    ],
)
def test_libraries_with_foreign_values_are_refused(edit):
    FailureLibrary("x.db", create=True).learn("numbers", [failure()])
    with closing(sqlite3.connect("x.db")) as database, database:
        database.execute(edit)
    with pytest.raises(fw.CorruptFileError, match=r"x\.db is not a whole library: "):
        FailureLibrary("x.db")


def test_a_new_failure_names_the_most_similar_defect():
    library = FailureLibrary("defects.db", create=True)
    library.learn("numbers", [failure()], note="see issue 12")
    found = library.match(failure("KeyError", "parse", "bad"))
    assert (found.status, found.defect, found.note) == ("new", "numbers", "")
    assert {found.components[name] for name in ("exception", "test")} == {0}
    assert {found.components[name] for name in ("frame", "message")} == {1}
    assert found.example == failure().text
