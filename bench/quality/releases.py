"""Where the tests that changed with a file stand among those that the change calls for.

Two releases of a package give changes of which the tests are known: each product file that differs,
and whose own test file differs too, counts as one commit.
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
    """A product file that two releases differ in: its path, its test file's, and the diff."""

    path: str
    test_file: str
    diff: str


@dataclass(frozen=True)
class SelectedCommit:
    """What `flashwasm tests-for --dry-run` makes of a commit.

    Parameters
    ----------
    path, test_file : str
        The product file, and the test file that changed with it.
    rank : int
        How many tests are chosen up to the first of that file, itself included.
    file_rank : int
        How many test files are then begun.
    text_rank : int
        Its rank by likeness of text alone: the files were chosen by their names.
    tests : int
        Tests of the suite.
    reason : str
        Why that test is where it is.
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
    """Return seeded changes of product files between two releases.

    Parameters
    ----------
    old, new : pathlib.Path
        The same package, unpacked, with its tests.
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
    """Rank the tests of the older release for each change, without coverage.

    Parameters
    ----------
    index : SuiteIndex
        The older release's tests.
    chosen : list of Commit
        The changes.
    advance : callable
        Called with how many are done and their number.
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
                    *(commit.path, commit.test_file, rank, files, text_rank),
                    *(len(index.tests), ranked[rank - 1].reason),
                )
            )
        advance(done, len(chosen))
    return found


def _first(ranked: list[SelectedTest], test_file: str) -> int | None:
    """Return the place of the first test of a file, from 1."""
    for rank, selected in enumerate(ranked, 1):
        if selected.test.path.as_posix().endswith(f"/{test_file}"):
            return rank
    return None


def _tests_of(path: Path) -> Iterator[Path]:
    """Test files that are named after a product file, beside it or in a folder of tests there."""
    name = f"test_{path.stem.lstrip('_')}.py"
    for folder in (path.parent, path.parent / "tests"):
        if (folder / name).is_file():
            yield folder / name


def _differ(old: Path, new: Path, name: str) -> bool:
    return (new / name).is_file() and (old / name).read_bytes() != (new / name).read_bytes()


def _diff(old: Path, new: Path, name: str) -> str:
    before, after = (
        (root / name).read_text("utf-8", "replace").splitlines(keepends=True) for root in (old, new)
    )
    lines = difflib.unified_diff(before, after, f"a/{name}", f"b/{name}")
    return "".join(line if line.endswith("\n") else f"{line}\n" for line in lines)
