"""Untracked files that any test may use: they select all tests, and a note names them."""

import pytest

from flashwasm.qe import SuiteIndex
from flashwasm.qe.changes.diffs.git_changes import GitRepository
from flashwasm.qe.changes.selection.safe_selection import safe_selection
from git_repository import commit_all

ADVICE = "; if no test uses the untracked files, let git ignore them: "


@pytest.fixture
def reach(tmp_path, monkeypatch):
    """Return a function that adds untracked files, and returns the sentence on their reach."""
    monkeypatch.setenv("FLASHWASM_CACHE", str(tmp_path / "cache"))
    folder = tmp_path / "project"
    folder.mkdir()
    for name, text in {"pytest.ini": "", "data.csv": "1", "lib.py": "def f(): return 1\n"}.items():
        (folder / name).write_text(text)
    (folder / "test_x.py").write_text("def test_x(): assert True\n")
    commit_all(folder)

    def reach(files):
        for name, content in files.items():
            (folder / name).write_bytes(content)
        changes = GitRepository(folder).changes_since("HEAD")
        index = SuiteIndex.build(folder, scorers=["characters"])
        found = safe_selection(index, changes)
        assert len(found.sure) == 1
        return found.reach_of_everything

    return reach


def test_the_untracked_files_are_named(reach):
    text = reach({"run.xml": b"<x/>", "a.bin": b"\0", "extra.py": b"x = 1\n"})
    start = "any test may depend on extra.py, so the change may reach every test"
    assert text == f"{start}{ADVICE}extra.py, a.bin, run.xml"


def test_many_untracked_files_are_counted(reach):
    text = reach({f"{i:02}.log": b"x" for i in range(13)})
    assert text.endswith(f"{ADVICE}{', '.join(f'{i:02}.log' for i in range(10))} and 3 more")


def test_there_is_no_advice_if_a_tracked_file_reaches_every_test_too(reach):
    text = reach({"a.bin": b"\0", "data.csv": b"2"})
    assert text == "any test may depend on data.csv, so the change may reach every test"


def test_ignored_files_do_not_count(reach):
    files = {
        ".gitignore": b"*.xml\n.gitignore\n",
        "run.xml": b"",
        "test_x.py": b"def test_x(): f()",
    }
    assert reach(files) is None
