"""The group of the commands on coverage databases, and the option that names one."""

from __future__ import annotations

import click

from flashwasm.cli.options import coverage_option

__all__ = ["coverage", "database_option"]

database_option = coverage_option("", default=".coverage")


@click.group()
def coverage() -> None:
    """Ask a coverage.py database which test runs which lines.

    The pytest option --fw-record writes the database.

    \b
    Example:
      pytest --fw-record .coverage
      flashwasm coverage gap
    """
