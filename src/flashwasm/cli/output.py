"""Output of the commands: text and tables for people, JSON for programs, notes on stderr."""

from __future__ import annotations

import json
import os
import shutil
import sys
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

import click
from rich.cells import cell_len

from flashwasm.progress_bar import progress_report
from flashwasm.text_table import TextTable, wrapped

if TYPE_CHECKING:
    from flashwasm.qe.similarity.explanation import Explanation
    from flashwasm.qe.suites.source_files import Skipped

__all__ = [
    "echo_json",
    "echo_named",
    "echo_wrapped",
    "from_here",
    "no_tests",
    "note",
    "note_missing",
    "note_skipped",
    "nothing_found",
    "print_explanation",
    "print_table",
    "progress_bar",
    "shared_json",
    "show_table",
    "skipped_json",
    "terminal_width",
]

# Maximum number of unreadable files to name on stderr. Further files are only counted.
_NAMED_AT_MOST = 5


def note(line: str) -> None:
    """Print a line on stderr."""
    click.echo(line, err=True)


def note_missing(missing: Iterable[str]) -> None:
    """Print a note on stderr for each missing package or model that would improve the result."""
    for reason in missing:
        note(f"note: {reason}")


def note_skipped(skipped: Sequence[Skipped]) -> None:
    """Name on stderr the first files that could not be read, and the number of the others."""
    for one in skipped[:_NAMED_AT_MOST]:
        note(f"skipped {from_here(one.path)}: {one.reason}")
    if (more := len(skipped) - _NAMED_AT_MOST) > 0:
        note(f"skipped {more:,} more (--json names them)")


def no_tests(path: Path) -> str:
    """Return the message for a path without tests, which says how to list the tests of a path."""
    return f"no tests in {path}; expected a path for which `pytest --collect-only PATH` lists tests"


def nothing_found(reason: str) -> NoReturn:
    """Print the reason for an empty result on stderr, and exit with status 1."""
    note(reason)
    sys.exit(1)


def echo_json(document: object, *, indent: int | None = 2) -> None:
    """Print a JSON document on stdout."""
    click.echo(json.dumps(document, indent=indent))


def skipped_json(skipped: Iterable[Skipped]) -> list[dict[str, str]]:
    """Return all files that could not be read, with the reasons, for JSON."""
    return [{"path": str(one.path), "reason": one.reason} for one in skipped]


def shared_json(shared: Explanation) -> dict[str, list[str]]:
    """Return for JSON the identifiers and lines that two sources have in common."""
    return {"shared_identifiers": shared.identifiers, "shared_lines": shared.lines}


def from_here(path: Path) -> str:
    """Return a path relative to the working folder, or unchanged if it is on another drive."""
    try:
        return Path(os.path.relpath(path)).as_posix()
    except ValueError:
        return path.as_posix()


def print_explanation(components: Mapping[str, float], shared: Explanation | None) -> None:
    """Print the lines of ``--explain``: the parts of a score, and what is in common.

    Parameters
    ----------
    components : mapping of str to float
        Parts of the score by name. If the score is a sum, they are the summands.
    shared : Explanation or None
        Names and lines that both sources contain.
    """
    if components:
        parts = ", ".join(f"{name} {score:.3f}" for name, score in components.items())
        echo_wrapped(f"    {parts}")
    if shared is not None and shared.identifiers:
        echo_wrapped(f"    both have: {', '.join(shared.identifiers)}")
    for line in () if shared is None else shared.lines:
        echo_wrapped(f"    both have the line: {line}")


def print_table(
    columns: Sequence[str], rows: Iterable[Sequence[str]], *, prose: Collection[str] = ()
) -> None:
    """Print rows on stdout: as a table on a terminal, else as tab-separated lines.

    Cells are never truncated, because a truncated node id names no test.

    Parameters
    ----------
    columns : sequence of str
        Headings, printed only on a terminal.
    rows : iterable of sequence of str
        Cells of each row.
    prose : collection of str, default ()
        Headings of the columns whose cells may be wrapped at spaces on a terminal.
    """
    if terminal_width() is not None:
        show_table(TextTable(columns, list(rows), prose=prose))
        return
    for row in rows:
        click.echo("\t".join(row))


def show_table(table: TextTable) -> None:
    """Print a table on stdout; if stdout is not a terminal, print each row on one line."""
    for line in table.lines(terminal_width(), style=lambda line: click.style(line, bold=True)):
        click.echo(line)


def echo_named(
    before: str, name: str, after: str = "", *, separator: str = "  ", indent: str = ""
) -> None:
    """Print a node id or a path, with the text before and after it.

    If the terminal is too narrow for one line, the name is printed unbroken on its own line.

    Parameters
    ----------
    before : str
        Text before the name, such as a score.
    name : str
        Node id or path.
    after : str, default ""
        Text after the name.
    separator : str, default two spaces
        Text between the parts on one line. A terminal shows two spaces instead of a tab.
    indent : str, default ""
        Spaces before the first part.
    """
    width = terminal_width()
    if width is not None:
        separator = separator.replace("\t", "  ")
    line = indent + separator.join(part for part in (before, name, after) if part)
    if width is None or cell_len(line) <= width:
        click.echo(line)
        return
    if before:
        echo_wrapped(indent + before)
    click.echo(indent + name)
    if after:
        echo_wrapped(f"{indent}    {after}")


def echo_wrapped(line: str) -> None:
    """Print a line on stdout, wrapped at spaces if the terminal is too narrow."""
    own = line[: len(line) - len(line.lstrip())]
    for part in wrapped(line, terminal_width(), f"{own}    "):
        click.echo(part)


@contextmanager
def progress_bar(description: str, *, total: int) -> Iterator[Callable[[int], None]]:
    """Show progress on stderr as the number of items that are done.

    Yields
    ------
    callable
        Function to call with the number of items done since its last call.
    """
    done = 0
    with progress_report(description) as report:

        def advance(count: int) -> None:
            """Count ``count`` more items as done."""
            nonlocal done
            done += count
            report(done, total)

        yield advance


def terminal_width() -> int | None:
    """Return the width of the terminal in columns; None if stdout is closed or no terminal."""
    if sys.stdout is None or not sys.stdout.isatty():
        return None
    return shutil.get_terminal_size().columns
