"""``flashwasm defects``: failures, and the defects that cause them."""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Iterable
from dataclasses import asdict
from pathlib import Path
from typing import Any

import click

from flashwasm.cli.exit_status import FailOn, findings_options
from flashwasm.cli.input import read_stdin
from flashwasm.cli.options import FILE, explain_option, html_option, json_option
from flashwasm.cli.output import (
    echo_json,
    note,
    note_missing,
    nothing_found,
    print_explanation,
    print_table,
    shared_json,
)
from flashwasm.errors import ShapeError
from flashwasm.qe.defects.failure_clusters import FailureCluster, cluster_failures
from flashwasm.qe.defects.failure_files import (
    FailureFile,
    TestFailure,
    read_failure_file,
)
from flashwasm.qe.defects.failure_library import (
    DefectMatch,
    FailureLibrary,
)
from flashwasm.qe.reports.html_pages import clusters_page, write_page
from flashwasm.qe.similarity.explanation import Explainer, Explanation

__all__ = ["defects"]

# The kinds of findings: the statuses of a match, and the only kind of `cluster`.
_STATUSES = ("new", "known", "regressed", "perhaps")
_FAILURE = "failure"
# A file of this many bytes or more is not read to see if it is blank.
_BLANK_AT_MOST = 1 << 16

_files_argument = click.argument(
    "files",
    metavar="TRACEBACK|REPORT|-...",
    nargs=-1,
    required=True,
    type=click.Path(exists=True, allow_dash=True, path_type=Path),
)
_library_option = click.option(
    "--library",
    required=True,
    metavar="DB",
    type=FILE,
    help="The library of known defects, a SQLite file.",
)


@click.group()
def defects() -> None:
    """Match failures with known defects, group them, and learn new ones.

    Each command takes files, or - for stdin, as in: pytest | flashwasm defects cluster -
    """


@defects.command()
@_files_argument
@_library_option
@explain_option
@json_option
@findings_options(*_STATUSES)
def match(
    files: tuple[Path, ...], library: Path, fail_on: FailOn, *, explain: bool, as_json: bool
) -> None:
    """Say which failures are new, which are known, and which are regressions.

    A regression is a failure of a defect that was resolved. A file is JUnit XML, a log of
    pytest-reportlog, the output of pytest or unittest, or one traceback.

    Exit status: 0 no failure, 1 failures, 2 bad usage or bad input. The kinds of --fail-on are
    statuses: with --fail-on new,regressed, failures of known defects are let pass.
    """
    known = FailureLibrary(library)
    read = _read(files)
    failures = read.failures
    matches = [known.match(one.failure) for one in failures]
    status = fail_on.decide(_kinds(read, (found.status for found in matches)))
    note_missing(known.missing)
    explainer = Explainer(known.texts) if explain else None
    pairs = list(zip(failures, matches, strict=True))
    if as_json:
        documents = [_json(one, found, explainer) for one, found in pairs]
        echo_json(
            {
                "library": str(library),
                "missing": known.missing,
                "failures": documents,
                **_said(read),
            }
        )
    elif explainer is None:
        print_table(("status", "test", "defect", "why"), [_row(*pair) for pair in pairs])
    else:
        for one, found in pairs:
            click.echo("  ".join(_row(one, found)))
            shared = explainer.explain(one.failure.text, found.example)
            print_explanation(found.components, shared)
    if not failures:
        note(_nothing_in(files))
    elif all(found.status == "new" for found in matches):
        note("no failure is of a defect in the library")
    sys.exit(status)


@defects.command()
@_files_argument
@html_option
@explain_option
@json_option
@findings_options(_FAILURE)
def cluster(
    files: tuple[Path, ...], html: Path | None, fail_on: FailOn, *, explain: bool, as_json: bool
) -> None:
    """Group failures that seem to have the same cause, the largest group first.

    Exit status: 0 no failure, 1 failures, 2 bad usage or bad input.
    """
    read = _read(files)
    failures = read.failures
    status = fail_on.decide(_kinds(read, [_FAILURE] * len(failures)))
    clusters = cluster_failures([one.failure for one in failures])
    if html is not None:
        write_page(html, clusters_page(clusters, failures))
    explainer = Explainer(one.failure.text for one in failures) if explain else None
    if as_json:
        echo_json(
            {
                "failures": len(failures),
                **_said(read),
                "clusters": [
                    {
                        "reason": group.reason,
                        "exception": group.signature[0],
                        "path": group.signature[1],
                        "function": group.signature[2],
                        "tests": [failures[i].test for i in group.members],
                        **(shared_json(_shared(group, failures, explainer)) if explainer else {}),
                    }
                    for group in clusters
                ],
            }
        )
    else:
        for group in clusters:
            click.echo(f"{len(group.members)}  {group.reason}")
            for i in group.members:
                click.echo(f"    {failures[i].test or '-'}: {failures[i].failure.message}")
            if explainer is not None and len(group.members) > 1:
                print_explanation({}, _shared(group, failures, explainer))
    if not failures:
        note(_nothing_in(files))
    sys.exit(status)


