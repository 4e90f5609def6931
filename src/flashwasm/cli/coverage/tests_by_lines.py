"""``flashwasm coverage who``, ``nearest`` and ``redundant``: tests by the lines that they run."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

import click

from flashwasm.cli.coverage.cases import CaseGroups, number_of_tests, print_cases
from flashwasm.cli.coverage.group import coverage, database_option
from flashwasm.cli.coverage.no_test import why_no_test
from flashwasm.cli.coverage.notes import note_changed
from flashwasm.cli.line_ranges import parse_place
from flashwasm.cli.options import count_option, explain_option, json_option
from flashwasm.cli.output import echo_json, echo_wrapped, nothing_found
from flashwasm.qe.coverage.coverage_index import CoverageIndex
from flashwasm.qe.coverage.line_ranges import format_lines
from flashwasm.qe.coverage.source_digests import changed_sources

if TYPE_CHECKING:
    from flashwasm.qe.coverage.coverage_match import CoverageMatch

__all__ = ["nearest", "redundant", "who"]


@coverage.command()
@click.argument("place", metavar="FILE:LINES")
@database_option
@explain_option
@json_option
def who(place: str, database: Path, *, explain: bool, as_json: bool) -> None:
    """List the tests that run the given lines of a file.

    LINES are line numbers and ranges, separated by commas, as in lib.py:10-20,31. If all cases of a
    parametrised test run one of the lines, they are printed as one line with their number, and with
    the lines that any of them runs; --json names each case. --explain lists the lines that a test
    itself runs separately from the lines that its fixtures run.

    \b
    Example:
      flashwasm coverage who src/cart.py:10-20,31
    """
    file, lines = parse_place(place)
    index = CoverageIndex.load(database, progress=True)
    tests = index.who(file, lines)
    note_changed(database, changed_sources(database, Path()))
    own = index.who(file, lines, fixtures=False) if explain else {}
    parts = {test: _parts(run, own.get(test, [])) for test, run in tests.items() if explain}
    found = CaseGroups(index.tests).together(tests)
    found.sort(key=lambda one: (-len(one.lines(tests)), one.name))
    if as_json:
        ran = [{"nodeid": t, "lines": n, **parts.get(t, {})} for t, n in tests.items()]
        echo_json({"file": file, "tests": ran})
    elif explain:
        for one in found:
            one.echo()
            for part in ("its_own", "its_fixtures"):
                run = one.lines({test: parts[test][part] for test in one.nodeids})
                echo_wrapped(f"    {part.replace('_', ' ')}: {format_lines(run) or 'none'}")
    else:
        print_cases(["lines"], [([format_lines(one.lines(tests))], one) for one in found])
    if not tests:
        nothing_found(why_no_test(index, place, file, lines))


@coverage.command()
@click.argument("nodeid")
@count_option("tests")
@database_option
@explain_option
@json_option
def nearest(nodeid: str, count: int, database: Path, *, explain: bool, as_json: bool) -> None:
    """List the tests that share the most lines with a test; --explain lists these lines.

    Each test has a score, the cosine of the two sets of lines: 1 if both tests run the same lines,
    0 if they have none in common. After it comes the number of lines that both run. If all cases of
    a parametrised test run the same lines, they are one line with their number; --json names each.

    \b
    Example:
      flashwasm coverage nearest tests/test_cart.py::test_add -k 5
    """
    index = CoverageIndex.load(database, progress=True)
    if as_json:
        matches = index.nearest(nodeid, count)
        found = [asdict(match) for match in matches]
        if explain:
            both = index.lines_shared_with(nodeid, [match.nodeid for match in matches])
            found = [one | {"lines": lines} for one, lines in zip(found, both, strict=True)]
        echo_json({"nodeid": nodeid, "matches": found})
    else:
        # A test that is printed as one line may have any number of cases.
        matches = index.nearest(nodeid, max(count, len(index.tests)))
        _print_nearest(index, nodeid, matches, count, explain=explain)
    if not matches:
        nothing_found(f"no other test runs a line that {nodeid} runs")


def _print_nearest(
    index: CoverageIndex,
    nodeid: str,
    matches: Sequence[CoverageMatch],
    count: int,
    *,
    explain: bool,
) -> None:
    """Print the first tests of all that share lines with a test."""
    by_id = {match.nodeid: match for match in matches}
    rows = {name: index.row(i) for i, name in enumerate(index.tests)}
    tests = CaseGroups(rows).together(by_id, lambda name: rows[name].tobytes())[:count]
    best = [by_id[one.nodeids[0]] for one in tests]
    if explain:
        both = index.lines_shared_with(nodeid, [match.nodeid for match in best])
        for one, match, lines in zip(tests, best, both, strict=True):
            one.echo(f"{match.score:.3f}")
            _print_lines("both run", lines)
    else:
        cells = [(f"{match.score:.3f}", str(match.shared)) for match in best]
        print_cases(("score", "shared lines"), list(zip(cells, tests, strict=True)))


@coverage.command()
@database_option
@explain_option
@json_option
def redundant(database: Path, *, explain: bool, as_json: bool) -> None:
    """Group the tests that run exactly the same lines; --explain lists these lines.

    Such tests may still check different things. `flashwasm duplicates --coverage` also compares
    their source code. If all cases of a parametrised test are in a group, they are one line with
    their number; --json names each case.

    \b
    Example:
      flashwasm coverage redundant --explain
    """
    index = CoverageIndex.load(database, progress=True)
    groups = index.identical()
    together = CaseGroups(index.tests).together
    if as_json:
        lines = {"lines": [index.shared_lines(group[0]) for group in groups]} if explain else {}
        echo_json({"groups": groups, **lines})
    else:
        for group in groups:
            click.echo(f"{number_of_tests(group)} run the same lines")
            for test in together(group):
                test.echo(indent="    ")
            if explain:
                _print_lines("all run", index.shared_lines(group[0]))
    if not groups:
        nothing_found("no two tests run the same lines")


def _parts(lines: Sequence[int], own: Sequence[int]) -> dict[str, list[int]]:
    """Separate the lines that a test runs itself from those that only its fixtures run."""
    fixtures = set(lines).difference(own)
    return {"its_own": list(own), "its_fixtures": sorted(fixtures)}


def _print_lines(what: str, lines: Mapping[str, list[int]]) -> None:
    """Print the lines of each file after a phrase such as "both run"."""
    for file, numbers in lines.items():
        echo_wrapped(f"    {what} {file}:{format_lines(numbers)}")
