"""What the suites of `flashwasm bench` share: options, NumPy's threads, and where a report goes."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable, Iterable, Mapping
from functools import wraps
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

import click

from flashwasm.storage.atomic_files import write_atomically

__all__ = [
    "DEFAULT_VECTORS",
    "Outputs",
    "bench_threads_option",
    "embedding_model_option",
    "limit_numpy",
    "operation_option",
    "output_options",
    "refuse_plot",
    "searched_options",
]

DEFAULT_VECTORS = 20_000
# What the BLAS libraries that NumPy is built with read when they are loaded.
_BLAS_VARIABLES = ("OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "OMP_NUM_THREADS")

_JSON = click.option(
    "--json", "json_file", metavar="FILE", help="Write JSON to FILE, or - for stdout."
)
_MARKDOWN = click.option(
    "--markdown", "markdown_file", metavar="FILE", help="Write Markdown likewise."
)
_PLOT = click.option(
    "--plot", "plot_file", metavar="FILE", help="Draw what was measured (.png, .svg, .pdf)."
)
_FAIL = click.option("--fail-on-miss", is_flag=True, help="Exit status 1 where a target is missed.")

F = TypeVar("F", bound=Callable[..., Any])


class Outputs(NamedTuple):
    """Where a report goes; a file's name may be "-", which is stdout."""

    json_file: str | None = None
    markdown_file: str | None = None
    plot_file: str | None = None
    fail_on_miss: bool = False

    def write(self, document: Mapping[str, Any], markdown: str) -> None:
        """Write the report in the forms that were asked for."""
        _write(self.json_file, json.dumps(document, indent=2) + "\n")
        _write(self.markdown_file, markdown)

    def show(self, tables: Iterable[Any], notes: Iterable[str] = ()) -> None:
        """Print tables and lines, unless stdout holds a report."""
        if "-" in {self.json_file, self.markdown_file}:
            return
        from flashwasm.cli.output import console  # noqa: PLC0415 - loads rich.

        for table in tables:
            console().print(table)
        for line in notes:
            click.echo(line)

    def end(self, *, missed: bool) -> None:
        """Exit with status 1 where a target was missed, if that was asked for."""
        if self.fail_on_miss and missed:
            sys.exit(1)


def output_options(
    *, plot: bool = False, targets: bool = False
) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Add what says where a report goes, and pass it to the command as ``outputs``.

    Parameters
    ----------
    plot : bool, default False
        Whether there is something to draw.
    targets : bool, default False
        Whether there is something to miss.
    """
    options = [*[_FAIL] * targets, *[_PLOT] * plot, _MARKDOWN, _JSON]

    def add(command: Callable[..., None]) -> Callable[..., None]:
        @wraps(command)
        def gathered(**given: Any) -> None:
            chosen = {name: given.pop(name) for name in Outputs._fields if name in given}
            command(**given, outputs=Outputs(**chosen))

        added: Callable[..., None] = gathered
        # The last one that is added is the first in the help.
        for option in options:
            added = option(added)
        return added

    return add


def operation_option(command: F) -> F:
    """Add ``--op``."""
    return click.option(
        "--op", "operations", multiple=True, metavar="NAME", help="Only this operation."
    )(command)


def bench_threads_option(
    text: str = "Threads of what is measured, and of NumPy.",
) -> Callable[[F], F]:
    """Return what adds ``--threads``, which is one where it is not given."""
    kind = click.IntRange(min=1)
    return click.option("--threads", type=kind, default=1, show_default=True, help=text)


def searched_options(command: F) -> F:
    """Add ``--vectors`` and ``--embeddings``."""
    command = click.option(
        "--embeddings",
        type=click.Path(exists=True, dir_okay=False, path_type=Path),
        help="Search the vectors of a .npy file in place of embedded docstrings.",
    )(command)
    return click.option(
        "--vectors",
        type=click.IntRange(min=100),
        default=DEFAULT_VECTORS,
        show_default=True,
        help="Vectors to search.",
    )(command)


def embedding_model_option(command: F) -> F:
    """Add ``--model``, without what the other commands load for theirs."""
    return click.option(
        "--model", metavar="NAME|DIR", help="What embeds: an installed model, or a folder."
    )(command)


def limit_numpy(threads: int) -> str:
    """Hold NumPy's BLAS to as many threads, where it is not loaded yet; say what is in force."""
    if "numpy" in sys.modules:
        return "as the process was started"
    for variable in _BLAS_VARIABLES:
        os.environ[variable] = str(threads)
    return str(threads)


def refuse_plot(name: str) -> None:
    """Refuse a plot that could not be drawn, before minutes of measuring."""
    from flashwasm.bench.plots import FORMATS, figures_module  # noqa: PLC0415 - loads matplotlib.

    if Path(name).suffix not in FORMATS:
        message = f"{name!r} does not end in {', '.join(FORMATS)}"
        raise click.BadParameter(message, param_hint="--plot")
    figures_module()


def _write(name: str | None, text: str) -> None:
    """Write a report to a file, or to stdout."""
    if name is None:
        return
    if name == "-":
        click.echo(text, nl=False)
        return
    write_atomically(Path(name), [text.encode()])