@defects.command()
@_files_argument
@_library_option
@click.option("--name", required=True, help="Name of the defect that caused these failures.")
@click.option(
    "--resolved", is_flag=True, help="The defect is resolved, so a match is a regression."
)
@click.option("--note", "remark", default="", help="Text to show with each match.")
@json_option
def learn(
    files: tuple[Path, ...],
    library: Path,
    name: str,
    remark: str,
    *,
    resolved: bool,
    as_json: bool,
) -> None:
    """Add failures to a defect of the library; make the library if it does not exist."""
    read = _read(files)
    failures = read.failures
    if not failures:
        nothing_found(_nothing_in(files))
    known = FailureLibrary(library, create=True)
    added = known.learn(name, [f.failure for f in failures], resolved=resolved, note=remark)
    if as_json:
        document = {"library": str(library), "defect": name, "added": added, "defects": len(known)}
        echo_json(document | _said(read))
    else:
        click.echo(f"{added} failures added to {name}; {len(known)} defects are in {library}")


def _row(one: TestFailure, found: DefectMatch) -> tuple[str, ...]:
    """Return the cells of a failure's row in the table of matches."""
    defect = "-" if found.status == "new" else str(found.defect)
    note = f" [{found.note}]" if found.note else ""
    return found.status, one.test or "-", defect, found.evidence + note


def _json(one: TestFailure, found: DefectMatch, explainer: Explainer | None) -> dict[str, Any]:
    """Return a match for JSON; with an explainer, also the names and lines that both share."""
    document = {"test": one.test, "exception": one.failure.exception, **asdict(found)}
    example = document.pop("example")
    if explainer is not None:
        document |= shared_json(explainer.explain(one.failure.text, example))
    return document


def _shared(
    group: FailureCluster, failures: list[TestFailure], explainer: Explainer
) -> Explanation:
    """Return the names and lines that the first and the last failure of a group share."""
    first, last = (failures[group.members[i]].failure.text for i in (0, -1))
    return explainer.explain(first, last)


def _read(files: tuple[Path, ...]) -> FailureFile:
    """Read all files in their order, and name on stderr flaky tests and what could not be read."""
    each = [_read_one(file) for file in files]
    named = [f"{path}: {line}" for path, one in zip(files, each, strict=True) for line in one.notes]
    counts = [one.counted for one in each if one.counted is not None]
    whole = FailureFile(
        failures=[failure for one in each for failure in one.failures],
        flaky=[test for one in each for test in one.flaky],
        counted=sum(counts) if counts else None,
        notes=named,
    )
    for line in whole.notes:
        note(line)
    if whole.flaky:
        note(f"{len(whole.flaky)} flaky, passed at a later attempt: {', '.join(whole.flaky)}")
    return whole


def _said(read: FailureFile) -> dict[str, Any]:
    """Return what the files say beside failures, for JSON."""
    return {
        "flaky": len(read.flaky),
        "flaky_tests": read.flaky,
        "counted": read.counted,
        "notes": read.notes,
    }


def _read_one(file: Path) -> FailureFile:
    """Read the failures of a file, or of stdin for "-"."""
    if str(file) != "-":
        return _not_empty(file, read_failure_file(file))
    with tempfile.TemporaryDirectory() as folder:
        # A report is read more than once from its start, which stdin does not allow.
        kept = Path(folder, "stdin")
        kept.write_bytes(read_stdin())
        return _not_empty(kept, read_failure_file(kept))


def _not_empty(file: Path, read: FailureFile) -> FailureFile:
    """Return what was read; refuse a blank file, which does not say that all tests passed."""
    blank = file.stat().st_size < _BLANK_AT_MOST and not file.read_bytes().strip()
    if blank:
        raise ShapeError(f"{file.name} is empty; expected a report or a traceback")
    return read


def _kinds(read: FailureFile, statuses: Iterable[str]) -> list[str]:
    """Return the kinds of all findings; failures that could not be read count as all kinds."""
    found = list(statuses)
    unread = read.counted is not None and read.counted > len(read.failures)
    return [*found, *_STATUSES, _FAILURE] if unread else found


def _nothing_in(files: tuple[Path, ...]) -> str:
    """Return the line that says that no file holds a failure."""
    return f"no failure in {', '.join(map(str, files))}"
