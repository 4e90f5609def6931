"""Evaluation of `flashwasm defects match`: failures that are wrongly and rightly called known.

Each seeded defect in turn is left out of a library of the others, and all its failures are matched
as one report: none of them is known. Then the library learns half of them, and the others of the
same report should be known.
"""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable, Collection, Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import numpy.typing as npt

from flashwasm.qe.defects.failure_fingerprint import fingerprint
from flashwasm.qe.defects.known_failures import TEXT_END, Defect, KnownFailures, Occurrence
from flashwasm.qe.defects.tracebacks import Failure, read_failure
from flashwasm.qe.scoring.tfidf_matrix import TfIdfMatrix

if TYPE_CHECKING:
    from bench.quality.labelled_failures import LabelledFailure

__all__ = ["KNOWN_HEADINGS", "MOST_FALSE", "KnownRow", "measure_known"]

Array = npt.NDArray[Any]
# Target: maximum share of failures that are called known although the library lacks their defect.
MOST_FALSE = 0.02
KNOWN_HEADINGS = (
    *("collection", "rule", "false known", "target", "known", "with a frame", "known wrongly"),
    *("perhaps, rightly", "perhaps, another", "new", "known again"),
)
_OURS = "flashwasm"
_SEED = 0


class Verdict(NamedTuple):
    """A verdict: its status, and the numbers of the defects that it names."""

    status: str
    defects: tuple[int, ...] = ()


# Numbers of verdicts by the library, the status, and more.
Counts = Counter[tuple[str, ...]]
# A rule is a function of the positions of a report's failures and of those that the library lacks.
Rule = Callable[[Sequence[int], Collection[int]], list[Verdict]]


@dataclass(frozen=True)
class KnownRow:
    """Shares of verdicts by one rule on one collection.

    Attributes
    ----------
    collection, rule : str
        Names of the collection and of the rule.
    failures, defects : int
        Numbers of failures and of defects.
    false_known : float
        Share of all failures that are called known while the library lacks their defect.
    learnt_half : int
        Number of failures that the library lacks although it has their defect. The columns below
        are about them, except the last.
    known, known_with_frame, known_wrongly : float
        Share of them that are called known with their own defect; the same share of those that a
        function of the product raised; and share of all of them called known with another defect.
    perhaps_rightly, perhaps_another, new : float
        Share of them that are "perhaps" with their defect among those named, "perhaps" without it,
        and new.
    known_again : float
        Share of all failures that are called known with their own defect if the library contains
        the same failures.
    """

    collection: str
    rule: str
    failures: int
    defects: int
    false_known: float
    learnt_half: int
    known: float
    known_with_frame: float
    known_wrongly: float
    perhaps_rightly: float
    perhaps_another: float
    new: float
    known_again: float

    @property
    def is_missed(self) -> bool:
        """True if this is the package's own rule, and its false verdicts miss the target."""
        return self.rule == _OURS and self.false_known > MOST_FALSE

    def as_dict(self) -> dict[str, Any]:
        """Return the fields by name, for JSON."""
        return asdict(self) | {"missed": self.is_missed}

    def cells(self) -> tuple[str, ...]:
        """Return the cells of the row, in the order of the headings."""
        target = f"<= {MOST_FALSE:.0%}, {'missed' if self.is_missed else 'met'}"
        shares = (self.known, self.known_with_frame, self.known_wrongly, self.perhaps_rightly)
        return (
            f"{self.collection}, {self.failures} failures of {self.defects} defects",
            self.rule,
            f"{self.false_known:.2%}",
            target if self.rule == _OURS else "",
            *(f"{share:.1%}" for share in (*shares, self.perhaps_another, self.new)),
            f"{self.known_again:.1%}",
        )


def measure_known(
    name: str, labelled: Sequence[LabelledFailure], advance: Callable[[int, int], None]
) -> list[KnownRow]:
    """Match the failures of each defect with a library that lacks it, and with one that has half.

    Parameters
    ----------
    name : str
        Name of the collection.
    labelled : sequence of LabelledFailure
        Failures with their tests and defects.
    advance : callable
        Function that is called with the number of defects done and their total.
    """
    names = list(dict.fromkeys(one.defect for one in labelled))
    if len(names) < 2:
        return []
    defect_of = [names.index(one.defect) for one in labelled]
    failures = [read_failure(one.text) for one in labelled]
    rules = _rules(labelled, failures, defect_of, len(names))
    rows = []
    for number, (rule_name, rule) in enumerate(rules.items()):
        counts: Counts = Counter()
        for defect in range(len(names)):
            advance(number * len(names) + defect, len(rules) * len(names))
            report = [i for i, owner in enumerate(defect_of) if owner == defect]
            counts += _count(rule, report, defect, failures)
        rows.append(_row(name, rule_name, counts, len(names)))
    return rows


