"""`python -m bench`: a command for each comparison or evaluation."""

from __future__ import annotations

import sys
from pathlib import Path

import click

from bench.distributed.command import distributed
from bench.measuring import measure
from bench.options import (
    LOGS,
    embedding_model_option,
    fault_options,
    history_options,
    plot_option,
    precision_options,
    quick_option,
    refuse_unused,
    searched_options,
)
from bench.reliability.command import reliability
from flashwasm.cli import ErrorsInOneLine
from flashwasm.cli.bench_options import (
    LogChoice,
    Outputs,
    bench_threads_option,
    limit_numpy,
    log_options,
    operation_option,
    output_options,
)
from flashwasm.storage.atomic_files import write_atomically

__all__ = ["main"]


@click.group(cls=ErrorsInOneLine, context_settings={"help_option_names": ["-h", "--help"]})
def main() -> None:
    """Compare flashwasm with other libraries, and evaluate the results of its searches.

    Results are checked before anything is timed. Measurements use one thread unless --threads sets
    another number.
    Libraries that are not installed are listed with the command that installs them; `make
    bench-peers` installs all.
    """


main.add_command(distributed)
main.add_command(reliability)


@main.command()
@operation_option
@quick_option
@bench_threads_option()
@plot_option
@log_options(LOGS / "peers.jsonl")
@output_options(targets=True)
def peers(
    operations: tuple[str, ...],
    threads: int,
    outputs: Outputs,
    plot_file: Path | None,
    log: LogChoice,
    *,
    quick: bool,
) -> None:
    """Compare operations with other libraries on the same data.

    They include libraries that compute in WebAssembly, in Node. Figures are compared with targets.
    """
    measure("peers", outputs, log, threads, plot_file, operations=operations, quick=quick)


@main.command()
@searched_options
@quick_option
@bench_threads_option()
@plot_option
@log_options(LOGS / "search.jsonl")
@output_options(targets=True)
def search(
    vectors: int | None,
    embeddings: Path | None,
    threads: int,
    outputs: Outputs,
    plot_file: Path | None,
    log: LogChoice,
    *,
    quick: bool,
) -> None:
    """Compare indexes with other libraries: speed, recall, memory.

    Figures are compared with targets, which are for 100,000 vectors.
    """
    searched = (vectors, embeddings)
    measure("search", outputs, log, threads, plot_file, searched=searched, quick=quick)


@main.command()
@quick_option
@bench_threads_option()
@output_options(targets=True)
def backends(threads: int, outputs: Outputs, *, quick: bool) -> None:
    """Compare the backend hybrid with each backend that it chooses from.

    Target: within 10 % of the best one in nine cases of ten, and never slower than the sandbox by
    more than 5 %.
    """
    limit_numpy(threads)
    from bench.backends import report, run_backends  # noqa: PLC0415 - it loads NumPy.
    from flashwasm.cli.output import note  # noqa: PLC0415 - it loads rich.

    found = []
    for times in run_backends(threads, seconds=0.02 if quick else 2.0):
        note(f"{times.case}: {times.over_best:.2f} of the best")
        found.append(times)
    made = report(found)
    outputs.write(made.document, made.markdown)
    outputs.show([made.table], [made.verdict])
    outputs.end(missed=not made.met)


@main.command("all")
@operation_option
@searched_options
@quick_option
@click.option("--record", is_flag=True, help="Write JSON to bench/results/, for `render`.")
@bench_threads_option()
@plot_option
@log_options(LOGS / "all.jsonl")
@output_options(targets=True)
def everything(
    operations: tuple[str, ...],
    vectors: int | None,
    embeddings: Path | None,
    threads: int,
    outputs: Outputs,
    plot_file: Path | None,
    log: LogChoice,
    *,
    quick: bool,
    record: bool,
) -> None:
    """Run peers, search, and all of `flashwasm bench`."""
    if record and (quick or operations):
        raise click.UsageError("--record keeps whole results: leave out --quick and --op")
    searched = (vectors, embeddings)
    measure(
        "all",
        outputs,
        log,
        threads,
        plot_file,
        operations=operations,
        searched=searched,
        quick=quick,
        record=record,
    )


@main.command()
def render() -> None:
    """Generate the tables and the picture in docs/ from bench/results/."""
    from bench.recorded import (  # noqa: PLC0415 - it loads NumPy.
        PICTURE,
        TABLES,
        picture_of,
        read_results,
        tables_of,
    )

    results = read_results()
    write_atomically(TABLES, [tables_of(results).encode()])
    write_atomically(PICTURE, [picture_of(results)])
    click.echo(f"wrote {TABLES} and {PICTURE}")


