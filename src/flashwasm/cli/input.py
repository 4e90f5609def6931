"""Input of the commands: files, stdin, and arguments that may be paths."""

from __future__ import annotations

import sys
from pathlib import Path

from flashwasm.errors import ShapeError

__all__ = ["exists", "read_stdin", "read_text"]

# Maximum size of a file in bytes. No diff that a person wrote is that large.
_MOST_BYTES = 64 << 20


def read_text(name: str) -> str:
    """Return the text of a file, or of stdin for "-"; bytes that are not UTF-8 are replaced."""
    if name != "-" and (size := Path(name).stat().st_size) > _MOST_BYTES:
        raise ShapeError(f"{name} has {size} bytes; expected at most {_MOST_BYTES}")
    data = read_stdin() if name == "-" else Path(name).read_bytes()
    return data.decode("utf-8-sig", "replace")


def read_stdin() -> bytes:
    """Return all bytes of stdin; none if the shell has closed it (``sys.stdin`` is None then)."""
    return b"" if sys.stdin is None else sys.stdin.buffer.read()


def exists(path: Path) -> bool:
    """Return True if an argument, which may be any text, is an existing path."""
    try:
        return path.exists()
    except (OSError, ValueError):
        # A text may be too long for a file name, or contain a character that no file name may.
        return False
