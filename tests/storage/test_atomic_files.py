"""Atomic writes: a file has its old or its new content, and no other file is left behind."""

import os
import re
import stat
from pathlib import Path

import pytest

from flashwasm.storage.atomic_files import write_atomically


def test_parts_are_written_in_order_and_the_folder_is_made(tmp_path):
    path = tmp_path / "new" / "folder" / "file"
    write_atomically(path, [b"one ", memoryview(b"two")])
    assert path.read_bytes() == b"one two"
    assert list(path.parent.iterdir()) == [path]


@pytest.mark.parametrize("raised", [OSError(5, "Input/output error"), KeyboardInterrupt()])
def test_a_write_that_fails_leaves_the_old_content(tmp_path, raised):
    path = tmp_path / "file"
    path.write_bytes(b"old")

    def parts():
        yield b"new"
        raise raised

    with pytest.raises(type(raised)):
        write_atomically(path, parts())
    assert path.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("kind", ["device", "pipe"])
def test_what_is_no_file_is_written_to_and_not_replaced(tmp_path, kind):
    """As root, a rename would replace /dev/null for every process of the machine."""
    path = tmp_path / kind
    if kind == "device":
        path.symlink_to("/dev/null")
        write_atomically(path, [b"whole"])
        assert stat.S_ISCHR(Path("/dev/null").stat().st_mode)
    else:
        os.mkfifo(path)
        reader = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
        write_atomically(path, [b"who", b"le"])
        assert os.read(reader, 10) == b"whole"
        os.close(reader)
        assert stat.S_ISFIFO(path.stat().st_mode)
    assert list(tmp_path.iterdir()) == [path]


def test_a_link_stays_and_leads_to_the_new_content(tmp_path):
    file, link = tmp_path / "folder" / "file", tmp_path / "link"
    link.symlink_to(file)
    for content in (b"one", b"two"):
        write_atomically(link, [content])
        assert (link.is_symlink(), file.read_bytes()) == (True, content)


def test_the_permissions_of_the_old_file_stay(tmp_path):
    path = tmp_path / "file"
    path.touch()
    for mode in (0o600, 0o664):
        path.chmod(mode)
        write_atomically(path, [b"new"])
        assert stat.S_IMODE(path.stat().st_mode) == mode


def test_a_name_may_be_as_long_as_the_system_allows(tmp_path):
    path = tmp_path / ("x" * 255)
    write_atomically(path, [b"new"])
    assert path.read_bytes() == b"new"


@pytest.mark.parametrize("obstacle", ["a folder in its place", "a file as its folder", "disk full"])
def test_an_error_names_the_file_that_was_to_be_written(tmp_path, obstacle):
    path = tmp_path / "file"
    if obstacle == "a folder in its place":
        path.mkdir()
    elif obstacle == "a file as its folder":
        (tmp_path / "file").touch()
        path /= "below"
    else:
        path.symlink_to("/dev/full")
    with pytest.raises(OSError, match=re.escape(repr(str(path)))) as raised:
        write_atomically(path, [b"new"])
    assert str(raised.value).endswith(f": {str(path)!r}")
    assert len(list(tmp_path.iterdir())) == 1
