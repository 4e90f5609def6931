"""``flashwasm coverage``: the lines that each test runs."""

from __future__ import annotations

import sys
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

import click

from flashwasm.cli.coverage_notes import note_changed, note_left_out, note_unmeasured
from flashwasm.cli.exit_status import FailOn, findings_options
from flashwasm.cli.github import Annotation, repository_root
from flashwasm.cli.input import read_text
from flashwasm.cli.line_ranges import parse_place
from flashwasm.cli.options import (
    count_option,
    coverage_option,
    explain_option,
    format_options,
    html_option,
    json_option,
)
from flashwasm.cli.output import (
    echo_json,
    echo_named,
    echo_wrapped,
    note,
    nothing_found,
    print_table,
)
from flashwasm.qe.changes.diffs.unified_diff import read_diff
from flashwasm.qe.coverage.coverage_index import CoverageIndex
from flashwasm.qe.coverage.gaps import Gap, find_gaps
from flashwasm.qe.coverage.line_ranges import format_lines, lines_in_words
from flashwasm.qe.coverage.source_digests import changed_sources
from flashwasm.qe.coverage.unmeasured_sources import outside_sources, unmeasured_sources
from flashwasm.qe.reports.html_pages import gaps_page
from flashwasm.qe.reports.page_template import write_page
from flashwasm.qe.reports.sarif import gaps_sarif
from flashwasm.summaries import counted

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["coverage"]

_database_option = coverage_option("", default=".coverage")


@click.group()
def coverage() -> None:
    """Ask a coverage.py database which test runs which lines.

    The pytest option --fw-record writes the database.

    \b
    Example:
      pytest --fw-record .coverage
      flashwasm coverage gap
    """


@coverage.command()
@click.argument("place", metavar="FILE:LINES")
@_database_option
@explain_option
@json_option
def who(place: str, database: Path, *, explain: bool, as_json: bool) -> None:
    """List the tests that run the given lines of a file.

    LINES are line numbers and ranges, separated by commas, as in lib.py:10-20,31. --explain lists
    the lines that a test itself runs separately from the lines that its fixtures run.

    \b
    Example:
      flashwasm coverage who src/cart.py:10-20,31
    """
    file, lines = parse_place(place)
    index = CoverageIndex.load(database, progress=True)
    tests = index.who(file, lines)
    note_changed(database, changed_sources(database, Path()))
    parts = _parts(index, file, tests) if explain else {}
    if as_json:
        found = [{"nodeid": t, "lines": n, **parts.get(t, {})} for t, n in tests.items()]
        echo_json({"file": file, "tests": found})
    elif explain:
        for test, lines_by_part in parts.items():
            click.echo(test)
            for part, run in lines_by_part.items():
                echo_wrapped(f"    {part.replace('_', ' ')}: {format_lines(run) or 'none'}")
    else:
        rows = [(format_lines(found), test) for test, found in tests.items()]
        print_table(("lines", "test"), rows, prose=("lines",))
    if not tests:
        # Imports, definitions and class bodies run once, before the first test.
        at_import = sorted(index.lines_outside_tests(file)[0].intersection(lines))
        why = f", but {format_lines(at_import)} ran outside of tests, as at import"
        nothing_found(f"no test runs {place}{why if at_import else ''}")


@coverage.command()
@click.argument("nodeid")
@count_option("tests")
@_database_option
@explain_option
@json_option
def nearest(nodeid: str, count: int, database: Path, *, explain: bool, as_json: bool) -> None:
    """List the tests that share the most lines with a test; --explain lists these lines.

    Each test has a score, the cosine of the two sets of lines: 1 if both tests run the same lines,
    0 if they have none in common. After it comes the number of lines that both run.

    \b
    Example:
      flashwasm coverage nearest tests/test_cart.py::test_add -k 5
    """
    index = CoverageIndex.load(database, progress=True)
    matches = index.nearest(nodeid, count)
    if as_json:
        found = [
            {**asdict(m), **({"lines": index.shared_lines(nodeid, m.nodeid)} if explain else {})}
            for m in matches
        ]
        echo_json({"nodeid": nodeid, "matches": found})
    elif explain:
        for match in matches:
            echo_named(f"{match.score:.3f}", match.nodeid)
            _print_lines("both run", index.shared_lines(nodeid, match.nodeid))
    else:
        print_table(
            ("score", "shared lines", "test"),
            [(f"{m.score:.3f}", str(m.shared), m.nodeid) for m in matches],
        )
    if not matches:
        nothing_found(f"no other test runs a line that {nodeid} runs")


@coverage.command()
@_database_option
@explain_option
@json_option
def redundant(database: Path, *, explain: bool, as_json: bool) -> None:
    """Group the tests that run exactly the same lines; --explain lists these lines.

    Such tests may still check different things. `flashwasm duplicates --coverage` also compares
    their source code.

    \b
    Example:
      flashwasm coverage redundant --explain
    """
    index = CoverageIndex.load(database, progress=True)
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
    if not groups:
        nothing_found("no two tests run the same lines")


