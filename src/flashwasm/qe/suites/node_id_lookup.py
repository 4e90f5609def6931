"""Lookup of tests by node ids, or by abbreviated node ids that people type."""

from __future__ import annotations

import os
import posixpath
import re
from collections.abc import Collection, Sequence
from difflib import get_close_matches
from pathlib import Path
from typing import TYPE_CHECKING

from flashwasm.errors import ShapeError
from flashwasm.object_checks import checked_text

if TYPE_CHECKING:
    from flashwasm.qe.suites.suite import CollectedTest

__all__ = ["NodeIdLookup", "nearest_node_ids", "node_ids_named", "without_parameters"]

# Maximum number of candidates in an error message.
_NAMED_AT_MOST = 10
# Maximum number of node ids that an error message suggests for a mistyped one.
_SUGGESTED_AT_MOST = 3
# Minimum similarity of the names of two functions in different files, as difflib measures it, for a
# suggestion. It is high because most names begin with test_.
_SIMILAR_NAMES = 0.75
# The end of the node id of a case, without the file: test_add[1-2].
_CASE = re.compile(r"\w+\[.*\]")


def node_ids_named(query: str, nodeids: Collection[str], root: Path | None = None) -> list[str]:
    """Return the node ids of the test that a query names: several if it has several cases.

    A query may be a node id; a node id whose path is absolute or relative to the working folder; an
    unambiguous end of a node id; or a node id whose path is relative to a folder above the root. If
    the query has no parameters, or no node id has these parameters, it names all cases of the
    function.

    Parameters
    ----------
    query : str
        Text that the user typed.
    nodeids : collection of str
        Node ids to choose from.
    root : pathlib.Path, optional
        Folder that paths in the node ids are relative to; None if unknown.

    Returns
    -------
    list of str
        Node ids, in order; empty if the query names none.

    Raises
    ------
    ShapeError
        If the query is the end of the node ids of several tests.
    """
    asked = _forms(checked_text(query, "query"), root)
    bare = list(dict.fromkeys(map(without_parameters, asked)))
    for names in (asked, bare):
        if equal := [name for name in names if name in nodeids]:
            return equal[:1]
    if cases := [nodeid for nodeid in nodeids if without_parameters(nodeid) in bare]:
        return cases
    for names in (asked, bare):
        ends = tuple(f"{separator}{name}" for name in names for separator in ("::", "/"))
        found = [
            nodeid
            for nodeid in nodeids
            if nodeid.endswith(ends)
            or without_parameters(nodeid).endswith(ends)
            or any(name.endswith(f"/{nodeid}") for name in names)
            or any(name.endswith(f"/{without_parameters(nodeid)}") for name in names)
        ]
        if len({without_parameters(nodeid) for nodeid in found}) > 1:
            listed = ", ".join(found[:_NAMED_AT_MOST])
            more = ", ..." if len(found) > _NAMED_AT_MOST else ""
            raise ShapeError(
                f"query {query!r} is the end of {len(found)} node ids: {listed}{more}; "
                "give a longer end of the right one"
            )
        if found:
            return found
    return []


def nearest_node_ids(query: str, nodeids: Collection[str]) -> str:
    """Return the part of an error message that suggests node ids for a mistyped one.

    Parameters
    ----------
    query : str
        Text that names no test.
    nodeids : collection of str
        Node ids to choose from.

    Returns
    -------
    str
        The node ids, without parameters, whose functions have the same name, or else a similar name
        in the query's file, or else a similar name in any file, the nearest first; "" if there is
        none.

    Examples
    --------
    >>> nearest_node_ids("test_a.py::test_ad", ["test_a.py::test_add[1]", "test_b.py::test_mul"])
    'the nearest is test_a.py::test_add; '
    """
    everywhere: dict[str, dict[str, None]] = {}
    own: dict[str, dict[str, None]] = {}
    wanted = without_parameters(query)
    file, function = wanted.partition("::")[0], wanted.rpartition("::")[2]
    for nodeid in map(without_parameters, nodeids):
        path, name = nodeid.partition("::")[0], nodeid.rpartition("::")[2]
        everywhere.setdefault(name, {})[nodeid] = None
        if path.endswith(file):
            own.setdefault(name, {})[nodeid] = None
    # Comparing names of functions, which are short, takes far less time than whole node ids.
    candidates = (
        list(everywhere.get(function, ()))
        or [one for name in get_close_matches(function, own) for one in own[name]]
        or [
            one
            for name in get_close_matches(function, everywhere, cutoff=_SIMILAR_NAMES)
            for one in everywhere[name]
        ]
    )
    found = get_close_matches(wanted, candidates, _SUGGESTED_AT_MOST, cutoff=0)
    if not found:
        return ""
    return f"the nearest {'is' if len(found) == 1 else 'are'} {', '.join(found)}; "


def without_parameters(nodeid: str) -> str:
    """Return a node id, or the end of one, without parameters.

    Examples
    --------
    >>> without_parameters("tests/test_a.py::test_add[1-2]"), without_parameters("test_add[1]")
    ('tests/test_a.py::test_add', 'test_add')
    """
    path, separator, name = nodeid.partition("::")
    if separator:
        return f"{path}::{name.partition('[')[0]}"
    return path.partition("[")[0] if _CASE.fullmatch(path) else path


def _forms(query: str, root: Path | None) -> list[str]:
    """Return the node ids that a query may stand for: as typed, and from the working folder."""
    path, separator, name = query.partition("::")
    if not separator or not path:
        return [query.removeprefix("::")]
    forms = [f"{posixpath.normpath(path.replace(os.sep, '/'))}::{name}"]
    if root is not None:
        try:
            here = Path(os.path.relpath(path, root)).as_posix()
        except ValueError:
            # The paths are on different drives of Windows.
            return forms
        forms.append(f"{here}::{name}")
    return forms


class NodeIdLookup:
    """Positions of tests by their node ids.

    Parameters
    ----------
    tests : sequence of CollectedTest
        Tests of a suite.
    root : pathlib.Path, optional
        The suite's root folder. If given, queries may have paths relative to the working folder.
    """

    def __init__(self, tests: Sequence[CollectedTest], root: Path | None = None) -> None:
        self._root = root
        self._positions = {
            nodeid: i for i, test in enumerate(tests) for nodeid in (test.nodeid, *test.also)
        }

    def position(self, nodeid: str) -> int | None:
        """Return the position of the test with exactly this node id; None if there is none."""
        return self._positions.get(nodeid)

    def nearest(self, query: str) -> str:
        """Return the part of a message that suggests node ids, as `nearest_node_ids` does."""
        return nearest_node_ids(query, self._positions)

    def find(self, query: str) -> int | None:
        """Return the position of the test that a query names; None if the query is free text.

        The forms of a query are those of `node_ids_named`.

        Raises
        ------
        ShapeError
            If the query has the form of a node id but matches no test, or matches several.
        """
        if found := node_ids_named(query, self._positions, self._root):
            return self._positions[found[0]]
        if "::" in query and not any(letter.isspace() for letter in query):
            raise ShapeError(
                f"query {query!r} has the form of a node id, but no test has it; "
                f"{self.nearest(query)}"
                "`pytest --collect-only -q` prints the node ids"
            )
        return None
