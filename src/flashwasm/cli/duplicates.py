"""``flashwasm duplicates``: find duplicate tests."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from textwrap import indent
from typing import TYPE_CHECKING, Any

import click

from flashwasm.cli.embedding_options import cache_option
from flashwasm.cli.existing_path import ExistingPath
from flashwasm.cli.exit_status import FailOn, findings_options
from flashwasm.cli.github import Annotation, repository_root
from flashwasm.cli.options import (
    EXISTING_PATH,
    coverage_option,
    explain_option,
    format_options,
    html_option,
    index_option,
)
from flashwasm.cli.output import (
    echo_json,
    echo_wrapped,
    no_tests,
    note,
    note_skipped,
    print_explanation,
    shared_json,
    skipped_json,
)
from flashwasm.cli.output_file import OutputFile
from flashwasm.cli.path_or_index import Source, changed_json, path_or_index
from flashwasm.cli.suite_coverage import suite_coverage
from flashwasm.errors import ShapeError
from flashwasm.progress_bar import progress_report
from flashwasm.qe.duplicates.duplicate_groups import KINDS, DuplicateGroup, find_duplicates
from flashwasm.qe.duplicates.earlier_tests import EarlierTests
from flashwasm.qe.duplicates.known_groups import (
    group_fingerprints,
    read_baseline,
    wanted_tests,
    write_groups,
)
from flashwasm.qe.duplicates.patches import patch_of
from flashwasm.qe.reports.html_pages import duplicates_page
from flashwasm.qe.reports.page_template import write_page
from flashwasm.qe.reports.sarif import duplicates_sarif
from flashwasm.qe.similarity.explanation import Explainer, Explanation
from flashwasm.qe.similarity.suite_index_file import read_suite
from flashwasm.qe.suites.collection import collect
from flashwasm.storage.atomic_files import write_atomically
from flashwasm.summaries import are, counted

if TYPE_CHECKING:
    from flashwasm.qe.suites.suite import Suite

__all__ = ["duplicates"]

_TIERS = {1: "identical", 2: "identical but for literals", 3: "same coverage, similar text"}


@click.command()
@click.argument("path", required=False, type=EXISTING_PATH)
@index_option
@coverage_option(", which the third tier needs")
@click.option(
    "--since",
    metavar="REV",
    help="Show only groups with a test that was added or edited since this git revision.",
)
@click.option(
    "--baseline",
    metavar="F",
    type=ExistingPath(dir_okay=False),
    help="Leave out the groups in this baseline file, which --write-baseline wrote.",
)
@click.option(
    "--write-baseline",
    metavar="F",
    type=OutputFile(),
    help="Write all groups to this file, and exit.",
)
@click.option(
    "--exclude",
    metavar="GLOB",
    multiple=True,
    help="Leave out files and folders whose path or name matches this pattern. May be repeated.",
)
@click.option(
    "--sarif",
    metavar="F",
    type=OutputFile(),
    help="Also write the findings to this SARIF 2.1.0 file.",
)
@click.option(
    "--patch",
    is_flag=True,
    help="Print a diff for `git apply` that replaces tests that differ only in literals with "
    "parametrised tests.",
)
@explain_option
@html_option
@format_options("text", "json", "github", "sarif")
@cache_option
@findings_options(*KINDS)
def duplicates(
    path: Path | None,
    index_file: Path | None,
    database: Path | None,
    since: str | None,
    baseline: Path | None,
    write_baseline: Path | None,
    exclude: tuple[str, ...],
    sarif: Path | None,
    html: Path | None,
    form: str,
    fail_on: FailOn,
    *,
    patch: bool,
    explain: bool,
    no_cache: bool,
) -> None:
    """Find duplicate tests.

    Duplicates are reported as groups of tests, in three tiers. Tests of the first tier have the
    same body; docstrings, comments and formatting are ignored. Tests of the second tier differ only
    in literals; the parametrised test that could replace them is shown. Tests of the third tier run
    the same lines and have similar text; this tier requires --coverage. Names are compared by the
    objects that they refer to. So tests of different classes are not duplicates if they use
    attributes of self.

    The comment "# flashwasm: ignore[duplicate]" on a test's def line, or on the line above it,
    leaves out the test.

    Exit status: 0 if nothing was found, 1 if there are duplicates, 2 on bad usage or bad input. The
    kinds for --fail-on are the three tiers: "exact" is printed as "identical", "parametrize" as
    "identical but for literals", and "coverage" as "same coverage, similar text".

    \b
    Example:
      flashwasm duplicates tests --html duplicates.html
    """
    source = path_or_index(path, index_file)
    known = frozenset() if baseline is None else read_baseline(baseline)
    coverage = suite_coverage(database, None if source.is_index else source.path)
    suite = _read(source, cache=not no_cache)
    earlier = None if since is None else EarlierTests(since, suite.root)
    changed = changed_json(suite, source)
    tests = wanted_tests(suite.tests, exclude)
    with progress_report("comparing") as advance:
        groups = find_duplicates(tests, coverage=coverage, progress=advance)
    if write_baseline is not None:
        write_groups(write_baseline, groups)
        note(f"{counted(len(groups), 'groups')} {are(len(groups))} in {write_baseline}")
        return
    marked = zip(groups, group_fingerprints(groups), strict=True)
    shown = [one for one in marked if one[1] not in known and _is_new(one[0], earlier)]
    status = fail_on.decide(group.kind for group, _ in shown)
    explainer = Explainer(test.source for test in suite.tests) if explain else None
    root = repository_root(suite.root)
    if sarif is not None:
        log = json.dumps(duplicates_sarif(shown, root), indent=2)
        write_atomically(sarif, [log.encode()])
    if html is not None:
        write_page(html, duplicates_page([group for group, _ in shown], source.path))
    if patch:
        click.echo(patch_of((edit for group, _ in shown for edit in group.edits), root), nl=False)
    elif form == "json":
        document = {
            "tests": len(suite.tests),
            "groups": [_json(group, mark, explainer) for group, mark in shown],
            "left_out": len(groups) - len(shown),
            **changed,
            "skipped": skipped_json(suite.skipped),
        }
        echo_json(document)
    else:
        note_skipped(suite.skipped)
        if form == "sarif":
            echo_json(duplicates_sarif(shown, root))
        for group, _ in shown:
            if form == "github":
                click.echo(_annotation(group).command(root))
            elif form == "text":
                _print(group, explainer)
    _note_left_out(len(shown), len(groups), source.path)
    sys.exit(status)


def _read(source: Source, *, cache: bool) -> Suite:
    """Return the suite of a folder or of an index file."""
    if source.is_index:
        suite = read_suite(source.path)[0]
    else:
        with progress_report("reading the suite") as advance:
            suite = collect(source.path, cache=cache, progress=advance)
    if not suite.tests:
        # A mistyped path must not look like a suite without duplicates.
        note_skipped(suite.skipped)
        raise ShapeError(no_tests(source.path))
    return suite


def _is_new(group: DuplicateGroup, earlier: EarlierTests | None) -> bool:
    """Return True if a test of a group is not among the earlier tests, or these are None."""
    return earlier is None or any(map(earlier.is_new, group.tests))


def _note_left_out(shown: int, found: int, path: Path) -> None:
    """Report on stderr that nothing was found, or the number of groups left out."""
    if found > shown:
        hidden = found - shown
        note(f"{counted(hidden, 'known or older groups')} {are(hidden)} left out")
    elif not shown:
        note(f"no duplicates in {path}")


def _annotation(group: DuplicateGroup) -> Annotation:
    """Return a group as an annotation at its last test."""
    *others, last = group.tests
    level = "notice" if group.kind == "coverage" else "warning"
    message = f"{last.nodeid} and {', '.join(t.nodeid for t in others)}: {group.reason}"
    if group.suggestion:
        message += f"\nThey could be one test:\n{group.suggestion}"
    return Annotation(
        level, last.path, last.first_line, last.last_line, _TIERS[group.tier], message
    )


def _print(group: DuplicateGroup, explainer: Explainer | None) -> None:
    """Print a group: the reason, its tests, and the test that could replace them."""
    echo_wrapped(f"{_TIERS[group.tier]}: {group.reason}")
    for test in group.tests:
        click.echo(f"    {test.nodeid}")
    if explainer is not None:
        print_explanation({}, _shared(group, explainer))
    if group.suggestion:
        click.echo(f"  could be:\n{indent(group.suggestion, '    ')}")


def _json(group: DuplicateGroup, mark: str, explainer: Explainer | None) -> dict[str, Any]:
    """Return a group for JSON; with an explainer, also the lines and names that its tests share."""
    return {
        "tier": group.tier,
        "kind": _TIERS[group.tier],
        "reason": group.reason,
        "tests": [
            {
                "nodeid": test.nodeid,
                "also": list(test.also),
                "path": str(test.path),
                "line": test.line,
            }
            for test in group.tests
        ],
        "suggestion": group.suggestion,
        "fingerprint": mark,
        **({} if explainer is None else shared_json(_shared(group, explainer))),
    }


def _shared(group: DuplicateGroup, explainer: Explainer) -> Explanation:
    """Return the names and lines that the first two tests of a group share."""
    first, second = group.tests[:2]
    return explainer.explain(first.source, second.source)
