"""Atomic writes: the old content or the new, and nothing else in the folder."""

import os

import pytest

from flashwasm.storage.atomic_files import write_atomically


def test_parts_are_written_in_order_and_the_folder_is_made(tmp_path):
    path = tmp_path / "new" / "folder" / "file"
    write_atomically(path, [b"one ", memoryview(b"two")])
    assert path.read_bytes() == b"one two"
    assert list(path.parent.iterdir()) == [path]


@pytest.mark.parametrize("raised", [OSError, KeyboardInterrupt])
def test_a_write_that_fails_leaves_the_old_content(tmp_path, raised):
    path = tmp_path / "file"
    path.write_bytes(b"old")

    def parts():
        yield b"new"
        raise raised

    with pytest.raises(raised):
        write_atomically(path, parts())
    assert path.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [path]


def test_temporary_files_of_killed_processes_are_removed_when_they_are_old(tmp_path):
    old, young = tmp_path / f".file-{'a' * 16}", tmp_path / f".file-{'b' * 16}"
    other = tmp_path / f".another-{'a' * 16}"
    for path in (old, young, other):
        path.write_bytes(b"half")
    for path in (old, other):
        os.utime(path, (0, 0))
    write_atomically(tmp_path / "file", [b"whole"])
    assert {path.name for path in tmp_path.iterdir()} == {"file", young.name, other.name}
