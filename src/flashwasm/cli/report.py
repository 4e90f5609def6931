"""``flashwasm report``: write an HTML report on a suite."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from flashwasm.cli.embedding_options import Embedding, embedding_options
from flashwasm.cli.existing_path import ExistingPath
from flashwasm.cli.failure_reports import read_reports
from flashwasm.cli.options import EXISTING_PATH, coverage_option
from flashwasm.cli.output import no_tests, note, note_missing, note_skipped
from flashwasm.cli.output_file import OutputFile, refuse_input
from flashwasm.cli.suite_coverage import suite_coverage
from flashwasm.errors import CapabilityError, CorruptFileError, ShapeError
from flashwasm.optional_packages import check_modules
from flashwasm.progress_bar import progress_report
from flashwasm.qe.coverage.gaps import find_gaps
from flashwasm.qe.coverage.source_digests import changed_sources
from flashwasm.qe.coverage.unmeasured_sources import unmeasured_sources
from flashwasm.qe.defects.failure_clusters import cluster_failures
from flashwasm.qe.duplicates.duplicate_groups import find_duplicates
from flashwasm.qe.reports.benchmark_charts import benchmark_charts
from flashwasm.qe.reports.page_template import write_page
from flashwasm.qe.reports.suite_map import draw_map, vectors_of_terms
from flashwasm.qe.reports.suite_report import SuiteReport
from flashwasm.qe.scoring.embedder import Embedder
from flashwasm.qe.suites.collection import collect
from flashwasm.summaries import counted

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

__all__ = ["report"]

_MAKE_BENCHMARK = "make the file with: flashwasm bench --json F"


@click.command()
@click.argument("path", type=EXISTING_PATH)
@click.option(
    "--output",
    "-o",
    metavar="F",
    type=OutputFile(),
    default="flashwasm-report.html",
    show_default=True,
    help="File to write.",
)
@coverage_option(", to list the lines that no test runs")
@click.option(
    "--root",
    default=".",
    show_default=True,
    type=ExistingPath(file_okay=False),
    help="Folder of the sources to search for gaps. Relative paths in the database start there.",
)
@click.option(
    "--failures",
    metavar="REPORT",
    multiple=True,
    type=EXISTING_PATH,
    help="JUnit XML or output of a pytest run, to group its failures by cause. May be repeated.",
)
@click.option(
    "--bench",
    "benchmark",
    metavar="F",
    type=ExistingPath(dir_okay=False),
    help="JSON written by `flashwasm bench --json`, to show its charts.",
)
@embedding_options
def report(
    path: Path,
    output: Path,
    database: Path | None,
    root: Path,
    failures: tuple[Path, ...],
    benchmark: Path | None,
    embedding: Embedding,
) -> None:
    """Write an HTML report on a suite: map, duplicates, coverage gaps, failures.

    PATH is a folder of pytest tests or one test file; flashwasm does not import it. The report is
    a single file, which a browser can open without a network.

    \b
    Example:
      pytest --fw-record .coverage --junitxml run.xml
      flashwasm report tests --coverage .coverage --failures run.xml
    """
    check_modules("jinja2")
    inputs = [path, *failures, *(file for file in (database, benchmark) if file is not None)]
    refuse_input(output, inputs)
    # The files are read first, because the first embedding of a suite may take minutes.
    index = suite_coverage(database, path)
    read = read_reports(failures) if failures else None
    document = None if benchmark is None else _read_benchmark(benchmark)
    with progress_report("reading the suite") as advance:
        suite = collect(path, cache=embedding["cache"], progress=advance)
    if not suite.tests:
        note_skipped(suite.skipped)
        raise ShapeError(no_tests(path))
    sources = [test.source for test in suite.tests]
    compared, vectors, missing = _vectors(sources, embedding)
    note_missing(missing)
    note_skipped(suite.skipped)
    with progress_report("comparing") as advance:
        duplicates = find_duplicates(suite.tests, coverage=index, progress=advance)
    gaps, absent = (None, []) if index is None else find_gaps(index, root.resolve(), progress=True)
    changed = [] if database is None else changed_sources(database, root.resolve())
    unmeasured = [] if index is None else unmeasured_sources(index.files, root.resolve())
    found = SuiteReport(
        suite,
        draw_map(vectors, sources),
        compared,
        duplicates,
        gaps=gaps,
        root=root.resolve(),
        failures=None if read is None else read.failures,
        clusters=[] if read is None else cluster_failures([one.failure for one in read.failures]),
        benchmark=document,
        notes=_notes(missing, absent, changed, unmeasured),
    )
    write_page(output, found.page())
    note(f"the report is in {output}")


def _vectors(
    sources: list[str], embedding: Embedding
) -> tuple[str, npt.NDArray[np.float32], list[str]]:
    """Return "words" or "meanings", the vector of each test by it, and notes on a missing model."""
    model, cache = embedding["model"], embedding["cache"]
    try:
        embedder = Embedder(model, cache=cache, runtime=embedding["runtime"])
    except CapabilityError as error:
        if model is not None:
            raise
        return "words", vectors_of_terms(sources, cache=cache), [str(error)]
    with progress_report("embedding") as advance:
        return "meanings", embedder.embed(sources, progress=advance), []


def _read_benchmark(path: Path) -> dict[str, Any]:
    """Return the content of a file that `flashwasm bench --json` wrote."""
    try:
        document = json.loads(path.read_bytes())
    except (ValueError, RecursionError) as error:
        raise CorruptFileError(f"{path} is not JSON: {error}; {_MAKE_BENCHMARK}") from error
    if not isinstance(document, dict):
        kind = type(document).__name__
        raise ShapeError(f"{path}: expected an object of JSON, got {kind}; {_MAKE_BENCHMARK}")
    try:
        benchmark_charts(document)
    except ShapeError as error:
        raise ShapeError(f"{path}: {error}") from error
    return document


def _notes(
    missing: list[str], absent: list[Any], changed: list[str], unmeasured: list[str]
) -> list[str]:
    """Return remarks on missing parts of the report, and on lines that may be wrong."""
    notes = [f"The map compares words only: {reason}" for reason in missing]
    if absent:
        files = counted(len(absent), "files")
        notes.append(f"{files} of the coverage database cannot be read, for example {absent[0]}")
    if unmeasured:
        files = counted(len(unmeasured), "files")
        notes.append(
            f"{files} of the packages are not in the coverage database, for example "
            f"{unmeasured[0]}, so the gaps in them are not listed"
        )
    if changed:
        files = counted(len(changed), "files")
        notes.append(
            f"{files} changed since the coverage database was recorded, for example {changed[0]}, "
            "so the lines that no test runs may be wrong"
        )
    return notes
