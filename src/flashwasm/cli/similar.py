"""``flashwasm similar``: find the tests most similar to a test or a description."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from flashwasm.cli.completion import complete_path
from flashwasm.cli.embedding_options import Embedding, distributed_embedding_options
from flashwasm.cli.input import exists
from flashwasm.cli.options import (
    EXISTING_PATH,
    count_option,
    coverage_option,
    explain_option,
    html_option,
    index_option,
    json_option,
)
from flashwasm.cli.output import (
    echo_json,
    echo_named,
    no_tests,
    note,
    note_missing,
    note_skipped,
    nothing_found,
    print_explanation,
    print_table,
    shared_json,
    skipped_json,
)
from flashwasm.cli.path_or_index import Source, changed_json, path_or_index
from flashwasm.cli.suite_coverage import suite_coverage
from flashwasm.cli.text_or_file import files_near, refuse_mistyped_file, resembles_a_name
from flashwasm.qe.adaptation.feedback_log import FeedbackLog, Shown
from flashwasm.qe.reports.html_pages import similar_page
from flashwasm.qe.reports.page_template import write_page
from flashwasm.qe.similarity.query_file import check_query, text_of
from flashwasm.qe.similarity.suite_index import SuiteIndex
from flashwasm.qe.similarity.suite_reading import (
    IndexSettings,
    SuiteReading,
    read_folder,
    read_index_file,
)
from flashwasm.qe.suites.node_id_lookup import NodeIdLookup
from flashwasm.storage.write_check import check_writable

if TYPE_CHECKING:
    from flashwasm.qe.similarity.match import Match
    from flashwasm.qe.suites.suite import Suite

__all__ = ["similar"]


@click.command()
@click.argument("path", required=False, type=EXISTING_PATH)
@index_option
@click.option(
    "--query",
    "-q",
    required=True,
    shell_complete=complete_path,
    help="A node id or the end of one, a file, or free text.",
)
@count_option("tests")
@coverage_option(", to compare the lines that tests run, too")
@explain_option
@click.option(
    "--explore",
    type=click.FloatRange(0, 1),
    default=0.0,
    metavar="SHARE",
    help="Share of the results, 0 to 1, to draw at random from the best hundred. The feedback log "
    "records the results shown.",
)
@click.option(
    "--no-adaptation", is_flag=True, help="Do not use the adaptation learned from feedback."
)
@html_option
@json_option
@distributed_embedding_options
def similar(
    path: Path | None,
    index_file: Path | None,
    query: str,
    count: int,
    database: Path | None,
    explore: float,
    html: Path | None,
    embedding: Embedding,
    *,
    no_adaptation: bool,
    explain: bool,
    as_json: bool,
) -> None:
    """Find the tests most similar to a test or a description.

    PATH is a folder of pytest tests, one test file, or an index file; flashwasm does not import it.
    Node ids are those that `pytest PATH` shows. If the query is a file, flashwasm compares its text
    and leaves out the tests in the file. A score is the number of standard deviations above the
    average similarity. Parsed tests and embeddings are cached, so that later runs embed only the
    tests that changed.

    \b
    Example:
      flashwasm similar tests -q "a user logs in with a wrong password" --explain
    """
    source = path_or_index(path, index_file)
    file = Path(query)
    asked = file if exists(file) and file.is_file() else query
    if explore:
        check_writable(FeedbackLog().path)
    index = _read(source, asked, database, embedding, adapted=not no_adaptation)
    note_missing(index.missing)
    changed = changed_json(index, source)
    matches = index.similar(asked, count, explain=explain or html is not None, explore=explore)
    if explore:
        _log(index, asked, matches)
    if html is not None:
        write_page(html, similar_page(matches, query, _source(index, asked)))
    if as_json:
        document = {
            "query": query,
            "tests": len(index.tests),
            "scorers": index.scorers,
            "missing": index.missing,
            **changed,
            "adaptation": index.adaptation,
            "matches": [_json(match, explain=explain) for match in matches],
            "skipped": skipped_json(index.skipped),
        }
        echo_json(document)
    else:
        note_skipped(index.skipped)
        _print(matches, explain=explain)
    if not matches:
        nothing_found(f"no other test in {source.path}" if index.tests else no_tests(source.path))


def _read(
    source: Source,
    query: str | Path,
    database: Path | None,
    embedding: Embedding,
    *,
    adapted: bool,
) -> SuiteIndex:
    """Read the tests, check the query, then embed the tests."""
    text_of(query)
    reading = _reading(source, database, embedding, adapted=adapted)
    if check_query(query, reading.suite) is None and isinstance(query, str):
        _check_name(query, reading.suite)
    return reading.index(SuiteIndex)


def _check_name(query: str, suite: Suite) -> None:
    """Refuse a query that is a mistyped file; note on stderr that a name is compared as text."""
    refuse_mistyped_file(query, {test.path: None for test in suite.tests})
    if exists(Path(query)):
        note(f"note: {query} is a folder, so the name is compared as text")
    elif resembles_a_name(query):
        near = NodeIdLookup(suite.tests).nearest(query) or files_near(query)
        found = f"; {near}".removesuffix("; ")
        note(f"note: no test and no file is named {query}, so it is compared as text{found}")


def _reading(
    source: Source, database: Path | None, embedding: Embedding, *, adapted: bool
) -> SuiteReading:
    """Read the index file, or the tests in the folder."""
    settings = IndexSettings(adapted=adapted, **embedding)
    if not source.is_index:
        coverage = suite_coverage(database, source.path)
        return read_folder(source.path, settings, coverage=coverage)
    if database is not None:
        raise click.UsageError(
            "--coverage does not apply to an index file; give it to `flashwasm index build suite`"
        )
    return read_index_file(source.path, settings)


def _log(index: SuiteIndex, query: str | Path, matches: list[Match]) -> None:
    """Record the tests shown in the feedback log, each with its probability of being shown."""
    own = index.find(query) if isinstance(query, str) else None
    shown = [Shown(m.nodeid, rank, m.propensity) for rank, m in enumerate(matches, 1)]
    nodeid = str(query) if own is None else index.tests[own].nodeid
    FeedbackLog().add_shown(index.root, nodeid, str(query), shown)


def _source(index: SuiteIndex, query: str | Path) -> str | None:
    """Return the source code that a query names; None for free text."""
    if isinstance(query, Path):
        return query.read_text("utf-8", "replace")
    own = index.find(query)
    return None if own is None else index.tests[own].source


def _print(matches: list[Match], *, explain: bool) -> None:
    """Print a line for each match and, with ``--explain``, its score's parts and explanation."""
    if not explain:
        print_table(("score", "test"), [(f"{m.score:.3f}", m.nodeid) for m in matches])
        return
    for match in matches:
        echo_named(f"{match.score:.3f}", match.nodeid)
        print_explanation(match.shares, match.explanation)


def _json(match: Match, *, explain: bool) -> dict[str, Any]:
    """Return a match for JSON, with its explanation if it has one."""
    document = {
        "nodeid": match.nodeid,
        "also": list(match.test.also),
        "score": round(match.score, 6),
        "propensity": match.propensity,
        "components": {name: round(score, 6) for name, score in match.components.items()},
        "shares": {name: round(share, 6) for name, share in match.shares.items()},
        "path": str(match.test.path),
        "line": match.test.line,
    }
    if not explain or match.explanation is None:
        return document
    return document | shared_json(match.explanation)
