"""``flashwasm search``: functions that words describe."""

from __future__ import annotations

import sys
from pathlib import Path

import click

from flashwasm.cli.output import (
    cache_option,
    echo_json,
    json_option,
    model_option,
    note,
    note_missing,
    note_skipped,
    print_table,
    runtime_for,
    skipped_json,
    threads_option,
)
from flashwasm.qe.functions import FunctionIndex

__all__ = ["search"]


@click.command()
@click.argument("path", type=click.Path(exists=True, path_type=Path))
@click.argument("words")
@click.option(
    "-k", "count", type=click.IntRange(min=1), default=10, show_default=True, help="How many."
)
@json_option
@model_option
@threads_option
@cache_option
def search(
    path: Path,
    words: str,
    count: int,
    model: str | None,
    threads: int | None,
    *,
    as_json: bool,
    no_cache: bool,
) -> None:
    """Find the functions that words describe.

    PATH is a folder or a Python file; tests in it are left out, and nothing is imported.
    """
    index = FunctionIndex.build(
        path, model=model, progress=True, cache=not no_cache, runtime=runtime_for(threads)
    )
    note_missing(index.missing)
    matches = index.search(words, count)
    if as_json:
        echo_json(
            {
                "words": words,
                "functions": len(index.functions),
                "scorer": index.scorer,
                "missing": index.missing,
                "matches": [
                    {
                        "name": match.function.name,
                        "path": str(match.function.path),
                        "line": match.function.line,
                        "score": round(match.score, 6),
                    }
                    for match in matches
                ],
                "skipped": skipped_json(index.skipped),
            }
        )
    else:
        note_skipped(index.skipped)
        print_table(
            ("score", "function", "place"),
            [
                (f"{m.score:.3f}", m.function.name, f"{m.function.path}:{m.function.line}")
                for m in matches
            ],
        )
    if not matches:
        note(f"no functions in {path}")
        sys.exit(1)
