"""The check that a file can be written raises the error of the write, and writes nothing."""

import os
from pathlib import Path

import pytest

from flashwasm.storage.atomic_files import write_atomically
from flashwasm.storage.write_check import check_writable


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "file").write_text("old")
    return tmp_path


@pytest.mark.parametrize("name", ["new", "file", "a/b/new", "link"])
def test_a_file_that_can_be_written_passes(folder, name):
    (folder / "link").symlink_to("file")
    check_writable(folder / name)
    write_atomically(folder / name, [b"new"])
    assert (folder / name).read_text() == "new"


def test_the_check_writes_nothing(folder):
    check_writable(folder / "a" / "b" / "new")
    assert [path.name for path in folder.iterdir()] == ["file"]


@pytest.mark.parametrize("name", ["file/new", "file/a/new", "link"])
def test_a_path_below_a_file_is_refused_as_in_the_write(folder, name):
    (folder / "link").symlink_to("file/new")
    for refuse in (check_writable, lambda path: write_atomically(path, [b"new"])):
        with pytest.raises(NotADirectoryError, match=name):
            refuse(folder / name)


def test_a_folder_without_permission_is_refused(folder, monkeypatch):
    monkeypatch.setattr(os, "access", lambda place, _: place != folder)
    for path in (folder / "new", folder / "file", folder / "a" / "new"):
        with pytest.raises(PermissionError, match=path.name):
            check_writable(path)


def test_only_the_permission_of_a_device_itself_matters(monkeypatch):
    monkeypatch.setattr(os, "access", lambda place, _: str(place) == os.devnull)
    check_writable(Path(os.devnull))


def test_a_file_that_another_process_removes_meanwhile_can_be_written(folder, monkeypatch):
    target, is_file = folder / "file", Path.is_file
    monkeypatch.setattr(Path, "is_file", lambda path: path.unlink(missing_ok=True) or is_file(path))
    check_writable(target)
