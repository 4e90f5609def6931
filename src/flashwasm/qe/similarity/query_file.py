"""Queries: a node id, a text or a file."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from flashwasm.errors import ShapeError
from flashwasm.object_checks import checked_unicode
from flashwasm.qe.suites.node_id_lookup import NodeIdLookup
from flashwasm.storage.file_paths import checked_path

if TYPE_CHECKING:
    from flashwasm.qe.suites.suite import CollectedTest, Suite

__all__ = ["check_query", "read_query", "tests_of", "text_of"]

# Maximum size of a query in bytes. A test file has a few hundred lines.
_MOST_BYTES = 1 << 20


def check_query(query: str | Path, suite: Suite) -> int | None:
    """Return the position of the test that a query names; None if it names none.

    This needs no embeddings, and raises the errors that `SuiteIndex.similar` raises for the query.

    Raises
    ------
    ShapeError, DTypeError, OSError
    """
    text_of(query)
    if isinstance(query, str) and suite.tests:
        return NodeIdLookup(suite.tests, suite.root).find(query)
    return None


def text_of(query: str | Path) -> str:
    """Return the text of a query, or of the file that it names.

    Raises
    ------
    ShapeError
        If there is no letter and no digit in it.
    DTypeError
        If the query is neither a text nor a path, or is not valid Unicode.
    OSError
        If the file cannot be read.
    """
    text = query if isinstance(query, str) else read_query(query)
    if not text.strip():
        raise ShapeError("query is empty; expected a node id or a text")
    if not any(map(str.isalnum, text)):
        raise ShapeError("query has no letter and no digit; expected a node id or a text")
    return checked_unicode(text, "query")


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
