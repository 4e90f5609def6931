"""``flashwasm duplicates``: tests that do the same."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from textwrap import indent
from typing import Any

import click

from flashwasm.cli.indexes import chosen, index_option, note_changes
from flashwasm.cli.output import (
    cache_option,
    echo_json,
    explain_option,
    explained,
    html_option,
    json_option,
    note,
    note_skipped,
    shared_json,
    skipped_json,
)
from flashwasm.progress_bar import progress_report
from flashwasm.qe.coverage.index import CoverageIndex
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
@click.argument("path", required=False, type=click.Path(exists=True, path_type=Path))
@index_option
@click.option(
    "--coverage",
    "database",
    type=click.Path(dir_okay=False, path_type=Path),
    help="A coverage.py database with test contexts: adds the third tier.",
)
@click.option(
    "--sarif", type=click.Path(dir_okay=False, path_type=Path), help="Write SARIF 2.1.0 too."
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

    In tiers: the same body, whatever the docstring, comments and formatting; the same but for
    literals, with the parametrised test that could replace them; and, with --coverage, the same
    lines run and similar text. Names count by what they stand for, so tests of different classes
    that use attributes of self are not called alike.
    """
    place, is_file = chosen(path, index_file)
    if is_file:
        suite = read_suite(place)[0]
    else:
        with progress_report("reading the suite") as advance:
            suite = collect(place, cache=not no_cache, progress=advance)
    changes = suite.changes() if is_file else []
    note_changes(changes, place)
    coverage = None if database is None else CoverageIndex.load(database)
    with progress_report("comparing texts") as advance:
        groups = find_duplicates(suite.tests, coverage=coverage, progress=advance)
    explainer = Explainer(test.source for test in suite.tests) if explain else None
    if sarif is not None:
        log = json.dumps(duplicates_sarif(groups, suite.root), indent=2)
        write_atomically(sarif, [log.encode()])
    if html is not None:
        write_page(html, duplicates_page(groups, place))
    if as_json:
        echo_json(
            {
                "tests": len(suite.tests),
                "groups": [_json(group, explainer) for group in groups],
                **({"changed": changes} if is_file else {}),
                "skipped": skipped_json(suite.skipped),
            }
        )
    else:
        note_skipped(suite.skipped)
        for group in groups:
            click.echo(f"{_TIERS[group.tier]}: {group.reason}")
            for test in group.tests:
                click.echo(f"    {test.nodeid}")
            if explainer is not None:
                click.echo("\n".join(explained({}, _shared(group, explainer))))
            if group.suggestion:
                click.echo(f"  could be:\n{indent(group.suggestion, '    ')}")
    if not groups:
        note(f"no tests in {place}" if not suite.tests else f"no duplicates in {place}")
        sys.exit(1)


def _shared(group: DuplicateGroup, explainer: Explainer) -> Explanation:
    """Return what the first two of a group share."""
    first, second = group.tests[:2]
    return explainer.explain(first.source, second.source)


def _json(group: DuplicateGroup, explainer: Explainer | None) -> dict[str, Any]:
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
