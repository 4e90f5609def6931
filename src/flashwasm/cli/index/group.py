"""The group of the commands on index files, and the line that they print after writing a file."""

from __future__ import annotations

from pathlib import Path

import click

from flashwasm.cli.output import echo_json
from flashwasm.summaries import are, counted

__all__ = ["index", "report_written"]


@click.group()
def index() -> None:
    """Build, inspect, merge and check index files.

    An index file contains a suite, functions, coverage, failures or vectors.

    \b
    Example:
      flashwasm index build suite tests -o tests.suite
      flashwasm similar tests.suite -q "empty cart"
    """


def report_written(output: Path, what: str, count: int, *, as_json: bool) -> None:
    """Print the number of items in a new file, and its size."""
    size = output.stat().st_size
    if as_json:
        echo_json({"file": str(output), what: count, "bytes": size})
    else:
        click.echo(f"{counted(count, what)} {are(count)} in {output} ({size} bytes)")
