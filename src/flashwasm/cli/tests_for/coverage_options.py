"""The options that choose a coverage database: one names it, one refuses all."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from pathlib import Path
from typing import Any

import click

from flashwasm.cli.options import FILE
from flashwasm.qe.changes.coverage.coverage_choice import CoverageChoice

__all__ = ["coverage_options"]


def coverage_options(command: Callable[..., None]) -> Callable[..., None]:
    """Add ``--coverage`` and ``--no-coverage``, and pass both as ``lookup``."""

    @click.option(
        "--coverage",
        "database",
        metavar="DB",
        type=FILE,
        help="A coverage.py database with test contexts, made before the change.  "
        "[default: coverage.py's data file, if it was recorded before the change]",
    )
    @click.option(
        "--no-coverage",
        is_flag=True,
        help="Use no coverage database; select the tests by imports alone.",
    )
    @wraps(command)
    def gathered(*, database: Path | None, no_coverage: bool, **given: Any) -> None:
        """Call the command with the two options as one argument."""
        if database is not None and no_coverage:
            raise click.UsageError(
                "--coverage and --no-coverage exclude each other; give one of them"
            )
        command(**given, lookup=CoverageChoice(database, off=no_coverage, here=Path.cwd()))

    return gathered
