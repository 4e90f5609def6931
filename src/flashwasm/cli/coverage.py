"""``flashwasm coverage``: which test runs what."""

from __future__ import annotations

import sys
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

import click

from flashwasm.cli.output import (
    echo_json,
    explain_option,
    html_option,
    json_option,
    note,
    print_table,
    ranges,
    read_text,
)
from flashwasm.errors import ShapeError
from flashwasm.qe.changes.unified_diff import read_diff
from flashwasm.qe.coverage.gaps import find_gaps
from flashwasm.qe.coverage.index import CoverageIndex
from flashwasm.qe.reports.html_pages import gaps_page, write_page

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["coverage"]

# More than a source has, and few enough to go through.
_MOST_LINES = 1_000_000
_DATABASE = click.option(
    "--coverage",
    "database",
    default=".coverage",
    show_default=True,
    metavar="DB",
    type=click.Path(dir_okay=False, path_type=Path),
    help="A coverage.py database with test contexts.",
)
_COUNT = click.option(
    "-k", "count", type=click.IntRange(min=1), default=10, show_default=True, help="How many."
)


@click.group()
def coverage() -> None:
    """Ask a coverage.py database which test runs what.

    The database is made by: pytest --cov=PKG --cov-context=test
    """


@coverage.command()
@click.argument("place", metavar="FILE:LINES")
@_DATABASE
@explain_option
@json_option
def who(place: str, database: Path, *, explain: bool, as_json: bool) -> None:
    """Name the tests that run lines of a file.

    LINES are numbers and ranges with commas between them: lib.py:10-20,31
    --explain tells a test's own run from that of its fixtures.
    """
    file, lines = _place(place)
    index = CoverageIndex.load(database)
    tests = index.who(file, lines)
    parts = _parts(index, file, tests) if explain else {}
    if as_json:
        found = [{"nodeid": t, "lines": n, **parts.get(t, {})} for t, n in tests.items()]
        echo_json({"file": file, "tests": found})
    elif explain:
        for test, lines_by_part in parts.items():
            click.echo(test)
            for part, run in lines_by_part.items():
                click.echo(f"    {part.replace('_', ' ')}: {ranges(run) or 'none'}")
    else:
        print_table(
            ("lines", "test"), [(",".join(map(str, found)), test) for test, found in tests.items()]
        )
    _end(found=bool(tests), reason=f"no test runs {place}")


@coverage.command()
@click.argument("nodeid")
@_COUNT
@_DATABASE
@explain_option
@json_option
def nearest(nodeid: str, count: int, database: Path, *, explain: bool, as_json: bool) -> None:
    """Name the tests that run the most alike lines; --explain says which."""
    index = CoverageIndex.load(database)
    matches = index.nearest(nodeid, count)
    if as_json:
        found = [
            {**asdict(m), **({"lines": index.shared_lines(nodeid, m.nodeid)} if explain else {})}
            for m in matches
        ]
        echo_json({"nodeid": nodeid, "matches": found})
    elif explain:
        for match in matches:
            click.echo(f"{match.score:.3f}  {match.nodeid}")
            _print_lines("both run", index.shared_lines(nodeid, match.nodeid))
    else:
        print_table(
            ("score", "shared lines", "test"),
            [(f"{m.score:.3f}", str(m.shared), m.nodeid) for m in matches],
        )
    _end(found=bool(matches), reason=f"no other test runs a line that {nodeid} runs")


@coverage.command()
@_DATABASE
@explain_option
@json_option
def redundant(database: Path, *, explain: bool, as_json: bool) -> None:
    """Group the tests that run exactly the same lines; --explain says which.

    They may check different things: `flashwasm duplicates --coverage` looks at their texts too.
    """
    index = CoverageIndex.load(database)
    groups = index.identical()
    if as_json:
        lines = {"lines": [index.shared_lines(group[0]) for group in groups]} if explain else {}
        echo_json({"groups": groups, **lines})
    else:
        for group in groups:
            click.echo(f"{len(group)} tests run the same lines")
            for test in group:
                click.echo(f"    {test}")
            if explain:
                _print_lines("all run", index.shared_lines(group[0]))
    _end(found=bool(groups), reason="no two tests run the same lines")


@coverage.command()
@click.option("--diff", "diff", metavar="F|-", help="Only lines that a unified diff adds.")
@click.option(
    "--root",
    default=".",
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    help="The folder that relative paths of the database start at.",
)
@_COUNT
@_DATABASE
@html_option
@explain_option
@json_option
def gap(
    diff: str | None,
    root: Path,
    count: int,
    database: Path,
    html: Path | None,
    *,
    explain: bool,
    as_json: bool,
) -> None:
    """Show lines of functions that no test runs, the riskiest first.

    The risk is a product: the share of the function that is not run, the logarithm of how many
    statements that is, and one more than the branches among them. --explain says which lines
    there the test to extend runs.
    """
    only = None
    if diff is not None:
        only = {change.path: change.new_lines for change in read_diff(read_text(diff))}
    gaps, absent = find_gaps(CoverageIndex.load(database), root.resolve(), only=only)
    if absent:
        note(f"{len(absent)} files of the database cannot be read below {root}, as {absent[0]}")
    if html is not None:
        write_page(html, gaps_page(gaps[:count]))
    if as_json:
        echo_json({"gaps": [asdict(one) for one in gaps[:count]], "unread": absent})
    else:
        for one in gaps[:count]:
            parts = ", ".join(f"{name} {value:.2f}" for name, value in one.components.items())
            lines = ",".join(map(str, one.lines))
            click.echo(f"{one.risk:.2f}  {one.path}:{lines} in {one.function}\n    {parts}")
            click.echo(f"    extend: {one.nearest_test or 'no test is near'}")
            if explain and one.nearest_lines:
                click.echo(f"    it runs: {ranges(one.nearest_lines)}")
    _end(found=bool(gaps), reason="no gap")


def _parts(
    index: CoverageIndex, file: str, tests: Mapping[str, list[int]]
) -> dict[str, dict[str, list[int]]]:
    """Split the lines that each test runs into its own and its fixtures'."""
    name = index.files[index.find_file(file)]
    parts = {}
    for test, lines in tests.items():
        own = set(index.shared_lines(test).get(name, []))
        parts[test] = {
            "its_own": [line for line in lines if line in own],
            "its_fixtures": [line for line in lines if line not in own],
        }
    return parts


def _print_lines(what: str, lines: Mapping[str, list[int]]) -> None:
    for file, numbers in lines.items():
        click.echo(f"    {what} {file}:{ranges(numbers)}")


def _place(place: str) -> tuple[str, list[int]]:
    """Split FILE:LINES."""
    file, _, spans = place.rpartition(":")
    lines: list[int] = []
    try:
        for span in spans.split(","):
            first, _, last = span.partition("-")
            begin, end = int(first), int(last or first)
            lines += range(begin, min(end, begin + _MOST_LINES) + 1)
    except ValueError:
        lines = []
    if not file or not lines:
        raise ShapeError(f"{place!r} is not FILE:LINES, as lib.py:10-20,31 is")
    return file, lines


def _end(*, found: bool, reason: str) -> None:
    if not found:
        note(reason)
        sys.exit(1)
