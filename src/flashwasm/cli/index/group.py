"""The group of the commands on index files, and the line that those print which write a file."""

from __future__ import annotations

from pathlib import Path

import click

from flashwasm.cli.output import echo_json

__all__ = ["index", "report_written"]


@click.group()
def index() -> None:
    """Write suites, coverage, failures and vectors to index files, and check such files.

    \b
    Example:
      flashwasm index build suite tests -o tests.suite
      flashwasm similar tests.suite -q "empty cart"
    """


def report_written(output: Path, what: str, count: int, *, as_json: bool) -> None:
    """Print the number of items in the file that was written, and its size."""
    size = output.stat().st_size
    if as_json:
        echo_json({"file": str(output), what: count, "bytes": size})
    else:
        click.echo(f"{count} {what} are in {output} ({size} bytes)")
