"""The tests that were chosen for a change, and notes on the tests left out."""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from flashwasm.cli.output import from_here
from flashwasm.qe.coverage.line_ranges import format_lines
from flashwasm.summaries import are, counted, them

if TYPE_CHECKING:
    from flashwasm.qe.changes.ranking.case_counts import CaseCounts
    from flashwasm.qe.changes.ranking.selected_tests import SelectedTest
    from flashwasm.qe.changes.selection.safe_selection import SafeSelection
    from flashwasm.qe.similarity.explanation import Explanation
    from flashwasm.qe.suites.source_files import Skipped

__all__ = ["Choice", "Note", "node_ids_of"]

# Maximum number of tests or lines that a note names. Further ones are only counted.
_NAMED_AT_MOST = 10


@dataclass(frozen=True)
class Note:
    """A remark about a choice.

    Parameters
    ----------
    text : str
        The remark.
    risk : bool, default False
        True if a test that the change breaks may have been left out, or cannot run.
    """

    text: str
    risk: bool = False


@dataclass(frozen=True)
class Choice:
    """The tests that were chosen for a change.

    Parameters
    ----------
    root : pathlib.Path
        pytest's rootdir.
    selection : SafeSelection
        All tests of the suite, split into those that the change may reach and the others.
    chosen : sequence of SelectedTest
        Tests to run, in their order.
    files : sequence of pathlib.Path
        Test files that flashwasm cannot read, so that all of their tests run.
    explanations : sequence of Explanation or None
        For each chosen test, what it shares with the change, or None.
    missing : sequence of str
        Missing packages or models that would improve the choice.
    skipped : sequence of Skipped
        Files that could not be read.
    coverage : pathlib.Path or None
        Coverage database that was used.
    counts : CaseCounts or None
        Number of cases of each test, if there is a budget.
    """

    root: Path
    selection: SafeSelection
    chosen: Sequence[SelectedTest]
    files: Sequence[Path]
    explanations: Sequence[Explanation | None]
    missing: Sequence[str]
    skipped: Sequence[Skipped]
    coverage: Path | None
    counts: CaseCounts | None

    @property
    def nodeids(self) -> list[str]:
        """Node ids of the chosen tests, in their order, without parameters."""
        return node_ids_of(self.chosen)

    @property
    def nodeids_left_out(self) -> list[str]:
        """Node ids of the tests that were not chosen, without parameters."""
        chosen = set(self.nodeids)
        every = node_ids_of([*self.selection.sure, *self.selection.rest])
        return [nodeid for nodeid in every if nodeid not in chosen]

    @property
    def files_from_root(self) -> list[str]:
        """Paths of `files`, relative to pytest's rootdir as node ids are."""
        return [Path(os.path.relpath(file, self.root)).as_posix() for file in self.files]

    @property
    def left_out(self) -> int:
        """Number of tests that were not chosen."""
        return len(self.selection.sure) + len(self.selection.rest) - len(self.chosen)

    @cached_property
    def missed(self) -> list[str]:
        """Node ids of the tests that the change may reach but that were not chosen."""
        ids = {selected.test.nodeid for selected in self.chosen}
        return [s.test.nodeid for s in self.selection.sure if s.test.nodeid not in ids]

    @property
    def _unreached(self) -> int:
        """Number of tests that the change is not known to reach and that were not chosen."""
        return self.left_out - len(self.missed)

    @property
    def reason_left_out(self) -> str:
        """Reason for leaving out the tests that the change does not reach."""
        if self.selection.only_layout:
            return "only comments or layout change"
        if not self.selection.sure:
            return "the change is not known to reach any test, and the chosen ones resemble it most"
        return f"the change is not known to reach {them(self._unreached)}"

    @property
    def unknown_cases(self) -> list[str]:
        """Node ids of the chosen tests that count as one case, because the number is unknown."""
        guessed = set() if self.counts is None else set(self.counts.guessed)
        return [nodeid for nodeid in self.nodeids if nodeid in guessed]

    def notes(self) -> list[Note]:
        """Return the remarks, with changed lines without tests first and the numbers last."""
        uncovered = [
            Note(f"no test covers {path}:{_some(format_lines(lines).split(', '))}")
            for path, lines in self.selection.uncovered.items()
        ]
        names = len(self.nodeids)
        inherited = f" ({names:,} with those that subclasses inherit)"
        chosen = counted(len(self.chosen), "tests") + inherited * (names > len(self.chosen))
        return [*uncovered, *self.remarks(), Note(f"{chosen} chosen, {self.left_out:,} left out")]

    def remarks(self) -> list[Note]:
        """Return notes on the tests left out, and the reasons."""
        selection = self.selection
        notes = []
        if (text := selection.reach_of_everything) is not None:
            notes.append(Note(text))
        if paths := selection.layout:
            notes.append(Note(f"{_some(paths)}: only comments or layout change"))
        for path in selection.unmeasured:
            text = f"the coverage database has no lines of {path}, or several files match it"
            notes.append(Note(text))
        # One note names all files with the same reason, such as those with doctests.
        alike: dict[tuple[str, str], list[str]] = {}
        for one in selection.unread:
            alike.setdefault((_why_unread(one), one.reason), []).append(from_here(one.path))
        notes += [
            Note(f"{why}: {_some(paths)}: {reason}", risk=True)
            for (why, reason), paths in alike.items()
        ]
        if unknown := self.unknown_cases:
            text = (
                "parametrised tests that count as one case, because the number of cases is not "
                f"known: {_some(unknown)}"
            )
            notes.append(Note(text))
        if missed := self.missed:
            number = counted(len(missed), "tests")
            text = f"{number} that the change may reach {are(len(missed))} left out"
            notes.append(Note(f"{text}: {_some(missed)}", risk=True))
        if (others := self._unreached) > 0:
            number = counted(others, "other tests" if missed else "tests")
            notes.append(Note(f"{number} {are(others)} left out, as {self.reason_left_out}"))
        return notes


def node_ids_of(tests: Iterable[SelectedTest]) -> list[str]:
    """Return all node ids of some tests: a test that subclasses inherit has several."""
    return [name for one in tests for name in (one.test.nodeid, *one.test.also)]


def _why_unread(skipped: Skipped) -> str:
    """Return the reason for running all tests of a file."""
    return "runs as a whole" if skipped.hides_tests else "changed, but not readable"


def _some(names: Iterable[str]) -> str:
    """Return the first few names, and the number of the others, as text."""
    listed = list(names)
    more = len(listed) - _NAMED_AT_MOST
    return ", ".join(listed[:_NAMED_AT_MOST]) + (f", and {more:,} more" if more > 0 else "")
