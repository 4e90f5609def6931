"""The command ``flashwasm tests-for``: its options, and the order of its work."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from flashwasm.cli.embedding_options import Embedding, embedding_options
from flashwasm.cli.options import (
    EXISTING_PATH,
    FILE,
    explain_option,
    html_option,
    json_option,
)
from flashwasm.cli.output import no_tests, note, note_missing, note_skipped, nothing_found
from flashwasm.cli.tests_for.change_options import ChangeSource, change_options
from flashwasm.cli.tests_for.choice import Choice
from flashwasm.cli.tests_for.coverage_options import coverage_options
from flashwasm.cli.tests_for.github import annotate, annotate_nothing, write_status
from flashwasm.cli.tests_for.pytest_arguments import CommandOfPytest, pytest_arguments
from flashwasm.cli.tests_for.pytest_run import PytestRun
from flashwasm.cli.tests_for.reports import print_ids, print_json, print_tests, write_html
from flashwasm.errors import CapabilityError, ShapeError
from flashwasm.qe.changes.diffs.git_changes import GitRepository
from flashwasm.qe.changes.ranking.case_counts import case_counts
from flashwasm.qe.changes.ranking.evidence import change_text
from flashwasm.qe.changes.ranking.run_budget import parse_budget, within_budget
from flashwasm.qe.changes.selection.safe_selection import safe_selection
from flashwasm.qe.defects.durations import read_times_and_cases
from flashwasm.qe.similarity.suite_index import SuiteIndex
from flashwasm.qe.suites.pytest_rootdir import pytest_rootdir
from flashwasm.qe.suites.pytest_settings import read_settings

if TYPE_CHECKING:
    from flashwasm.qe.changes.coverage.coverage_choice import CoverageChoice
    from flashwasm.qe.changes.ranking.selected_tests import SelectedTest
    from flashwasm.qe.changes.selection.safe_selection import SafeSelection

__all__ = ["tests_for"]

# Formats that name the tests and run none of them.
_RUNNING_NONE = ("ids", "json")


@click.command("tests-for", cls=CommandOfPytest)
@click.argument("path", type=EXISTING_PATH)
@change_options
@coverage_options
@click.option(
    "--history",
    is_flag=True,
    help="Exit with an error if PATH is not in a git repository. git's log names files and lines "
    "that changed together; if there is a log, it always counts for the order.",
)
@click.option(
    "--budget",
    help="Maximum number of test cases, or maximum time of the run in seconds (60s) or minutes "
    "(2m).",
)
@click.option(
    "--times",
    metavar="F",
    type=FILE,
    help="JUnit XML of an earlier run, from which --budget takes the time of each test.  "
    "[default: 0.1 s a case]",
)
@click.option("--dry-run", is_flag=True, help="List the tests and the reasons; run no test.")
@click.option(
    "--likely",
    is_flag=True,
    help="Select fewer tests, at the risk of missing some: those that the change edits and those "
    "that run changed lines, or if there are none, the 50 most relevant tests.",
)
@click.option(
    "--conservative",
    is_flag=True,
    help="Run every test that the change may reach, even beyond the budget. Without a budget, this "
    "is the default.",
)
@click.option(
    "--format",
    "output_format",
    type=click.Choice(["text", "ids", "json", "github", "junit"]),
    help="ids and json print the tests, as node ids for a shell or as JSON, and run none. github "
    "writes the annotations, outputs and summary of a GitHub Actions step. junit prints JUnit XML "
    "of the run on stdout.  [default: text]",
)
@click.option(
    "--python",
    metavar="EXE",
    help="Python interpreter that runs pytest.  [default: the one that runs flashwasm]",
)
@explain_option
@html_option
@json_option
@embedding_options
def tests_for(
    path: Path,
    change: ChangeSource,
    lookup: CoverageChoice,
    budget: str | None,
    times: Path | None,
    output_format: str | None,
    python: str | None,
    html: Path | None,
    embedding: Embedding,
    *,
    history: bool,
    dry_run: bool,
    likely: bool,
    conservative: bool,
    explain: bool,
    as_json: bool,
) -> None:
    """Run every test that a change may reach, the most relevant first.

    With a coverage database, a changed line selects the tests that ran its function. If the line
    runs at import, or no test ran it, it selects all tests in files that import its module,
    directly or through other modules. Without a coverage database, this rule applies to every line.

    Tests that the change edits run first, then tests that ran the changed lines. The others are
    ordered by a sum of evidence: similarity of text, names of changed definitions, names of files,
    imports, and files that changed together in git's log. Arguments after -- are passed to pytest.

    Exit status: that of pytest; 0 if only comments or layout change, and no test can notice it.
    With --dry-run, --format ids or --format json: 0 if there are tests
    to run, 1 if there are none.

    \b
    Example:
      flashwasm tests-for tests --since main --budget 60s -- -x
    """
    if likely and conservative:
        raise click.UsageError("--likely and --conservative exclude each other; give one of them")
    form = _format(output_format, as_json=as_json, dry_run=dry_run)
    limit = parse_budget(budget) if budget else None
    runs = not dry_run and form not in _RUNNING_NONE
    pytest = PytestRun(python, pytest_arguments()) if runs else None
    if history:
        _check_history(path)
    root = pytest_rootdir(path.absolute())
    changes = change.changes(path, (lookup.path(root), times))
    if not changes:
        reason = "the diff changes nothing" if change.since is None else "the change is empty"
        if form == "github":
            annotate_nothing(reason)
        nothing_found(reason)
    database = lookup.load(root, changes, change.before(path), note, progress=True)
    coverage = None if database is None else database[1]
    seconds, ran = ({}, {}) if times is None else read_times_and_cases(times)
    index = SuiteIndex.build(path, **embedding)
    note_missing(index.missing)
    selection = safe_selection(index, changes, coverage, progress=True)
    counts = None if limit is None else case_counts(index.tests, coverage, ran)
    if limit is not None and not conservative:
        chosen = within_budget(_candidates(selection, likely=likely), limit, seconds, counts)
    else:
        chosen = selection.likely() if likely else selection.sure or selection.likely()
    text = change_text(changes)
    # A file is named once, even if flashwasm could not follow several of its lines.
    unread = dict.fromkeys(one.path for one in selection.unread)
    choice = Choice(
        root=index.root,
        selection=selection,
        chosen=chosen,
        files=[] if likely or limit is not None else list(unread),
        explanations=[index.explain(text, s.test) if explain else None for s in chosen],
        missing=index.missing,
        skipped=index.skipped,
        coverage=None if database is None else database[0],
        counts=counts,
    )
    if html is not None:
        write_html(html, choice)
    _report(choice, form, dry_run=dry_run)
    _note_no_tests(index)
    status = None
    if pytest is not None and (choice.chosen or choice.files):
        status = pytest.junit(choice) if form == "junit" else pytest.run(choice)
    if form == "github":
        write_status(status)
    # If no test can notice a change of comments, it has passed without a run.
    passed = choice.chosen or choice.files or (runs and selection.only_layout)
    sys.exit(status if status is not None else int(not passed))


def _candidates(selection: SafeSelection, *, likely: bool) -> list[SelectedTest]:
    """Return the tests that may fill a budget, in the order in which they do."""
    if selection.only_layout:
        return selection.sure
    return selection.by_relevance() if likely else [*selection.sure, *selection.rest]


def _note_no_tests(index: SuiteIndex) -> None:
    """Print a note if a suite has no tests, which says how its files have to be named."""
    if not index.tests:
        names = " or ".join(read_settings(index.path).python_files)
        note(f"{no_tests(index.path)}; pytest looks for tests in files named {names}")


def _check_history(path: Path) -> None:
    """Raise ShapeError if a path is in no git repository, which --history asks for."""
    try:
        GitRepository(path)
    except (ShapeError, CapabilityError) as error:
        reason = str(error).rpartition(";")[0]
        raise ShapeError(f"--history: {reason}; leave it out to do without git's log") from None


def _format(output_format: str | None, *, as_json: bool, dry_run: bool) -> str:
    """Return the name of the format that the options choose."""
    if as_json and output_format not in {None, "json"}:
        raise click.UsageError(
            f"--json and --format {output_format} exclude each other; give one of them"
        )
    if output_format == "junit" and dry_run:
        raise click.UsageError(
            "--format junit is the report of a run, which --dry-run leaves out; give one of them"
        )
    return "json" if as_json else output_format or "text"


def _report(choice: Choice, form: str, *, dry_run: bool) -> None:
    """Print the chosen tests on stdout, and the notes on stderr."""
    if form == "json":
        print_json(choice)
        return
    note_skipped(choice.skipped)
    if form == "ids":
        print_ids(choice)
    elif dry_run:
        print_tests(choice)
    if form == "github":
        annotate(choice)
        return
    for one in choice.notes():
        note(one.text)
