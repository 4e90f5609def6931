"""`flashwasm bench`: a command for each suite of measurements."""

from __future__ import annotations

import sys
from pathlib import Path

import click

from flashwasm.cli.bench_options import (
    DEFAULT_VECTORS,
    Outputs,
    bench_threads_option,
    embedding_model_option,
    limit_numpy,
    operation_option,
    output_options,
    refuse_plot,
    searched_options,
)
from flashwasm.storage.atomic_files import write_atomically

__all__ = ["bench"]

_OPS = "ops"


class _OpsByDefault(click.Group):
    """A group whose options are those of ``ops`` where no suite comes first."""

    default_command = _OPS

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Put the default suite first."""
        if not args or (args[0].startswith("-") and args[0] not in ctx.help_option_names):
            args = [self.default_command, *args]
        return super().parse_args(ctx, args)


@click.group(cls=_OpsByDefault)
def bench() -> None:
    """Measure speed, memory and quality, beside NumPy and other libraries.

    `flashwasm bench` is `flashwasm bench ops`. Options come after the suite.

    Results are checked before anything is timed. One thread runs, of NumPy too, where a suite does
    not say otherwise.
    """


@bench.command(_OPS)
@operation_option
@bench_threads_option()
@output_options()
def ops(operations: tuple[str, ...], threads: int, outputs: Outputs) -> None:
    """Time every operation beside NumPy and the scalar build.

    "best" and "median" are of calls on arrays in linear memory; "with copies" starts and ends in
    NumPy's memory.
    """
    _measure("ops", outputs, threads=threads, operations=operations)


@bench.command()
@output_options(plot=True)
def attention(outputs: Outputs) -> None:
    """Measure attention by length, beside stored scores.

    Its speed, and the memory that it needs beyond operands and result.
    """
    _measure("attention", outputs)


@bench.command()
@searched_options
@bench_threads_option()
@output_options(plot=True, targets=True)
def search(vectors: int, embeddings: Path | None, threads: int, outputs: Outputs) -> None:
    """Measure indexes and their recall, beside other libraries.

    Figures are held against targets, which are for 100,000 vectors.
    """
    _measure("search", outputs, threads=threads, searched=(vectors, embeddings))


@bench.command()
@operation_option
@bench_threads_option()
@output_options(plot=True, targets=True)
def peers(operations: tuple[str, ...], threads: int, outputs: Outputs) -> None:
    """Run what is installed of other libraries on the same data.

    WebAssembly libraries in Node are among them. Figures are held against targets.
    """
    _measure("peers", outputs, threads=threads, operations=operations)


@bench.command()
@bench_threads_option("Threads of NumPy.")
@output_options(targets=True)
def workloads(threads: int, outputs: Outputs) -> None:
    """Time the operations of quality engineering, with all threads.

    Figures are held against the targets of the specification.
    """
    _measure("workloads", outputs, threads=threads)


@bench.command("all")
@operation_option
@searched_options
@bench_threads_option()
@output_options(plot=True, targets=True)
def everything(
    operations: tuple[str, ...],
    vectors: int,
    embeddings: Path | None,
    threads: int,
    outputs: Outputs,
) -> None:
    """Run ops, attention, search, peers and workloads."""
    searched = (vectors, embeddings)
    _measure("all", outputs, threads=threads, operations=operations, searched=searched)


@bench.command()
@click.option(
    "--suite",
    "tests",
    metavar="PATH",
    type=click.Path(exists=True, path_type=Path),
    help="A suite of pytest tests, to search with and without feedback.",
)
@click.option(
    "--seeds",
    type=click.IntRange(min=1),
    default=20,
    show_default=True,
    help="How often feedback is drawn.",
)
@embedding_model_option
@bench_threads_option()
@output_options(targets=True)
def adaptation(
    tests: Path | None, seeds: int, model: str | None, threads: int, outputs: Outputs
) -> None:
    """Time training, and measure what feedback is worth.

    One step of training; with --suite, whether feedback makes searches better on files that gave
    none. Figures are held against targets.
    """
    numpy_threads = limit_numpy(threads)
    from flashwasm.bench.adaptation.report import run_adaptation, steps  # noqa: PLC0415
    from flashwasm.cli.output import progress_bar  # noqa: PLC0415

    with progress_bar("measuring", total=steps(tests, seeds)) as advance:
        found = run_adaptation(tests, seeds, model, (threads, numpy_threads), advance)
    outputs.write(found.as_dict(), found.markdown())
    outputs.show(found.tables(), found.notes())
    outputs.end(missed=bool(found.missed))


@bench.command()
@click.argument(
    "paths", nargs=-1, metavar="[PATH]...", type=click.Path(exists=True, path_type=Path)
)
@click.option(
    "--coverage",
    metavar="DB",
    type=click.Path(dir_okay=False, path_type=Path),
    help="A coverage.py database of the first PATH.",
)
@click.option(
    "--failures",
    metavar="FILE",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="JSON lines with text and defect.",
)
@click.option(
    "--releases",
    nargs=2,
    metavar="OLD NEW",
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    help="Two releases of a package with tests, unpacked.",
)
@embedding_model_option
@output_options()
def quality(
    paths: tuple[Path, ...],
    coverage: Path | None,
    failures: Path | None,
    releases: tuple[Path, Path] | None,
    model: str | None,
    outputs: Outputs,
) -> None:
    """Measure how well tests, functions and defects are found.

    Whether the nearest tests of each PATH are of one class or file and run the same lines, whether
    docstrings find their functions, failures their defects, and changes their tests; beside TF-IDF
    and BM25 on the same seeded queries. No time is measured. Exit status 1: there is nothing to
    measure in what was given.
    """
    from flashwasm.bench.quality.findings import QualityInputs, measure_quality  # noqa: PLC0415
    from flashwasm.cli.output import note, note_missing  # noqa: PLC0415

    found = measure_quality(QualityInputs(paths, coverage, failures, releases, model))
    note_missing(found.missing)
    outputs.write(found.as_dict(), found.markdown())
    outputs.show(found.tables())
    if not (found.figures or found.commits):
        note("what was given holds nothing to measure")
        sys.exit(1)


def _measure(
    suite: str,
    outputs: Outputs,
    *,
    threads: int = 1,
    operations: tuple[str, ...] = (),
    searched: tuple[int, Path | None] = (DEFAULT_VECTORS, None),
) -> None:
    """Run a suite with a progress bar, and report it."""
    # Before anything is imported that loads NumPy.
    numpy_threads = limit_numpy(threads)
    if outputs.plot_file is not None:
        refuse_plot(outputs.plot_file)
    from flashwasm.bench.suites import known_operations, run_suites, steps  # noqa: PLC0415
    from flashwasm.cli.output import progress_bar  # noqa: PLC0415

    known = known_operations(suite)
    for name in operations:
        if name not in known:
            message = f"{name!r} is not one of {', '.join(known)}"
            raise click.BadParameter(message, param_hint="--op")
    threading = (threads, numpy_threads)
    with progress_bar("measuring", total=steps(suite, operations)) as advance:
        found = run_suites(suite, operations, threading, searched, advance)
    outputs.write(found.as_dict(), found.markdown())
    if outputs.plot_file is not None:
        from flashwasm.bench.plots import picture  # noqa: PLC0415 - loads matplotlib.

        write_atomically(Path(outputs.plot_file), [picture(found, outputs.plot_file)])
    outputs.show(found.tables(), found.notes() if suite != _OPS else ())
    outputs.end(missed=found.missed)
