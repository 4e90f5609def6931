"""Tests that changed together with the changed lines: the commits that wrote both, in git's log."""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Iterator, Sequence
from itertools import islice
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from flashwasm.qe.changes.diffs.git_output import git_output
from flashwasm.qe.suites.source_files import is_test_file

if TYPE_CHECKING:
    from flashwasm.qe.changes.diffs.unified_diff import ChangedFile
    from flashwasm.qe.suites.suite import CollectedTest

__all__ = ["shared_commits"]

Array = npt.NDArray[Any]
# Maximum number of changed files, and of commits, to read the history of.
_FILES, _COMMITS = 20, 40
# Number of commits of a file among which the one is looked for that a diff starts from.
_STATES = 20
# Minimum length of a line of a test. The origin of a shorter line, such as "else:", is ambiguous.
_SHORTEST = 9
_WRITTEN = re.compile(rb"^([0-9a-f]{40,64}) \d+ \d+ (\d+)$", re.MULTILINE)
_MARK = "\x01"


def shared_commits(
    tests: Sequence[CollectedTest], changes: Sequence[ChangedFile], root: Path
) -> Array:
    """Return a score for each test, which is high if the same commits wrote it and changed lines.

    Each commit that wrote changed lines adds the product of its share of the changed lines, the
    square root of its share of the test's lines, and a weight that is larger for fewer tests.

    Parameters
    ----------
    tests : sequence of CollectedTest
        Tests of the suite.
    changes : sequence of ChangedFile
        Changed files.
    root : pathlib.Path
        Top folder of the checkout. For any other folder, or if git fails, all tests have 0.
    """
    scores = np.zeros(len(tests))
    if not (root / ".git").exists():
        return scores
    written = Counter[str]()
    python = [one for one in changes if one.old_path.endswith(".py") and one.old_lines]
    for change in python[:_FILES]:
        if not is_test_file(PurePosixPath(change.old_path)):
            written.update(_commits_of(change, root))
    lines = [_lines(test.source) for test in tests]
    # If several tests contain the same line, the line counts for each of them in part.
    tests_with = Counter(line for own in lines for line in own)
    own_weight = [sum(1 / tests_with[line] for line in own) for own in lines]
    for commit, added in _added_to_tests(dict(written.most_common(_COMMITS)), root):
        weights = [sum(1 / tests_with[line] for line in own & added) for own in lines]
        share = np.array([w / of if w else 0.0 for w, of in zip(weights, own_weight, strict=True)])
        rarity = math.log((len(tests) + 1) / (share.sum() + 0.5))
        scores += written[commit] / written.total() * np.sqrt(share) * rarity
    return scores


def _commits_of(change: ChangedFile, root: Path) -> Counter[str]:
    """Return the commits that wrote the changed lines of a file, with their numbers of lines."""
    before = {old: text for old, _, text in change.lines if old is not None}
    log = git_output(
        root, "log", f"-n{_STATES}", "--format=%H", "--no-renames", "--", change.old_path
    )
    for state in log.decode().split():
        text = git_output(root, "show", "--no-textconv", f"{state}:{change.old_path}")
        # A diff is read with "\n" at the ends of lines, too.
        split = text.decode("utf-8", "replace").replace("\r\n", "\n").split("\n")
        lines = dict(enumerate(split, 1))
        # The change may be part of the log already. It starts where its lines stand as they were.
        if all(lines.get(number) == old for number, old in before.items()):
            numbers = sorted(change.old_lines & lines.keys())
            ranges = [word for first, last in _runs(numbers) for word in ("-L", f"{first},{last}")]
            blame = ("blame", "--incremental", "-w", "--no-textconv", *ranges, state)
            found = Counter[str]()
            for commit, count in _WRITTEN.findall(git_output(root, *blame, "--", change.old_path)):
                found[commit.decode()] += int(count)
            return found
    return Counter()


def _runs(numbers: Sequence[int]) -> Iterator[tuple[int, int]]:
    """Yield the first and the last of each run of numbers without a gap, which are sorted."""
    first = last = None
    for number in numbers:
        if first is None or last is None:
            first = number
        elif number != last + 1:
            yield first, last
            first = number
        last = number
    if first is not None and last is not None:
        yield first, last


def _added_to_tests(commits: dict[str, int], root: Path) -> Iterator[tuple[str, set[str]]]:
    """Yield each commit, and the lines that it added to files of tests."""
    if not commits:
        return
    options = ("--format=%x01%H", "-U0", "--no-renames", "--no-color", "-w")
    safe = ("--no-ext-diff", "--no-textconv")
    text = git_output(root, "show", *options, *safe, *commits, "--", "*.py")
    for part in islice(text.decode("utf-8", "replace").split(_MARK), 1, None):
        head, *lines = part.split("\n")
        added: set[str] = set()
        of_tests = False
        for line in lines:
            if line.startswith("+++ "):
                of_tests = is_test_file(PurePosixPath(line.rstrip('"\t')))
            elif of_tests and line.startswith("+"):
                added |= _lines(line[1:])
        yield head, added


def _lines(text: str) -> set[str]:
    """Return the lines of a text without indentation, except short lines."""
    stripped = (line.strip() for line in text.split("\n"))
    return {line for line in stripped if len(line) >= _SHORTEST}
