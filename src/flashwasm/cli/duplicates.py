"""``flashwasm duplicates``: tests that do the same."""

from __future__ import annotations

import json
from pathlib import Path
from textwrap import indent
from typing import Any

import click

from flashwasm.cli.embedding_options import cache_option
from flashwasm.cli.options import (
    EXISTING_PATH,
    FILE,
    coverage_option,
    explain_option,
    html_option,
    index_option,
    json_option,
)
from flashwasm.cli.output import (
    echo_json,
    echo_wrapped,
    note_skipped,
    nothing_found,
    print_explanation,
    shared_json,
    skipped_json,
)
from flashwasm.cli.path_or_index import changed_json, path_or_index
from flashwasm.progress_bar import progress_report
from flashwasm.qe.coverage.coverage_index import CoverageIndex
from flashwasm.qe.duplicates.duplicate_groups import DuplicateGroup, find_duplicates
from flashwasm.qe.reports.html_pages import duplicates_page, write_page
from flashwasm.qe.reports.sarif import duplicates_sarif
from flashwasm.qe.similarity.explanation import Explainer, Explanation
from flashwasm.qe.similarity.suite_index_file import read_suite
from flashwasm.qe.suites.collection import collect
from flashwasm.storage.atomic_files import write_atomically

__all__ = ["duplicates"]

_TIERS = {1: "identical", 2: "identical but for literals", 3: "same coverage, similar text"}


@click.command()
@click.argument("path", required=False, type=EXISTING_PATH)
@index_option
@coverage_option(", which the third tier needs")
@click.option(
    "--sarif", metavar="F", type=FILE, help="Also write the findings to this SARIF 2.1.0 file."
)
@explain_option
@html_option
@json_option
@cache_option
def duplicates(
    path: Path | None,
    index_file: Path | None,
    database: Path | None,
    sarif: Path | None,
    html: Path | None,
    *,
    explain: bool,
    as_json: bool,
    no_cache: bool,
) -> None:
    """Find tests that do the same.

    There are three tiers of groups. Tests of the first have the same body, whatever their
    docstrings, comments and formatting. Tests of the second differ in literals only; the
    parametrised test that could replace them is shown. Tests of the third, which needs --coverage,
    run the same lines and have similar text. Names are compared by what they refer to, so tests of
    different classes that use attributes of self do not count as the same.
    """
    source = path_or_index(path, index_file)
    if source.is_index:
        suite = read_suite(source.path)[0]
    else:
        with progress_report("reading the suite") as advance:
            suite = collect(source.path, cache=not no_cache, progress=advance)
    changed = changed_json(suite, source)
    coverage = None if database is None else CoverageIndex.load(database, progress=True)
    with progress_report("comparing texts") as advance:
        groups = find_duplicates(suite.tests, coverage=coverage, progress=advance)
    explainer = Explainer(test.source for test in suite.tests) if explain else None
    if sarif is not None:
        log = json.dumps(duplicates_sarif(groups, suite.root), indent=2)
        write_atomically(sarif, [log.encode()])
    if html is not None:
        write_page(html, duplicates_page(groups, source.path))
    if as_json:
        document = {
            "tests": len(suite.tests),
            "groups": [_json(group, explainer) for group in groups],
            **changed,
            "skipped": skipped_json(suite.skipped),
        }
        echo_json(document)
    else:
        note_skipped(suite.skipped)
        for group in groups:
            _print(group, explainer)
    if not groups:
        nothing_found(f"no {'duplicates' if suite.tests else 'tests'} in {source.path}")


def _print(group: DuplicateGroup, explainer: Explainer | None) -> None:
    """Print a group: why its tests are the same, their names, and the test to replace them."""
    echo_wrapped(f"{_TIERS[group.tier]}: {group.reason}")
    for test in group.tests:
        click.echo(f"    {test.nodeid}")
    if explainer is not None:
        print_explanation({}, _shared(group, explainer))
    if group.suggestion:
        click.echo(f"  could be:\n{indent(group.suggestion, '    ')}")


def _json(group: DuplicateGroup, explainer: Explainer | None) -> dict[str, Any]:
    """Return a group for JSON; with an explainer, also the lines and names that its tests share."""
    return {
        "tier": group.tier,
        "kind": _TIERS[group.tier],
        "reason": group.reason,
        "tests": [
            {"nodeid": test.nodeid, "path": str(test.path), "line": test.line}
            for test in group.tests
        ],
        "suggestion": group.suggestion,
        **({} if explainer is None else shared_json(_shared(group, explainer))),
    }


def _shared(group: DuplicateGroup, explainer: Explainer) -> Explanation:
    """Return the names and lines that the first two tests of a group share."""
    first, second = group.tests[:2]
    return explainer.explain(first.source, second.source)
