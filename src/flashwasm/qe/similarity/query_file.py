"""Files that serve as queries."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from flashwasm.errors import ShapeError
from flashwasm.storage.file_paths import checked_path

if TYPE_CHECKING:
    from flashwasm.qe.suites.suite import CollectedTest

__all__ = ["read_query", "tests_of"]

# Maximum size of a query in bytes. A test file has a few hundred lines.
_MOST_BYTES = 1 << 20


def read_query(path: Path) -> str:
    """Return a file's text; bytes that are not UTF-8 are replaced.

    Raises
    ------
    ShapeError
        If the file is empty or too large.
    OSError
        If the file cannot be read.
    """
    path = checked_path(path, "query")
    if (size := path.stat().st_size) > _MOST_BYTES:
        raise ShapeError(f"query {path} has {size} bytes; expected at most {_MOST_BYTES}")
    text = path.read_bytes().decode("utf-8-sig", "replace")
    if not text.strip():
        raise ShapeError(f"query {path} is empty; expected a file with text")
    return text


def tests_of(path: Path, tests: Sequence[CollectedTest]) -> list[int]:
    """Return the positions of the tests that a file defines."""
    paths = {path.absolute(), path.resolve()}
    return [i for i, test in enumerate(tests) if test.path in paths]
