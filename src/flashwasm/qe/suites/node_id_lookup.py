"""Lookup of tests by node ids, or by the ends of node ids that people type."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from flashwasm.errors import ShapeError

if TYPE_CHECKING:
    from flashwasm.qe.suites.suite import CollectedTest

__all__ = ["NodeIdLookup"]

# Largest number of candidates that an error message names.
_NAMED_AT_MOST = 10


class NodeIdLookup:
    """Positions of tests by their node ids.

    Parameters
    ----------
    tests : sequence of CollectedTest
        Tests of a suite.
    """

    def __init__(self, tests: Sequence[CollectedTest]) -> None:
        self._positions = {
            nodeid: i for i, test in enumerate(tests) for nodeid in (test.nodeid, *test.also)
        }

    def position(self, nodeid: str) -> int | None:
        """Return the position of the test with exactly this node id; None if no test has it."""
        return self._positions.get(nodeid)

    def find(self, query: str) -> int | None:
        """Return the position of the test that a query names; None if the query is free text.

        A query names a test by its node id, by an end of the node id that no other test has, or by
        its node id with a longer path, relative to a folder above the suite's root.

        Raises
        ------
        ShapeError
            If the query has the form of a node id that no test has, or is the end of several.
        """
        # All cases of a parametrised test are one entry, so the parameters are cut off.
        name = query.partition("[")[0] if "::" in query else query
        if name in self._positions:
            return self._positions[name]
        named = {
            i: nodeid
            for nodeid, i in self._positions.items()
            if nodeid.endswith(("::" + name, "/" + name)) or name.endswith("/" + nodeid)
        }
        if len(named) == 1:
            return next(iter(named))
        if named:
            candidates = ", ".join(list(named.values())[:_NAMED_AT_MOST])
            more = ", ..." if len(named) > _NAMED_AT_MOST else ""
            raise ShapeError(
                f"query {query!r} is the end of {len(named)} node ids: {candidates}{more}; "
                "give more of the one that is meant"
            )
        if "::" in query and not any(letter.isspace() for letter in query):
            raise ShapeError(f"query {query!r} has the form of a node id, but no test has it")
        return None