@coverage.command()
@click.option(
    "--diff",
    "diff",
    metavar="F|-",
    help="Show only lines that this unified diff adds; - reads the diff from stdin.",
)
@click.option(
    "--root",
    default=".",
    show_default=True,
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    help="Folder of the sources to search for gaps. Relative paths in the database start there.",
)
@count_option("gaps")
@_database_option
@html_option
@explain_option
@format_options("text", "json", "github", "sarif")
@findings_options("untested", "partial")
@click.option(
    "--tests", is_flag=True, help="Also list gaps in test files, conftest.py and folders of tests."
)
def gap(
    diff: str | None,
    root: Path,
    count: int,
    database: Path,
    html: Path | None,
    fail_on: FailOn,
    form: str,
    *,
    explain: bool,
    tests: bool,
) -> None:
    """Find the parts of functions that no test runs, the riskiest first.

    A gap is the untested statements of one function. Its risk is the product of three numbers: the
    share of the function's statements that are untested, the logarithm of 1 + their number, and 1 +
    the number of branches among them. Each gap names an existing test to extend; --explain lists
    the lines of the function that this test runs.

    Exit status: 0 if there is no gap, 1 if there are gaps, 2 on bad usage or bad input. The kinds
    for --fail-on are "untested", if tests run no statement of the function, and "partial", if they
    run some.

    \b
    Example:
      git diff main | flashwasm coverage gap --diff - --fail-on untested
    """
    only: dict[str, set[int]] | None = None
    if diff is not None:
        only = {}
        # A log of several commits may have several diffs of one file.
        for change in read_diff(read_text(diff)):
            only.setdefault(change.path, set()).update(change.new_lines)
    index = CoverageIndex.load(database, progress=True)
    root = root.resolve()
    note_unmeasured(index, only or {}, root)
    changed = changed_sources(database, root)
    note_changed(database, changed)
    gaps, absent = find_gaps(index, root, only=only, tests=tests)
    status = fail_on.decide(_kind(one) for one in gaps)
    outside = outside_sources(index.files, root)
    unmeasured = [] if diff is not None else unmeasured_sources(index.files, root)
    note_left_out(outside, unmeasured, root)
    if absent:
        note(
            f"{counted(len(absent), 'files')} of the database cannot be read below {root}, "
            f"for example {absent[0]}"
        )
    if html is not None:
        write_page(html, gaps_page(gaps[:count], root, total=len(gaps)))
    if form == "json":
        found = [{k: v for k, v in asdict(one).items() if k != "text"} for one in gaps[:count]]
        left_out = {"outside": outside, "unmeasured": unmeasured}
        echo_json({"gaps": found, "unread": absent, "changed": changed, **left_out})
    elif form == "sarif":
        echo_json(gaps_sarif(gaps[:count], root, repository_root(root)))
    else:
        for one in gaps[:count]:
            if form == "github":
                click.echo(_annotation(one, root).command(repository_root(root)))
            else:
                _print_gap(one, explain=explain)
    if not gaps:
        note("no gap")
    sys.exit(status)


def _print_gap(one: Gap, *, explain: bool) -> None:
    """Print a gap: its risk with its parts, its lines, and the test to extend."""
    parts = ", ".join(f"{name} {value:.2f}" for name, value in one.components.items())
    echo_wrapped(f"{one.risk:.2f}  {one.path}:{one.lines[0]} in {one.function}")
    echo_wrapped(f"    no test runs {lines_in_words(one.lines)}")
    echo_wrapped(f"    {parts}")
    echo_named("extend:", one.nearest_test or "no test is near", separator=" ", indent="    ")
    if explain and one.nearest_lines:
        echo_wrapped(f"    this test runs: {format_lines(one.nearest_lines)}")


def _annotation(one: Gap, folder: Path) -> Annotation:
    """Return a gap as an annotation; relative paths start at a folder."""
    level = "warning" if one.untested else "notice"
    title = "no test runs this function" if one.untested else "no test runs these lines"
    return Annotation(level, folder / one.path, one.lines[0], one.last_line, title, one.summary())


def _kind(one: Gap) -> str:
    """Return the kind of a gap, as --fail-on names it."""
    return "untested" if one.untested else "partial"


def _parts(
    index: CoverageIndex, file: str, tests: Mapping[str, list[int]]
) -> dict[str, dict[str, list[int]]]:
    """Return for each test the lines that it runs itself and the lines that its fixtures run."""
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
    """Print the lines of each file after a phrase such as "both run"."""
    for file, numbers in lines.items():
        echo_wrapped(f"    {what} {file}:{format_lines(numbers)}")
