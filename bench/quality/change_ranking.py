"""Evaluation of `tests-for`: the ranks of the tests that changed together with the product."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from bench.quality.baselines import BM25, TFIDF, Bm25, CharacterTfIdf
from bench.quality.measures import ranked, reciprocal_rank
from flashwasm.qe.changes.diffs.unified_diff import read_diff
from flashwasm.qe.changes.ranking.evidence import WEIGHTS, change_text, evidence_of
from flashwasm.qe.changes.ranking.selected_tests import rank_tests
from flashwasm.qe.coverage.coverage_index import CoverageIndex
from flashwasm.qe.similarity.suite_index import SuiteIndex

if TYPE_CHECKING:
    from pathlib import Path

    from bench.quality.past_changes import PastChange
    from flashwasm.qe.changes.diffs.unified_diff import ChangedFile

__all__ = [
    "METRICS",
    "OURS",
    "PERFECT",
    "WITHOUT_MODEL",
    "WITH_COVERAGE",
    "RankedChange",
    "measures_of",
    "rank_change",
    "scores_of",
    "total",
]

Array = npt.NDArray[Any]
OURS, WITHOUT_MODEL = "flashwasm", "flashwasm without a model"
WITH_COVERAGE = "flashwasm with coverage"
# The order with all tests to find in front. Its recall is below 1 if there are more of them than
# places.
PERFECT = "a perfect order"
METRICS = ("MRR", "rank", "first in 10", "recall@10", "recall at 10 %")
# Kinds of evidence that the table also shows as separate rankings, with their names there.
_ALONE = {"names": "names alone", "file name": "file names", "imports": "imports"}


@dataclass(frozen=True)
class RankedChange:
    """A past change, with the evidence and the scores of the tests for it.

    Attributes
    ----------
    project, name : str
        As in `PastChange`.
    relevant : numpy.ndarray of bool, shape (tests,)
        True for each test that the change edits or removes.
    strengths : dict of str to numpy.ndarray, shape (tests,)
        Strength of each kind of evidence.
    baselines : dict of str to numpy.ndarray, shape (tests,)
        Scores of each baseline.
    missing : list of str
        Packages or models that are not installed, each with the command that installs it.
    covered : numpy.ndarray, shape (tests,), optional
        Scores with coverage of the suite before the change.
    """

    project: str
    name: str
    relevant: Array
    strengths: dict[str, Array]
    baselines: dict[str, Array]
    missing: list[str]
    covered: Array | None = None


def rank_change(change: PastChange, model: str | None) -> RankedChange:
    """Score the tests for a change with flashwasm and with the baselines.

    Parameters
    ----------
    change : PastChange
        The change. Its files must be in place.
    model : str or None
        Installed model's name or folder. None means the default model, if it is installed.
    """
    changes = read_diff(change.diff)
    index = SuiteIndex.build(change.suite, model=model)
    # Equal scores are ordered by node id, as in `tests-for`.
    order = sorted(range(len(index.tests)), key=lambda i: index.tests[i].nodeid)
    strengths = evidence_of(index, changes)
    texts = [test.source for test in index.tests]
    text = change_text(changes)
    baselines = {
        TFIDF: CharacterTfIdf(texts).scores(text),
        BM25: Bm25(texts).scores(text),
        **{name: strengths[kind] for kind, name in _ALONE.items()},
    }
    return RankedChange(
        change.project,
        change.name,
        np.array([index.tests[i].nodeid in change.tests for i in order]),
        {kind: values[order] for kind, values in strengths.items()},
        {name: scores[order] for name, scores in baselines.items()},
        index.missing,
        _scores_with_coverage(index, changes, change.coverage)[order] if change.coverage else None,
    )


def _scores_with_coverage(
    index: SuiteIndex, changes: Sequence[ChangedFile], database: Path
) -> Array:
    """Return a score for each test, the higher the earlier `rank_tests` places it with coverage."""
    ranked = rank_tests(index, changes, CoverageIndex.load(database))
    places = {selected.test.nodeid: place for place, selected in enumerate(ranked)}
    return np.array([-float(places[test.nodeid]) for test in index.tests])


def total(
    change: RankedChange, weights: Mapping[str, float] = WEIGHTS, *, without: Sequence[str] = ()
) -> Array:
    """Return the weighted sum of the evidence for each test.

    Parameters
    ----------
    change : RankedChange
        The change.
    weights : mapping of str to float
        Weight of each kind of evidence.
    without : sequence of str, default ()
        Kinds that are left out.
    """
    shares = [weights[k] * v for k, v in change.strengths.items() if k not in without]
    return np.asarray(sum(shares))


def measures_of(scores: Array, relevant: Array) -> dict[str, float]:
    """Return each of `METRICS` for one change.

    Parameters
    ----------
    scores : numpy.ndarray, shape (tests,)
        Score of each test.
    relevant : numpy.ndarray of bool, shape (tests,)
        True for each test to find, at least one.
    """
    found = relevant[ranked(scores)]
    first = int(np.flatnonzero(found)[0]) + 1
    tenth = math.ceil(len(found) / 10)
    values = (
        reciprocal_rank(found),
        float(first),
        float(first <= 10),
        float(found[:10].sum() / found.sum()),
        float(found[:tenth].sum() / found.sum()),
    )
    return dict(zip(METRICS, values, strict=True))


def scores_of(change: RankedChange) -> dict[str, Array]:
    """Return each method's scores for a change: flashwasm's, the baselines', and perfect ones."""
    ours = {WITHOUT_MODEL: total(change, without=["meaning"])}
    if "meaning" in change.strengths:
        ours = {OURS: total(change), **ours}
    if change.covered is not None:
        ours[WITH_COVERAGE] = change.covered
    return {**ours, **change.baselines, PERFECT: change.relevant.astype(float)}
