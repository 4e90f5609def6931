"""``flashwasm coverage gap``: the parts of functions that no test runs."""

from __future__ import annotations

import sys
from dataclasses import asdict
from pathlib import Path

import click

from flashwasm.cli.coverage.group import coverage, database_option
from flashwasm.cli.coverage.notes import note_changed, note_left_out, note_unmeasured
from flashwasm.cli.existing_path import ExistingPath
from flashwasm.cli.exit_status import FailOn, findings_options
from flashwasm.cli.github import Annotation, repository_root
from flashwasm.cli.input import read_text
from flashwasm.cli.options import count_option, explain_option, format_options, html_option
from flashwasm.cli.output import echo_json, echo_named, echo_wrapped, note
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

__all__ = ["gap"]


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
    type=ExistingPath(file_okay=False),
    help="Folder of the sources to search for gaps. Relative paths in the database start there.",
)
@count_option("gaps")
@database_option
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
    gaps, absent = find_gaps(index, root, only=only, tests=tests, progress=True)
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
