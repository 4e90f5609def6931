"""``flashwasm index``: files that hold suites, functions, coverage, failures and vectors."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click
import numpy as np

from flashwasm.cli.embedding_options import (
    Embedding,
    embedding_options,
    runtime_for,
    threads_option,
)
from flashwasm.cli.failure_reports import failure_files_argument, read_reports
from flashwasm.cli.options import EXISTING_PATH, coverage_option, json_option, output_option
from flashwasm.cli.output import (
    echo_json,
    note_missing,
    note_skipped,
    nothing_found,
    print_table,
    progress_bar,
)
from flashwasm.cli.path_or_index import note_changes
from flashwasm.errors import ShapeError
from flashwasm.qe.coverage.coverage_index import CoverageIndex
from flashwasm.qe.defects.failure_clusters import cluster_failures
from flashwasm.qe.defects.failure_library import FailureLibrary
from flashwasm.qe.functions.function_index import FunctionIndex
from flashwasm.qe.inspection.file_inspection import FileReport, inspect_file, verify_file
from flashwasm.qe.similarity.suite_index import SuiteIndex
from flashwasm.search import FlatIndex, HNSWIndex
from flashwasm.storage.npy_file import read_npy

if TYPE_CHECKING:
    import numpy.typing as npt

    from flashwasm.kernel_table import Metric

__all__ = ["index"]

# Vectors that are added before progress is reported. The index is the same for any number.
_ROWS_AT_ONCE = 1024
_file_argument = click.argument("file", metavar="F", type=EXISTING_PATH)


@click.group()
def index() -> None:
    """Write suites, coverage, failures and vectors to index files, and check such files."""


@index.group()
def build() -> None:
    """Write an index file, which commands can read instead of its sources."""


@build.command()
@click.argument("path", type=EXISTING_PATH)
@output_option
@coverage_option(", to compare the lines that tests run, too")
@json_option
@embedding_options
def suite(
    path: Path, output: Path, database: Path | None, embedding: Embedding, *, as_json: bool
) -> None:
    """Read and embed the tests below PATH, for `similar` and `duplicates`."""
    coverage = None if database is None else CoverageIndex.load(database, progress=True)
    made = SuiteIndex.build(path, coverage=coverage, **embedding)
    note_missing(made.missing)
    note_skipped(made.skipped)
    _refuse_empty(len(made.tests), f"no tests in {path}")
    made.save(output)
    _report(output, "tests", len(made.tests), as_json=as_json)


@build.command()
@click.argument("path", type=EXISTING_PATH)
@output_option
@json_option
@embedding_options
def functions(path: Path, output: Path, embedding: Embedding, *, as_json: bool) -> None:
    """Read and embed the functions below PATH, for `search`."""
    made = FunctionIndex.build(path, **embedding)
    note_missing(made.missing)
    note_skipped(made.skipped)
    _refuse_empty(len(made.functions), f"no functions in {path}")
    made.save(output)
    _report(output, "functions", len(made.functions), as_json=as_json)


@build.command()
@click.argument("path", metavar="DB", type=EXISTING_PATH)
@output_option
@json_option
def coverage(path: Path, output: Path, *, as_json: bool) -> None:
    """Copy a coverage.py database to a file with checksums, for the option --coverage."""
    made = CoverageIndex.load(path, progress=True)
    made.save(output)
    _report(output, "tests", len(made.tests), as_json=as_json)


@build.command()
@failure_files_argument
@output_option
@json_option
def failures(files: tuple[Path, ...], output: Path, *, as_json: bool) -> None:
    """Make a library of the failures in files, for `defects match`.

    Each group of failures with the same signature becomes a defect. If the library exists, the
    defects are added to it.
    """
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
    _report(output, "defects", len(library), as_json=as_json)


@build.command()
@click.argument("path", metavar="FILE.npy", type=EXISTING_PATH)
@output_option
@click.option(
    "--metric",
    type=click.Choice(["cosine", "dot", "l2"]),
    default="cosine",
    show_default=True,
    help="Similarity, or for l2 distance, that the search compares by.",
)
@click.option(
    "--graph", is_flag=True, help="Make an approximate index, a graph (HNSW), not an exact one."
)
@json_option
@threads_option
def vectors(
    path: Path, output: Path, metric: Metric, threads: int | None, *, graph: bool, as_json: bool
) -> None:
    """Index the rows of a NumPy file, for `FlatIndex.load` or `HNSWIndex.load`.

    The id of a vector is the number of its row. `flashwasm embed -o FILE.npy` writes such a file.
    """
    rows = _rows(path)
    _refuse_empty(len(rows), f"no vectors in {path}")
    kind = HNSWIndex if graph else FlatIndex
    made = kind(rows.shape[1], metric=metric, runtime=runtime_for(threads))
    with progress_bar("indexing", total=len(rows)) as advance:
        for start in range(0, len(rows), _ROWS_AT_ONCE):
            part = rows[start : start + _ROWS_AT_ONCE]
            made.add(part)
            advance(len(part))
    made.save(output)
    _report(output, "vectors", len(rows), as_json=as_json)


@index.command()
@_file_argument
@json_option
def info(file: Path, *, as_json: bool) -> None:
    """Show the kind, version, sizes and digests of an index file."""
    report = inspect_file(file)
    if as_json:
        echo_json(_json(file, report))
        return
    lines = [
        ("kind", report.kind),
        ("version", str(report.version)),
        ("bytes", str(report.nbytes)),
        ("sha256", report.sha256),
        *((name, str(value)) for name, value in report.facts.items()),
    ]
    for section in report.sections:
        shape = " x ".join(map(str, section.shape))
        text = f"{section.dtype} {shape}, {section.nbytes} bytes, crc32 {section.crc:08x}"
        lines.append((f"section {section.name}", text))
    print_table(("what", "value"), lines, prose=("value",))


@index.command()
@_file_argument
@json_option
def verify(file: Path, *, as_json: bool) -> None:
    """Check every byte of an index file, and say if its sources have changed since.

    Exit status: 2 if the file is damaged. A file whose sources have changed is not damaged.
    """
    changes = verify_file(file)
    if as_json:
        echo_json({"file": str(file), "whole": True, "changed": changes})
    else:
        click.echo(f"{file} is whole")
        note_changes(changes, file)


def _json(file: Path, report: FileReport) -> dict[str, object]:
    """Return the report on a file for JSON."""
    return {
        "file": str(file),
        "kind": report.kind,
        "version": report.version,
        "bytes": report.nbytes,
        "sha256": report.sha256,
        **report.facts,
        "sections": [
            {
                "name": section.name,
                "dtype": section.dtype,
                "shape": section.shape,
                "bytes": section.nbytes,
                "crc32": f"{section.crc:08x}",
            }
            for section in report.sections
        ],
    }


def _rows(path: Path) -> npt.NDArray[np.float32]:
    """Return the vectors of a .npy file as float32, one a row."""
    rows = read_npy(path)
    if rows.ndim != 2 or rows.dtype.kind != "f":
        raise ShapeError(f"{path}: expected one array of floats with two axes")
    return np.asarray(rows, np.float32)


def _refuse_empty(count: int, reason: str) -> None:
    """End the command if there is nothing to write to a file."""
    if not count:
        nothing_found(reason)


def _report(output: Path, what: str, count: int, *, as_json: bool) -> None:
    """Print the number of items in the file that was written, and its size."""
    size = output.stat().st_size
    if as_json:
        echo_json({"file": str(output), what: count, "bytes": size})
    else:
        click.echo(f"{count} {what} are in {output} ({size} bytes)")
