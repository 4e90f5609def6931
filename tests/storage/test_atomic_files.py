"""Atomic writes: the old content or the new, and nothing else in the folder."""

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
