"""Temporary files: only old ones, which killed processes left, are removed."""

import os

import pytest

from flashwasm.storage.atomic_files import write_atomically
from flashwasm.storage.scratch_files import scratch_folder, scratch_path


@pytest.mark.parametrize("later", [scratch_folder, lambda path: write_atomically(path / "f", [])])
def test_old_scratch_of_any_file_is_removed(tmp_path, later):
    old, young = scratch_path(tmp_path), scratch_path(tmp_path)
    old_folder, users = scratch_path(tmp_path), tmp_path / f".file-{'a' * 16}"
    old_folder.mkdir()
    for path in (old, young, users, old_folder / "inside"):
        path.write_bytes(b"half")
    for path in (old, users, old_folder):
        os.utime(path, (0, 0))
    later(tmp_path)
    left = set(tmp_path.iterdir())
    assert {young, users} < left
    assert not {old, old_folder} & left


def test_two_processes_never_share_scratch(tmp_path):
    assert scratch_folder(tmp_path) != scratch_folder(tmp_path)
