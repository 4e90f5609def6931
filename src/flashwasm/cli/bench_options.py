"""Options that the benchmark commands share, and the files that a report is written to."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable, Iterable, Mapping
from functools import wraps
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar

import click

from flashwasm.cli.completion import complete_operation
from flashwasm.cli.output_file import STDOUT, OutputFile
from flashwasm.host.workers import MOST_THREADS
from flashwasm.optional_packages import check_modules
from flashwasm.storage.atomic_files import write_atomically
from flashwasm.summaries import counted

if TYPE_CHECKING:
    from flashwasm.benchmarks.run_log import RunLog

__all__ = [
    "LogChoice",
    "Outputs",
    "bench_threads_option",
    "check_operations",
    "limit_numpy",
    "log_options",
    "operation_option",
    "output_options",
]

# OpenBLAS, MKL and OpenMP read these environment variables when NumPy loads them.
_BLAS_VARIABLES = ("OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "OMP_NUM_THREADS")

_JSON = click.option(
    "--json",
    "json_file",
    metavar="[FILE]",
    is_flag=False,
    flag_value=STDOUT,
    type=OutputFile(stdout=True),
    help="Write JSON to FILE, or to stdout if FILE is - or missing.",
)
_MARKDOWN = click.option(
    "--markdown",
    "markdown_file",
    metavar="[FILE]",
    is_flag=False,
    flag_value=STDOUT,
    type=OutputFile(stdout=True),
    help="Write Markdown to FILE, or to stdout if FILE is - or missing.",
)
_HTML = click.option(
    "--html",
    "html_file",
    metavar="FILE",
    type=OutputFile(),
    help="Write an HTML page with charts and tables to FILE.",
)
_FAIL = click.option(
    "--fail-on-miss", is_flag=True, help="Exit with status 1 if a target is missed."
)

F = TypeVar("F", bound=Callable[..., Any])


class Outputs(NamedTuple):
    """Names of the files that a report is written to; "-" means stdout."""

    json_file: Path | None = None
    markdown_file: Path | None = None
    html_file: Path | None = None
    fail_on_miss: bool = False

    def write(self, document: Mapping[str, Any], markdown: str) -> None:
        """Write the report in the formats that the user asked for."""
        _write(self.json_file, json.dumps(document, indent=2) + "\n")
        _write(self.markdown_file, markdown)
        if self.html_file is not None:
            from flashwasm.qe.reports.html_pages import benchmarks_page  # noqa: PLC0415 - NumPy.

            _write(self.html_file, benchmarks_page(document))

    def show(self, tables: Iterable[Any], notes: Iterable[str] = ()) -> None:
        """Print tables and lines, unless stdout receives a report."""
        if Path(STDOUT) in {self.json_file, self.markdown_file}:
            return
        from flashwasm.cli.output import echo_wrapped, show_table  # noqa: PLC0415 - they load rich.

        for table in tables:
            show_table(table)
            click.echo()
        for line in notes:
            echo_wrapped(line)

    def end(self, *, missed: bool) -> None:
        """Exit with status 1 if a target was missed and the caller asked for that."""
        if self.fail_on_miss and missed:
            sys.exit(1)


class LogChoice(NamedTuple):
    """The log file of a run, and a flag that is True to resume the run in that file."""

    file: Path | None = None
    resume: bool = False

    def open(self, settings: Mapping[str, Any], steps: int) -> RunLog | None:
        """Return the log of a run; None if the user asked for no log.

        Parameters
        ----------
        settings : mapping of str
            All settings that the results depend on.
        steps : int
            Number of steps of the run.
        """
        if self.file is None:
            return None
        from flashwasm.benchmarks.run_log import RunLog  # noqa: PLC0415 - help need not load it.

        if self.resume:
            log = RunLog.resume(self.file, settings)
            click.echo(
                f"{self.file} has {log.steps} of {counted(steps, 'steps')} of this run",
                err=True,
            )
            return log
        click.echo(f"each result goes to {self.file}; --resume goes on after a stop", err=True)
        return RunLog.begin(self.file, settings)


def log_options(
    default: Path | None = None,
) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Return a decorator that adds ``--log`` and ``--resume``, passed on as ``log``.

    Parameters
    ----------
    default : pathlib.Path, optional
        Default value of ``--log``; with None, no log is written by default.
    """

    def add(command: Callable[..., None]) -> Callable[..., None]:
        @click.option(
            "--resume", is_flag=True, help="Continue the interrupted run recorded in the log file."
        )
        @click.option(
            "--log",
            "log_file",
            metavar="FILE",
            type=OutputFile(),
            default=default,
            show_default=default is not None,
            help="Write each result to FILE, as JSON lines, as soon as it is measured.",
        )
        @wraps(command)
        def gathered(*, log_file: Path | None, resume: bool, **given: Any) -> None:
            if resume and log_file is None:
                raise click.UsageError("--resume needs the log of the run: give --log FILE")
            command(**given, log=LogChoice(log_file, resume))

        return gathered

    return add


