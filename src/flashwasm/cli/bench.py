"""`flashwasm bench`: measure the operations beside NumPy and the scalar build."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple, cast

import click

from flashwasm.files import write_atomically

if TYPE_CHECKING:
    from flashwasm.bench.adaptation_report import AdaptationFindings
    from flashwasm.bench.suites import Findings

# What the BLAS libraries that NumPy is built with read when they are loaded.
_BLAS_VARIABLES = ("OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "OMP_NUM_THREADS")


class QualityOptions(NamedTuple):
    """What only "quality" takes."""

    paths: tuple[Path, ...]
    coverage: Path | None
    failures: Path | None
    releases: tuple[Path, Path] | None
    model: str | None


@click.command()
@click.argument(
    "suite",
    type=click.Choice(
        ["ops", "attention", "search", "peers", "workloads", "all", "adaptation", "quality"]
    ),
    default="ops",
)
@click.argument(
    "paths", nargs=-1, metavar="[PATH]...", type=click.Path(exists=True, path_type=Path)
)
@click.option("--op", "operations", multiple=True, metavar="NAME", help="Only this operation.")
@click.option(
    "--threads", type=click.IntRange(min=1), default=1, show_default=True, help="Workers."
)
@click.option(
    "--vectors",
    type=click.IntRange(min=100),
    default=20_000,
    show_default=True,
    help="Vectors to search.",
)
@click.option(
    "--embeddings",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="search: a .npy file of vectors in place of the embedded docstrings.",
)
@click.option(
    "--suite",
    "tests",
    type=click.Path(exists=True, path_type=Path),
    help="adaptation: a suite of pytest tests.",
)
@click.option(
    "--seeds",
    type=click.IntRange(min=1),
    default=20,
    show_default=True,
    help="adaptation: how often feedback is drawn.",
)
@click.option(
    "--coverage",
    type=click.Path(dir_okay=False, path_type=Path),
    help="quality: a coverage.py database of the first PATH.",
)
@click.option(
    "--failures",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="quality: JSON lines with text and defect.",
)
@click.option(
    "--releases",
    nargs=2,
    metavar="OLD NEW",
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    help="quality: two releases of a package with tests, unpacked.",
)
@click.option("--model", metavar="NAME|DIR", help="adaptation, quality: what embeds.")
@click.option("--json", "json_file", metavar="FILE", help="Write JSON to FILE, or - for stdout.")
@click.option("--markdown", "markdown_file", metavar="FILE", help="Write Markdown likewise.")
@click.option("--plot", "plot_file", metavar="FILE", help="Draw what was measured (.png, .svg).")
@click.option("--fail-on-miss", is_flag=True, help="Exit status 1 where a target is missed.")
def bench(
    suite: str,
    paths: tuple[Path, ...],
    operations: tuple[str, ...],
    threads: int,
    vectors: int,
    tests: Path | None,
    seeds: int,
    model: str | None,
    embeddings: Path | None,
    coverage: Path | None,
    failures: Path | None,
    releases: tuple[Path, Path] | None,
    json_file: str | None,
    markdown_file: str | None,
    plot_file: str | None,
    *,
    fail_on_miss: bool,
) -> None:
    """Time operations beside NumPy and the scalar build, and indexes beside their peers.

    Each result is checked against float64 before anything is timed. "best" and "median" are of
    calls on arrays in linear memory; "with copies" starts and ends in NumPy's memory. One thread
    unless --threads says otherwise, for NumPy too.

    "attention" measures speed and memory against length; "search" the indexes beside other
    libraries, with their recall; "peers" runs what is installed of other
    libraries, WebAssembly ones in Node among them; "workloads" the operations of quality
    engineering, with all threads; "adaptation" one step of training and, with --suite, whether
    feedback makes searches better on files that gave none. All but the first two hold the figures
    against targets.

    "quality" measures no time: whether the nearest tests of each PATH are of one class or file and
    run the same lines, whether docstrings find their functions, failures their defects, and
    changes their tests; beside TF-IDF and BM25 on the same seeded queries. "all" leaves out this
    and "adaptation".
    """
    given = QualityOptions(paths, coverage, failures, releases, model)
    if suite == "quality":
        _quality(given, json_file, markdown_file, unused=operations or plot_file or fail_on_miss)
        return
    _check_options(suite, given, tests, fail_on_miss=fail_on_miss)
    numpy_threads = _limit_numpy(threads)
    if plot_file is not None:
        _check_plot(suite, plot_file)
    found: Findings | AdaptationFindings
    threading = (threads, numpy_threads)
    if suite == "adaptation":
        found = _measure_adaptation(tests, seeds, model, threading)
    else:
        found = _measure(suite, operations, threading, (vectors, embeddings))
    _write(json_file, json.dumps(found.as_dict(), indent=2) + "\n")
    title = f"flashwasm, {threads} thread(s); NumPy's threads: {numpy_threads}"
    _write(markdown_file, found.markdown(title))
    if plot_file is not None:
        from flashwasm.bench.plots import picture  # noqa: PLC0415 - loads matplotlib.

        write_atomically(Path(plot_file), [picture(cast("Findings", found), plot_file)])
    if "-" not in {json_file, markdown_file}:
        from flashwasm.cli.output import console  # noqa: PLC0415 - loads rich.

        for content in found.tables(title):
            console().print(content)
        for line in found.notes() if suite != "ops" else ():
            click.echo(line)
    if fail_on_miss and found.missed:
        sys.exit(1)


def _check_options(
    suite: str, given: QualityOptions, tests: Path | None, *, fail_on_miss: bool
) -> None:
    """Refuse options that are another suite's."""
    if any(given[:-1]) or (given.model and suite != "adaptation"):
        raise click.UsageError(f"{suite} takes no PATH, and no option of quality's")
    if fail_on_miss and suite in {"ops", "attention"}:
        message = f"{suite} has no targets; the others do"
        raise click.BadParameter(message, param_hint="--fail-on-miss")
    if tests is not None and suite != "adaptation":
        raise click.BadParameter("only adaptation takes a suite", param_hint="--suite")


