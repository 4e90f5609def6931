"""What the commands share: options, and printing for people and for programs."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click
from rich.console import Console
from rich.table import Column, Table

from flashwasm.errors import ShapeError
from flashwasm.progress_bar import progress_report
from flashwasm.runtime.runtime import Runtime, default_runtime

if TYPE_CHECKING:
    from flashwasm.qe.similarity.explanation import Explanation
    from flashwasm.qe.suites.source_files import Skipped

__all__ = [
    "cache_option",
    "console",
    "echo_json",
    "exists",
    "explain_option",
    "explained",
    "html_option",
    "json_option",
    "model_option",
    "note",
    "note_missing",
    "note_skipped",
    "print_table",
    "progress_bar",
    "ranges",
    "read_stdin",
    "read_text",
    "runtime_for",
    "shared_json",
    "skipped_json",
    "threads_option",
]

# Characters that no line reaches.
_WIDE = 10_000
# No diff that a person made is larger.
_MOST_BYTES = 64 << 20
# Files that could not be read are named up to here.
_NAMED_AT_MOST = 5

F = TypeVar("F", bound=Callable[..., Any])


def json_option(command: F) -> F:
    """Add ``--json``."""
    return click.option("--json", "as_json", is_flag=True, help="Print JSON.")(command)


def html_option(command: F) -> F:
    """Add ``--html``."""
    return click.option(
        "--html",
        metavar="F",
        type=click.Path(dir_okay=False, path_type=Path),
        help="Write one HTML file too.",
    )(command)


def explain_option(command: F) -> F:
    """Add ``--explain``."""
    return click.option(
        "--explain", is_flag=True, help="Say why: scores by part, and what is shared."
    )(command)


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


def cache_option(command: F) -> F:
    """Add ``--no-cache``."""
    return click.option("--no-cache", is_flag=True, help="Neither read nor write the cache.")(
        command
    )


def read_text(name: str) -> str:
    """Read a file, or stdin for "-"; what is no UTF-8 is replaced."""
    if name != "-" and (size := Path(name).stat().st_size) > _MOST_BYTES:
        raise ShapeError(f"{name} has {size} bytes; expected at most {_MOST_BYTES}")
    data = read_stdin() if name == "-" else Path(name).read_bytes()
    return data.decode("utf-8-sig", "replace")


def exists(path: Path) -> bool:
    """Return whether a text that may be a path is one."""
    try:
        return path.exists()
    except (OSError, ValueError):
        # A text can be too long for a file name, or hold what no name may.
        return False


def read_stdin() -> bytes:
    """Read stdin to its end; Python has none where the shell has closed it."""
    return b"" if sys.stdin is None else sys.stdin.buffer.read()


def note_missing(missing: Iterable[str]) -> None:
    """Say on stderr what would make the result better."""
    for reason in missing:
        note(f"note: {reason}")


def note_skipped(skipped: Sequence[Skipped]) -> None:
    """Name on stderr the first files that could not be read."""
    for one in skipped[:_NAMED_AT_MOST]:
        note(f"skipped {one.path}: {one.reason}")
    if (more := len(skipped) - _NAMED_AT_MOST) > 0:
        note(f"skipped {more} more (--json names them)")


def skipped_json(skipped: Iterable[Skipped]) -> list[dict[str, str]]:
    """Return all files that could not be read, for JSON."""
    return [{"path": str(one.path), "reason": one.reason} for one in skipped]


def runtime_for(threads: int | None) -> Runtime:
    """Return the process-wide runtime, or one with as many threads as asked for."""
    return default_runtime() if threads is None else Runtime(threads=threads)


def ranges(lines: Sequence[int]) -> str:
    """Return ascending numbers as people write them: 3-5,9."""
    spans: list[list[int]] = []
    for line in lines:
        if spans and line == spans[-1][1] + 1:
            spans[-1][1] = line
        else:
            spans.append([line, line])
    return ",".join(str(a) if a == b else f"{a}-{b}" for a, b in spans)


def explained(components: Mapping[str, float], shared: Explanation | None) -> list[str]:
    """Return lines for people: scores by part, and what both sides hold."""
    lines = []
    if components:
        parts = ", ".join(f"{name} {score:.3f}" for name, score in components.items())
        lines.append(f"    {parts}")
    if shared is not None and shared.identifiers:
        lines.append(f"    both have: {', '.join(shared.identifiers)}")
    if shared is not None:
        lines += [f"    both have the line: {line}" for line in shared.lines]
    return lines


def shared_json(shared: Explanation) -> dict[str, list[str]]:
    """Return what both sides hold, for JSON."""
    return {"shared_identifiers": shared.identifiers, "shared_lines": shared.lines}


def echo_json(document: object, *, indent: int | None = 2) -> None:
    """Print a JSON document on stdout."""
    click.echo(json.dumps(document, indent=indent))


def note(line: str) -> None:
    """Print a line on stderr."""
    click.echo(line, err=True)


def console() -> Console:
    """Return what prints rich tables on stdout; where that is no terminal, lines are not cut."""
    width = None if _on_terminal() else _WIDE
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
    if not _on_terminal():
        for row in rows:
            click.echo("\t".join(row))
        return
    table = Table(*(Column(column, overflow="fold") for column in columns), box=None)
    for row in rows:
        table.add_row(*row)
    console().print(table)


def _on_terminal() -> bool:
    """Return whether a person reads stdout; Python has none where the shell has closed it."""
    return sys.stdout is not None and sys.stdout.isatty()
