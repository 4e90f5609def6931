"""The safe selection: every test that a change may reach, selected line by line.

If only tests ran a changed line, the line selects the tests that ran its function. Every other
changed line selects all tests whose files depend on its module. Such a line runs at import, in a
fixture, in no test, or was not measured. Without coverage, this rule applies to all lines.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from flashwasm.errors import ShapeError
from flashwasm.qe.changes.ranking.selected_tests import SelectedTest, rank_tests
from flashwasm.qe.changes.selection.reached_tests import ReachedTests

if TYPE_CHECKING:
    from flashwasm.qe.changes.diffs.unified_diff import ChangedFile
    from flashwasm.qe.coverage.coverage_index import CoverageIndex
    from flashwasm.qe.similarity.suite_index import SuiteIndex
    from flashwasm.qe.suites.source_files import Skipped

__all__ = ["WITHOUT_EVIDENCE", "SafeSelection", "safe_selection"]

# Number of tests to run, the most relevant ones, if the change reaches no known test.
WITHOUT_EVIDENCE = 50

# Maximum number of untracked files that a sentence names.
_NAMED_AT_MOST = 10

# Last level of `SelectedTest` whose reason names lines of the change.
_RUNS_CHANGED_LINES = 1
# Level of a test that the change neither touches nor surely reaches.
_SIMILAR = 2


@dataclass(frozen=True)
class SafeSelection:
    """The tests of a suite, split into those that a change may reach and the others.

    Parameters
    ----------
    sure : list of SelectedTest
        Tests that the change may reach, the most relevant first.
    rest : list of SelectedTest
        Other tests, the most relevant first.
    unread : list of Skipped
        Changed test files that cannot be read, such as with a syntax error, and files and folders
        that the change may reach but whose tests are not all known.
    everything : str or None
        Path of a changed file that any test may depend on; None if there is none.
    untracked : list of str
        Changed files that any test may depend on, if git tracks none of them.
    uncovered : dict of str to list of int
        Changed lines that no test ran, by file; paths and numbers are those after the change. A
        removed line has the number of the line that is now in its place.
    unmeasured : list of str
        Changed Python files, except tests, that the coverage database has no lines of.
    layout : list of str
        Changed Python files that surely stay the same program, since only comments and layout
        change. They reach only tests that may examine their text or the numbers of their lines.
    only_layout : bool
        True if nothing else changes.
    """

    sure: list[SelectedTest]
    rest: list[SelectedTest]
    unread: list[Skipped]
    everything: str | None = None
    uncovered: dict[str, list[int]] = field(default_factory=dict)
    unmeasured: list[str] = field(default_factory=list)
    layout: list[str] = field(default_factory=list)
    only_layout: bool = False
    untracked: list[str] = field(default_factory=list)

    @property
    def reach_of_everything(self) -> str | None:
        """Sentence on the file that any test may depend on; None if there is none."""
        if self.everything is None:
            return None
        text = f"any test may depend on {self.everything}, so the change may reach every test"
        if not self.untracked:
            return text
        named = ", ".join(self.untracked[:_NAMED_AT_MOST])
        more = len(self.untracked) - _NAMED_AT_MOST
        named += f" and {more} more" if more > 0 else ""
        return f"{text}; if no test uses the untracked files, let git ignore them: {named}"

    def by_relevance(self) -> list[SelectedTest]:
        """Return all tests by level and score, including those that the change cannot reach."""
        both = [*self.sure, *self.rest]
        return sorted(both, key=lambda s: (s.level, -s.score, s.test.nodeid))

    def likely(self) -> list[SelectedTest]:
        """Return the tests that the change touches or whose lines it changes, or else the best."""
        if self.only_layout:
            return self.sure
        ranked = self.by_relevance()
        return [s for s in ranked if s.level <= _RUNS_CHANGED_LINES] or ranked[:WITHOUT_EVIDENCE]


def safe_selection(
    index: SuiteIndex,
    changes: Sequence[ChangedFile],
    coverage: CoverageIndex | None = None,
    *,
    progress: bool = False,
) -> SafeSelection:
    """Split the tests of a suite into those that a change may reach and the others.

    Parameters
    ----------
    index : SuiteIndex
        Index of the suite, whose files are those after the change.
    changes : sequence of ChangedFile
        Changed files, at least one.
    coverage : CoverageIndex, optional
        Lines that each test ran before the change.
    progress : bool, default False
        True to show progress on stderr.

    Raises
    ------
    ShapeError
        If there are no changed files.
    """
    if not changes:
        raise ShapeError("diff: it changes nothing")
    reach = ReachedTests(index, changes, coverage, progress=progress)
    others = [change for change in changes if change.path not in reach.layout]
    if others:
        ranked = rank_tests(index, others, coverage, reach.graph, progress=progress)
    else:
        ranked = [SelectedTest(test, _SIMILAR, 0.0, "the code is the same") for test in index.tests]
    return SafeSelection(
        [_with_reason(one, reach.reasons) for one in ranked if one.test.nodeid in reach.reasons],
        [one for one in ranked if one.test.nodeid not in reach.reasons],
        _unread(index, others, reach),
        reach.everything,
        reach.uncovered,
        reach.unmeasured,
        reach.layout,
        only_layout=not others,
        untracked=reach.untracked,
    )


def _with_reason(selected: SelectedTest, reasons: Mapping[str, str]) -> SelectedTest:
    """Return a test with the reason why the change may reach it, unless its own one is better."""
    if selected.level <= _RUNS_CHANGED_LINES:
        return selected
    return replace(selected, reason=f"{reasons[selected.test.nodeid]}; {selected.reason}")


def _unread(
    index: SuiteIndex, changes: Sequence[ChangedFile], reach: ReachedTests
) -> list[Skipped]:
    """Return changed test files that cannot be read, and what else has tests that are not known."""
    ends = tuple(f"/{change.path}" for change in changes)
    unread = [one for one in index.skipped if one.path.as_posix().endswith(ends)]
    return unread + [one for one in reach.hidden_tests() if one not in unread]
