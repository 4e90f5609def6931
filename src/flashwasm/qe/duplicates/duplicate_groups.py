"""Groups of duplicate tests, in tiers of certainty."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import NoneType
from typing import TYPE_CHECKING

import numpy as np

from flashwasm.html_tables import html_table
from flashwasm.object_checks import instance_of
from flashwasm.qe.coverage.coverage_index import CoverageIndex
from flashwasm.qe.duplicates.function_body import (
    FunctionBody,
    FunctionKeys,
    read_bodies,
    read_keys,
)
from flashwasm.qe.duplicates.parametrization import parametrized
from flashwasm.qe.duplicates.same_meaning import meaning_of
from flashwasm.qe.scoring.tfidf_matrix import TfIdfMatrix
from flashwasm.qe.suites.suite import CollectedTest

if TYPE_CHECKING:
    from flashwasm.qe.duplicates.patches import Edit

__all__ = ["KINDS", "DuplicateGroup", "find_duplicates"]

# Names of the tiers, the most certain first.
KINDS = ("exact", "parametrize", "coverage")

# Minimum cosine of character tf-idf for texts of tests with the same coverage to count as similar.
_SIMILAR_TEXT = 0.6
# Maximum number of parameters of a suggested test. Tests that differ in more places only have the
# same form. pylint's limit for arguments is also five.
_MOST_PARAMETERS = 5
# Maximum number of tests with equal coverage to compare. If more tests run the same lines, these
# are lines that every test runs, which is no evidence of duplicates.
_MOST_WITH_EQUAL_COVERAGE = 50


@dataclass(frozen=True)
class DuplicateGroup:
    """A group of duplicate tests.

    Parameters
    ----------
    tier : int
        Certainty. 1: the bodies are the same. 2: the bodies differ only in literals. 3: the tests
        run the same lines, use the same names, and have similar text.
    tests : list of CollectedTest
        Two tests or more.
    reason : str
        Reason for grouping the tests, in words.
    suggestion : str or None
        Source of the parametrised test that could replace them, in tier 2 only. None if flashwasm
        cannot prove that it is equivalent.
    edits : tuple of Edit
        Edits of the file that replace the tests with the suggestion.
    """

    tier: int
    tests: list[CollectedTest]
    reason: str
    suggestion: str | None = None
    edits: tuple[Edit, ...] = ()

    _repr_html_ = html_table

    @property
    def kind(self) -> str:
        """The tier's name: ``exact``, ``parametrize`` or ``coverage``."""
        return KINDS[self.tier - 1]


