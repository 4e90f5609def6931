"""The command ``flashwasm tests-for``: its options, and the order of its work."""

from __future__ import annotations

import sys
from pathlib import Path

import click

from flashwasm.cli.embedding_options import Embedding, embedding_options
from flashwasm.cli.options import (
    EXISTING_PATH,
    FILE,
    explain_option,
    html_option,
    json_option,
)
from flashwasm.cli.output import note, note_missing, note_skipped, nothing_found
from flashwasm.cli.tests_for.change_options import ChangeSource, change_options
from flashwasm.cli.tests_for.choice import Choice
from flashwasm.cli.tests_for.coverage_lookup import CoverageLookup, coverage_options
from flashwasm.cli.tests_for.github import annotate, annotate_nothing, write_status
from flashwasm.cli.tests_for.pytest_arguments import CommandOfPytest, pytest_arguments
from flashwasm.cli.tests_for.pytest_run import PytestRun
from flashwasm.cli.tests_for.reports import print_ids, print_json, print_tests, write_html
from flashwasm.qe.changes.case_counts import case_counts
from flashwasm.qe.changes.evidence import change_text
from flashwasm.qe.changes.git_changes import GitRepository
from flashwasm.qe.changes.run_budget import parse_budget, within_budget
from flashwasm.qe.changes.safe_selection import safe_selection
from flashwasm.qe.defects.durations import read_times_and_cases
from flashwasm.qe.similarity.suite_index import SuiteIndex
from flashwasm.qe.suites.pytest_rootdir import pytest_rootdir

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
    help="Require git's log, which says what files and lines changed together. Where there is one, "
    "it counts for the order without this option, too.",
)
@click.option(
    "--budget",
    help="Largest number of test cases, or of seconds (60s) or minutes (2m) that they take.",
)
@click.option(
    "--times",
    metavar="F",
    type=FILE,
    help="JUnit XML of an earlier run, with the time of each test for --budget.  "
    "[default: 0.1 s a case]",
)
@click.option("--dry-run", is_flag=True, help="Name the tests and the reasons, and run none.")
@click.option(
    "--likely",
    is_flag=True,
    help="Take fewer tests and risk to miss some: only those that the change touches or whose "
    "lines it changes, or else the 50 most similar ones.",
)
@click.option(
    "--conservative",
    is_flag=True,
    help="Leave out no test that the change may reach, whatever the budget. Without a budget this "
    "is the default.",
)
@click.option(
    "--format",
    "output_format",
    type=click.Choice(["text", "ids", "json", "github", "junit"]),
    help="ids: node ids for a shell, and json: both run no test. github: annotations, outputs and "
    "summary of a step of GitHub Actions. junit: JUnit XML of the run on stdout.  [default: text]",
)
@click.option(
    "--python",
    metavar="EXE",
    help="Interpreter of the environment whose pytest runs the tests.  [default: flashwasm's own]",
)
@explain_option
@html_option
@json_option
@embedding_options
def tests_for(
    path: Path,
    change: ChangeSource,
    lookup: CoverageLookup,
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

    With a coverage database, a changed line selects the tests that ran its function. A line that
    runs at import, or that no test ran, selects all tests whose files depend on its module by
    imports. Without one the imports decide for all lines. Tests that the change touches come first,
    then those that ran its lines. A sum of evidence orders the others: likeness of text, names of
    changed definitions, names of files, imports, and files that changed together in git's log.
    What follows -- is handed to pytest. Exit status: that of pytest. With --dry-run, or a format
    that runs no test: 0 done, 1 nothing found.

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
        GitRepository(path)
    root = pytest_rootdir(path.absolute())
    changes = change.changes(path, (lookup.path(root), times))
    if not changes:
        reason = "the diff changes nothing" if change.since is None else "the change is empty"
        if form == "github":
            annotate_nothing(reason)
        nothing_found(reason)
    database = lookup.load(root, change, changes)
    coverage = None if database is None else database[1]
    seconds, ran = ({}, {}) if times is None else read_times_and_cases(times)
    index = SuiteIndex.build(path, **embedding)
    note_missing(index.missing)
    selection = safe_selection(index, changes, coverage, progress=True)
    counts = None if limit is None else case_counts(index.tests, coverage, ran)
    if limit is not None and not conservative:
        ordered = selection.by_relevance() if likely else [*selection.sure, *selection.rest]
        chosen = within_budget(ordered, limit, seconds, counts)
    else:
        chosen = selection.likely() if likely else selection.sure or selection.likely()
    text = change_text(changes)
    # A file is named once, even if several of its lines could not be followed.
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
    status = None
    if pytest is not None and (choice.chosen or choice.files):
        status = pytest.junit(choice) if form == "junit" else pytest.run(choice)
    if form == "github":
        write_status(status)
    sys.exit(status if status is not None else int(not choice.chosen and not choice.files))


def _format(output_format: str | None, *, as_json: bool, dry_run: bool) -> str:
    """Return the name of the format that the options ask for."""
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
    """Print the choice, and on stderr what was left out and why."""
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
