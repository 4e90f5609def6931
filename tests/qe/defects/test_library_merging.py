"""A merged library of several runs gives the same results as one library of all failures."""

import threading

import pytest

import flashwasm as fw
from failures import failure
from flashwasm.qe import FailureLibrary
from flashwasm.qe.defects import library_connection, library_merging
from flashwasm.qe.defects.failure_files import TestFailure
from flashwasm.qe.defects.library_file import read_library

FAILURES = {
    "parser": [failure(message=f"bad {i}") for i in range(3)],
    "network": [failure("OSError", "connect", f"refused {i}") for i in range(2)],
    "cache": [TestFailure("t.py::test_cache", failure("KeyError", "get", "key"))],
}


def library(path, failures, **options):
    """Write a library of failures by the names of their defects."""
    made = FailureLibrary(path, create=True)
    for name, own in failures.items():
        made.learn(name, own, **options)
    return path


def content(path):
    """Return the failures of each defect, with what is known of the defect."""
    defects, occurrences = read_library(path)
    return {
        defect: {(one.fingerprint, one.text) for one in occurrences if one.defect == i}
        for i, defect in enumerate(defects)
    }


def test_parts_say_what_the_whole_says(tmp_path):
    first = {"cache": FAILURES["cache"], "parser": FAILURES["parser"][:1]}
    second = {"parser": FAILURES["parser"], "network": FAILURES["network"]}
    parts = [library(tmp_path / "1.db", first), library(tmp_path / "2.db", second)]
    merged = FailureLibrary.merge(tmp_path / "merged.db", parts)
    whole = FailureLibrary(library(tmp_path / "whole.db", FAILURES))
    assert content(merged.path) == content(whole.path)
    # The defects with the most failures come first.
    assert list(merged.defects) == ["parser", "network", "cache"]
    asked = [failure(message="bad 9"), failure("OSError", "connect", "refused"), failure("X", "y")]
    assert merged.match_all(asked) == whole.match_all(asked)
    # It may be written over one of its parts, and learned from as any other library.
    again = FailureLibrary.merge(parts[0], [parts[1], parts[0]])
    assert content(again.path) == content(whole.path)
    assert again.learn("parser", [failure(message="new")]) == 1


def test_a_defect_is_resolved_if_no_part_has_it_open(tmp_path):
    both = {name: FAILURES[name] for name in ("parser", "network")}
    resolved = library(tmp_path / "resolved.db", both, resolved=True, note="fixed in 1.2")
    fresh = library(tmp_path / "fresh.db", {"parser": FAILURES["parser"][:1]}, note="seen again")
    merged = FailureLibrary.merge(tmp_path / "merged.db", [fresh, resolved])
    assert merged.defects == {"parser": False, "network": True}
    assert [defect.note for defect in content(merged.path)] == ["seen again", "fixed in 1.2"]


def test_a_damaged_part_leaves_the_target_as_it_was(tmp_path):
    whole = library(tmp_path / "whole.db", FAILURES)
    damaged = tmp_path / "damaged.db"
    damaged.write_bytes(whole.read_bytes()[:5000])
    before = whole.read_bytes()
    with pytest.raises(fw.CorruptFileError, match=r"damaged\.db"):
        FailureLibrary.merge(whole, [whole, damaged])
    assert whole.read_bytes() == before
    assert sorted(path.name for path in tmp_path.iterdir()) == ["damaged.db", "whole.db"]


def test_a_damaged_part_leaves_no_new_target(tmp_path):
    damaged = tmp_path / "damaged.db"
    damaged.write_bytes(b"no database" * 100)
    with pytest.raises(fw.CorruptFileError, match=r"damaged\.db"):
        FailureLibrary.merge(tmp_path / "new" / "merged.db", [damaged])
    assert not (tmp_path / "new").exists()


def test_a_file_that_is_no_library_is_replaced(tmp_path):
    part, note = library(tmp_path / "1.db", FAILURES), tmp_path / "note.txt"
    note.write_text("a note " * 100)
    (tmp_path / "link").symlink_to("note.txt")
    assert content(FailureLibrary.merge(tmp_path / "link", [part]).path) == content(part)
    assert content(note) == content(part)


def test_what_is_learned_during_a_merge_is_not_lost(tmp_path, monkeypatch):
    """A process opens the target while the merge is under way, and writes to it afterwards."""
    part = library(tmp_path / "1.db", FAILURES)
    target = library(tmp_path / "target.db", {"before": [failure(message="before")]})
    opened, union = threading.Event(), library_merging._union  # noqa: SLF001 - it runs inside.
    connect = library_connection.connect

    def learn():
        FailureLibrary(target).learn("meanwhile", [failure(message="late")])

    def connected(path):
        database = connect(path)
        opened.set()
        return database

    def union_after_opening(libraries):
        monkeypatch.setattr(library_connection, "connect", connected)
        learning.start()
        assert opened.wait(60)
        return union(libraries)

    learning = threading.Thread(target=learn)
    monkeypatch.setattr(library_merging, "_union", union_after_opening)
    FailureLibrary.merge(target, [target, part])
    learning.join(60)
    assert set(FailureLibrary(target).defects) == {*FAILURES, "before", "meanwhile"}
