"""``flashwasm index merge``: merge the files that several CI jobs wrote."""

from __future__ import annotations

from pathlib import Path

import click

from flashwasm.cli.index.group import index, report_written
from flashwasm.cli.options import coverage_option, json_option
from flashwasm.cli.output import note_missing
from flashwasm.cli.output_file import OutputFile
from flashwasm.errors import ShapeError
from flashwasm.qe.coverage.coverage_index import CoverageIndex
from flashwasm.qe.defects.failure_library import FailureLibrary
from flashwasm.qe.index_files.stored_index import COVERAGE_KIND, SUITE_KIND
from flashwasm.qe.inspection.file_inspection import COVERAGE_DATABASE, FAILURE_LIBRARY, kind_of
from flashwasm.qe.similarity.suite_index import SuiteIndex

__all__ = ["merge"]

# Content of the files of each kind. Files with the same content can be merged.
_CONTENTS = {
    SUITE_KIND: "suite",
    COVERAGE_KIND: "coverage",
    COVERAGE_DATABASE: "coverage",
    FAILURE_LIBRARY: "failures",
}


@index.command()
@click.argument("output", metavar="OUT", type=OutputFile())
@click.argument(
    "files",
    metavar="FILES...",
    nargs=-1,
    required=True,
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
)
@coverage_option(" of the whole suite, for suite files that contain coverage")
@json_option
def merge(output: Path, files: tuple[Path, ...], database: Path | None, *, as_json: bool) -> None:
    """Merge the files that several CI jobs wrote into one file, OUT.

    FILES are suite, failure or coverage files written by `flashwasm index build`, or coverage.py
    databases. OUT equals the file that one job for the whole suite would write. OUT may be one of
    FILES.

    \b
    Example:
      flashwasm index merge tests.suite job1.suite job2.suite
    """
    content = _content(files)
    if content == "suite":
        coverage = None if database is None else CoverageIndex.load(database, progress=True)
        suite = SuiteIndex.merge(files, coverage=coverage, progress=True)
        note_missing(suite.missing)
        suite.save(output)
        what, count = "tests", len(suite.tests)
    elif database is not None:
        raise click.UsageError("--coverage applies to suite files only; leave it out")
    elif content == "coverage":
        merged = CoverageIndex.merge(files, progress=True)
        merged.save(output)
        what, count = "tests", len(merged.tests)
    else:
        what, count = "defects", len(FailureLibrary.merge(output, files))
    report_written(output, what, count, as_json=as_json)


def _content(files: tuple[Path, ...]) -> str:
    """Return the content of all files; raise ShapeError if they cannot be merged."""
    kinds = [kind_of(file) for file in files]
    for file, kind in zip(files, kinds, strict=True):
        if kind not in _CONTENTS:
            raise ShapeError(
                f"{file} is a {kind}; expected suites, coverage or failures, "
                "which are the files that can be merged"
            )
        if _CONTENTS[kind] != _CONTENTS[kinds[0]]:
            raise ShapeError(
                f"{files[0]} is a {kinds[0]}, and {file} a {kind}; expected files of one kind"
            )
    return _CONTENTS[kinds[0]]
