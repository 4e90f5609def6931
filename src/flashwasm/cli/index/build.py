"""``flashwasm index build``: files of suites, functions, coverage, failures and vectors."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click
import numpy as np

from flashwasm.cli.embedding_options import (
    Embedding,
    distributed_embedding_options,
    runtime_for,
    threads_option,
)
from flashwasm.cli.failure_reports import failure_files_argument, read_reports
from flashwasm.cli.index.group import index, report_written
from flashwasm.cli.options import EXISTING_PATH, coverage_option, json_option, output_option
from flashwasm.cli.output import (
    no_tests,
    note_missing,
    note_skipped,
    nothing_found,
    progress_bar,
)
from flashwasm.cli.output_file import refuse_input
from flashwasm.cli.suite_coverage import suite_coverage
from flashwasm.errors import ShapeError
from flashwasm.qe.coverage.coverage_index import CoverageIndex
from flashwasm.qe.defects.failure_clusters import cluster_failures
from flashwasm.qe.defects.failure_library import FailureLibrary
from flashwasm.qe.functions.function_index import FunctionIndex
from flashwasm.qe.similarity.suite_index import SuiteIndex
from flashwasm.search import FlatIndex, HNSWIndex
from flashwasm.storage.npy_file import read_npy

if TYPE_CHECKING:
    import numpy.typing as npt

    from flashwasm.kernel_table import Metric

__all__ = ["build"]

# Number of vectors to add between reports of progress. It does not change the index.
_ROWS_AT_ONCE = 1024


@index.group()
def build() -> None:
    """Build an index file, which other commands can read instead of its sources.

    \b
    Example:
      flashwasm index build suite tests -o tests.suite
    """


@build.command()
@click.argument("path", type=EXISTING_PATH)
@output_option
@coverage_option(", to compare the lines that tests run, too")
@json_option
@distributed_embedding_options
def suite(
    path: Path, output: Path, database: Path | None, embedding: Embedding, *, as_json: bool
) -> None:
    """Index the tests in PATH, for `similar` and `duplicates`.

    \b
    Example:
      flashwasm index build suite tests -o tests.suite
    """
    refuse_input(output, [path] if database is None else [path, database])
    coverage = suite_coverage(database, path)
    made = SuiteIndex.build(path, coverage=coverage, **embedding)
    note_missing(made.missing)
    note_skipped(made.skipped)
    _refuse_empty(len(made.tests), no_tests(path))
    made.save(output)
    report_written(output, "tests", len(made.tests), as_json=as_json)


@build.command()
@click.argument("path", type=EXISTING_PATH)
@output_option
@json_option
@distributed_embedding_options
def functions(path: Path, output: Path, embedding: Embedding, *, as_json: bool) -> None:
    """Index the functions in PATH, for `search`.

    \b
    Example:
      flashwasm index build functions src -o src.functions
    """
    refuse_input(output, [path])
    made = FunctionIndex.build(path, **embedding)
    note_missing(made.missing)
    note_skipped(made.skipped)
    _refuse_empty(
        len(made.functions), f"no functions in {path}; expected a folder or a file of Python code"
    )
    made.save(output)
    report_written(output, "functions", len(made.functions), as_json=as_json)


@build.command()
@click.argument("path", metavar="DB", type=EXISTING_PATH)
@output_option
@json_option
def coverage(path: Path, output: Path, *, as_json: bool) -> None:
    """Copy a coverage.py database to a file with checksums, for the option --coverage.

    \b
    Example:
      flashwasm index build coverage .coverage -o tests.coverage
    """
    refuse_input(output, [path])
    made = CoverageIndex.load(path, progress=True)
    made.save(output)
    report_written(output, "tests", len(made.tests), as_json=as_json)


@build.command()
@failure_files_argument
@output_option
@json_option
def failures(files: tuple[Path, ...], output: Path, *, as_json: bool) -> None:
    """Build a library of known defects from failures, for `defects match`.

    Each group of failures with the same signature becomes a defect. If the library exists, the
    defects are added to it.

    \b
    Example:
      flashwasm index build failures run.xml -o known.db
    """
    refuse_input(output, files)
    found = read_reports(files).failures
    _refuse_empty(len(found), f"no failure in {', '.join(map(str, files))}")
    library = FailureLibrary(output, create=True)
    library.learn_all(
        {
            ": ".join(part for part in group.signature if part) or "unnamed": [
                found[i] for i in group.members
            ]
            for group in cluster_failures([one.failure for one in found])
        }
    )
    report_written(output, "defects", len(library), as_json=as_json)


@build.command()
@click.argument("path", metavar="FILE.npy", type=EXISTING_PATH)
@output_option
@click.option(
    "--metric",
    type=click.Choice(["cosine", "dot", "l2"]),
    default="cosine",
    show_default=True,
    help="Similarity measure of the index; l2 is the Euclidean distance.",
)
@click.option(
    "--graph", is_flag=True, help="Build an approximate index, an HNSW graph, not an exact one."
)
@json_option
@threads_option
def vectors(
    path: Path, output: Path, metric: Metric, threads: int | None, *, graph: bool, as_json: bool
) -> None:
    """Index the rows of a NumPy file, for `FlatIndex.load` or `HNSWIndex.load`.

    The id of a vector is the number of its row. `flashwasm embed -o FILE.npy` writes such a file.

    \b
    Example:
      flashwasm index build vectors vectors.npy -o vectors.index --graph
    """
    refuse_input(output, [path])
    rows = _rows(path)
    _refuse_empty(len(rows), f"no vectors in {path}")
    kind = HNSWIndex if graph else FlatIndex
    try:
        made = kind(rows.shape[1], metric=metric, runtime=runtime_for(threads))
        with progress_bar("indexing", total=len(rows)) as advance:
            for start in range(0, len(rows), _ROWS_AT_ONCE):
                part = rows[start : start + _ROWS_AT_ONCE]
                made.add(part)
                advance(len(part))
    except ShapeError as error:
        raise ShapeError(f"{path}: {error}") from error
    made.save(output)
    report_written(output, "vectors", len(rows), as_json=as_json)


def _rows(path: Path) -> npt.NDArray[np.float32]:
    """Return the vectors in the rows of a .npy file, as float32."""
    rows = read_npy(path)
    if rows.ndim != 2 or rows.dtype.kind != "f":
        raise ShapeError(
            f"{path}: expected one array of floats with two axes, as "
            f"`flashwasm embed -o FILE.npy` writes it; got {rows.dtype} of shape {rows.shape}"
        )
    # A number that is too large for float32 becomes infinite, which the index refuses.
    with np.errstate(over="ignore"):
        return np.asarray(rows, np.float32)


def _refuse_empty(count: int, reason: str) -> None:
    """Exit with status 1 if there is nothing to write."""
    if not count:
        nothing_found(reason)
