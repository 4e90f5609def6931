"""A run of `python -m bench peers`, `search` or `all`, from its options to its report."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from bench.options import DEFAULT_VECTORS, QUICK_VECTORS, refuse_plot
from flashwasm.cli.bench_options import check_operations, limit_numpy
from flashwasm.storage.atomic_files import write_atomically

if TYPE_CHECKING:
    from flashwasm.cli.bench_options import LogChoice, Outputs

__all__ = ["measure"]


def measure(
    suite: str,
    outputs: Outputs,
    log: LogChoice,
    threads: int,
    plot_file: Path | None,
    *,
    operations: tuple[str, ...] = (),
    searched: tuple[int | None, Path | None] = (None, None),
    quick: bool,
    record: bool = False,
) -> None:
    """Run a command's measurements, show their progress, and report them.

    Parameters
    ----------
    suite : {"peers", "search", "all"}
        Name of the command.
    outputs : Outputs
        Destinations of the report.
    log : LogChoice
        The log to which each result is written at once.
    threads : int
        Threads for each library that can have threads.
    plot_file : pathlib.Path or None
        File to draw to, if any.
    operations : tuple of str, default ()
        Operations to measure; all if it is empty.
    searched : (int or None, pathlib.Path or None)
        Number of vectors to search, and a file of vectors; None means the default.
    quick : bool
        True measures small cases for a short time.
    record : bool, default False
        True stores the result in `bench/results/`.
    """
    # Set the number of threads before the imports below, because they load NumPy.
    numpy_threads = limit_numpy(threads)
    refuse_plot(plot_file)
    from bench import suites  # noqa: PLC0415 - it loads NumPy.
    from bench.recorded import record_result  # noqa: PLC0415 - it loads NumPy.
    from flashwasm.cli.bench_steps import shown  # noqa: PLC0415 - it loads NumPy.
    from flashwasm.cli.output import note  # noqa: PLC0415 - it loads NumPy.

    check_operations(operations, suites.known_operations(suite))
    vectors, embeddings = searched
    request = suites.Request(
        suite=suite,
        operations=operations,
        threads=threads,
        numpy_threads=numpy_threads,
        vectors=vectors or (QUICK_VECTORS if quick else DEFAULT_VECTORS),
        embeddings=embeddings,
        quick=quick,
    )
    ready = suites.plan(request)
    for line in ready.notes:
        note(line)
    count = len(ready.steps)
    kept = log.open(ready.settings, count)
    with shown(count) as begin:
        found = suites.run(ready, request, kept, begin)
    if record:
        click.echo(f"wrote {record_result(found)}", err=True)
    outputs.write(found.as_dict(), found.markdown())
    if plot_file is not None:
        from bench.plots import picture  # noqa: PLC0415 - it loads matplotlib.

        write_atomically(plot_file, [picture(found, plot_file.name)])
    outputs.show(found.tables(), found.notes())
    outputs.end(missed=found.missed)
