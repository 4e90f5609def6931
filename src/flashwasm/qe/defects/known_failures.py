"""Failures of named defects in memory, to compare new failures with."""

from __future__ import annotations

from collections.abc import Collection, Hashable, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import numpy.typing as npt

from flashwasm.qe.defects.defect_verdict import Comparison, DefectMatch
from flashwasm.qe.defects.failure_fingerprint import Fingerprint, fingerprint
from flashwasm.qe.scoring.tfidf_matrix import TfIdfMatrix

if TYPE_CHECKING:
    from flashwasm.qe.defects.tracebacks import Failure

__all__ = ["TEXT_END", "Defect", "KnownFailures", "Occurrence"]

Array = npt.NDArray[Any]
# Number of characters to compare. The end of a traceback shows the failure; the beginning only
# shows how the test was started.
TEXT_END = 2000


class Defect(NamedTuple):
    """A defect: its name, True if it is resolved, and a remark to show."""

    name: str
    resolved: bool = False
    note: str = ""


class Occurrence(NamedTuple):
    """A failure: the position of its defect, its fingerprint, and the end of its text."""

    defect: int
    fingerprint: Fingerprint
    text: str


class KnownFailures:
    """Failures of named defects.

    Parameters
    ----------
    defects : sequence of Defect
        The defects.
    occurrences : sequence of Occurrence
        Their failures.
    """

    def __init__(self, defects: Sequence[Defect], occurrences: Sequence[Occurrence]) -> None:
        self.defects = defects
        self.occurrences = occurrences
        self._terms: TfIdfMatrix | None = None
        # Positions of the occurrences by the keys that similar failures share.
        self._sharing: dict[Hashable, list[int]] = {}
        for i, occurrence in enumerate(occurrences):
            for key in (*_close_keys(occurrence.fingerprint), *_far_keys(occurrence.fingerprint)):
                self._sharing.setdefault(key, []).append(i)

    def match(
        self, failures: Sequence[tuple[str, Failure]], without: Collection[int] = frozenset()
    ) -> list[DefectMatch]:
        """Return the results for the failures of one report.

        Parameters
        ----------
        failures : sequence of (str, Failure)
            Node ids of the tests, or "", and their failures.
        without : collection of int, optional
            Positions of occurrences to ignore.

        Returns
        -------
        list of DefectMatch
            Results in the order of the failures.
        """
        if len(without) == len(self.occurrences):
            return [DefectMatch("new", None, "the library is empty", None)] * len(failures)
        each = [self._compared(failure, test, without) for test, failure in failures]
        again = self._tests_again(each, without)
        return [self._verdict(self._with_tests_again(compared, again)) for compared in each]

    def _compared(
        self, failure: Failure, test: str, without: Collection[int]
    ) -> dict[int, Comparison]:
        """Return the comparisons of a failure with possibly similar ones, by position."""
        parts, scores = fingerprint(failure, test), self._scores(failure)

        def sharing(keys: Iterable[Hashable]) -> set[int]:
            return {i for key in keys for i in self._sharing.get(key, ())}.difference(without)

        positions = sharing(_close_keys(parts))
        # A test file may have thousands of failures in the library, so only one of them is used.
        if far := sorted(sharing(_far_keys(parts))):
            positions.add(far[int(scores[far].argmax())])
        counted = scores.copy()
        counted[list(without)] = -1
        positions.add(int(counted.argmax()))
        return {
            i: Comparison(parts, self.occurrences[i].fingerprint, float(scores[i]))
            for i in sorted(positions)
        }

    def _tests_again(
        self, each: Sequence[Mapping[int, Comparison]], without: Collection[int]
    ) -> dict[int, tuple[int, int]]:
        """Count for each defect the tests that fail as before, if their own code failed."""
        failing: dict[int, set[str]] = {}
        for compared in each:
            for i, comparison in compared.items():
                if comparison.by_test:
                    defect = self.occurrences[i].defect
                    failing.setdefault(defect, set()).add(_test_of(comparison.known))
        learnt = {defect: set(tests) for defect, tests in failing.items()}
        for i, (defect, parts, _) in enumerate(self.occurrences if failing else ()):
            if defect in learnt and i not in without and not parts.raiser:
                learnt[defect].add(_test_of(parts))
        return {defect: (len(tests), len(learnt[defect])) for defect, tests in failing.items()}

    def _with_tests_again(
        self, compared: Mapping[int, Comparison], again: Mapping[int, tuple[int, int]]
    ) -> dict[int, Comparison]:
        """Return the comparisons of a failure with the counts of their defects."""
        return {
            i: replace(comparison, tests_again=again[self.occurrences[i].defect])
            if comparison.by_test
            else comparison
            for i, comparison in compared.items()
        }

    def _verdict(self, compared: Mapping[int, Comparison]) -> DefectMatch:
        """Return the result for a failure with comparisons."""
        similar = [i for i, comparison in compared.items() if comparison.is_similar]
        if not similar:
            return self._new(compared)
        strengths = {i: compared[i].strength for i in similar}
        best = max(similar, key=lambda i: (strengths[i], compared[i].score or 0.0))
        comparison = compared[best]
        fitting = {
            self.occurrences[i].defect
            for i in similar
            if strengths[i] == strengths[best] or compared[i].is_proof
        }
        occurrence = self.occurrences[best]
        defect = self.defects[occurrence.defect]
        others = sorted(self.defects[i].name for i in fitting - {occurrence.defect})
        against = [*comparison.evidence_against, *(f"{name} fits as well" for name in others)]
        evidence = _joined(comparison.evidence_for)
        is_known = comparison.is_proof and not others
        return DefectMatch(
            status=("regressed" if defect.resolved else "known") if is_known else "perhaps",
            defect=defect.name,
            evidence=evidence if is_known else f"{evidence}; but {_joined(against)}",
            score=comparison.score,
            note=defect.note,
            components=comparison.components,
            example=occurrence.text,
            evidence_for=comparison.evidence_for,
            evidence_against=tuple(against),
            others=tuple(others),
        )

    def _new(self, compared: Mapping[int, Comparison]) -> DefectMatch:
        """Return the result for a failure without similar defects."""
        reason = "no failure of the library is similar"
        scored = {i: one.score for i, one in compared.items() if one.score is not None}
        if not scored:
            return DefectMatch("new", None, reason, None)
        nearest = max(scored, key=scored.__getitem__)
        occurrence, comparison = self.occurrences[nearest], compared[nearest]
        name = self.defects[occurrence.defect].name
        return DefectMatch(
            "new",
            name,
            f"{reason}; the nearest text is of {name} ({comparison.score:.2f})",
            comparison.score,
            components=comparison.components,
            example=occurrence.text,
            evidence_for=comparison.evidence_for,
            evidence_against=comparison.evidence_against,
        )

    def _scores(self, failure: Failure) -> Array:
        """Return the cosines with all occurrences."""
        if self._terms is None:
            texts = [occurrence.text for occurrence in self.occurrences]
            self._terms = TfIdfMatrix("characters", texts)
        # Because of rounding, the cosine of equal texts may exceed one.
        scores: Array = np.minimum(self._terms.scores(failure.text[-TEXT_END:]), 1)
        return scores


def _close_keys(failure: Fingerprint) -> Iterator[Hashable]:
    """Yield keys that are equal for failures with a common function, test or message."""
    if failure.exception:
        if failure.raiser:
            yield "raiser", failure.exception, failure.raiser
        if failure.test_name:
            yield "test", failure.exception, failure.test_name
        if failure.test_function:
            yield "function", failure.exception, failure.test_function
        if failure.test_file:
            yield "message", failure.exception, failure.test_file, failure.message


def _far_keys(failure: Fingerprint) -> Iterator[Hashable]:
    """Yield keys that are equal for failures with only a common test file."""
    if failure.exception and failure.test_file:
        yield "file", failure.exception, failure.test_file


def _test_of(failure: Fingerprint) -> str:
    """Return the name of a failure's test, or else of its function."""
    return failure.test or str(failure.test_function)


def _joined(parts: Sequence[str]) -> str:
    """Join parts of a sentence with commas, and "and" before the last one."""
    return " and ".join(part for part in (", ".join(parts[:-1]), *parts[-1:]) if part)