def _count(rule: Rule, report: Sequence[int], defect: int, failures: Sequence[Failure]) -> Counts:
    """Count the verdicts on the failures of one defect, by library and kind."""
    counts: Counts = Counter()
    for verdict in rule(report, set(report)):
        counts["left out", verdict.status] += 1
    for verdict in rule(report, set()):
        counts["all", verdict.status, _right(defect, verdict)] += 1
    if len(report) == 1:
        return counts
    drawn = random.Random(_SEED + defect)  # noqa: S311 - its choices are no secret.
    lacking = set(drawn.sample(report, (len(report) + 1) // 2))
    for i, verdict in zip(report, rule(report, lacking), strict=True):
        if i in lacking:
            place = failures[i].place
            raised = "frame" if place is not None and place.is_product else "no frame"
            counts["half", verdict.status, _right(defect, verdict), raised] += 1
    return counts


def _right(defect: int, verdict: Verdict) -> str:
    """Return "right" if a verdict names the defect, else "wrong"."""
    return "right" if defect in verdict.defects else "wrong"


def _row(name: str, rule: str, counts: Counts, defects: int) -> KnownRow:
    """Return the shares in some counts."""

    def total(*parts: str) -> int:
        return sum(count for key, count in counts.items() if set(parts) <= set(key))

    failures = total("left out")
    half, framed = max(total("half"), 1), max(total("half", "frame"), 1)
    return KnownRow(
        collection=name,
        rule=rule,
        failures=failures,
        defects=defects,
        false_known=total("left out", "known") / failures,
        learnt_half=total("half"),
        known=total("half", "known", "right") / half,
        known_with_frame=total("half", "known", "right", "frame") / framed,
        known_wrongly=total("half", "known", "wrong") / half,
        perhaps_rightly=total("half", "perhaps", "right") / half,
        perhaps_another=total("half", "perhaps", "wrong") / half,
        new=total("half", "new") / half,
        known_again=total("all", "known", "right") / failures,
    )


def _rules(
    labelled: Sequence[LabelledFailure],
    failures: Sequence[Failure],
    defect_of: Sequence[int],
    defects: int,
) -> dict[str, Rule]:
    """Return the rules to compare: the package's own, and two by similarity of text."""
    texts = [failure.text[-TEXT_END:] for failure in failures]
    known = KnownFailures(
        [Defect(str(defect)) for defect in range(defects)],
        [
            Occurrence(defect, fingerprint(failure, one.test), text)
            for defect, failure, one, text in zip(defect_of, failures, labelled, texts, strict=True)
        ],
    )

    def ours(report: Sequence[int], lacking: Collection[int]) -> list[Verdict]:
        found = known.match([(labelled[i].test, failures[i]) for i in report], lacking)
        return [
            Verdict(one.status, tuple(map(int, filter(None, (one.defect, *one.others)))))
            for one in found
        ]

    terms = TfIdfMatrix("characters", texts)
    cosines = np.stack([terms.scores(i) for i in range(len(texts))])

    def by_text(least: float, *, frames: bool) -> Rule:
        def rule(report: Sequence[int], lacking: Collection[int]) -> list[Verdict]:
            counted = np.array([i not in lacking for i in range(len(texts))])
            return [
                _by_text(i, np.where(counted, cosines[i], -1), failures, defect_of, least, frames)
                for i in report
            ]

        return rule

    return {
        _OURS: ours,
        "the same place, or error and text from .85": by_text(0.85, frames=True),
        "text from .8": by_text(0.8, frames=False),
    }


def _by_text(
    query: int,
    scores: Array,
    failures: Sequence[Failure],
    defect_of: Sequence[int],
    least: float,
    frames: bool,  # noqa: FBT001 - the callers above pass it on.
) -> Verdict:
    """Return the verdict by the nearest text; with frames, by equal signatures first.

    Parameters
    ----------
    query : int
        Position of the failure.
    scores : numpy.ndarray, shape (n,)
        Cosine of its text with each text; -1 for those that the library lacks.
    failures : sequence of Failure
        All failures.
    defect_of : sequence of int
        Defect of each failure.
    least : float
        Least cosine of a failure that is known.
    frames : bool
        True to prefer a failure with the same exception, file and function, and to require the
        same exception in any case, as earlier releases did.
    """
    signature = failures[query].signature
    if frames:
        same = [i for i, score in enumerate(scores) if score >= 0]
        same = [i for i in same if failures[i].signature == signature]
        if same:
            return Verdict("known", (defect_of[max(same, key=lambda i: float(scores[i]))],))
    nearest = int(scores.argmax())
    fits = not frames or failures[nearest].exception == signature[0]
    if fits and scores[nearest] >= least:
        return Verdict("known", (defect_of[nearest],))
    return Verdict("new")
