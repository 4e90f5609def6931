"""Output of the commands: text and tables for people, JSON for programs, notes on stderr."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, NoReturn

import click
from rich.console import Console
from rich.table import Column, Table

from flashwasm.progress_bar import progress_report

if TYPE_CHECKING:
    from flashwasm.qe.similarity.explanation import Explanation
    from flashwasm.qe.suites.source_files import Skipped

__all__ = [
    "console",
    "echo_json",
    "note",
    "note_missing",
    "note_skipped",
    "nothing_found",
    "print_explanation",
    "print_table",
    "progress_bar",
    "shared_json",
    "skipped_json",
]

# Width of the console if stdout is not a terminal: more characters than any line has.
_WIDE = 10_000
# Largest number of unreadable files that are named on stderr. The rest are counted.
_NAMED_AT_MOST = 5


def note(line: str) -> None:
    """Print a line on stderr."""
    click.echo(line, err=True)


def note_missing(missing: Iterable[str]) -> None:
    """Print a note on stderr for each missing package or model that would improve the result."""
    for reason in missing:
        note(f"note: {reason}")


def note_skipped(skipped: Sequence[Skipped]) -> None:
    """Name on stderr the first files that could not be read, and count the rest."""
    for one in skipped[:_NAMED_AT_MOST]:
        note(f"skipped {one.path}: {one.reason}")
    if (more := len(skipped) - _NAMED_AT_MOST) > 0:
        note(f"skipped {more} more (--json names them)")


def nothing_found(reason: str) -> NoReturn:
    """Say on stderr why there is no result, and end the command with exit status 1."""
    note(reason)
    sys.exit(1)


def echo_json(document: object, *, indent: int | None = 2) -> None:
    """Print a JSON document on stdout."""
    click.echo(json.dumps(document, indent=indent))


def skipped_json(skipped: Iterable[Skipped]) -> list[dict[str, str]]:
    """Return all files that could not be read, with the reasons, for JSON."""
    return [{"path": str(one.path), "reason": one.reason} for one in skipped]


def shared_json(shared: Explanation) -> dict[str, list[str]]:
    """Return the identifiers and lines that both sides have, for JSON."""
    return {"shared_identifiers": shared.identifiers, "shared_lines": shared.lines}


def print_explanation(components: Mapping[str, float], shared: Explanation | None) -> None:
    """Print the lines of ``--explain``: the score of each part, and what both sides have."""
    if components:
        parts = ", ".join(f"{name} {score:.3f}" for name, score in components.items())
        click.echo(f"    {parts}")
    if shared is not None and shared.identifiers:
        click.echo(f"    both have: {', '.join(shared.identifiers)}")
    for line in () if shared is None else shared.lines:
        click.echo(f"    both have the line: {line}")


def print_table(columns: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
    """Print rows on stdout: a table on a terminal, else one line a row with tabs between cells.

    A cell is never cut short, because a node id without its end names no test.
    """
    if not _on_terminal():
        for row in rows:
            click.echo("\t".join(row))
        return
    table = Table(*(Column(column, overflow="fold") for column in columns), box=None)
    for row in rows:
        table.add_row(*row)
    console().print(table)


class _Console(Console):
    """A console that leaves it to the program what happens if its reader leaves early."""

    def on_broken_pipe(self) -> NoReturn:
        """Raise the BrokenPipeError again; rich would end the program with status 1."""
        raise  # noqa: PLE0704 - rich calls this while it handles the error.


def console() -> Console:
    """Return a rich console on stdout, which wraps lines only if stdout is a terminal."""
    width = None if _on_terminal() else _WIDE
    return _Console(width=width, markup=False, highlight=False, emoji=False)


@contextmanager
def progress_bar(description: str, *, total: int) -> Iterator[Callable[[int], None]]:
    """Draw a progress bar on stderr, if that is a terminal.

    Yields
    ------
    callable
        A function to call with the number of items that were done since the last call.
    """
    done = 0
    with progress_report(description) as report:

        def advance(count: int) -> None:
            """Count ``count`` more items as done."""
            nonlocal done
            done += count
            report(done, total)

        yield advance


def _on_terminal() -> bool:
    """Return True if stdout is a terminal; stdout is None if the shell has closed it."""
    return sys.stdout is not None and sys.stdout.isatty()
