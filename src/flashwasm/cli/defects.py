"""``flashwasm defects``: match failures with known defects, group them, and learn new ones."""

from __future__ import annotations

import sys
from collections.abc import Iterable
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any, get_args

import click

from flashwasm.cli.exit_status import FailOn, findings_options
from flashwasm.cli.failure_reports import (
    beside_failures,
    failure_files_argument,
    read_reports,
)
from flashwasm.cli.options import FILE, explain_option, html_option, json_option
from flashwasm.cli.output import (
    echo_json,
    echo_named,
    echo_wrapped,
    note,
    note_missing,
    nothing_found,
    print_explanation,
    print_table,
    shared_json,
)
from flashwasm.qe.defects.defect_verdict import DefectMatch, Status
from flashwasm.qe.defects.failure_clusters import FailureCluster, cluster_failures, message_line
from flashwasm.qe.defects.failure_fingerprint import case_of
from flashwasm.qe.defects.failure_library import FailureLibrary
from flashwasm.qe.reports.html_pages import clusters_page
from flashwasm.qe.reports.page_template import write_page
from flashwasm.qe.similarity.explanation import Explainer, Explanation
from flashwasm.summaries import are, counted

if TYPE_CHECKING:
    from flashwasm.qe.defects.failure_files import FailureFile, TestFailure

__all__ = ["defects"]

# Kinds of findings: the statuses for `match`, and a single kind for `cluster`.
_STATUSES = get_args(Status)
_FAILURE = "failure"

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

    Each command reads files; - reads stdin.

    \b
    Example:
      pytest | flashwasm defects cluster -
    """


@defects.command()
@failure_files_argument
@_library_option
@explain_option
@json_option
@findings_options(*_STATUSES)
def match(
    files: tuple[Path, ...], library: Path, fail_on: FailOn, *, explain: bool, as_json: bool
) -> None:
    """Classify each failure: of a new defect, of a known one, or a regression.

    A failure has the status "known" if the same function of the product raised a failure of the
    defect before. It is also known if its test failed with the same message before, and most tests
    that failed because of the defect fail again. The status is "perhaps" if the similarity is
    weaker, or if several defects match; "regressed" if the defect was marked as resolved; and "new"
    if no defect matches.

    Each file is JUnit XML, a log of pytest-reportlog, the output of pytest or unittest, or a single
    traceback.

    Exit status: 0 if there is no failure, 1 if there are failures, 2 on bad usage or bad input.
    With --fail-on new,regressed,perhaps, failures of known defects do not cause status 1.

    \b
    Example:
      pytest --junitxml run.xml
      flashwasm defects match run.xml --library known.db
    """
    known = FailureLibrary(library)
    read = read_reports(files)
    failures = read.failures
    matches = known.match_all(failures)
    code = fail_on.decide(_kinds(read, (found.status for found in matches)))
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
                "counts": {
                    status: sum(found.status == status for found in matches)
                    for status in get_args(Status)
                },
                **beside_failures(read),
            }
        )
    elif explainer is None:
        rows = [_row(*pair) for pair in pairs]
        print_table(("status", "test", "defect", "why"), rows, prose=("defect", "why"))
    else:
        for one, found in pairs:
            status, test, *about = _row(one, found)
            echo_named(status, test, "  ".join(about))
            shared = explainer.explain(one.failure.text, found.example)
            print_explanation(found.components, shared)
    if not failures:
        note(_nothing_in(files))
    elif all(found.status == "new" for found in matches):
        note("no failure is of a defect in the library")
    sys.exit(code)


@defects.command()
@failure_files_argument
@html_option
@explain_option
@json_option
@findings_options(_FAILURE)
def cluster(
    files: tuple[Path, ...], html: Path | None, fail_on: FailOn, *, explain: bool, as_json: bool
) -> None:
    """Group failures that seem to have the same cause, the largest group first.

    The cases of a parametrised test are one line with their number; --json names each of them.

    Exit status: 0 if there is no failure, 1 if there are failures, 2 on bad usage or bad input.

    \b
    Example:
      pytest | flashwasm defects cluster -
    """
    read = read_reports(files)
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
                **beside_failures(read),
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
            echo_wrapped(f"{len(group.members)}  {group.reason}")
            for name, message in _members(group, failures):
                echo_named("", name, message, separator=": ", indent="    ")
            if explainer is not None and len(group.members) > 1:
                print_explanation({}, _shared(group, failures, explainer))
    if not failures:
        note(_nothing_in(files))
    sys.exit(status)


@defects.command()
@failure_files_argument
@_library_option
@click.option("--name", required=True, help="Name of the defect that caused these failures.")
@click.option(
    "--resolved", is_flag=True, help="Mark the defect as resolved; a match is then a regression."
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
    """Add failures to a defect in the library; create the library if it does not exist.

    \b
    Example:
      flashwasm defects learn run.xml --library known.db --name "cart total"
    """
    read = read_reports(files)
    failures = read.failures
    if not failures:
        nothing_found(_nothing_in(files))
    known = FailureLibrary(library, create=True)
    added = known.learn(name, failures, resolved=resolved, note=remark)
    if as_json:
        document = {"library": str(library), "defect": name, "added": added, "defects": len(known)}
        echo_json(document | beside_failures(read))
    else:
        click.echo(
            f"{counted(added, 'failures')} added to {name}; "
            f"{counted(len(known), 'defects')} {are(len(known))} in {library}"
        )


def _row(one: TestFailure, found: DefectMatch) -> tuple[str, ...]:
    """Return the cells of a failure's row in the table of matches."""
    defect = "-" if found.status == "new" else " or ".join([str(found.defect), *found.others])
    note = f" [{found.note}]" if found.note else ""
    return found.status, one.test or "-", defect, found.evidence + note


def _json(one: TestFailure, found: DefectMatch, explainer: Explainer | None) -> dict[str, Any]:
    """Return a match for JSON; with an explainer, also the names and lines that both share."""
    document = {"test": one.test, "exception": one.failure.exception, **asdict(found)}
    example = document.pop("example")
    if explainer is not None:
        document |= shared_json(explainer.explain(one.failure.text, example))
    return document


def _members(group: FailureCluster, failures: list[TestFailure]) -> list[tuple[str, str]]:
    """Return a row for each test of a group: its name, and its message or the number of cases."""
    cases: dict[str, list[TestFailure]] = {}
    for number, i in enumerate(group.members):
        one = failures[i]
        # Failures without a test's name stay apart.
        key = one.test.removesuffix(case_of(one.test)) or str(number)
        cases.setdefault(key, []).append(one)
    return [
        (some[0].test or "-", message_line(some[0].failure))
        if len(some) == 1
        else (test, f"{len(some):,} cases, the first with: {message_line(some[0].failure)}")
        for test, some in cases.items()
    ]


def _shared(
    group: FailureCluster, failures: list[TestFailure], explainer: Explainer
) -> Explanation:
    """Return the names and lines that the first and the last failure of a group share."""
    first, last = (failures[group.members[i]].failure.text for i in (0, -1))
    return explainer.explain(first, last)


def _kinds(read: FailureFile, statuses: Iterable[str]) -> list[str]:
    """Return the kinds of all findings, or all kinds if some failures could not be read."""
    found = list(statuses)
    unread = read.counted is not None and read.counted > len(read.failures)
    return [*found, *_STATUSES, _FAILURE] if unread else found


def _nothing_in(files: tuple[Path, ...]) -> str:
    """Return the message that no file contains a failure."""
    return f"no failure in {', '.join(map(str, files))}"
