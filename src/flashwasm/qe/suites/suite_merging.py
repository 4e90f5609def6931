"""The union of suites that were collected in parts, such as by the jobs of a CI run."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from flashwasm.errors import ShapeError
from flashwasm.qe.suites.star_imports import content_digest
from flashwasm.qe.suites.suite import CollectedTest, Suite, add_node_id

if TYPE_CHECKING:
    from flashwasm.qe.suites.source_files import Skipped

__all__ = ["Place", "merge_suites"]


class Place(NamedTuple):
    """Place of a test of the union in the parts: the number of the part, and the position in it."""

    part: int
    position: int


def merge_suites(suites: Sequence[Suite], names: Sequence[str]) -> tuple[Suite, list[Place]]:
    """Return the union of parts of one suite, equal to the result of `collect` for the whole suite.

    The tests are in the order of `collect`, which walks through the folders. A test in several
    parts appears once, with the node ids of all parts.

    Parameters
    ----------
    suites : sequence of Suite
        The parts, at least one. They may overlap.
    names : sequence of str
        Names of the parts, for error messages.

    Returns
    -------
    suite : Suite
        The union. Its path is the common parent folder of the paths of all parts.
    places : list of Place
        For each of its tests, the place in one part that contains it.

    Raises
    ------
    ShapeError
        If the parts have different roots, or were read from different versions of a file.
    """
    first = suites[0]
    for suite, name in zip(suites, names, strict=True):
        if suite.root != first.root:
            raise ShapeError(
                f"{names[0]} is of the suite in {first.root}, and {name} of the one in "
                f"{suite.root}; expected parts of one suite, with the same rootdir"
            )
    digests = _merged_digests(suites, names)
    if len({suite.path for suite in suites}) == 1 and all(s.tests == first.tests for s in suites):
        # A single part keeps its order, which may be that of the setting `testpaths`.
        tests, places = first.tests, [Place(0, i) for i in range(len(first.tests))]
    else:
        tests, places = _merged_tests(suites, names)
    path = Path(os.path.commonpath([suite.path for suite in suites]))
    return Suite(first.root, tests, _merged_skipped(suites), path, digests), places


def _merged_digests(suites: Sequence[Suite], names: Sequence[str]) -> dict[Path, str]:
    """Return the digests of all files; raise ShapeError if two parts read different versions."""
    merged: dict[Path, str] = {}
    source: dict[Path, str] = {}
    for suite, name in zip(suites, names, strict=True):
        for file, digest in suite.digests.items():
            content = content_digest(digest)
            if content_digest(merged.setdefault(file, digest)) != content:
                raise ShapeError(
                    f"{source[file]} and {name} were made from different versions of {file}; "
                    "expected parts of one version of the suite"
                )
            source.setdefault(file, name)
            if digest == content:
                # In this part, a test comes from the file, so that every change of it counts.
                merged[file] = digest
    return dict(sorted(merged.items()))


def _merged_skipped(suites: Sequence[Suite]) -> list[Skipped]:
    """Return the distinct skipped files of all parts, in the order of the files."""
    found = dict.fromkeys(one for suite in suites for one in suite.skipped)
    return sorted(found, key=lambda one: _walk_order(one.path))


def _merged_tests(
    suites: Sequence[Suite], names: Sequence[str]
) -> tuple[list[CollectedTest], list[Place]]:
    """Return the tests of all parts in order, and the place of each test."""
    places: dict[tuple[Path, int], list[Place]] = {}
    for part, (suite, name) in enumerate(zip(suites, names, strict=True)):
        for position, test in enumerate(suite.tests):
            if not test.name:
                raise ShapeError(
                    f"{name} has no names of functions; an earlier version wrote it: build it again"
                )
            places.setdefault((test.path, test.line), []).append(Place(part, position))
    merged: list[tuple[tuple[object, ...], CollectedTest, Place]] = []
    for where in places.values():
        copies = {place: suites[place.part].tests[place.position] for place in where}
        met, place = min((_first_met(test), place) for place, test in copies.items())
        # `collect` lists a test at the first file that contains it in any part, among the tests of
        # that file.
        merged.append(((met, place.position), _union(list(copies.values())), place))
    merged.sort(key=lambda entry: entry[0])
    return [test for _, test, _ in merged], [place for _, _, place in merged]


def _union(copies: Sequence[CollectedTest]) -> CollectedTest:
    """Return one entry for a function in several parts, with the node ids of all parts."""
    test = copies[0]
    found = dict.fromkeys(nodeid for copy in copies for nodeid in (copy.nodeid, *copy.also))
    ids: list[str] = []
    for nodeid in sorted(found, key=lambda one: _walk_order(_file_of(one))):
        add_node_id(ids, nodeid, test.path, test.name)
    first, *also = ids
    return CollectedTest(first, test.path, test.line, test.source, tuple(also), test.name)


def _first_met(test: CollectedTest) -> tuple[tuple[int, str], ...]:
    """Return the sort key of the first file in which a part lists a test."""
    return min(_walk_order(_file_of(nodeid)) for nodeid in (test.nodeid, *test.also))


def _file_of(nodeid: str) -> Path:
    """Return the path of a node id's file, relative to the root."""
    return Path(nodeid.partition("::")[0])


def _walk_order(path: Path) -> tuple[tuple[int, str], ...]:
    """Return a key that sorts paths in the order of a walk: files before subfolders."""
    return (*((1, part) for part in path.parts[:-1]), (0, path.name))
