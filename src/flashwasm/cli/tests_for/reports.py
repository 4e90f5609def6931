"""The output formats for chosen tests: text, node ids, JSON and HTML."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from flashwasm.cli.output import (
    echo_json,
    echo_named,
    from_here,
    print_explanation,
    shared_json,
    skipped_json,
)
from flashwasm.qe.reports.html_pages import tests_for_page
from flashwasm.qe.reports.page_template import write_page

if TYPE_CHECKING:
    from flashwasm.cli.tests_for.choice import Choice
    from flashwasm.qe.changes.ranking.selected_tests import SelectedTest
    from flashwasm.qe.similarity.explanation import Explanation

__all__ = ["names_from_here", "print_ids", "print_json", "print_tests", "write_html"]

# Names of the levels of `SelectedTest`.
_LEVELS = ("touched", "runs changed lines", "evidence")


def print_tests(choice: Choice) -> None:
    """Print each test, the reason for it, and the names and lines in common with the change."""
    for selected, shared in zip(choice.chosen, choice.explanations, strict=True):
        for nodeid in (selected.test.nodeid, *selected.test.also):
            echo_named("", nodeid, selected.reason, separator="\t")
        if shared is not None:
            print_explanation(selected.components, shared)


def print_ids(choice: Choice) -> None:
    """Print node ids, one on each line, with paths relative to the working folder."""
    for name in names_from_here(choice):
        click.echo(name)


def names_from_here(choice: Choice) -> list[str]:
    """Return the arguments for pytest in the working folder that run the tests."""
    names = []
    for nodeid in choice.nodeids:
        file, separator, name = nodeid.partition("::")
        names.append(f"{from_here(choice.root / file)}{separator}{name}")
    return [*names, *map(from_here, choice.files)]


def print_json(choice: Choice) -> None:
    """Print the chosen tests and the notes on the tests left out as JSON."""
    selection = choice.selection
    found = zip(choice.chosen, choice.explanations, strict=True)
    echo_json(
        {
            "tests": [_test_json(choice, selected, shared) for selected, shared in found],
            "files": choice.files_from_root,
            "ran": False,
            "exit_status": None,
            "coverage": None if choice.coverage is None else str(choice.coverage),
            "left_out": choice.left_out,
            "left_out_reason": choice.reason_left_out,
            "sure_left_out": choice.missed,
            "everything": selection.everything,
            "uncovered": selection.uncovered,
            "unmeasured": selection.unmeasured,
            "layout": selection.layout,
            "unknown_cases": choice.unknown_cases,
            "missing": choice.missing,
            "skipped": skipped_json(choice.skipped),
        }
    )


def write_html(file: Path, choice: Choice) -> None:
    """Write an HTML page with the chosen tests and the notes on the tests left out."""
    page = tests_for_page(
        choice.chosen,
        choice.left_out,
        choice.remarks(),
        choice.files_from_root,
        choice.selection.uncovered,
    )
    write_page(file, page)


def _test_json(
    choice: Choice, selected: SelectedTest, shared: Explanation | None
) -> dict[str, object]:
    """Return a test for JSON, with the names and lines in common with the change, if given."""
    return {
        "nodeid": selected.test.nodeid,
        "also": list(selected.test.also),
        "level": _LEVELS[selected.level],
        "score": round(selected.score, 6),
        "reason": selected.reason,
        "components": {name: round(score, 6) for name, score in selected.components.items()},
        **({} if choice.counts is None else {"cases": choice.counts.of(selected.test)}),
        **({} if shared is None else shared_json(shared)),
    }
