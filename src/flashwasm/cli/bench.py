"""`flashwasm bench`: measure the operations beside NumPy and the scalar build."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from flashwasm.files import write_atomically

if TYPE_CHECKING:
    from collections.abc import Sequence

    from flashwasm.bench.runner import Result

# What the BLAS libraries that NumPy is built with read when they are loaded.
_BLAS_VARIABLES = ("OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "OMP_NUM_THREADS")


@click.command()
@click.argument("suite", type=click.Choice(["ops", "all"]), default="ops")
@click.option("--op", "operations", multiple=True, metavar="NAME", help="Only this operation.")
@click.option(
    "--threads", type=click.IntRange(min=1), default=1, show_default=True, help="Workers."
)
@click.option("--json", "json_file", metavar="FILE", help="Write JSON to FILE, or - for stdout.")
@click.option("--markdown", "markdown_file", metavar="FILE", help="Write Markdown likewise.")
def bench(
    suite: str,
    operations: tuple[str, ...],
    threads: int,
    json_file: str | None,
    markdown_file: str | None,
) -> None:
    """Time the operations beside NumPy and the scalar build, in one run on the same data.

    Each result is checked against float64 before anything is timed. "best" and "median" are of
    calls on arrays in linear memory; "with copies" starts and ends in NumPy's memory. One thread
    unless --threads says otherwise, for NumPy too.
    """
    del suite  # The operations are all that there is to measure so far.
    numpy_threads = _limit_numpy(threads)
    results, title = _measure(operations, threads, numpy_threads)
    from flashwasm.bench.report import machine, markdown, table  # noqa: PLC0415 - loads NumPy.

    facts = machine(threads, numpy_threads)
    content = {"machine": facts, "results": [result.as_dict() for result in results]}
    _write(json_file, json.dumps(content, indent=2) + "\n")
    _write(markdown_file, markdown(results, title))
    if "-" not in {json_file, markdown_file}:
        from flashwasm.cli.output import console  # noqa: PLC0415 - loads rich.

        console().print(table(results, title))


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
