"""``flashwasm coverage``: which test runs what."""

from __future__ import annotations

import sys
from dataclasses import asdict
from pathlib import Path

import click

from flashwasm.cli.output import (
    echo_json,
    html_option,
    json_option,
    note,
    print_table,
    read_text,
)
from flashwasm.errors import ShapeError
from flashwasm.qe.changes.diffs import read_diff
from flashwasm.qe.coverage.gaps import find_gaps
from flashwasm.qe.coverage.index import CoverageIndex
from flashwasm.qe.pages import gaps_page, write_page

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
@json_option
def who(place: str, database: Path, *, as_json: bool) -> None:
    """Name the tests that run lines of a file.

    LINES are numbers and ranges with commas between them: lib.py:10-20,31
    """
    file, lines = _place(place)
    tests = CoverageIndex.load(database).who(file, lines)
    if as_json:
        echo_json({"file": file, "tests": [{"nodeid": t, "lines": n} for t, n in tests.items()]})
    else:
        print_table(
            ("lines", "test"), [(",".join(map(str, found)), test) for test, found in tests.items()]
        )
    _end(found=bool(tests), reason=f"no test runs {place}")


@coverage.command()
@click.argument("nodeid")
@_COUNT
@_DATABASE
@json_option
def nearest(nodeid: str, count: int, database: Path, *, as_json: bool) -> None:
    """Name the tests that run the most alike lines."""
    matches = CoverageIndex.load(database).nearest(nodeid, count)
    if as_json:
        echo_json({"nodeid": nodeid, "matches": [asdict(match) for match in matches]})
    else:
        print_table(
            ("score", "shared lines", "test"),
            [(f"{m.score:.3f}", str(m.shared), m.nodeid) for m in matches],
        )
    _end(found=bool(matches), reason=f"no other test runs a line that {nodeid} runs")


@coverage.command()
@_DATABASE
@json_option
def redundant(database: Path, *, as_json: bool) -> None:
    """Group the tests that run exactly the same lines.

    They may check different things: `flashwasm duplicates --coverage` looks at their texts too.
    """
    groups = CoverageIndex.load(database).identical()
    if as_json:
        echo_json({"groups": groups})
    else:
        for group in groups:
            click.echo(f"{len(group)} tests run the same lines")
            for test in group:
                click.echo(f"    {test}")
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
@json_option
def gap(
    diff: str | None,
    root: Path,
    count: int,
    database: Path,
    html: Path | None,
    *,
    as_json: bool,
) -> None:
    """Show lines of functions that no test runs, the riskiest first.

    The risk is a product: the share of the function that is not run, the logarithm of how many
    statements that is, and one more than the branches among them.
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
    _end(found=bool(gaps), reason="no gap")


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
