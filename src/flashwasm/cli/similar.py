"""``flashwasm similar``: tests that resemble a test or a description."""

from __future__ import annotations

import sys
from pathlib import Path

import click

from flashwasm.cli.output import (
    echo_json,
    json_option,
    model_option,
    note,
    print_table,
    runtime_for,
    threads_option,
)
from flashwasm.qe.similar import SuiteIndex

__all__ = ["similar"]

# Files that could not be read are named up to here; --json names them all.
_NAMED_AT_MOST = 5


@click.command()
@click.argument("path", type=click.Path(exists=True, path_type=Path))
@click.option("--query", "-q", required=True, help="A node id, its end, or free text.")
@click.option(
    "-k", "count", type=click.IntRange(min=1), default=10, show_default=True, help="How many tests."
)
@json_option
@model_option
@threads_option
@click.option("--no-cache", is_flag=True, help="Neither read nor write the cache.")
def similar(
    path: Path,
    query: str,
    count: int,
    model: str | None,
    threads: int | None,
    *,
    as_json: bool,
    no_cache: bool,
) -> None:
    """Find the tests that resemble a test or a description.

    PATH is a folder of pytest tests, or one file; nothing in it is imported. Node ids are those
    that `pytest PATH` has. Embeddings are cached, so that only tests that changed are embedded
    again.
    """
    index = SuiteIndex.build(
        path, model=model, progress=True, cache=not no_cache, runtime=runtime_for(threads)
    )
    matches = index.similar(query, count)
    if as_json:
        echo_json(
            {
                "query": query,
                "tests": len(index.tests),
                "matches": [
                    {
                        "nodeid": match.nodeid,
                        "score": round(match.score, 6),
                        "path": str(match.test.path),
                        "line": match.test.line,
                    }
                    for match in matches
                ],
                "skipped": [
                    {"path": str(skipped.path), "reason": skipped.reason}
                    for skipped in index.skipped
                ],
            }
        )
    else:
        for skipped in index.skipped[:_NAMED_AT_MOST]:
            note(f"skipped {skipped.path}: {skipped.reason}")
        if (more := len(index.skipped) - _NAMED_AT_MOST) > 0:
            note(f"skipped {more} more (--json names them)")
        print_table(("score", "test"), [(f"{match.score:.3f}", match.nodeid) for match in matches])
    if not matches:
        note(f"no tests in {path}" if not index.tests else f"no other test in {path}")
        sys.exit(1)
