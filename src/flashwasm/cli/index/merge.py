"""``flashwasm index merge``: merge the files that several CI jobs wrote."""

from __future__ import annotations

import os
from pathlib import Path

import click

from flashwasm.cli.completion import complete_path
from flashwasm.cli.existing_path import ExistingPath
from flashwasm.cli.index.group import index, report_written
from flashwasm.cli.options import coverage_option, json_option
from flashwasm.cli.output import note_missing
from flashwasm.cli.output_file import OutputFile
from flashwasm.errors import CorruptFileError, ShapeError
from flashwasm.qe.coverage.coverage_index import CoverageIndex
from flashwasm.qe.defects.failure_library import FailureLibrary
from flashwasm.qe.index_files.stored_index import COVERAGE_KIND, SUITE_KIND
from flashwasm.qe.inspection.file_inspection import COVERAGE_DATABASE, FAILURE_LIBRARY, kind_of
from flashwasm.qe.similarity.suite_index import SuiteIndex
from flashwasm.qe.similarity.suite_index_file import read_suite
from flashwasm.summaries import counted

__all__ = ["merge"]

# Content of the files of each kind. Files with the same content can be merged.
_CONTENTS = {
    SUITE_KIND: "suite",
    COVERAGE_KIND: "coverage",
    COVERAGE_DATABASE: "coverage",
    FAILURE_LIBRARY: "failures",
}
_INPUT = ExistingPath(dir_okay=False)


@index.command()
@click.argument(
    "names", metavar="[OUT] FILES...", nargs=-1, required=True, shell_complete=complete_path
)
@click.option(
    "--output",
    "-o",
    "output",
    metavar="OUT",
    type=OutputFile(),
    help="File to write; all other names are FILES.  [default: the first name]",
)
@coverage_option(" of the whole suite, for suite files that contain coverage")
@json_option
def merge(
    names: tuple[str, ...], output: Path | None, database: Path | None, *, as_json: bool
) -> None:
    """Merge the files that several CI jobs wrote into one file, OUT.

    FILES are suite, failure or coverage files written by `flashwasm index build`, or coverage.py
    databases. OUT equals the file that one job for the whole suite would write. OUT may be one of
    FILES.

    Without -o, the first name is OUT. An existing OUT is replaced only if FILES contain at least
    half of its tests or defects, as when CI runs again. So OUT is not lost if it is in fact the
    first of FILES.

    \b
    Example:
      flashwasm index merge -o tests.suite job1.suite job2.suite
    """
    first = None if output is not None else names[0]
    if first is not None:
        output, names = _converted(OutputFile(), first), names[1:]
    files = tuple(_converted(_INPUT, name) for name in names)
    if output is None or not files:
        raise click.UsageError("Missing argument 'FILES...'; expected OUT and FILES")
    content = _content(files)
    if first is not None:
        _refuse_loss(output, files, content)
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


def _converted(kind: click.Path, name: str) -> Path:
    """Return the path that an argument names, checked as click checks an argument of this type."""
    context = click.get_current_context()
    return Path(os.fsdecode(kind.convert(name, context.command.params[0], context)))


def _refuse_loss(output: Path, files: tuple[Path, ...], content: str) -> None:
    """Raise ShapeError if OUT exists and FILES contain less than half of what is in it."""
    if not output.exists() or any(output.samefile(file) for file in files):
        return
    advice = "give -o OUT before FILES to replace it, or to name another file"
    try:
        kind = kind_of(output)
    except CorruptFileError as error:
        raise ShapeError(f"OUT, {output}, exists and is no index file; {advice}") from error
    if _CONTENTS.get(kind) != content:
        raise ShapeError(f"OUT, {output}, exists and is a {kind}; {advice}")
    known = _names(output, content)
    lost = known.difference(*(_names(file, content) for file in files))
    if 2 * len(lost) > len(known):
        things = counted(len(known), "defects" if content == "failures" else "tests")
        raise ShapeError(
            f"OUT, {output}, exists, and {len(lost)} of its {things} are in none of FILES; {advice}"
        )


def _names(file: Path, content: str) -> set[str]:
    """Return the node ids of the tests, or the names of the defects, in a file."""
    if content == "suite":
        return {test.nodeid for test in read_suite(file)[0].tests}
    if content == "coverage":
        return set(CoverageIndex.load(file).tests)
    return set(FailureLibrary(file).defects)


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
