"""``flashwasm search``: find functions by a description."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from flashwasm.cli.completion import complete_path
from flashwasm.cli.embedding_options import Embedding, embedding_options
from flashwasm.cli.existing_path import beside
from flashwasm.cli.input import exists
from flashwasm.cli.options import count_option, explain_option, index_option, json_option
from flashwasm.cli.output import (
    echo_json,
    echo_named,
    from_here,
    note,
    note_missing,
    note_skipped,
    nothing_found,
    print_explanation,
    print_table,
    skipped_json,
)
from flashwasm.cli.path_or_index import changed_json, path_or_index
from flashwasm.cli.text_or_file import ends_like_a_file
from flashwasm.cli.usage_errors import ONE_PATH
from flashwasm.qe.functions.function_index import FunctionIndex
from flashwasm.qe.scoring.word_extraction import checked_words
from flashwasm.qe.similarity.explanation import Explanation

if TYPE_CHECKING:
    from flashwasm.qe.functions.function_match import FunctionMatch

__all__ = ["search"]


@click.command()
@click.argument(
    "inputs", metavar="[PATH] WORDS", nargs=-1, required=True, shell_complete=complete_path
)
@index_option
@count_option("functions")
@explain_option
@json_option
@embedding_options
def search(
    inputs: tuple[str, ...],
    index_file: Path | None,
    count: int,
    embedding: Embedding,
    *,
    explain: bool,
    as_json: bool,
) -> None:
    """Find the functions that best match a description.

    PATH is a folder, a Python file or an index file. flashwasm imports nothing in it, and leaves
    out the tests in it.

    \b
    Example:
      flashwasm search src "parse a date" -k 5
    """
    path, words = _path_and_words(inputs, index_file)
    source = path_or_index(path, index_file)
    checked_words(words)
    if ends_like_a_file(words):
        note(f"note: {words} is compared as text and not read as a file")
    if source.is_index:
        model, runtime = embedding["model"], embedding["runtime"]
        index = FunctionIndex.load(source.path, model=model, runtime=runtime)
    else:
        index = FunctionIndex.build(source.path, **embedding)
    note_missing(index.missing)
    changed = changed_json(index, source)
    matches = index.search(words, count)
    if as_json:
        document = {
            "words": words,
            "functions": len(index.functions),
            "scorers": index.scorers,
            "missing": index.missing,
            **changed,
            "matches": [_json(match, explain=explain) for match in matches],
            "skipped": skipped_json(index.skipped),
        }
        echo_json(document)
    else:
        note_skipped(index.skipped)
        _print(matches, explain=explain)
    if not matches:
        nothing_found(f"no functions in {source.path}; expected a folder or a file of Python code")


def _path_and_words(inputs: tuple[str, ...], index_file: Path | None) -> tuple[Path | None, str]:
    """Return PATH, or None if it is missing, and WORDS; refuse any other arguments."""
    *paths, words = inputs
    if len(paths) > 1 and all(exists(Path(path)) for path in paths):
        raise click.UsageError(f"got {len(paths)} paths; search takes one PATH: {ONE_PATH}")
    if len(paths) > 1:
        raise click.UsageError(
            f"expected PATH and WORDS, got {len(inputs)} arguments; put WORDS between quotes"
        )
    path = Path(paths[0]) if paths else None
    if path is None and index_file is None:
        missing = "WORDS" if exists(Path(words)) else "PATH"
        raise click.UsageError(f"{missing} is missing; expected PATH, or --index F, and WORDS")
    if path is not None and not exists(path):
        near = "expected WORDS after PATH" if exists(Path(words)) else beside(path)
        advice = near or "expected a folder or a file"
        raise click.UsageError(f"PATH {str(path)!r} does not exist; {advice}")
    return path, words


def _print(matches: list[FunctionMatch], *, explain: bool) -> None:
    """Print a line for each match and, with ``--explain``, the words that it shares."""
    rows = [
        (f"{m.score:.3f}", m.function.name, f"{from_here(m.function.path)}:{m.function.line}")
        for m in matches
    ]
    if not explain:
        print_table(("score", "function", "place"), rows)
        return
    for (score, name, place), match in zip(rows, matches, strict=True):
        echo_named(f"{score}  {name}", place)
        shared = Explanation(identifiers=match.shared_words, lines=[])
        print_explanation(match.shares, shared)


def _json(match: FunctionMatch, *, explain: bool) -> dict[str, Any]:
    """Return a match for JSON and, with ``--explain``, the words that it shares."""
    document: dict[str, Any] = {
        "name": match.function.name,
        "path": str(match.function.path),
        "line": match.function.line,
        "score": round(match.score, 6),
        "components": {name: round(score, 6) for name, score in match.components.items()},
        "shares": {name: round(share, 6) for name, share in match.shares.items()},
    }
    return {**document, "shared_words": match.shared_words} if explain else document
