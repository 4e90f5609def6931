"""Failures in a library in groups, so that a new failure is compared once with each group.

One defect may make hundreds of cases of a test fail, which differ only in their parameters and in
the numbers of their messages. To compare each new failure with each of them would take minutes.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import numpy.typing as npt

from flashwasm.qe.defects.failure_fingerprint import masked

if TYPE_CHECKING:
    from flashwasm.qe.defects.failure_fingerprint import Fingerprint

__all__ = ["Occurrence", "OccurrenceGroup", "OccurrenceGroups"]

Array = npt.NDArray[Any]
_NONE = np.zeros(0, np.int64)


class Occurrence(NamedTuple):
    """A failure: the position of its defect, its fingerprint, and the end of its text."""

    defect: int
    fingerprint: Fingerprint
    text: str


class OccurrenceGroup(NamedTuple):
    """Occurrences of one defect that compare in the same way with a failure.

    Parameters
    ----------
    nearest : int
        Position of the occurrence with the most similar text, the first of several.
    members : numpy.ndarray of int64
        Positions of all of them.
    """

    nearest: int
    members: Array


class OccurrenceGroups:
    """Occurrences by the parts of their fingerprints that are compared.

    Parameters
    ----------
    occurrences : sequence of Occurrence
        The failures in a library.
    """

    def __init__(self, occurrences: Sequence[Occurrence]) -> None:
        numbers: dict[Hashable, int] = {}

        def numbered(keys: Iterable[Hashable]) -> Array:
            return np.array([numbers.setdefault(key, len(numbers)) for key in keys], np.int64)

        parts = [one.fingerprint for one in occurrences]
        self._numbers = numbers
        self._messages = numbered(("message", one.message) for one in parts)
        self._cases = numbered(("case", one.case) for one in parts)
        elsewhere = [(one.defect, *_path_parts(one.fingerprint)) for one in occurrences]
        self._of_any_test = numbered(elsewhere)
        self._of_one_test = numbered(
            (*key, one.test_without_case, one.test_function)
            for key, one in zip(elsewhere, parts, strict=True)
        )
        sharing: dict[Hashable, list[int]] = {}
        for i, one in enumerate(parts):
            for key in (*_test_keys(one), *_close_keys(one), *_file_keys(one)):
                sharing.setdefault(key, []).append(i)
        self._sharing = {key: np.array(found, np.int64) for key, found in sharing.items()}

    def near(self, failure: Fingerprint, scores: Array) -> list[OccurrenceGroup]:
        """Return the groups that may be similar to a failure, in the order of their positions.

        Parameters
        ----------
        failure : Fingerprint
            The failure.
        scores : numpy.ndarray of float32, shape (occurrences,)
            Cosines of the texts with the failure's text. Occurrences with -1 are left out.
        """
        same_test = self._shared(_test_keys(failure))
        others = self._shared(_close_keys(failure))
        # A test file may have thousands of failures in the library, so only one of them is used.
        in_file = self._shared(_file_keys(failure))
        nearest = [some[[int(scores[some].argmax())]] for some in (in_file,) if len(some)]
        others = np.union1d(others, np.concatenate([*nearest, [int(scores.argmax())]]))
        others = np.setdiff1d(others, same_test)
        message = self._messages == self._numbers.get(("message", failure.message), -1)
        case = self._cases == self._numbers.get(("case", failure.case), -1)
        # Each group has a number of its own: even for the same test, and odd for the others.
        with_test = (self._of_one_test * 4 + message * 2 + case) * 2
        without = (self._of_any_test * 2 + message) * 2 + 1
        positions = np.concatenate([same_test, others])
        groups = np.concatenate([with_test[same_test], without[others]])
        kept = scores[positions] >= 0
        return sorted(_grouped(positions[kept], groups[kept], scores))

    def _shared(self, keys: Iterator[Hashable]) -> Array:
        """Return the positions of the occurrences with one of the keys, ascending."""
        found = [self._sharing[key] for key in keys if key in self._sharing]
        return np.unique(np.concatenate(found)) if found else _NONE


def _grouped(positions: Array, groups: Array, scores: Array) -> Iterator[OccurrenceGroup]:
    """Yield the groups of some positions, from the number of each one's group."""
    best_first = np.lexsort((positions, -scores[positions]))
    positions, groups = positions[best_first], groups[best_first]
    for group, first in zip(*np.unique(groups, return_index=True), strict=True):
        yield OccurrenceGroup(int(positions[first]), positions[groups == group])


def _path_parts(failure: Fingerprint) -> tuple[Hashable, ...]:
    """Return the parts that are compared without regard to the test and to numbers."""
    return (
        failure.exception,
        failure.raiser,
        failure.caller,
        failure.statement,
        failure.test_file,
        masked(failure.message),
    )


def _test_keys(failure: Fingerprint) -> Iterator[Hashable]:
    """Yield keys that are equal for failures of a common test."""
    if failure.exception:
        if failure.test_name:
            yield "test", failure.exception, failure.test_name
        if failure.test_function:
            yield "function", failure.exception, failure.test_function


def _close_keys(failure: Fingerprint) -> Iterator[Hashable]:
    """Yield keys that are equal for failures with a common function of the product or message."""
    if failure.exception:
        if failure.raiser:
            yield "raiser", failure.exception, failure.raiser
        if failure.test_file:
            yield "message", failure.exception, failure.test_file, failure.message


def _file_keys(failure: Fingerprint) -> Iterator[Hashable]:
    """Yield keys that are equal for failures with only a common test file."""
    if failure.exception and failure.test_file:
        yield "file", failure.exception, failure.test_file
