"""What the commands share: options, and printing for people and for programs."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, TypeVar

import click
from rich.console import Console
from rich.table import Column, Table

from flashwasm.encoder.progress import progress_report
from flashwasm.runtime import Runtime, default_runtime

__all__ = [
    "console",
    "echo_json",
    "json_option",
    "model_option",
    "note",
    "print_table",
    "progress_bar",
    "runtime_for",
    "threads_option",
]

# Characters that no line reaches.
_WIDE = 10_000

F = TypeVar("F", bound=Callable[..., Any])


def json_option(command: F) -> F:
    """Add ``--json``."""
    return click.option("--json", "as_json", is_flag=True, help="Print JSON.")(command)


def model_option(command: F) -> F:
    """Add ``--model``."""
    return click.option(
        "--model",
        metavar="NAME|DIR",
        help="An installed model, or a BERT-family folder.  [default: all-MiniLM-L6-v2]",
    )(command)


def threads_option(command: F) -> F:
    """Add ``--threads``."""
    return click.option(
        "--threads",
        type=click.IntRange(min=1),
        help="Threads that compute.  [default: the CPUs this process may use]",
    )(command)


def runtime_for(threads: int | None) -> Runtime:
    """Return the process-wide runtime, or one with as many threads as asked for."""
    return default_runtime() if threads is None else Runtime(threads=threads)


def echo_json(document: object, *, indent: int | None = 2) -> None:
    """Print a JSON document on stdout."""
    click.echo(json.dumps(document, indent=indent))


def note(line: str) -> None:
    """Print a line on stderr."""
    click.echo(line, err=True)


def console() -> Console:
    """Return what prints rich tables on stdout; where that is no terminal, lines are not cut."""
    width = None if sys.stdout.isatty() else _WIDE
    return Console(width=width, markup=False, highlight=False, emoji=False)


@contextmanager
def progress_bar(description: str, *, total: int) -> Iterator[Callable[[int], None]]:
    """Draw progress on stderr, where that is a terminal; yields what counts so many more done."""
    done = 0
    with progress_report(description) as report:

        def advance(count: int) -> None:
            nonlocal done
            done += count
            report(done, total)

        yield advance


def print_table(columns: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
    """Print rows on stdout: a table on a terminal, else a line each with tabs between the cells.

    Cells are never cut short: a node id without its end names nothing.
    """
    if not sys.stdout.isatty():
        for row in rows:
            click.echo("\t".join(row))
        return
    table = Table(*(Column(column, overflow="fold") for column in columns), box=None)
    for row in rows:
        table.add_row(*row)
    console().print(table)
