"""Tests that do the same, in tiers of how sure that is."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from flashwasm.qe.duplicates.bodies import Body, read_bodies
from flashwasm.qe.duplicates.parametrization import parametrized
from flashwasm.qe.scoring.tfidf import TfIdf

if TYPE_CHECKING:
    from flashwasm.qe.coverage.coverage_index import CoverageIndex
    from flashwasm.qe.suites.suite import CollectedTest

__all__ = ["DuplicateGroup", "find_duplicates"]

# Cosine of character TF-IDF from which texts of tests with the same coverage count as similar.
_SIMILAR_TEXT = 0.6
# Tests that would need more parameters than this are lists of different things to one scheme: what
# pylint calls too many arguments, too.
_MOST_PARAMETERS = 5
# More tests than this run the same lines only because those lines are what everything runs.
_MOST_OF_ONE_ROW = 50


@dataclass(frozen=True)
class DuplicateGroup:
    """Tests that do the same.

    Parameters
    ----------
    tier : int
        1: the same body. 2: the same but for literals. 3: the same coverage and similar text.
    tests : list of CollectedTest
        Two or more.
    reason : str
        Why they are together.
    suggestion : str or None
        In tier 2 the parametrised test that could replace them.
    """

    tier: int
    tests: list[CollectedTest]
    reason: str
    suggestion: str | None = None


def find_duplicates(
    tests: Sequence[CollectedTest],
    *,
    coverage: CoverageIndex | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> list[DuplicateGroup]:
    """Return groups of tests that do the same, the surest first.

    Parameters
    ----------
    tests : sequence of CollectedTest
        The suite.
    coverage : CoverageIndex, optional
        What each test runs; without it there is no third tier.
    progress : callable, optional
        Called with the number of tests of which the third tier has seen the text.
    """
    bodies = read_bodies(list(tests))
    groups = []
    for alike in _grouped(bodies, lambda body: body.exact):
        names = "" if len({b.node.name for b in alike}) == 1 else ", but for the name"
        groups.append(DuplicateGroup(1, [b.test for b in alike], f"the body is the same{names}"))
    # One of each set of identical ones stands for them all.
    firsts = list({body.exact: body for body in reversed(bodies)}.values())[::-1]
    for alike in _grouped(firsts, lambda body: f"{body.test.path}{body.shape}"):
        differing = _differing(alike)
        if len(set(differing)) > _MOST_PARAMETERS:
            continue
        where = "literal differs" if len(differing) == 1 else "literals differ"
        groups.append(
            DuplicateGroup(
                2,
                [b.test for b in alike],
                f"only {len(differing)} {where}",
                parametrized(alike),
            )
        )
    if coverage is not None:
        known = {frozenset(t.nodeid for t in group.tests) for group in groups}
        groups += [
            group
            for group in _same_coverage(tests, coverage, progress)
            if not any(frozenset(t.nodeid for t in group.tests) <= ids for ids in known)
        ]
    return groups


def _grouped(bodies: Sequence[Body], key: Callable[[Body], str]) -> list[list[Body]]:
    groups: dict[str, list[Body]] = {}
    for body in bodies:
        groups.setdefault(key(body), []).append(body)
    return [group for group in groups.values() if len(group) > 1]


def _differing(bodies: Sequence[Body]) -> list[tuple[str, ...]]:
    """Return the literals at each place where they differ."""
    places = zip(*(body.literals for body in bodies), strict=True)
    return [values for values in places if len(set(values)) > 1]


def _same_coverage(
    tests: Sequence[CollectedTest],
    coverage: CoverageIndex,
    progress: Callable[[int, int], None] | None,
) -> list[DuplicateGroup]:
    by_id = {nodeid: test for test in tests for nodeid in (test.nodeid, *test.also)}
    own_files = sorted({Path(test.path).name for test in tests})
    rows = []
    for group in coverage.identical(without=own_files):
        # Cases of one parametrised test are one entry; the database has its own root.
        found = {
            test.nodeid: test
            for nodeid in group
            if (test := _test_of(nodeid.partition("[")[0], by_id)) is not None
        }
        if 1 < len(found) <= _MOST_OF_ONE_ROW:
            rows.append(list(found.values()))
    if not rows:
        return []
    # Weights come from the whole suite: an idiom of all tests is no sign of likeness.
    terms = TfIdf("characters", [test.source for test in tests], progress=progress)
    at = {test.nodeid: i for i, test in enumerate(tests)}
    groups = []
    for row in rows:
        cosines = terms.between([at[test.nodeid] for test in row])
        left = list(range(len(row)))
        while left:
            near = [i for i in left if cosines[left[0], i] >= _SIMILAR_TEXT]
            left = [i for i in left if i not in near and i != left[0]]
            if len(near) > 1:
                least = float(np.min(cosines[near[0], near]))
                reason = f"they run the same lines, and their texts are alike ({least:.2f})"
                groups.append(DuplicateGroup(3, [row[i] for i in near], reason))
    return groups


def _test_of(nodeid: str, by_id: dict[str, CollectedTest]) -> CollectedTest | None:
    """Return the test of a recorded node id, which may be relative to another folder."""
    if nodeid in by_id:
        return by_id[nodeid]
    found = [
        test
        for name, test in by_id.items()
        if name.endswith(f"/{nodeid}") or nodeid.endswith(f"/{name}")
    ]
    return found[0] if len(found) == 1 else None
