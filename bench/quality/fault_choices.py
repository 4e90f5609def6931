"""A comparison of a selection of tests with the tests that fail."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import PurePosixPath
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from bench.quality.project_copy import SuiteRun

__all__ = ["Choice", "Selected", "judge"]


@dataclass(frozen=True)
class Selected:
    """Tests that were selected.

    Parameters
    ----------
    functions : list of set of str
        The selected tests in their order, each with all its node ids without parameters.
    files : list of str
        Files that run as a whole, because they cannot be read.
    choosing : float
        Duration of the selection in seconds.
    cases : set of str, optional
        The cases that ran, if not all cases of the tests did.
    broken : bool
        True if pytest ended with an error when it ran them.
    """

    functions: list[set[str]]
    files: list[str] = field(default_factory=list)
    choosing: float = 0.0
    cases: set[str] | None = None
    broken: bool = False


@dataclass(frozen=True)
class Choice:
    """Result of one selection for one mutation.

    Parameters
    ----------
    left_out : list of str
        Node ids of failing cases, and paths of files with errors, that were not selected.
    place : int or None
        Position of the first failing test among the selected ones, from 1; None if there is none.
    share : float
        Share of the suite's cases that was selected, in [0, 1].
    seconds : float
        Seconds that the selected cases took before the mutation.
    choosing : float
        Duration of the selection in seconds. For pytest-testmon, that of its whole run.
    """

    left_out: list[str]
    place: int | None
    share: float
    seconds: float
    choosing: float


def judge(selected: Selected, truth: SuiteRun, seconds: Mapping[str, float]) -> Choice:
    """Compare a selection with the tests that fail.

    Parameters
    ----------
    selected : Selected
        The selection.
    truth : SuiteRun
        A run of the whole suite, with its failures.
    seconds : mapping of str to float
        Seconds of each case of the suite before the mutation.
    """
    own = {name for names in selected.functions for name in names}
    covered = {*selected.files, *map(_file_of, own)}
    covered |= {folder for file in covered for folder in _folders(file)}
    failing = {case.partition("[")[0] for case in truth.failed}

    def ran(case: str) -> bool:
        some = selected.cases
        return case.partition("[")[0] in own if some is None else case in some

    def fails(names: set[str]) -> bool:
        files = set(map(_file_of, names))
        places = files | {folder for file in files for folder in _folders(file)}
        broken = truth.broken or not truth.uncollected.isdisjoint(places)
        return broken or not failing.isdisjoint(names)

    left_out = [case for case in sorted(truth.failed) if not ran(case)]
    left_out += [path for path in sorted(truth.uncollected) if path not in covered]
    if truth.broken:
        # If pytest itself ended with an error, a run of any single test ends with the same error.
        left_out = [] if covered or selected.broken else ["every test"]
    if selected.broken:
        left_out = []
    place = next((i for i, names in enumerate(selected.functions, 1) if fails(names)), None)
    if place is None and (selected.broken or not truth.uncollected.isdisjoint(selected.files)):
        place = len(selected.functions) + 1
    cases = [case for case in seconds if ran(case)]
    return Choice(
        left_out,
        place,
        len(cases) / len(seconds),
        sum(seconds[case] for case in cases),
        selected.choosing,
    )


def _file_of(name: str) -> str:
    """Return the file of a node id."""
    return name.partition("::")[0]


def _folders(file: str) -> list[str]:
    """Return the folders that a file lies in."""
    return [str(parent) for parent in PurePosixPath(file).parents]
