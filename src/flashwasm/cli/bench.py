"""`flashwasm bench`: measure the operations beside NumPy and the scalar build."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from flashwasm.files import write_atomically

if TYPE_CHECKING:
    from collections.abc import Sequence

    from flashwasm.bench.runner import Result
    from flashwasm.bench.search_runner import SearchResult

# What the BLAS libraries that NumPy is built with read when they are loaded.
_BLAS_VARIABLES = ("OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "OMP_NUM_THREADS")


@click.command()
@click.argument("suite", type=click.Choice(["ops", "search", "all"]), default="ops")
@click.option("--op", "operations", multiple=True, metavar="NAME", help="Only this operation.")
@click.option(
    "--threads", type=click.IntRange(min=1), default=1, show_default=True, help="Workers."
)
@click.option(
    "--vectors",
    type=click.IntRange(min=100),
    default=20_000,
    show_default=True,
    help="Vectors to search.",
)
@click.option("--json", "json_file", metavar="FILE", help="Write JSON to FILE, or - for stdout.")
@click.option("--markdown", "markdown_file", metavar="FILE", help="Write Markdown likewise.")
def bench(
    suite: str,
    operations: tuple[str, ...],
    threads: int,
    vectors: int,
    json_file: str | None,
    markdown_file: str | None,
) -> None:
    """Time operations beside NumPy and the scalar build, and indexes beside their peers.

    "ops" are the operations, "search" the indexes. Each operation's result is checked against
    float64 before anything is timed. "best" and "median" are of calls on arrays in linear memory;
    "with copies" starts and ends in NumPy's memory. The recall of an index is what of the nearest
    it found. One thread unless --threads says otherwise, for NumPy too.
    """
    numpy_threads = _limit_numpy(threads)
    document: dict[str, Any] = {}
    texts: list[str] = []
    tables: list[Any] = []
    if suite != "search":
        _operations(operations, threads, numpy_threads, document, texts, tables)
    if suite != "ops":
        _indexes(vectors, threads, numpy_threads, document, texts, tables)
    from flashwasm.bench.report import machine  # noqa: PLC0415 - loads NumPy.

    content = {"machine": machine(threads, numpy_threads), **document}
    _write(json_file, json.dumps(content, indent=2) + "\n")
    _write(markdown_file, "\n".join(texts))
    if "-" not in {json_file, markdown_file}:
        from flashwasm.cli.output import console  # noqa: PLC0415 - loads rich.

        for table in tables:
            console().print(table)


def _operations(
    operations: Sequence[str],
    threads: int,
    numpy_threads: str,
    document: dict[str, Any],
    texts: list[str],
    tables: list[Any],
) -> None:
    """Measure the operations and add them to a report."""
    results, title = _measure(operations, threads, numpy_threads)
    from flashwasm.bench.report import markdown, table  # noqa: PLC0415 - loads NumPy.

    document["results"] = [result.as_dict() for result in results]
    texts.append(markdown(results, title))
    tables.append(table(results, title))


def _indexes(
    vectors: int,
    threads: int,
    numpy_threads: str,
    document: dict[str, Any],
    texts: list[str],
    tables: list[Any],
) -> None:
    """Measure the indexes beside other libraries and add them to a report."""
    from flashwasm.bench import search_runner  # noqa: PLC0415 - loads NumPy.
    from flashwasm.bench.search_cases import SEARCH_CASES  # noqa: PLC0415
    from flashwasm.cli.output import note, progress_bar  # noqa: PLC0415

    results: list[SearchResult] = []
    with progress_bar("searching", total=len(SEARCH_CASES)) as advance:
        for case in SEARCH_CASES:
            results.extend(search_runner.run_search(case, vectors, threads))
            advance(1)
    missing = search_runner.absent(SEARCH_CASES)
    for line in missing:
        note(line)
    title = f"Search, {threads} thread(s); NumPy's threads: {numpy_threads}"
    document["search"] = [result.as_dict() for result in results]
    document["absent"] = missing
    texts.append(search_runner.search_markdown(results, missing, title))
    tables.append(search_runner.search_table(results, title))


def _limit_numpy(threads: int) -> str:
    """Hold NumPy's BLAS to as many threads, where it is not loaded yet; say what is in force."""
    if "numpy" in sys.modules:
        return "as the process was started"
    for variable in _BLAS_VARIABLES:
        os.environ[variable] = str(threads)
    return str(threads)


def _measure(
    operations: Sequence[str], threads: int, numpy_threads: str
) -> tuple[list[Result], str]:
    """Run the chosen cases with a progress bar; return results and a title."""
    from flashwasm.bench.cases import CASES  # noqa: PLC0415 - loads NumPy.
    from flashwasm.bench.runner import run_cases  # noqa: PLC0415
    from flashwasm.cli.output import progress_bar  # noqa: PLC0415

    known = sorted({case.operation for case in CASES})
    for name in operations:
        if name not in known:
            message = f"{name!r} is not one of {', '.join(known)}"
            raise click.BadParameter(message, param_hint="--op")
    cases = [case for case in CASES if not operations or case.operation in operations]
    results = []
    with progress_bar("measuring", total=len(cases)) as advance:
        for result in run_cases(cases, threads):
            results.append(result)
            advance(1)
    return results, f"flashwasm, {threads} thread(s); NumPy's threads: {numpy_threads}"


def _write(name: str | None, text: str) -> None:
    """Write a report to a file, or to stdout."""
    if name is None:
        return
    if name == "-":
        click.echo(text, nl=False)
        return
    write_atomically(Path(name), [text.encode()])
