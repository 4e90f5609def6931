"""Options and arguments that several commands share, each declared once."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from pathlib import Path
from typing import Any, TypeVar

import click
from click.core import ParameterSource

from flashwasm.cli.existing_path import ExistingPath
from flashwasm.cli.output_file import OutputFile
from flashwasm.optional_packages import optional_module

__all__ = [
    "EXISTING_PATH",
    "FILE",
    "count_option",
    "coverage_option",
    "explain_option",
    "format_options",
    "html_option",
    "index_option",
    "json_option",
    "output_option",
]

F = TypeVar("F", bound=Callable[..., Any])

# Types of parameters: a file to read, and a file or folder that must exist.
FILE = click.Path(dir_okay=False, path_type=Path)
EXISTING_PATH = ExistingPath()


def _require_jinja2(_context: click.Context, _option: click.Parameter, path: Path | None) -> Any:
    """Return the path. Raise CapabilityError early, before the search, if Jinja2 is missing."""
    if path is not None:
        optional_module("jinja2", "Jinja2")
    return path


_JSON = "json"

json_option = click.option("--json", "as_json", is_flag=True, help="Print JSON instead of text.")


def format_options(*formats: str) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Return a decorator that adds ``--format`` and ``--json``, and passes both as ``form``."""

    def decorate(command: Callable[..., None]) -> Callable[..., None]:
        """Add the two options to a command."""

        @click.option(
            "--format",
            "form",
            type=click.Choice(formats),
            default=formats[0],
            show_default=True,
            help="Output format.",
        )
        @json_option
        @wraps(command)
        def gathered(*, form: str, as_json: bool, **given: Any) -> None:
            """Call the command with the format that the two options choose."""
            source = click.get_current_context().get_parameter_source
            if as_json and form != _JSON and source("form") is ParameterSource.COMMANDLINE:
                # An option on the command line overrides one in the settings file.
                if source("as_json") is ParameterSource.COMMANDLINE:
                    raise click.UsageError(
                        f"--json and --format {form} exclude each other; give one of them"
                    )
                as_json = False
            command(**given, form=_JSON if as_json else form)

        return gathered

    return decorate


html_option = click.option(
    "--html",
    metavar="F",
    type=OutputFile(),
    callback=_require_jinja2,
    help="Also write the findings to this HTML file.",
)
explain_option = click.option(
    "--explain",
    is_flag=True,
    help="Explain each result: the parts of its score, and the names and lines in common.",
)
index_option = click.option(
    "--index",
    "index_file",
    metavar="F",
    type=ExistingPath(dir_okay=False),
    help="Read this file, made by `flashwasm index build`, instead of PATH.",
)


def count_option(things: str) -> Callable[[F], F]:
    """Return the option ``-k``, the maximum number of results; ``things`` names the results."""
    return click.option(
        "-k",
        "count",
        type=click.IntRange(min=1),
        default=10,
        show_default=True,
        help=f"Maximum number of {things} to show.",
    )


def coverage_option(purpose: str, *, default: str | None = None) -> Callable[[F], F]:
    """Return the option ``--coverage``; ``purpose`` is the end of its help text."""
    return click.option(
        "--coverage",
        "database",
        metavar="DB",
        type=FILE,
        default=default,
        show_default=True,
        help=f"A coverage.py database with test contexts{purpose}.",
    )


def output_option(command: F) -> F:
    """Add the required option ``--output``."""
    return click.option(
        "--output", "-o", required=True, metavar="F", type=OutputFile(), help="File to write."
    )(command)
