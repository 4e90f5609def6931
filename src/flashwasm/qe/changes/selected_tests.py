"""Selection of the tests that a change calls for, the most relevant first, with reasons."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path, PurePath, PurePosixPath
from typing import TYPE_CHECKING

from flashwasm.errors import ShapeError
from flashwasm.qe.changes.touched_tests import touched_tests
from flashwasm.qe.coverage.names_by_end import value_by_end
from flashwasm.qe.suites.source_files import is_test_file

if TYPE_CHECKING:
    from flashwasm.qe.changes.unified_diff import ChangedFile
    from flashwasm.qe.coverage.coverage_index import CoverageIndex
    from flashwasm.qe.similarity.suite_index import SuiteIndex
    from flashwasm.qe.suites.suite import CollectedTest

__all__ = ["SelectedTest", "change_text", "changes_everything", "rank_tests"]

# Score within the level, higher for more relevant tests, and the reason, by node id.
Reasons = dict[str, tuple[float, str]]
# Number of characters of a diff's text that are compared with tests. A longer text is about so many
# things that it resembles no test in particular.
_LONGEST_TEXT = 20_000


@dataclass(frozen=True)
class SelectedTest:
    """A test, and the reason for its place in the selection.

    Parameters
    ----------
    test : CollectedTest
        The test.
    level : int
        Relevance, the most relevant first. 0: the change edits the test. 1: the test runs changed
        lines. 2: it runs other lines of changed files. 3: its file is named after a changed file.
        4: only its text can be compared with that of the change.
    score : float
        Relevance within the level, higher for more relevant tests.
    reason : str
        Reason for the level, in words.
    components : mapping of str to float
        Cosine of the test's text and the change's by scorer, in [-1, 1].
    """

    test: CollectedTest
    level: int
    score: float
    reason: str
    components: Mapping[str, float] = field(default_factory=dict)


def rank_tests(
    index: SuiteIndex, changes: Sequence[ChangedFile], coverage: CoverageIndex | None = None
) -> list[SelectedTest]:
    """Return every test of a suite, the most relevant for a change first.

    Parameters
    ----------
    index : SuiteIndex
        Index of the suite.
    changes : sequence of ChangedFile
        Changed files, at least one.
    coverage : CoverageIndex, optional
        Lines that each test ran before the change. Without it, no test has level 1 or 2.

    Raises
    ------
    ShapeError
        If there are no changed files.
    """
    if not changes:
        raise ShapeError("diff: it changes nothing")
    matches = {match.nodeid: match for match in index.similar_to_text(change_text(changes))}
    edited, named = touched_tests(index.tests, changes), _files_named_after(index.tests, changes)
    running, beside = (
        ({}, {}) if coverage is None else _covering_tests(coverage, changes, index.root)
    )
    selected = []
    for test in index.tests:
        names = (test.nodeid, *test.also)
        match = matches.get(test.nodeid)
        score, components = (match.score, match.components) if match else (0.0, {})
        if test.nodeid in edited:
            level, reason = 0, "the change touches it"
        elif found := _first_reason(running, names):
            level, (score, reason) = 1, found
        elif found := _first_reason(beside, names):
            level, reason = 2, found[1]
        elif test.path in named:
            level, reason = 3, f"its file is named after {named[test.path]}"
        else:
            level = 4
            reason = f"the similarity of its text is {score:+.1f} standard deviations from the mean"
        selected.append(SelectedTest(test, level, score, reason, components))
    return sorted(selected, key=lambda s: (s.level, -s.score, s.test.nodeid))


def change_text(changes: Sequence[ChangedFile]) -> str:
    """Return the text of a change that tests are compared with: file names and changed lines."""
    return "\n".join(f"{PurePosixPath(c.path).stem} {c.text}" for c in changes)[:_LONGEST_TEXT]


def changes_everything(changes: Sequence[ChangedFile]) -> str | None:
    """Return the path of the first changed file that any test may depend on, or None.

    It is a file that is no Python, such as data or settings, or the project's ``setup.py``.
    """
    for change in changes:
        for path in (change.path, change.old_path):
            if not path.endswith(".py") or PurePosixPath(path).name == "setup.py":
                return path
    return None


def _files_named_after(
    tests: Sequence[CollectedTest], changes: Sequence[ChangedFile]
) -> dict[PurePath, str]:
    """Return test files that are named after a changed file, with the path of that file.

    If several test files have such a name, only those are returned whose folders share the most
    names with the folders of the changed file.
    """
    files = dict.fromkeys(test.path for test in tests)
    named: dict[PurePath, str] = {}
    # A file that is renamed counts by both names.
    for name in dict.fromkeys(name for c in changes for name in (c.old_path, c.path)):
        path = PurePosixPath(name)
        if path.suffix != ".py" or is_test_file(path):
            continue
        stem = (path.parent.name if path.stem == "__init__" else path.stem).strip("_")
        names = {f"test_{stem}.py", f"{stem}_test.py"}
        # Number of folder names above the changed file that are above the test file as well.
        shared = {
            file: len(set(path.parent.parts) & set(file.parent.parts))
            for file in files
            if file.name in names
        }
        most = max(shared.values(), default=0)
        named.update({file: name for file, count in shared.items() if count == most})
    return named


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
        for lines in who.values():
            for line in lines:
                frequency[line] = frequency.get(line, 0) + 1
        for nodeid, lines in who.items():
            name = nodeid.partition("[")[0]
            weight = sum(1 / frequency[line] for line in lines)
            more = running.get(name, (0.0, ""))[0]
            shown = ", ".join(map(str, lines[:5])) + (", ..." if len(lines) > 5 else "")
            running[name] = (weight + more, f"it runs {change.old_path}:{shown}")
        for nodeid in coverage.who(file, coverage.tested(file)):
            name = nodeid.partition("[")[0]
            beside.setdefault(name, (0.0, f"it runs other lines of {change.old_path}"))
    return running, beside


def _first_reason(reasons: Reasons, names: Sequence[str]) -> tuple[float, str] | None:
    """Return the reason of the first of a test's node ids that has one; None if none has."""
    found = (value_by_end(name, reasons) for name in names)
    return next((reason for reason in found if reason is not None), None)