def output_options(
    *, targets: bool = False, html: bool = False
) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Return a decorator that adds options for a report and passes them on as ``outputs``.

    Parameters
    ----------
    targets : bool, default False
        True adds ``--fail-on-miss``, for commands that compare results with targets.
    html : bool, default False
        True adds ``--html``, for commands whose results have charts.
    """
    options = [*[_FAIL] * targets, *[_HTML] * html, _MARKDOWN, _JSON]

    def add(command: Callable[..., None]) -> Callable[..., None]:
        @wraps(command)
        def gathered(**given: Any) -> None:
            if given.get("html_file") is not None:
                # A missing package must be reported now, not after minutes of measuring.
                check_modules("jinja2")
            chosen = Outputs(**{name: given.pop(name) for name in Outputs._fields if name in given})
            if chosen.json_file == chosen.markdown_file == Path(STDOUT):
                raise click.UsageError("--json and --markdown cannot both be stdout; name a FILE")
            command(**given, outputs=chosen)

        added: Callable[..., None] = gathered
        # The help lists first the option that is added last.
        for option in options:
            added = option(added)
        return added

    return add


def operation_option(command: F) -> F:
    """Add ``--op``."""
    return click.option(
        "--op",
        "operations",
        multiple=True,
        metavar="NAME",
        shell_complete=complete_operation,
        help="Measure only this operation. May be repeated.",
    )(command)


def bench_threads_option(
    text: str = "Number of threads for flashwasm and for NumPy.",
) -> Callable[[F], F]:
    """Return a decorator that adds ``--threads``, with a default of one.

    Parameters
    ----------
    text : str
        Help text of the option.
    """
    kind = click.IntRange(1, MOST_THREADS)
    return click.option("--threads", type=kind, default=1, show_default=True, help=text)


def check_operations(operations: Iterable[str], known: Iterable[str]) -> None:
    """Refuse names of operations that do not exist.

    Parameters
    ----------
    operations : iterable of str
        Names that ``--op`` gave.
    known : iterable of str
        Names that exist.

    Raises
    ------
    click.BadParameter
        If a name is unknown.
    """
    names = sorted(set(known), key=str.lower)
    for name in operations:
        if name not in names:
            message = f"{name!r} is not one of {', '.join(names)}"
            raise click.BadParameter(message, param_hint="--op")


def limit_numpy(threads: int) -> str:
    """Limit the threads of NumPy's BLAS, which reads the limit when it is loaded.

    Parameters
    ----------
    threads : int
        Number of threads.

    Returns
    -------
    str
        The number of threads as text. If NumPy is loaded already, the limit has no effect, and the
        text says so.
    """
    if "numpy" in sys.modules:
        return "as the process was started"
    for variable in _BLAS_VARIABLES:
        os.environ[variable] = str(threads)
    return str(threads)


def _write(file: Path | None, text: str) -> None:
    """Write a report to a file or to stdout."""
    if file == Path(STDOUT):
        click.echo(text, nl=False)
    elif file is not None:
        write_atomically(file, [text.encode()])
