"""The file format: contents survive, and a file with one changed byte is refused."""

import random
import re
import struct
import subprocess
import sys
import time
import zlib

import numpy as np
import pytest

import flashwasm as fw
from flashwasm.storage.file_format import MAGIC, Container
from flashwasm.storage.file_reading import read_container
from flashwasm.storage.file_writing import write_container

SECTIONS = {
    "weights": np.arange(12, dtype=np.float32).reshape(3, 4),
    "cube": np.arange(24, dtype=np.int8).reshape(2, 3, 4),
    "ids": np.array([-(2**63), 2**63 - 1]),
    "links": np.array([[7]], np.uint32),
    "none": np.empty((0, 5), np.float32),
}
WHOLE = Container("test", "cosine", "int8", {"dim": 4, "name": "ü"}, SECTIONS)


@pytest.fixture
def path(tmp_path):
    path = tmp_path / "file"
    write_container(path, WHOLE)
    return path


def test_contents_survive_writing_and_reading(path):
    read = read_container(path, "test")
    assert (read.kind, read.metric, read.dtype) == ("test", "cosine", "int8")
    assert read.parameters == WHOLE.parameters
    assert read.sections.keys() == SECTIONS.keys()
    for name, array in SECTIONS.items():
        assert read.sections[name].dtype == array.dtype
        np.testing.assert_array_equal(read.sections[name], array)


def test_the_same_content_has_the_same_bytes(path, tmp_path):
    strided = {name: np.asfortranarray(array) for name, array in SECTIONS.items()}
    big = {name: array.astype(array.dtype.newbyteorder(">")) for name, array in strided.items()}
    write_container(tmp_path / "other", Container("test", "cosine", "int8", WHOLE.parameters, big))
    assert (tmp_path / "other").read_bytes() == path.read_bytes()


def test_every_byte_is_checked(path):
    """A file with any byte changed or of any other length is refused, with its name."""
    content = path.read_bytes()
    for at in range(len(content)):
        damaged = bytearray(content)
        damaged[at] ^= 1 << (at % 8)
        path.write_bytes(damaged)
        with pytest.raises(fw.CorruptFileError, match=re.escape(str(path))):
            read_container(path, "test")
    for length in range(len(content)):
        path.write_bytes(content[:length])
        with pytest.raises(fw.CorruptFileError):
            read_container(path, "test")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda c: c[:0], "not a flashwasm file"),
        (lambda c: b"PK\3\4" + c, "not a flashwasm file"),
        (lambda c: c[:40], "truncated"),
        (lambda c: c[:-1], "truncated"),
        (lambda c: c + b"\0", "too long"),
        (
            lambda c: c[:8] + struct.pack("<I", 2) + c[12:],
            "version 2; this release reads version 1",
        ),
        (lambda c: c[:20] + b"\1" + c[21:], "bytes"),
        (lambda c: c[:70] + b"x" + c[71:], "the header is damaged"),
        (lambda c: c[:-70] + b"\7" + c[-69:], "damaged|changed"),
    ],
)
def test_errors_say_what_is_wrong(path, change, message):
    path.write_bytes(change(path.read_bytes()))
    with pytest.raises(fw.CorruptFileError, match=message):
        read_container(path, "test")


def test_another_kind_is_refused(path):
    with pytest.raises(fw.CorruptFileError, match="contains a test, not a flat-index") as caught:
        read_container(path, "flat-index")
    # The file is not damaged, so there is no reason to create it again.
    assert "; give a file of that kind; `flashwasm index info FILE` prints" in str(caught.value)


def test_a_missing_file_is_not_found(tmp_path):
    with pytest.raises(FileNotFoundError):
        read_container(tmp_path / "none", "test")


def with_table(content, change):
    """Return the file's content with its table of sections changed and a checksum that fits."""
    count = struct.unpack_from("<I", content, 12)[0]
    table = bytearray(content[64 : 64 + 64 * count])
    change(table)
    head = content[:60]
    crc = struct.pack("<I", zlib.crc32(table, zlib.crc32(head)))
    return head + crc + bytes(table) + content[64 + len(table) :]


@pytest.mark.parametrize("shape", [(2**40, 0), (0, 2**63), (0, 2**62, 2**62), (1 << 21, 0, 1)])
def test_an_empty_array_that_is_long_is_refused(tmp_path, shape):
    """An array without elements takes no bytes of the file, so these cannot bound its axes."""
    path = tmp_path / "empty"
    write_container(path, Container("test", sections={"x": np.zeros((0, 16_384), np.float32)}))
    assert read_container(path, "test").sections["x"].shape == (0, 16_384)
    lie = struct.pack("<I3Q", len(shape), *shape, *[0] * (3 - len(shape)))
    names = [bytes(path.read_bytes()[64 + 64 * i :][:16]) for i in range(2)]
    at = 64 * names.index(b"x".ljust(16, b"\0")) + 20

    def change(table):
        table[at : at + len(lie)] = lie

    path.write_bytes(with_table(path.read_bytes(), change))
    with pytest.raises(fw.CorruptFileError, match="'x' is not within the file"):
        read_container(path, "test")


@pytest.mark.parametrize(
    ("format_", "at", "value"),
    [
        ("<Q", 24, 2**63),  # A shape beyond the file.
        ("<Q", 24, 0),
        ("<I", 20, 4),  # Too many axes.
        ("<I", 20, 0),
        ("<Q", 48, 2**40),  # An offset beyond the file.
        ("<Q", 48, 0),
        ("4s", 16, b"|O\0\0"),  # Python objects.
        ("4s", 16, b"\xff\0\0\0"),
        ("16s", 0, b"weights"),  # Twice the same name.
        ("16s", 0, b"\xffeights"),
    ],
)
def test_a_table_that_lies_is_refused(path, format_, at, value):
    """An attacker can make a file whose checksums are right, so the table is checked as well."""
    path.write_bytes(
        with_table(path.read_bytes(), lambda table: struct.pack_into(format_, table, at, value))
    )
    with pytest.raises(fw.CorruptFileError):
        read_container(path, "test")


def test_noise_is_refused(tmp_path):
    generator = random.Random(0)  # noqa: S311 - it must repeat.
    for _ in range(300):
        noise = generator.randbytes(generator.randrange(400))
        (tmp_path / "noise").write_bytes(MAGIC + noise if generator.random() < 0.8 else noise)
        with pytest.raises(fw.CorruptFileError):
            read_container(tmp_path / "noise", "test")


@pytest.mark.slow
def test_a_writer_that_is_killed_leaves_a_whole_file(tmp_path):
    """At whatever moment SIGKILL ends a save, the file holds all of the old content or the new."""
    code = """
import sys, itertools, numpy as np, pathlib
from flashwasm.storage.file_format import Container
from flashwasm.storage.file_writing import write_container
for i in itertools.count():
    content = {"x": np.full(1 << 18, i, np.float32)}
    whole = Container("test", parameters={"i": i}, sections=content)
    write_container(pathlib.Path(sys.argv[1]), whole)
    print(i, flush=True)
"""
    path = tmp_path / "index"
    generator = random.Random(1)  # noqa: S311 - it must repeat.
    for _ in range(50):
        with subprocess.Popen(
            [sys.executable, "-c", code, str(path)], stdout=subprocess.PIPE
        ) as writer:
            writer.stdout.readline()
            time.sleep(generator.random() * 0.03)
            writer.kill()
            writer.wait()
        read = read_container(path, "test")
        assert (read.sections["x"] == read.parameters["i"]).all()
