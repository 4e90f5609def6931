"""Libraries of defects that were damaged, cannot be written, or were never finished."""

import os
import random
import sqlite3
import subprocess
import sys

import pytest

import flashwasm as fw
from flashwasm.qe import FailureLibrary
from flashwasm.qe.defects.library_file import read_library
from flashwasm.qe.defects.tracebacks import read_failure

TEXT = """Traceback (most recent call last):
  File "/src/shop/cart_{0}.py", line {0}, in total_{0}
    raise ValueError("bad {0}")
ValueError: bad price {0} of an article
"""


def failures(count):
    return [read_failure(TEXT.format(i)) for i in range(count)]


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    """Every test works in a folder of its own."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_a_library_with_a_flipped_bit_is_whole_or_refused():
    """SQLite has no checksums: in a third of all cases it read something else."""
    library = FailureLibrary("x.db", create=True)
    for i, failure in enumerate(failures(40)):
        library.learn(f"defect {i % 9}", [failure], note=f"note {i}")
    rows, content = read_library(library.path), library.path.read_bytes()
    chance, refused = random.Random(5), 0  # noqa: S311 - it draws damage, not keys.
    for _ in range(300):
        damaged = bytearray(content)
        damaged[chance.randrange(len(content))] ^= 1 << chance.randrange(8)
        library.path.write_bytes(damaged)
        try:
            assert read_library(library.path) == rows
        except fw.CorruptFileError:
            refused += 1
    assert refused > 30


def test_a_library_without_a_checksum_is_read_and_gets_one():
    library = FailureLibrary("x.db", create=True)
    library.learn("one", failures(1))
    with sqlite3.connect("x.db") as database:
        database.execute("drop table seal")
    database.close()
    FailureLibrary("x.db").learn("two", failures(2))
    with sqlite3.connect("x.db") as database:
        database.execute("update occurrence set message = 'x'")
    database.close()
    with pytest.raises(fw.CorruptFileError, match="its checksum differs"):
        FailureLibrary("x.db")


def test_the_file_of_a_process_that_was_killed_before_it_wrote_is_no_obstacle(folder):
    (folder / "x.db").touch()
    assert FailureLibrary("x.db", create=True).learn("one", failures(1)) == 1
    (folder / "foreign").write_bytes(b"no database" * 100)
    with pytest.raises(fw.CorruptFileError, match="not a whole library"):
        FailureLibrary("foreign", create=True)


@pytest.mark.skipif(os.name == "nt", reason="Windows has no limit on the size of files")
def test_a_full_disk_is_an_error_of_the_system_and_leaves_the_library(folder):
    FailureLibrary("x.db", create=True).learn("one", failures(3))
    content = (folder / "x.db").read_bytes()
    code = """
import resource, signal, sys
from flashwasm.qe import FailureLibrary
from flashwasm.qe.defects.tracebacks import read_failure
library = FailureLibrary("x.db")
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (int(sys.argv[1]),) * 2)
try:
    texts = [f"Traceback\\nValueError: {i} " + "x" * 999 for i in range(99)]
    library.learn("two", list(map(read_failure, texts)))
except OSError as error:
    print(error)
"""
    done = subprocess.run(
        [sys.executable, "-c", code, str(len(content))], capture_output=True, text=True, check=True
    )
    assert done.stdout.startswith("x.db: ")
    assert (folder / "x.db").read_bytes() == content
    assert FailureLibrary("x.db").defects == {"one": False}
