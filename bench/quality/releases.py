"""Evaluation of tests for a change: the rank of the tests that changed together with a file.

The tests that belong to a change are known from two releases of a package. Each product file that
differs between them counts as one commit if its own test file differs, too.
"""

from __future__ import annotations

import difflib
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from flashwasm.errors import ShapeError
from flashwasm.qe.changes.selected_tests import SelectedTest, rank_tests
from flashwasm.qe.changes.unified_diff import read_diff
from flashwasm.qe.suites.source_files import is_test_file

if TYPE_CHECKING:
    from flashwasm.qe.similarity.suite_index import SuiteIndex

__all__ = ["COMMITS", "Commit", "SelectedCommit", "commits", "measure_commits"]

COMMITS = 20
_SEED = 0


@dataclass(frozen=True)
class Commit:
    """A product file that differs between two releases.

    Attributes
    ----------
    path, test_file : str
        Path of the file, and of its test file.
    diff : str
        Unified diff of the file.
    """

    path: str
    test_file: str
    diff: str


@dataclass(frozen=True)
class SelectedCommit:
    """The rank that `flashwasm tests-for --dry-run` gives to the tests of a commit.

    Attributes
    ----------
    path, test_file : str
        Path of the product file, and of the test file that changed with it.
    rank : int
        Number of tests up to the first one of that test file, including it.
    file_rank : int
        Number of test files that those tests belong to.
    text_rank : int
        Rank of that test by similarity of text alone. The names of files do not help there; the
        pairs of files were chosen by their names.
    tests : int
        Number of tests in the suite.
    reason : str
        Reason that `tests-for` gives for that test.
    """

    path: str
    test_file: str
    rank: int
    file_rank: int
    text_rank: int
    tests: int
    reason: str

    def as_dict(self) -> dict[str, Any]:
        """Return the fields by name, for JSON."""
        return asdict(self)


def commits(old: Path, new: Path) -> list[Commit]:
    """Return a seeded choice of the changes between two releases.

    Parameters
    ----------
    old, new : pathlib.Path
        Folders of the same package with its tests.
    """
    found = []
    for path in sorted(old.rglob("*.py")):
        name = path.relative_to(old).as_posix()
        if is_test_file(path) or not (new / name).is_file():
            continue
        for test in _tests_of(path):
            test_file = test.relative_to(old).as_posix()
            if _differ(old, new, name) and _differ(old, new, test_file):
                found.append(Commit(name, test_file, _diff(old, new, name)))
                break
    if not found:
        raise ShapeError(f"releases: no file of {old} and its test file both differ from {new}")
    order = np.random.default_rng(_SEED).permutation(len(found))[:COMMITS]
    return [found[i] for i in sorted(order)]


def measure_commits(
    index: SuiteIndex, chosen: list[Commit], advance: Callable[[int, int], None]
) -> list[SelectedCommit]:
    """Rank the tests of the older release for each change, without coverage data.

    Parameters
    ----------
    index : SuiteIndex
        Tests of the older release.
    chosen : list of Commit
        Changes.
    advance : callable
        Function that is called with the number of changes done and their total.
    """
    found = []
    for done, commit in enumerate(chosen, 1):
        ranked = rank_tests(index, read_diff(commit.diff))
        rank = _first(ranked, commit.test_file)
        if rank is not None:
            by_text = sorted(ranked, key=lambda selected: (-selected.score, selected.test.nodeid))
            text_rank = _first(by_text, commit.test_file) or rank
            files = len({selected.test.path for selected in ranked[:rank]})
            found.append(
                SelectedCommit(
                    path=commit.path,
                    test_file=commit.test_file,
                    rank=rank,
                    file_rank=files,
                    text_rank=text_rank,
                    tests=len(index.tests),
                    reason=ranked[rank - 1].reason,
                )
            )
        advance(done, len(chosen))
    return found


def _first(ranked: list[SelectedTest], test_file: str) -> int | None:
    """Return the rank of the first test of a file, counted from 1, or None."""
    for rank, selected in enumerate(ranked, 1):
        if selected.test.path.as_posix().endswith(f"/{test_file}"):
            return rank
    return None


def _tests_of(path: Path) -> Iterator[Path]:
    """Yield test files that are named after a product file, beside it or in its folder of tests."""
    name = f"test_{path.stem.lstrip('_')}.py"
    for folder in (path.parent, path.parent / "tests"):
        if (folder / name).is_file():
            yield folder / name


def _differ(old: Path, new: Path, name: str) -> bool:
    """Return True if both releases have a file and it differs."""
    return (new / name).is_file() and (old / name).read_bytes() != (new / name).read_bytes()


def _diff(old: Path, new: Path, name: str) -> str:
    """Return the unified diff of a file."""
    before, after = (
        (root / name).read_text("utf-8", "replace").splitlines(keepends=True) for root in (old, new)
    )
    lines = difflib.unified_diff(before, after, f"a/{name}", f"b/{name}")
    return "".join(line if line.endswith("\n") else f"{line}\n" for line in lines)