def _quality(
    given: QualityOptions, json_file: str | None, markdown_file: str | None, *, unused: object
) -> None:
    """Measure quality, and write or print it."""
    if unused:
        raise click.UsageError("quality has no operations, no plot and no targets")
    from flashwasm.bench.quality.findings import QualityInputs, measure_quality  # noqa: PLC0415
    from flashwasm.cli.output import console, note_missing  # noqa: PLC0415 - loads rich.

    found = measure_quality(QualityInputs(*given))
    note_missing(found.missing)
    _write(json_file, found.json())
    _write(markdown_file, found.markdown())
    if "-" not in {json_file, markdown_file}:
        for content in found.tables():
            console().print(content)


def _check_plot(suite: str, name: str) -> None:
    """Refuse a plot that could not be drawn, before minutes of measuring."""
    from flashwasm.bench.plots import FORMATS, figures_module  # noqa: PLC0415 - loads matplotlib.

    if suite in {"ops", "workloads", "adaptation"}:
        raise click.BadParameter(f"{suite} has no plot; the others do", param_hint="--plot")
    if Path(name).suffix not in FORMATS:
        message = f"{name!r} does not end in {', '.join(FORMATS)}"
        raise click.BadParameter(message, param_hint="--plot")
    figures_module()


def _limit_numpy(threads: int) -> str:
    """Hold NumPy's BLAS to as many threads, where it is not loaded yet; say what is in force."""
    if "numpy" in sys.modules:
        return "as the process was started"
    for variable in _BLAS_VARIABLES:
        os.environ[variable] = str(threads)
    return str(threads)


def _measure(
    suite: str,
    operations: tuple[str, ...],
    threading: tuple[int, str],
    searched: tuple[int, Path | None],
) -> Findings:
    """Run the suite with a progress bar."""
    from flashwasm.bench.suites import known_operations, run_suites, steps  # noqa: PLC0415
    from flashwasm.cli.output import progress_bar  # noqa: PLC0415

    known = known_operations(suite)
    for name in operations:
        if name not in known:
            message = f"{name!r} is not one of {', '.join(known)}"
            raise click.BadParameter(message, param_hint="--op")
    with progress_bar("measuring", total=steps(suite, operations)) as advance:
        return run_suites(suite, operations, threading, searched, advance)


def _measure_adaptation(
    tests: Path | None, seeds: int, model: str | None, threading: tuple[int, str]
) -> AdaptationFindings:
    """Run the suite of adaptation with a progress bar."""
    from flashwasm.bench.adaptation_report import run_adaptation, steps  # noqa: PLC0415
    from flashwasm.cli.output import progress_bar  # noqa: PLC0415

    with progress_bar("measuring", total=steps(tests, seeds)) as advance:
        return run_adaptation(tests, seeds, model, threading, advance)


def _write(name: str | None, text: str) -> None:
    """Write a report to a file, or to stdout."""
    if name is None:
        return
    if name == "-":
        click.echo(text, nl=False)
        return
    write_atomically(Path(name), [text.encode()])
