"""Failures of named defects in memory, to compare new failures with."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import numpy.typing as npt

from flashwasm.qe.defects.defect_verdict import Comparison, DefectMatch
from flashwasm.qe.defects.failure_fingerprint import Fingerprint, fingerprint
from flashwasm.qe.defects.occurrence_groups import Occurrence, OccurrenceGroups
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


class _Compared(NamedTuple):
    """Comparison with a group: the position of its nearest failure, and of all its failures."""

    position: int
    members: Array
    comparison: Comparison


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
        self._groups = OccurrenceGroups(occurrences)

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

    def _compared(self, failure: Failure, test: str, without: Collection[int]) -> list[_Compared]:
        """Return the comparisons of a failure with groups of possibly similar ones."""
        parts, scores = fingerprint(failure, test), self._scores(failure)
        scores[list(without)] = -1
        return [
            _Compared(i, members, Comparison(parts, self._parts_of(i), float(scores[i])))
            for i, members in self._groups.near(parts, scores)
        ]

    def _parts_of(self, position: int) -> Fingerprint:
        """Return the fingerprint of the occurrence at a position."""
        return self.occurrences[position].fingerprint

    def _tests_again(
        self, each: Sequence[Sequence[_Compared]], without: Collection[int]
    ) -> dict[int, tuple[int, int]]:
        """Count for each defect the tests that fail as before, if their own code failed."""
        # Hundreds of cases of a test may fail with the same message as one group.
        failing_groups: dict[int, set[bytes]] = {}
        for compared in each:
            for one in compared:
                if one.comparison.by_test:
                    groups = failing_groups.setdefault(self.occurrences[one.position].defect, set())
                    # That another case of a test fails does not show that this one fails again.
                    if one.comparison.case:
                        groups.add(one.members.tobytes())
        failing = {
            defect: {
                _test_of(self._parts_of(i)) for one in groups for i in np.frombuffer(one, np.int64)
            }
            for defect, groups in failing_groups.items()
        }
        learnt = {defect: set(tests) for defect, tests in failing.items()}
        for i, (defect, parts, _) in enumerate(self.occurrences if failing else ()):
            if defect in learnt and i not in without and not parts.raiser:
                learnt[defect].add(_test_of(parts))
        return {defect: (len(tests), len(learnt[defect])) for defect, tests in failing.items()}

    def _with_tests_again(
        self, compared: Sequence[_Compared], again: Mapping[int, tuple[int, int]]
    ) -> dict[int, Comparison]:
        """Return the comparisons of a failure with the counts of their defects, by position."""
        return {
            i: replace(comparison, tests_again=again[self.occurrences[i].defect])
            if comparison.by_test
            else comparison
            for i, _, comparison in compared
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


def _test_of(failure: Fingerprint) -> str:
    """Return the name of a failure's test, or else of its function."""
    return failure.test or str(failure.test_function)


def _joined(parts: Sequence[str]) -> str:
    """Join parts of a sentence with commas, and "and" before the last one."""
    return " and ".join(part for part in (", ".join(parts[:-1]), *parts[-1:]) if part)
