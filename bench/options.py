"""Options that the commands of `python -m bench` share."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import click
from click.core import ParameterSource

from flashwasm.cli.output_file import OutputFile

__all__ = [
    "DEFAULT_VECTORS",
    "LOGS",
    "ONLY_WITH",
    "embedding_model_option",
    "fault_options",
    "history_options",
    "plot_option",
    "precision_options",
    "quick_option",
    "refuse_plot",
    "refuse_unused",
    "searched_options",
]

# The folder in which runs log each result at once.
LOGS = Path("build", "bench")
DEFAULT_VECTORS = 20_000
QUICK_VECTORS = 600
# Options of `quality` that act only with one of others.
ONLY_WITH = {
    "commits": ("history",),
    "record": ("history",),
    "weights": ("history", "releases"),
    **dict.fromkeys(("mutations", "seed", "minutes", "testmon", "again"), ("faults",)),
    "queries": ("precision",),
}

F = TypeVar("F", bound=Callable[..., Any])

plot_option = click.option(
    "--plot",
    "plot_file",
    metavar="FILE",
    type=OutputFile(),
    help="Draw the results (.png, .svg, .pdf).",
)
quick_option = click.option(
    "--quick", is_flag=True, help="Measure small cases for a short time, as a test of the run."
)
embedding_model_option = click.option(
    "--model", metavar="NAME|DIR", help="An installed model, or a folder, that embeds."
)


def searched_options(command: F) -> F:
    """Add ``--vectors`` and ``--embeddings``."""
    command = click.option(
        "--embeddings",
        type=click.Path(exists=True, dir_okay=False, path_type=Path),
        help="Search the vectors of a .npy file instead of embedded docstrings.",
    )(command)
    return click.option(
        "--vectors",
        type=click.IntRange(min=100),
        help=f"Vectors to search; {DEFAULT_VECTORS:,} by default, {QUICK_VECTORS:,} with --quick.",
    )(command)


def fault_options(command: F) -> F:
    """Add ``--faults`` and its options."""
    options = (
        click.option(
            "--faults",
            is_flag=True,
            help="Mutate a copy of each PATH, and count the failing tests that are not selected.",
        ),
        click.option(
            "--mutations",
            type=click.IntRange(min=1),
            default=200,
            show_default=True,
            help="Mutations of each PATH, for --faults.",
        ),
        click.option(
            "--seed", type=int, default=0, show_default=True, help="Choice of the mutations."
        ),
        click.option(
            "--minutes",
            type=click.FloatRange(min=0, min_open=True),
            help="Begin no mutation after this many minutes, divided among the PATHs.",
        ),
        click.option(
            "--testmon",
            type=click.IntRange(min=0),
            help="Mutations for which pytest-testmon runs too.  [default: all]",
        ),
        click.option(
            "--again",
            metavar="FILE",
            type=click.Path(exists=True, dir_okay=False, path_type=Path),
            help="JSON of an earlier --faults. Reuse its failing tests, and compute only the "
            "selections again.",
        ),
    )
    for option in reversed(options):
        command = option(command)
    return command


def history_options(command: F) -> F:
    """Add ``--history``, ``--releases``, ``--commits``, ``--record`` and ``--weights``."""
    folder = click.Path(exists=True, file_okay=False, path_type=Path)
    options = (
        click.option(
            "--history",
            is_flag=True,
            help="Rank the tests for past commits of each PATH, a git repository.",
        ),
        click.option(
            "--releases",
            nargs=2,
            multiple=True,
            metavar="OLD NEW",
            type=folder,
            help="Two releases of a package with tests, unpacked: their difference is a change, "
            "too. May be given several times.",
        ),
        click.option(
            "--commits",
            type=click.IntRange(min=1),
            default=25,
            show_default=True,
            help="Commits of each PATH, for --history.",
        ),
        click.option(
            "--record",
            is_flag=True,
            help="Run the suite before each commit with this Python, for --history, and also rank "
            "with its coverage.",
        ),
        click.option(
            "--weights",
            is_flag=True,
            help="Also choose weights of the evidence, leaving out one project after another.",
        ),
    )
    for option in reversed(options):
        command = option(command)
    return command


def precision_options(command: F) -> F:
    """Add ``--precision`` and ``--queries``."""
    command = click.option(
        "--queries",
        type=click.IntRange(min=1),
        default=1500,
        show_default=True,
        help="Maximum number of queries of each PATH, for --precision.",
    )(command)
    return click.option(
        "--precision",
        type=click.Choice(["int8"]),
        help="Compare the results of embeddings of this precision with those in float32.",
    )(command)


def refuse_unused() -> None:
    """Raise an error for an option of `quality` without the one that it acts with.

    Raises
    ------
    click.UsageError
        If the command line has such an option.
    """
    context = click.get_current_context()
    typed = {
        name
        for name in context.params
        if context.get_parameter_source(name) is ParameterSource.COMMANDLINE
    }
    for name, others in ONLY_WITH.items():
        if name in typed and typed.isdisjoint(others):
            needed = " or ".join(f"--{other}" for other in others)
            raise click.UsageError(f"--{name} acts only with {needed}")


def refuse_plot(file: Path | None) -> None:
    """Raise an error if a plot cannot be drawn, before minutes of measuring.

    Parameters
    ----------
    file : pathlib.Path or None
        File that ``--plot`` gave.

    Raises
    ------
    click.BadParameter
        If the name's extension is not a supported format.
    CapabilityError
        If matplotlib is not installed.
    """
    if file is None:
        return
    from bench.plots import FORMATS, figures_module  # noqa: PLC0415 - it loads matplotlib.

    if file.suffix not in FORMATS:
        message = f"{str(file)!r} does not end in {', '.join(FORMATS)}"
        raise click.BadParameter(message, param_hint="--plot")
    figures_module()
