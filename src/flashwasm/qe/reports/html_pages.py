"""HTML pages with the findings of one command. A page loads no other file; all text is escaped.

The pages are Jinja2 templates in the folder ``templates``; all extend ``layout.html``.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from flashwasm.qe.reports.benchmark_charts import benchmark_charts
from flashwasm.qe.reports.gap_source import NumberedLine, gap_source
from flashwasm.qe.reports.line_pairs import LinePair, pair_lines
from flashwasm.qe.reports.page_template import fill_template
from flashwasm.summaries import counted

if TYPE_CHECKING:
    from flashwasm.qe.changes.ranking.selected_tests import SelectedTest
    from flashwasm.qe.coverage.gaps import Gap
    from flashwasm.qe.defects.failure_clusters import FailureCluster
    from flashwasm.qe.defects.failure_files import TestFailure
    from flashwasm.qe.defects.tracebacks import Failure
    from flashwasm.qe.duplicates.duplicate_groups import DuplicateGroup
    from flashwasm.qe.similarity.match import Match

__all__ = [
    "FailureGroup",
    "Tier",
    "benchmarks_page",
    "clusters_page",
    "duplicates_page",
    "failure_groups",
    "gaps_page",
    "gaps_with_source",
    "groups_by_tier",
    "similar_page",
    "tests_for_page",
]

# Description of each tier of duplicates, after a number of groups of tests.
_TIERS = (
    "with the same body",
    "that differ only in literals",
    "that run the same lines and have similar text",
)
# Maximum number of characters of a traceback on a page.
_TEXT_END = 2000
# Maximum number of selected tests that a page shows with their reasons. It lists only the names of
# further ones, because a browser is slow with thousands of rows.
_MOST_ROWS = 300
# Maximum number of groups of failures, or of duplicates of each tier, that a page shows. A group
# takes kilobytes.
_MOST_GROUPS = 100


class Tier(NamedTuple):
    """Groups of one tier of duplicates, as a page shows them.

    Parameters
    ----------
    name : str
        Description of the tier, after a number of groups of tests.
    total : int
        Number of all groups.
    shown : list of tuple
        The first groups, each with its first two tests side by side.
    """

    name: str
    total: int
    shown: list[tuple[DuplicateGroup, list[LinePair]]]


class FailureGroup(NamedTuple):
    """Failures with one cause, as a page shows them.

    Parameters
    ----------
    reason : str
        Common features of the failures.
    size : int
        Number of failures.
    message : str
        Most frequent message.
    tests_by_message : mapping of str to sequence of str
        Names of the tests that failed, by the message of the failure, in the order of the run.
    ending : str
        End of the first failure's text.
    """

    reason: str
    size: int
    message: str
    tests_by_message: Mapping[str, Sequence[str]]
    ending: str


def similar_page(matches: Sequence[Match], query: str, source: str | None) -> str:
    """Return a page of tests similar to a query, each side by side with the query.

    Parameters
    ----------
    matches : sequence of Match
        The tests, the nearest first.
    query : str
        The query as the user typed it.
    source : str or None
        Source code that the query names; None if the query is free text.
    """
    paired = [(match, pair_lines(source or "", match.test.source)) for match in matches]
    title = f"{_any(len(matches), 'tests')} similar to {query}"
    return fill_template("similar.html", title=title, query=query, source=source, matches=paired)


def tests_for_page(
    chosen: Sequence[SelectedTest],
    left_out: int,
    notes: Sequence[Any],
    files: Sequence[str],
    uncovered: Mapping[str, Sequence[int]],
) -> str:
    """Return a page of the tests to run for a change: the first with the reasons, then the names.

    Parameters
    ----------
    chosen : sequence of SelectedTest
        Tests to run, in their order.
    left_out : int
        Number of the other tests.
    notes : sequence of Note
        Remarks about the choice.
    files : sequence of str
        Test files that flashwasm cannot read, so that all of their tests run.
    uncovered : mapping of str to sequence of int
        Changed lines that no test runs, by file.
    """
    return fill_template(
        "tests_for.html",
        title=f"{_any(len(chosen), 'tests')} for a change",
        chosen=chosen,
        most_rows=_MOST_ROWS,
        more_names=[
            name for one in chosen[_MOST_ROWS:] for name in (one.test.nodeid, *one.test.also)
        ],
        left_out=left_out,
        notes=notes,
        files=files,
        uncovered=uncovered,
    )


def duplicates_page(groups: Sequence[DuplicateGroup], place: Path) -> str:
    """Return a page of groups of duplicate tests, by tier.

    Parameters
    ----------
    groups : sequence of DuplicateGroup
        The findings.
    place : pathlib.Path
        Folder or file whose tests were compared.
    """
    title = f"{_any(len(groups), 'groups')} of duplicates in {place}"
    return fill_template("duplicates.html", title=title, tiers=groups_by_tier(groups))


def clusters_page(clusters: Sequence[FailureCluster], failures: Sequence[TestFailure]) -> str:
    """Return a page of groups of failures, the largest first, each with its reason.

    Parameters
    ----------
    clusters : sequence of FailureCluster
        The groups.
    failures : sequence of TestFailure
        The failures, to which the members of the groups refer by position.
    """
    title = _any(len(failures), "failures")
    if failures:
        title += f" in {counted(len(clusters), 'groups')}"
    shown = failure_groups(clusters, failures)
    return fill_template("clusters.html", title=title, groups=shown, total=len(clusters))


def gaps_page(gaps: Sequence[Gap], root: Path, *, total: int) -> str:
    """Return a page of lines in functions that no test runs, the riskiest function first.

    Parameters
    ----------
    gaps : sequence of Gap
        Gaps to show.
    root : pathlib.Path
        Folder that the paths of the gaps are relative to.
    total : int
        Number of all gaps.
    """
    title = f"{_any(total, 'functions')} with lines that no test runs"
    shown = gaps_with_source(gaps, root)
    return fill_template("gaps.html", title=title, gaps=shown, total=total)


def benchmarks_page(document: Mapping[str, Any]) -> str:
    """Return a page of charts and tables of a benchmark.

    Parameters
    ----------
    document : mapping
        Document that ``flashwasm bench --json`` writes.
    """
    benchmarks = benchmark_charts(document)
    return fill_template("bench.html", charts=True, title="Benchmarks", benchmarks=benchmarks)


def groups_by_tier(groups: Sequence[DuplicateGroup]) -> list[Tier]:
    """Return the tiers with groups, each with as many groups as a page shows."""
    tiers = []
    for tier, name in enumerate(_TIERS, 1):
        if own := [group for group in groups if group.tier == tier]:
            tiers.append(Tier(name, len(own), [_beside(group) for group in own[:_MOST_GROUPS]]))
    return tiers


def failure_groups(
    clusters: Sequence[FailureCluster], failures: Sequence[TestFailure]
) -> list[FailureGroup]:
    """Return the first groups as a page shows them; a failure that names no test gets a dash."""
    shown = []
    for cluster in clusters[:_MOST_GROUPS]:
        members = [failures[i] for i in cluster.members]
        tests: dict[str, list[str]] = {}
        for one in members:
            tests.setdefault(_message(one.failure), []).append(one.test or "-")
        message = max(tests, key=lambda message: len(tests[message]))
        ending = _ending(members[0].failure.text)
        shown.append(FailureGroup(cluster.reason, len(members), message, tests, ending))
    return shown


def gaps_with_source(gaps: Sequence[Gap], root: Path) -> list[tuple[Gap, list[NumberedLine]]]:
    """Return each gap with the lines of its function; paths are relative to the root folder."""
    return [(gap, gap_source(gap, root)) for gap in gaps]


def _any(number: int, things: str) -> str:
    """Return a number and a noun for a title, such as "2 tests"; for 0, "No tests"."""
    return counted(number, things) if number else f"No {things}"


def _message(failure: Failure) -> str:
    """Return the first line of a failure's message that is not empty; "" if there is none.

    Messages of ``numpy.testing`` begin with an empty line, after which pytest marks each with "E".
    """
    if failure.message:
        return failure.message
    marked = [line[1:].strip() for line in failure.text.splitlines() if line.startswith("E ")]
    lines = [line for line in marked if line]
    beginnings = [i for i, line in enumerate(lines) if line == f"{failure.exception}:"]
    return lines[beginnings[-1] + 1] if beginnings and beginnings[-1] + 1 < len(lines) else ""


def _ending(text: str) -> str:
    """Return the last lines of a text, as many as a page shows."""
    end = text[-_TEXT_END:]
    # The first of them may be only a part of a line.
    return end if len(end) == len(text) or "\n" not in end else end.partition("\n")[2]


def _beside(group: DuplicateGroup) -> tuple[DuplicateGroup, list[LinePair]]:
    """Return a group with the lines of its first two tests."""
    first, second = group.tests[:2]
    return group, pair_lines(first.source, second.source)
