"""``flashwasm index``: suites, functions, coverage, failures and vectors as files."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click
import numpy as np

from flashwasm.cli.indexes import note_changes
from flashwasm.cli.output import (
    cache_option,
    echo_json,
    json_option,
    model_option,
    note,
    note_missing,
    note_skipped,
    print_table,
    runtime_for,
    threads_option,
)
from flashwasm.errors import CorruptFileError, ShapeError
from flashwasm.qe.coverage.index import CoverageIndex
from flashwasm.qe.defects.library import FailureLibrary, cluster_failures
from flashwasm.qe.defects.reports import read_failures
from flashwasm.qe.functions.function_index import FunctionIndex
from flashwasm.qe.reports.inspection import FileReport, inspect_file, verify_file
from flashwasm.qe.similarity.suite_index import SuiteIndex
from flashwasm.search import FlatIndex, HNSWIndex

if TYPE_CHECKING:
    import numpy.typing as npt

__all__ = ["index"]

_OUTPUT = click.option(
    "--output",
    "-o",
    required=True,
    metavar="F",
    type=click.Path(dir_okay=False, path_type=Path),
    help="The file to write.",
)
_SOURCE = click.argument("path", type=click.Path(exists=True, path_type=Path))
_FILE = click.argument("file", metavar="F", type=click.Path(exists=True, path_type=Path))


@click.group()
def index() -> None:
    """Keep suites, coverage, failures and vectors in files, and check those."""


@index.group()
def build() -> None:
    """Write a file that commands take in the place of what it was made from."""


@build.command()
@_SOURCE
@_OUTPUT
@click.option(
    "--coverage",
    "database",
    metavar="DB",
    type=click.Path(dir_okay=False, path_type=Path),
    help="Compares what tests run, too.",
)
@json_option
@model_option
@threads_option
@cache_option
def suite(
    path: Path,
    output: Path,
    database: Path | None,
    model: str | None,
    threads: int | None,
    *,
    as_json: bool,
    no_cache: bool,
) -> None:
    """Prepare the tests below PATH for `similar` and `duplicates`."""
    made = SuiteIndex.build(
        path,
        model=model,
        coverage=None if database is None else CoverageIndex.load(database),
        progress=True,
        cache=not no_cache,
        runtime=runtime_for(threads),
    )
    note_missing(made.missing)
    note_skipped(made.skipped)
    _refuse_empty(len(made.tests), f"no tests in {path}")
    made.save(output)
    _report(output, "tests", len(made.tests), as_json=as_json)


@build.command()
@_SOURCE
@_OUTPUT
@json_option
@model_option
@threads_option
@cache_option
def functions(
    path: Path,
    output: Path,
    model: str | None,
    threads: int | None,
    *,
    as_json: bool,
    no_cache: bool,
) -> None:
    """Prepare the functions below PATH for `search`."""
    made = FunctionIndex.build(
        path, model=model, progress=True, cache=not no_cache, runtime=runtime_for(threads)
    )
    note_missing(made.missing)
    note_skipped(made.skipped)
    _refuse_empty(len(made.functions), f"no functions in {path}")
    made.save(output)
    _report(output, "functions", len(made.functions), as_json=as_json)


@build.command()
@click.argument("path", metavar="DB", type=click.Path(exists=True, path_type=Path))
@_OUTPUT
@json_option
def coverage(path: Path, output: Path, *, as_json: bool) -> None:
    """Keep a coverage.py database with checksums, for every --coverage."""
    made = CoverageIndex.load(path)
    made.save(output)
    _report(output, "tests", len(made.tests), as_json=as_json)


@build.command()
@click.argument(
    "files",
    metavar="TRACEBACK|REPORT...",
    nargs=-1,
    required=True,
    type=click.Path(exists=True, path_type=Path),
)
@_OUTPUT
@json_option
def failures(files: tuple[Path, ...], output: Path, *, as_json: bool) -> None:
    """Make a library of the failures in files, each group by its signature, for `defects match`.

    A library that is there already grows.
    """
    found = [one.failure for file in files for one in read_failures(file)]
    _refuse_empty(len(found), f"no failure in {', '.join(map(str, files))}")
    library = FailureLibrary(output, create=True)
    library.learn_all(
        {
            ": ".join(part for part in group.signature if part) or "unnamed": [
                found[i] for i in group.members
            ]
            for group in cluster_failures(found)
        }
    )
    _report(output, "defects", len(library), as_json=as_json)


@build.command()
@click.argument("path", metavar="FILE.npy", type=click.Path(exists=True, path_type=Path))
@_OUTPUT
@click.option("--metric", type=click.Choice(["cosine", "dot", "l2"]), default="cosine")
@click.option("--graph", is_flag=True, help="A graph (HNSW) instead of an exact index.")
@json_option
@threads_option
def vectors(
    path: Path, output: Path, metric: str, threads: int | None, *, graph: bool, as_json: bool
) -> None:
    """Index the rows of a NumPy file, each by its number, for `FlatIndex.load` or `HNSWIndex.load`.

    `flashwasm embed -o FILE.npy` writes such files.
    """
    rows = _rows(path)
    _refuse_empty(len(rows), f"no vectors in {path}")
    kind = HNSWIndex if graph else FlatIndex
    made = kind(rows.shape[1], metric=metric, runtime=runtime_for(threads))
    made.add(rows)
    made.save(output)
    _report(output, "vectors", len(rows), as_json=as_json)


@index.command()
@_FILE
@json_option
def info(file: Path, *, as_json: bool) -> None:
    """Say what a file is: its kind, version, sizes and digests."""
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
    print_table(("what", "value"), lines)


@index.command()
@_FILE
@json_option
def verify(file: Path, *, as_json: bool) -> None:
    """Read every byte of a file, and say whether what it was made from has changed since.

    Exit status 2 where the file is damaged; a stale one is whole.
    """
    changes = verify_file(file)
    if as_json:
        echo_json({"file": str(file), "whole": True, "changed": changes})
    else:
        click.echo(f"{file} is whole")
        note_changes(changes, file)


def _json(file: Path, report: FileReport) -> dict[str, object]:
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
    try:
        rows = np.load(path, mmap_mode="r", allow_pickle=False)
    except (ValueError, EOFError) as error:
        raise CorruptFileError(f"{path} is no whole .npy file: {error}") from error
    if not isinstance(rows, np.ndarray) or rows.ndim != 2 or rows.dtype.kind != "f":
        raise ShapeError(f"{path}: expected one array of floats with two axes")
    return np.asarray(rows, np.float32)


def _refuse_empty(count: int, reason: str) -> None:
    if not count:
        note(reason)
        sys.exit(1)


def _report(output: Path, what: str, count: int, *, as_json: bool) -> None:
    size = output.stat().st_size
    if as_json:
        echo_json({"file": str(output), what: count, "bytes": size})
    else:
        click.echo(f"{count} {what} are in {output} ({size} bytes)")
