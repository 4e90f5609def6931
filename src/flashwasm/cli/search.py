"""``flashwasm search``: functions that words describe."""

from __future__ import annotations

import sys
from pathlib import Path

import click

from flashwasm.cli.indexes import chosen, index_option, note_changes
from flashwasm.cli.output import (
    cache_option,
    echo_json,
    explain_option,
    explained,
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
from flashwasm.qe.functions.function_index import FunctionIndex
from flashwasm.qe.similarity.explanation import Explanation

__all__ = ["search"]


@click.command()
@click.argument("inputs", metavar="[PATH] WORDS", nargs=-1, required=True)
@index_option
@click.option(
    "-k", "count", type=click.IntRange(min=1), default=10, show_default=True, help="How many."
)
@explain_option
@json_option
@model_option
@threads_option
@cache_option
def search(
    inputs: tuple[str, ...],
    index_file: Path | None,
    count: int,
    model: str | None,
    threads: int | None,
    *,
    explain: bool,
    as_json: bool,
    no_cache: bool,
) -> None:
    """Find the functions that words describe.

    PATH is a folder, a Python file or an index; tests in it are left out, and nothing is imported.
    """
    *paths, words = inputs
    if len(paths) > 1:
        raise click.UsageError(f"expected PATH and WORDS, got {len(inputs)} arguments")
    place, is_file = chosen(Path(paths[0]) if paths else None, index_file)
    runtime = runtime_for(threads)
    if is_file:
        index = FunctionIndex.load(place, model=model, runtime=runtime)
    else:
        index = FunctionIndex.build(
            place, model=model, progress=True, cache=not no_cache, runtime=runtime
        )
    changes = index.changes() if is_file else []
    note_missing(index.missing)
    note_changes(changes, place)
    matches = index.search(words, count)
    if as_json:
        echo_json(
            {
                "words": words,
                "functions": len(index.functions),
                "scorers": index.scorers,
                "missing": index.missing,
                **({"changed": changes} if is_file else {}),
                "matches": [
                    {
                        "name": match.function.name,
                        "path": str(match.function.path),
                        "line": match.function.line,
                        "score": round(match.score, 6),
                        "components": {k: round(v, 6) for k, v in match.components.items()},
                        **({"shared_words": match.shared_words} if explain else {}),
                    }
                    for match in matches
                ],
                "skipped": skipped_json(index.skipped),
            }
        )
    else:
        note_skipped(index.skipped)
        rows = [
            (f"{m.score:.3f}", m.function.name, f"{m.function.path}:{m.function.line}")
            for m in matches
        ]
        if explain:
            for row, match in zip(rows, matches, strict=True):
                shared = Explanation(match.shared_words, [])
                click.echo("\n".join(["  ".join(row), *explained(match.components, shared)]))
        else:
            print_table(("score", "function", "place"), rows)
    if not matches:
        note(f"no functions in {place}")
        sys.exit(1)
