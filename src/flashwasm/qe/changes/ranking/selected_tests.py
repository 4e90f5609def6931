"""Selection of the tests that a change calls for, the most relevant first, with reasons."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import NoneType
from typing import TYPE_CHECKING

from flashwasm.errors import ShapeError
from flashwasm.html_tables import html_table
from flashwasm.object_checks import instance_of
from flashwasm.qe.changes.diffs.lines_after import LinesAfter
from flashwasm.qe.changes.diffs.unified_diff import ChangedFile
from flashwasm.qe.changes.imports.import_graph import ImportGraph
from flashwasm.qe.changes.ranking.evidence import evidence_of, weighted
from flashwasm.qe.changes.ranking.touched_tests import touched_tests
from flashwasm.qe.coverage.coverage_index import CoverageIndex
from flashwasm.qe.coverage.names_by_end import value_by_end
from flashwasm.qe.similarity.suite_index import SuiteIndex
from flashwasm.validation import flag

if TYPE_CHECKING:
    from flashwasm.qe.suites.suite import CollectedTest

__all__ = ["SelectedTest", "rank_tests"]

# Score within the level, higher for more relevant tests, and the reason, by node id.
Reasons = dict[str, tuple[float, str]]
# Smallest share of a kind of evidence that a reason names.
_SMALLEST_SHARE = 0.05
# Share of having run other lines of a changed file. That is not a proof, but few sums of the other
# kinds differ by as much.
_BESIDE = 4.0


@dataclass(frozen=True)
class SelectedTest:
    """A test, and the reason for its place in the selection.

    Parameters
    ----------
    test : CollectedTest
        The test.
    level : int
        Relevance, the most relevant first. 0: the change touches the test. 1: the test runs changed
        lines. 2: neither is proven, and the evidence decides.
    score : float
        Relevance within the level, higher for more relevant tests: the sum of the components.
    reason : str
        Reason for the place, in words.
    components : mapping of str to float
        Share of each kind of evidence in the score, as `evidence_of` names them. There are two more
        with coverage: "changed lines", and "changed files" for a test that runs other lines there.
    """

    test: CollectedTest
    level: int
    score: float
    reason: str
    components: Mapping[str, float] = field(default_factory=dict)

    _repr_html_ = html_table


def rank_tests(
    index: SuiteIndex,
    changes: Sequence[ChangedFile],
    coverage: CoverageIndex | None = None,
    graph: ImportGraph | None = None,
    *,
    progress: bool = False,
) -> list[SelectedTest]:
    """Return every test of a suite, the most relevant for a change first.

    Tests that the change touches come first, then those that ran its lines. Within each level one
    sum of evidence decides.

    Parameters
    ----------
    index : SuiteIndex
        Index of the suite.
    changes : sequence of ChangedFile
        Changed files, at least one.
    coverage : CoverageIndex, optional
        Lines that each test ran before the change. Without it, no test has level 1.
    graph : ImportGraph, optional
        Imports of the project. None reads them.
    progress : bool, default False
        True to show progress on stderr.

    Raises
    ------
    DTypeError
        If an argument is of the wrong type.
    ShapeError
        If there are no changed files.
    """
    instance_of(index, SuiteIndex, "index")
    for change in changes:
        instance_of(change, ChangedFile, "changes")
    instance_of(coverage, (CoverageIndex, NoneType), "coverage")
    instance_of(graph, (ImportGraph, NoneType), "graph")
    flag(progress, "progress")
    if not changes:
        raise ShapeError("diff: it changes nothing")
    shares = weighted(evidence_of(index, changes, graph, progress=progress))
    edited = touched_tests(index.tests, changes)
    running, beside = (
        ({}, {}) if coverage is None else _covering_tests(coverage, changes, index.root)
    )
    selected = []
    for place, test in enumerate(index.tests):
        names = (test.nodeid, *test.also)
        components = {kind: float(values[place]) for kind, values in shares.items()}
        runs, runs_beside = _first_reason(running, names), _first_reason(beside, names)
        if runs:
            components["changed lines"] = runs[0]
        elif runs_beside:
            components["changed files"] = runs_beside[0]
        if test.nodeid in edited:
            level, reason = 0, "the change touches it"
        elif runs:
            level, reason = 1, runs[1]
        else:
            level, reason = 2, _in_words(components)
        score = sum(components.values())
        selected.append(SelectedTest(test, level, score, reason, components))
    return sorted(selected, key=lambda s: (s.level, -s.score, s.test.nodeid))


def _in_words(components: Mapping[str, float]) -> str:
    """Return the shares of the kinds of evidence as a text, the greatest first."""
    greatest = sorted(components.items(), key=lambda one: -abs(one[1]))
    shown = [f"{kind} {share:+.1f}" for kind, share in greatest if abs(share) >= _SMALLEST_SHARE]
    return f"by evidence: {', '.join(shown) or 'none'}"


def _covering_tests(
    coverage: CoverageIndex, changes: Sequence[ChangedFile], root: Path
) -> tuple[Reasons, Reasons]:
    """Return tests that run changed lines, and those that run any line of changed files.

    The database was made before the change, so a file counts by its name before it.
    """
    running: Reasons = {}
    beside: Reasons = {}
    for change in changes:
        try:
            file = coverage.files[coverage.find_file(change.old_path, root)]
        except ShapeError:
            continue  # The file is new, or its coverage was not measured.
        who = coverage.who(file, change.old_lines)
        # The more tests run a changed line, the less it counts. A line that all tests run tells
        # nothing about any of them.
        frequency: dict[int, int] = {}
        after = LinesAfter(change)
        for lines in who.values():
            for line in lines:
                frequency[line] = frequency.get(line, 0) + 1
        for nodeid, lines in who.items():
            name = nodeid.partition("[")[0]
            weight = sum(1 / frequency[line] for line in lines)
            more = running.get(name, (0.0, ""))[0]
            now = sorted({after(line) for line in lines})
            shown = ", ".join(map(str, now[:5])) + (", ..." if len(now) > 5 else "")
            running[name] = (weight + more, f"it runs {change.path}:{shown}")
        for nodeid in coverage.who(file, coverage.tested(file)):
            name = nodeid.partition("[")[0]
            beside.setdefault(name, (_BESIDE, f"it runs other lines of {change.path}"))
    return running, beside


def _first_reason(reasons: Reasons, names: Sequence[str]) -> tuple[float, str] | None:
    """Return the reason of the first of a test's node ids that has one; None if none has."""
    found = (value_by_end(name, reasons) for name in names)
    return next((reason for reason in found if reason is not None), None)