def find_duplicates(
    tests: Sequence[CollectedTest],
    *,
    coverage: CoverageIndex | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> list[DuplicateGroup]:
    """Return groups of duplicate tests, the most certain first.

    Parameters
    ----------
    tests : sequence of CollectedTest
        Tests of a suite.
    coverage : CoverageIndex, optional
        Lines that each test runs. Without it there are no groups of tier 3.
    progress : callable, optional
        Function to call with the number of files read so far and the number of files, and for tier
        3 with the number of tests processed so far and the number of tests.

    Returns
    -------
    list of DuplicateGroup
        Groups of tier 1, then of tier 2, then of tier 3.

    Raises
    ------
    DTypeError
        If an argument is of the wrong type.
    """
    for test in tests:
        instance_of(test, CollectedTest, "tests")
    instance_of(coverage, (CoverageIndex, NoneType), "coverage")
    instance_of(progress, (Callable, NoneType), "progress")
    keys = read_keys(tests, progress)
    groups = []
    for alike in _grouped(keys, lambda one: one.exact):
        names = "" if len({one.name for one in alike}) == 1 else ", but for the name"
        groups.append(
            DuplicateGroup(1, [one.test for one in alike], f"the body is the same{names}")
        )
    # In tier 2, the first of each set of identical tests stands for all of them.
    firsts = list({one.exact: one for one in reversed(keys)}.values())[::-1]
    groups += _differing_in_literals(_grouped(firsts, lambda one: (one.test.path, one.shape)))
    if coverage is not None:
        known = {frozenset(t.nodeid for t in group.tests) for group in groups}
        groups += [
            group
            for group in _same_coverage(tests, coverage, progress)
            if not any(frozenset(t.nodeid for t in group.tests) <= ids for ids in known)
        ]
    return groups


def _grouped(
    functions: Sequence[FunctionKeys], key: Callable[[FunctionKeys], Hashable]
) -> list[list[FunctionKeys]]:
    """Return groups of two or more functions that have the same key."""
    groups: dict[Hashable, list[FunctionKeys]] = {}
    for one in functions:
        groups.setdefault(key(one), []).append(one)
    return [group for group in groups.values() if len(group) > 1]


def _differing_in_literals(alike: Sequence[Sequence[FunctionKeys]]) -> list[DuplicateGroup]:
    """Return the groups of tier 2, in the order of ``alike``: tests of one file and one shape."""
    found: dict[int, DuplicateGroup] = {}
    by_file = sorted(range(len(alike)), key=lambda i: alike[i][0].test.path)
    for i, bodies in zip(by_file, read_bodies(alike[i] for i in by_file), strict=True):
        if len(bodies) > 1 and (group := _differ_in_literals(bodies)) is not None:
            found[i] = group
    return [found[i] for i in sorted(found)]


def _differ_in_literals(bodies: Sequence[FunctionBody]) -> DuplicateGroup | None:
    """Return the group of tests that differ in literals; None if too many of them differ."""
    differing = _differing(bodies)
    if len(set(differing)) > _MOST_PARAMETERS:
        return None
    where = "literal differs" if len(differing) == 1 else "literals differ"
    found = parametrized(bodies)
    suggestion, edits = (None, ()) if found is None else (found.text, found.edits)
    reason = f"only {len(differing)} {where}"
    return DuplicateGroup(2, [body.test for body in bodies], reason, suggestion, edits)


def _differing(bodies: Sequence[FunctionBody]) -> list[tuple[str, ...]]:
    """Return the literals at each position where the literals of some bodies differ."""
    sources = [[literal.source for literal in body.literals] for body in bodies]
    return [values for values in zip(*sources, strict=True) if len(set(values)) > 1]


def _same_coverage(
    tests: Sequence[CollectedTest],
    coverage: CoverageIndex,
    progress: Callable[[int, int], None] | None,
) -> list[DuplicateGroup]:
    """Return the groups of tier 3: tests with equal coverage and similar texts."""
    find = _lookup(tests)
    # Each test runs its own lines, so the test files do not count.
    own_files = sorted({Path(test.path).name for test in tests})
    sets = []
    for group in coverage.identical(without=own_files):
        # The cases of a parametrised test are one test here.
        found = {
            test.nodeid: test
            for nodeid in group
            if (test := find(nodeid.partition("[")[0])) is not None
        }
        if 1 < len(found) <= _MOST_WITH_EQUAL_COVERAGE:
            sets.append(list(found.values()))
    if not sets:
        return []
    # Terms are weighted over the whole suite, so that idioms of all tests count little.
    terms = TfIdfMatrix("characters", [test.source for test in tests], progress=progress)
    at = {test.nodeid: i for i, test in enumerate(tests)}
    groups = []
    for equal in sets:
        cosines = terms.between([at[test.nodeid] for test in equal])
        meanings = [meaning_of(test.source) for test in equal]
        left = list(range(len(equal)))
        while left:
            near = [
                i
                for i in left
                if cosines[left[0], i] >= _SIMILAR_TEXT and meanings[left[0]].agrees(meanings[i])
            ]
            left = [i for i in left if i not in near and i != left[0]]
            if len(near) > 1:
                least = float(np.min(cosines[near[0], near]))
                reason = f"they run the same lines, and their texts are similar ({least:.2f})"
                groups.append(DuplicateGroup(3, [equal[i] for i in near], reason))
    return groups


def _lookup(tests: Sequence[CollectedTest]) -> Callable[[str], CollectedTest | None]:
    """Return a function from a node id in a coverage database to the test, or to None.

    The database may have another root folder. Then one of the two node ids ends with the other. If
    this applies to several tests, the function returns None.
    """
    by_id = {nodeid: test for test in tests for nodeid in (test.nodeid, *test.also)}
    by_end: dict[str, list[CollectedTest]] = {}
    for name, test in by_id.items():
        for end in _ends(name):
            by_end.setdefault(end, []).append(test)

    def find(nodeid: str) -> CollectedTest | None:
        """Return the test with a node id; None if there is none, or several may be meant."""
        if nodeid in by_id:
            return by_id[nodeid]
        longer = by_end.get(nodeid, [])
        shorter = [by_id[end] for end in _ends(nodeid) if end in by_id]
        found = [*longer, *shorter]
        return found[0] if len(found) == 1 else None

    return find


def _ends(nodeid: str) -> Iterator[str]:
    """Yield the ends of a node id without its first folders, the longest first."""
    while "/" in nodeid:
        nodeid = nodeid.partition("/")[2]
        yield nodeid
