"""Files that are queries."""

from __future__ import annotations

from typing import TYPE_CHECKING

from flashwasm.errors import ShapeError

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from flashwasm.qe.suites.suite import CollectedTest

__all__ = ["read_query", "tests_of"]

# A file of tests has a few hundred lines.
_MOST_BYTES = 1 << 20


def read_query(path: Path) -> str:
    """Return a file's text; what is no UTF-8 is replaced.

    Raises
    ------
    ShapeError
        If there is no text in it, or more than a query may have.
    OSError
    """
    if (size := path.stat().st_size) > _MOST_BYTES:
        raise ShapeError(f"query {path} has {size} bytes; expected at most {_MOST_BYTES}")
    text = path.read_bytes().decode("utf-8-sig", "replace")
    if not text.strip():
        raise ShapeError(f"query {path} is empty; expected a file with text")
    return text


def tests_of(path: Path, tests: Sequence[CollectedTest]) -> list[int]:
    """Return the positions of the tests that are in a file."""
    paths = {path.absolute(), path.resolve()}
    return [i for i, test in enumerate(tests) if test.path in paths]