@main.command()
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
    help="Number of times that feedback is drawn.",
)
@embedding_model_option
@bench_threads_option()
@output_options(targets=True)
def adaptation(
    tests: Path | None, seeds: int, model: str | None, threads: int, outputs: Outputs
) -> None:
    """Time training, and measure how much feedback improves searches.

    It times one step of training. With --suite, it also measures searches in files without
    feedback, before and after learning from the other files. Figures are compared with targets.
    """
    numpy_threads = limit_numpy(threads)
    from bench.adaptation.report import run_adaptation, steps  # noqa: PLC0415 - it loads NumPy.
    from flashwasm.cli.output import progress_bar  # noqa: PLC0415 - it loads NumPy.

    with progress_bar("measuring", total=steps(tests, seeds)) as advance:
        found = run_adaptation(tests, seeds, model, (threads, numpy_threads), advance)
    outputs.write(found.as_dict(), found.markdown())
    outputs.show(found.tables(), found.notes())
    outputs.end(missed=bool(found.missed))


@main.command()
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
    help="JSON lines with text, defect and test.",
)
@history_options
@fault_options
@precision_options
@embedding_model_option
@output_options(targets=True)
def quality(
    paths: tuple[Path, ...],
    coverage: Path | None,
    failures: Path | None,
    releases: tuple[tuple[Path, Path], ...],
    commits: int,
    mutations: int,
    seed: int,
    minutes: float | None,
    testmon: int | None,
    again: Path | None,
    precision: str | None,
    queries: int,
    model: str | None,
    outputs: Outputs,
    *,
    history: bool,
    record: bool,
    weights: bool,
    faults: bool,
) -> None:
    """Measure how well flashwasm finds tests, functions and defects.

    The nearest tests of each PATH should be of one class or file and run the same lines. Docstrings
    should find their functions, and failures their defects. TF-IDF and BM25 answer the same seeded
    queries. No time is measured. Exit status 1: the given data contain nothing to measure.

    With --history each PATH is a git repository. For each past commit, flashwasm ranks the tests
    for the commit's changes of the product; the tests that the commit itself changes should come
    first. --releases does the same with the difference of two releases. Figures are compared with
    targets. With --record it runs each suite before the commit, and also ranks with its coverage.

    With --precision int8 the similar tests of each PATH are searched with embeddings by 8-bit codes
    and with those in float32, on the same queries. MRR and cosines are compared with targets.

    With --faults each PATH is a project whose suite runs with this Python. The command changes
    lines in a copy, and compares the tests that `tests-for` selects with those that fail: with
    coverage, without, and for pytest-testmon.
    """
    refuse_unused()
    # These modules load NumPy and rich, which `--help` should not.
    if precision:
        if coverage or failures or history or releases or faults or not paths:
            raise click.UsageError("--precision takes one PATH or more, and no other data")
        from bench.quality.precision import measure_precision  # noqa: PLC0415 - see above

        kept = measure_precision(paths, model, queries)
        outputs.write(kept.as_dict(), kept.markdown())
        outputs.show(kept.tables())
        outputs.end(missed=kept.missed)
        return
    if faults:
        if coverage or failures or history or releases or not paths:
            raise click.UsageError("--faults takes one PATH or more, and no other data")
        from bench.quality.fault_report import report_faults  # noqa: PLC0415 - see above
        from bench.quality.faults import FaultOptions  # noqa: PLC0415 - see above

        report_faults(
            paths, FaultOptions(mutations, seed, again=again, testmon=testmon), minutes, outputs
        )
        return
    if history or releases:
        if coverage or failures or history != bool(paths) or (record and releases):
            raise click.UsageError(
                "--history takes one PATH or more; --releases takes none without, and no --record"
            )
        from bench.quality.history_report import report_history  # noqa: PLC0415 - see above

        report_history(paths, releases, commits, model, outputs, weights=weights, record=record)
        return
    from bench.quality.findings import QualityInputs, measure_quality  # noqa: PLC0415 - see above
    from flashwasm.cli.output import note, note_missing  # noqa: PLC0415 - see above

    found = measure_quality(QualityInputs(paths, coverage, failures, model))
    note_missing(found.missing)
    outputs.write(found.as_dict(), found.markdown())
    outputs.show(found.tables())
    if not found.figures:
        note("the given data contain nothing to measure")
        sys.exit(1)
    outputs.end(missed=any(row.is_missed for row in found.known))
