"""Which tests a change calls for, the most relevant first, and why."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import PurePath, PurePosixPath
from typing import TYPE_CHECKING

from flashwasm.errors import ShapeError
from flashwasm.qe.suites.suite import is_test_file

if TYPE_CHECKING:
    from flashwasm.qe.changes.diffs import ChangedFile
    from flashwasm.qe.coverage.coverage_index import CoverageIndex
    from flashwasm.qe.similarity.suite_index import SuiteIndex
    from flashwasm.qe.suites.suite import CollectedTest

__all__ = [
    "SelectedTest",
    "change_text",
    "changes_everything",
    "parse_budget",
    "rank_tests",
    "within_budget",
]

# Files that may change how any test runs.
_EVERYWHERE = ("conftest.py", "pyproject.toml", "pytest.ini", "setup.cfg", "setup.py", "tox.ini")
# Characters of a diff's text that are compared: more than a screen says little about any test.
_TEXT = 20_000
_UNKNOWN_SECONDS = 0.1


@dataclass(frozen=True)
class SelectedTest:
    """A test, what puts it into its class and place, and how long it took before.

    Parameters
    ----------
    test : CollectedTest
        The test.
    level : int
        0: the change touches the test. 1: it runs changed lines. 2: it runs other lines of changed
        files. 3: its file is named after a changed one. 4: only its text is like the change's.
    score : float
        Its place within the level, higher first.
    reason : str
        Why.
    components : mapping of str to float
        Cosine of its text with the change's by scorer, in [-1, 1].
    """

    test: CollectedTest
    level: int
    score: float
    reason: str
    components: Mapping[str, float] = field(default_factory=dict)


def rank_tests(
    index: SuiteIndex, changes: Sequence[ChangedFile], coverage: CoverageIndex | None = None
) -> list[SelectedTest]:
    """Return every test of a suite, those that a change calls for first.

    Parameters
    ----------
    index : SuiteIndex
        The suite.
    changes : sequence of ChangedFile
        The change, at least one file.
    coverage : CoverageIndex, optional
        What each test ran before the change.
    """
    if not changes:
        raise ShapeError("diff: it changes nothing")
    alike = {match.nodeid: match for match in index.similar_to_text(change_text(changes))}
    touched, named = _touched(index.tests, changes), _named(index.tests, changes)
    running, beside = ({}, {}) if coverage is None else _running(coverage, changes)
    selected = []
    for test in index.tests:
        names = (test.nodeid, *test.also)
        match = alike.get(test.nodeid)
        score, components = (match.score, match.components) if match else (0.0, {})
        if test.nodeid in touched:
            level, reason = 0, touched[test.nodeid]
        elif (found := _known(running, names)) is not None:
            level, (score, reason) = 1, found
        elif (found := _known(beside, names)) is not None:
            level, reason = 2, found[1]
        elif test.path in named:
            level, reason = 3, f"its file is named after {named[test.path]}"
        else:
            level, reason = 4, f"its text is {score:+.1f} deviations from the average likeness"
        selected.append(SelectedTest(test, level, score, reason, components))
    return sorted(selected, key=lambda s: (s.level, -s.score, s.test.nodeid))


def change_text(changes: Sequence[ChangedFile]) -> str:
    """Return what of a change is compared with the texts of tests."""
    return "\n".join(f"{PurePosixPath(c.path).stem} {c.text}" for c in changes)[:_TEXT]


def changes_everything(changes: Sequence[ChangedFile]) -> str | None:
    """Return the first file of a change that any test may depend on; None where there is none."""
    for change in changes:
        path = PurePosixPath(change.path)
        if path.name in _EVERYWHERE or path.suffix != ".py":
            return change.path
    return None


def parse_budget(budget: str) -> float | int:
    """Return seconds as a float for ``60s`` or ``2m``, or a number of tests for ``60``."""
    found = re.fullmatch(r"(\d+(?:\.\d+)?)(s|m)|([1-9]\d*)", budget.strip())
    if not found:
        raise ShapeError(f"budget {budget!r}: expected seconds as 60s, minutes as 2m, or a number")
    if found[3]:
        return int(found[3])
    return float(found[1]) * (60 if found[2] == "m" else 1)


def within_budget(
    tests: Sequence[SelectedTest], budget: float, times: Mapping[str, float]
) -> list[SelectedTest]:
    """Return the first tests that fit: so many, or as many as run in so many seconds.

    Parameters
    ----------
    tests : sequence of SelectedTest
        In order.
    budget : int or float
        A number of tests; or seconds, as a float.
    times : mapping of str to float
        Seconds by node id; a tenth of one where a test is not among them.
    """
    if isinstance(budget, int):
        return list(tests[:budget])
    chosen, spent = [], 0.0
    for selected in tests:
        spent += times.get(selected.test.nodeid, _UNKNOWN_SECONDS)
        if spent > budget:
            break
        chosen.append(selected)
    return chosen


def _touched(tests: Sequence[CollectedTest], changes: Sequence[ChangedFile]) -> dict[str, str]:
    """Return the tests whose own lines a change adds or edits."""
    touched = {}
    for change in changes:
        if not is_test_file(PurePosixPath(change.path)):
            continue
        for test in tests:
            if not test.path.as_posix().endswith(f"/{change.path}"):
                continue
            # Decorators stand above the line of the def.
            above = test.source[: test.source.find("def ")].count("\n")
            first = test.line - above
            lines = range(first, first + test.source.count("\n") + 1)
            if not change.new_lines.isdisjoint(lines):
                touched[test.nodeid] = "the change touches it"
    return touched


def _named(tests: Sequence[CollectedTest], changes: Sequence[ChangedFile]) -> dict[PurePath, str]:
    """Return the test files named after a changed one, in folders most like its own."""
    files = dict.fromkeys(test.path for test in tests)
    named: dict[PurePath, str] = {}
    for change in changes:
        path = PurePosixPath(change.path)
        if path.suffix != ".py" or is_test_file(path):
            continue
        stem = (path.parent.name if path.stem == "__init__" else path.stem).strip("_")
        names = {f"test_{stem}.py", f"{stem}_test.py"}
        # How many of the folders above the changed file are above a test's as well.
        shared = {
            file: len(set(path.parent.parts) & set(file.parent.parts))
            for file in files
            if file.name in names
        }
        most = max(shared.values(), default=0)
        named.update({file: change.path for file, count in shared.items() if count == most})
    return named


Found = dict[str, tuple[float, str]]


def _running(coverage: CoverageIndex, changes: Sequence[ChangedFile]) -> tuple[Found, Found]:
    """Return tests that run changed lines, and those that run other lines of changed files."""
    running: dict[str, tuple[float, str]] = {}
    beside: dict[str, tuple[float, str]] = {}
    for change in changes:
        try:
            coverage.find_file(change.old_path)
        except ShapeError:
            continue  # New, or not measured.
        who = coverage.who(change.old_path, change.old_lines)
        # A line that few tests run says more of them than one that all do.
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
        for nodeid in coverage.who(change.old_path, coverage.tested(change.old_path)):
            name = nodeid.partition("[")[0]
            beside.setdefault(name, (0.0, f"it runs other lines of {change.old_path}"))
    return running, beside


def _known(found: Found, names: Sequence[str]) -> tuple[float, str] | None:
    """Look a test up by any of its names; a database may have been made in another folder."""
    for name in names:
        parts = name.split("/")
        for start in range(len(parts)):
            value = found.get("/".join(parts[start:]))
            if value is not None:
                return value
    return None
