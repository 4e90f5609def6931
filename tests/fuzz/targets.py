"""The table of targets, and the rule for all of them."""

import os
import tracemalloc
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from mutations import mutated

import flashwasm as fw

# Memory that a reader may take whatever the file, and for each byte of the file.
_MEMORY, _MEMORY_A_BYTE = 64 << 20, 1000


class Target(NamedTuple):
    """A reader.

    Attributes
    ----------
    name : str
        Name of the target, which is the name of the file that it reads unless ``file`` says so.
    seeds : callable
        Function that returns the contents of whole files. It may write other files into the
        current folder, which the reader needs.
    read : callable
        Function that reads a file, given its path.
    errors : tuple of type
        Errors that may say that the file is bad.
    edit : callable
        Function that changes a content; see `mutations.mutated`.
    tokens : sequence of bytes
        Words of the format.
    file : str
        Name of the file.
    """

    name: str
    seeds: Callable[[], list[bytes]]
    read: Callable[[Path], object]
    errors: tuple[type[Exception], ...] = (fw.CorruptFileError,)
    edit: Callable[..., bytes] = mutated
    tokens: tuple[bytes, ...] = ()
    file: str = ""

    @property
    def path(self) -> Path:
        """Path of the file, in the current folder."""
        return Path.cwd() / (self.file or self.name)


def check(target: Target, content: bytes) -> Exception | None:
    """Let a target read a content. Return the error that it raised, if it is one that it may raise.

    Raises
    ------
    AssertionError
        If its message is no clear line.
    BaseException
        Whatever else the reader raises.
    """
    target.path.parent.mkdir(parents=True, exist_ok=True)
    target.path.write_bytes(content)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            target.read(target.path)
        except target.errors as error:
            message = str(error)
            assert message, "an error without a message"
            assert "\n" not in message, message
            assert len(message) < 2000, message
            return error
    return None


def check_with_memory(target: Target, content: bytes) -> None:
    """Do as `check`, and hold the memory of Python and NumPy against the size of the file."""
    tracemalloc.start()
    try:
        check(target, content)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < _MEMORY + _MEMORY_A_BYTE * len(content), f"{peak} bytes for {len(content)}"


def enter(folder: Path) -> None:
    """Make a folder the current one, and keep the readers away from the user's own folders."""
    folder.mkdir(parents=True, exist_ok=True)
    os.chdir(folder)
    os.environ |= {
        "FLASHWASM_CACHE": str(folder / "cache"),
        "FLASHWASM_DATA": str(folder / "data"),
    }
