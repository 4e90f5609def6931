"""Failures of named defects, in memory, and the comparison of another failure with all of them."""

from __future__ import annotations

from collections.abc import Collection, Hashable, Iterator, Sequence
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from flashwasm.errors import CapabilityError
from flashwasm.qe.defects.defect_verdict import Comparison, DefectMatch
from flashwasm.qe.defects.failure_fingerprint import Fingerprint, fingerprint
from flashwasm.qe.scoring.tfidf_matrix import TfIdfMatrix

if TYPE_CHECKING:
    from flashwasm.qe.defects.tracebacks import Failure

__all__ = ["TEXT_END", "Defect", "KnownFailures", "Occurrence"]

# Number of characters that are compared. The end of a traceback shows the failure, its beginning
# only how the test was run.
TEXT_END = 2000


class Defect(NamedTuple):
    """A defect: its name, True if it is resolved, and a remark to show."""

    name: str
    resolved: bool = False
    note: str = ""


class Occurrence(NamedTuple):
    """A failure: the position of its defect, what is compared of it, and the end of its text."""

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

    Attributes
    ----------
    missing : list of str
        Packages without which texts were not compared, each with the command that installs it.
    """

    def __init__(self, defects: Sequence[Defect], occurrences: Sequence[Occurrence]) -> None:
        self.defects = defects
        self.occurrences = occurrences
        self.missing: list[str] = []
        self._terms: TfIdfMatrix | None = None
        # Positions of the occurrences that share something with a failure.
        self._sharing: dict[Hashable, list[int]] = {}
        for i, occurrence in enumerate(occurrences):
            for key in _keys(occurrence.fingerprint):
                self._sharing.setdefault(key, []).append(i)

    def match(
        self, failure: Failure, test: str = "", without: Collection[int] = frozenset()
    ) -> DefectMatch:
        """Return the verdict on a failure.

        Parameters
        ----------
        failure : Failure
            The failure.
        test : str, optional
            Node id of its test.
        without : collection of int, optional
            Positions of failures that do not count.

        Returns
        -------
        DefectMatch
        """
        if len(without) == len(self.occurrences):
            return DefectMatch("new", None, "the library is empty", None)
        scores = self._scores(failure)
        compared = self._compared(fingerprint(failure, test), scores, without)
        similar = [i for i, comparison in compared.items() if comparison.is_similar]
        if not similar:
            return self._new(compared, scores)
        best = max(similar, key=lambda i: (compared[i].strength, scores[i] if scores else 0.0))
        fitting = {
            self.occurrences[i].defect
            for i in similar
            if compared[i].is_proof or compared[i].strength == compared[best].strength
        }
        return self._verdict(best, compared[best], fitting)

    def _verdict(self, best: int, comparison: Comparison, fitting: set[int]) -> DefectMatch:
        """Return the verdict on a failure, by the most similar one and the defects that fit."""
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

    def _new(self, compared: dict[int, Comparison], scores: list[float]) -> DefectMatch:
        """Return the verdict on a failure that no defect resembles."""
        reason = "no failure of the library is similar"
        if not scores:
            return DefectMatch("new", None, reason, None)
        nearest = max(compared, key=lambda i: scores[i])
        occurrence, comparison = self.occurrences[nearest], compared[nearest]
        name = self.defects[occurrence.defect].name
        return DefectMatch(
            "new",
            name,
            f"{reason}; the nearest text is of {name} ({scores[nearest]:.2f})",
            comparison.score,
            components=comparison.components,
            example=occurrence.text,
            evidence_for=comparison.evidence_for,
            evidence_against=comparison.evidence_against,
        )

    def _compared(
        self, failure: Fingerprint, scores: list[float], without: Collection[int]
    ) -> dict[int, Comparison]:
        """Return the comparisons with those that share something, and with the nearest text."""
        positions = {i for key in _keys(failure) for i in self._sharing.get(key, ())}
        positions.difference_update(without)
        if scores:
            counted = scores if not without else list(scores)
            for i in without:
                counted[i] = -1.0
            positions.add(max(range(len(counted)), key=counted.__getitem__))
        return {
            i: Comparison(failure, self.occurrences[i].fingerprint, scores[i] if scores else None)
            for i in sorted(positions)
        }

    def _scores(self, failure: Failure) -> list[float]:
        """Return the cosines with all occurrences; an empty list if texts cannot be compared."""
        if self._terms is None and not self.missing:
            try:
                texts = [occurrence.text for occurrence in self.occurrences]
                self._terms = TfIdfMatrix("characters", texts)
            except CapabilityError as error:
                self.missing = [str(error)]
        if self._terms is None:
            return []
        # Rounding may lift the cosine of equal texts above one.
        scores = np.minimum(self._terms.scores(failure.text[-TEXT_END:]), 1)
        return list(scores.tolist())


def _keys(failure: Fingerprint) -> Iterator[Hashable]:
    """Yield what similar failures share at least one of."""
    if failure.exception:
        if failure.raiser:
            yield "raiser", failure.exception, failure.raiser
        if failure.test_file:
            yield "file", failure.exception, failure.test_file
        if function := failure.test_name:
            yield "test", failure.exception, function


def _joined(parts: Sequence[str]) -> str:
    """Return parts of a sentence with commas, and "and" before the last one."""
    return " and ".join(part for part in (", ".join(parts[:-1]), *parts[-1:]) if part)
