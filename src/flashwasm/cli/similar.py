"""``flashwasm similar``: tests that resemble a test or a description."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from flashwasm.cli.indexes import chosen, index_option, note_changes
from flashwasm.cli.output import (
    cache_option,
    echo_json,
    exists,
    explain_option,
    explained,
    json_option,
    model_option,
    note,
    note_missing,
    note_skipped,
    print_table,
    runtime_for,
    shared_json,
    skipped_json,
    threads_option,
)
from flashwasm.qe.adaptation.feedback import FeedbackLog, Shown
from flashwasm.qe.coverage.index import CoverageIndex
from flashwasm.qe.similarity.suite_index import SuiteIndex

if TYPE_CHECKING:
    from flashwasm.qe.similarity.match import Match

__all__ = ["similar"]


@click.command()
@click.argument("path", required=False, type=click.Path(exists=True, path_type=Path))
@index_option
@click.option("--query", "-q", required=True, help="A node id, its end, a file, or text.")
@click.option(
    "-k", "count", type=click.IntRange(min=1), default=10, show_default=True, help="How many tests."
)
@click.option(
    "--coverage",
    "database",
    type=click.Path(dir_okay=False, path_type=Path),
    help="A coverage.py database with test contexts: compares what tests run, too.",
)
@explain_option
@click.option(
    "--explore",
    type=click.FloatRange(0, 1),
    default=0.0,
    metavar="SHARE",
    help="Share of the places for tests drawn from the first hundred; what is shown is logged.",
)
@click.option("--no-adaptation", is_flag=True, help="Leave out what was learned from feedback.")
@json_option
@model_option
@threads_option
@cache_option
def similar(
    path: Path | None,
    index_file: Path | None,
    query: str,
    count: int,
    model: str | None,
    threads: int | None,
    database: Path | None,
    explore: float,
    *,
    no_adaptation: bool,
    explain: bool,
    as_json: bool,
    no_cache: bool,
) -> None:
    """Find the tests that resemble a test or a description.

    PATH is a folder of pytest tests, one file, or an index; nothing in it is imported. Node ids are
    those that `pytest PATH` has. A query that is a file is compared by its text, and its own tests
    are left out. Scores are standard deviations above the average likeness. What
    was read and embedded is cached, so that only tests that changed are embedded again.
    """
    place, is_file = chosen(path, index_file)
    if is_file and database is not None:
        raise click.UsageError("--coverage is an option of `flashwasm index build suite`")
    runtime, adapted = runtime_for(threads), not no_adaptation
    if is_file:
        index = SuiteIndex.load(place, model=model, adapted=adapted, progress=True, runtime=runtime)
    else:
        coverage = None if database is None else CoverageIndex.load(database)
        index = SuiteIndex.build(
            place,
            model=model,
            coverage=coverage,
            adapted=adapted,
            progress=True,
            cache=not no_cache,
            runtime=runtime,
        )
    changes = index.changes() if is_file else []
    note_missing(index.missing)
    note_changes(changes, place)
    file = Path(query)
    asked = file if exists(file) and file.is_file() else query
    matches = index.similar(asked, count, explain=explain, explore=explore)
    if explore:
        _log(index, asked, matches)
    if as_json:
        echo_json(
            {
                "query": query,
                "tests": len(index.tests),
                "scorers": index.scorers,
                "missing": index.missing,
                **({"changed": changes} if is_file else {}),
                "adaptation": index.adaptation,
                "matches": [_json(match) for match in matches],
                "skipped": skipped_json(index.skipped),
            }
        )
    else:
        note_skipped(index.skipped)
        if explain:
            for match in matches:
                click.echo(f"{match.score:.3f}  {match.nodeid}")
                click.echo("\n".join(explained(match.components, match.explanation)))
        else:
            rows = [(f"{match.score:.3f}", match.nodeid) for match in matches]
            print_table(("score", "test"), rows)
    if not matches:
        note(f"no tests in {place}" if not index.tests else f"no other test in {place}")
        sys.exit(1)


def _log(index: SuiteIndex, query: str | Path, matches: list[Match]) -> None:
    """Write down what is shown, and with what probability."""
    own = index.find(query) if isinstance(query, str) else None
    shown = [Shown(m.nodeid, rank, m.propensity) for rank, m in enumerate(matches, 1)]
    nodeid = str(query) if own is None else index.tests[own].nodeid
    FeedbackLog().add_shown(index.root, nodeid, str(query), shown)


def _json(match: Match) -> dict[str, Any]:
    document = {
        "nodeid": match.nodeid,
        "score": round(match.score, 6),
        "propensity": match.propensity,
        "components": {name: round(score, 6) for name, score in match.components.items()},
        "path": str(match.test.path),
        "line": match.test.line,
    }
    if match.explanation is not None:
        document.update(shared_json(match.explanation))
    return document
