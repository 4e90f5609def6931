"""The check before an adaptation is used: cross-validation on files not used for training."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from flashwasm.qe.adaptation.adapter_training import train
from flashwasm.qe.adaptation.bootstrap import Interval, group_interval, pair_interval
from flashwasm.qe.scoring.embedding_whitening import unit_rows
from flashwasm.qe.scoring.score_fusion import fused
from flashwasm.summaries import are

if TYPE_CHECKING:
    from flashwasm.qe.adaptation.judged_pairs import Pairs
    from flashwasm.runtime.runtime import Runtime

__all__ = ["EmbeddedSuite", "Verdict", "judge"]

Array = npt.NDArray[Any]
# A function from the position of a test to the scores of all tests by other scorers.
Components = Callable[[int], Mapping[str, Array]]

_FOLDS = 5


@dataclass(frozen=True)
class EmbeddedSuite:
    """The tests of a suite as vectors, with their files.

    Parameters
    ----------
    prepared : numpy.ndarray of float32, shape (n, dim)
        Unit vectors without adaptation.
    groups : numpy.ndarray of int, shape (n,)
        Number of the file of each test.
    others : callable
        Function from the position of a test to the scores of all tests by other scorers. The
        ranking combines them with the embeddings. By default there are none.
    """

    prepared: Array
    groups: Array
    others: Components = lambda _: {}


@dataclass(frozen=True)
class Verdict:
    """Result of the cross-validation.

    Attributes
    ----------
    passed : bool
        True if the adaptation may be used.
    reason : str
        Reason, as a sentence.
    accepted, rejected : int
        Number of pairs with each of the two verdicts.
    queries, files : int
        Number of tests with an accepted pair, and number of files that define these tests.
    before, after : float or None
        Mean reciprocal rank of the accepted tests without and with adaptation, for queries in files
        that were not used for training. None if an earlier check failed.
    gain : Interval or None
        ``after`` minus ``before``, with its confidence interval.
    agreement : Interval or None
        Share of comparisons in which an accepted test ranks higher for its query than a rejected
        test for its own query, without adaptation. If there are no rejected tests, random tests
        take their place.
    """

    passed: bool
    reason: str
    accepted: int
    rejected: int
    queries: int = 0
    files: int = 0
    before: float | None = None
    after: float | None = None
    gain: Interval | None = None
    agreement: Interval | None = None

    def as_dict(self) -> dict[str, Any]:
        """Return the fields by name, for JSON."""
        return asdict(self)


def judge(
    suite: EmbeddedSuite,
    pairs: Pairs,
    *,
    seed: int = 0,
    runtime: Runtime,
    progress: Callable[[int, int], None] = lambda _done, _total: None,
) -> Verdict:
    """Cross-validate an adaptation on files that were not used for training.

    Two conditions must be met at a confidence of 95 %. First, accepted tests must rank above
    rejected ones even without adaptation. If they do not, the feedback is random, or it contradicts
    the texts of the tests. Second, the adaptation must increase the mean reciprocal rank of the
    accepted tests.

    Parameters
    ----------
    suite : EmbeddedSuite
        The tests.
    pairs : Pairs
        The feedback.
    seed : int, default 0
        Seed of folds, training and resampling.
    runtime : Runtime
        Runtime of the training.
    progress : callable, optional
        Function to call with the number of folds done and their total.

    Returns
    -------
    Verdict
    """
    rng = np.random.default_rng(seed)
    accepted = pairs[pairs.accepted]
    queries = np.unique(accepted.query)
    groups = suite.groups[queries]
    files = len(np.unique(groups))
    refused = Verdict(
        passed=False,
        reason="",
        accepted=len(accepted),
        rejected=len(pairs) - len(accepted),
        queries=len(queries),
        files=files,
    )
    if files < _FOLDS:
        reason = f"accepted pairs of at least {_FOLDS} files are needed; there {are(files)} {files}"
        return replace(refused, reason=reason)
    agreement = _agreement(suite, pairs, rng)
    refused = replace(refused, agreement=agreement)
    if agreement.low <= 1 / 2:
        word = "contradicts" if agreement.high < 1 / 2 else "does not clearly agree with"
        reason = f"the feedback {word} the ranking without it: accepted tests rank above others"
        return replace(refused, reason=f"{reason} in {agreement.mean:.0%} of comparisons")
    folds = rng.permutation(np.arange(files) % _FOLDS)
    fold_of = folds[np.unique(groups, return_inverse=True)[1]]
    ranks = np.zeros((len(queries), 2))
    for fold in range(_FOLDS):
        progress(fold, _FOLDS)
        chosen = fold_of == fold
        unseen = np.isin(suite.groups, groups[chosen])
        learned = pairs[~unseen[pairs.query] & ~unseen[pairs.test]]
        ranks[chosen] = _held_out(suite, learned, accepted, queries[chosen], seed, runtime)
    progress(_FOLDS, _FOLDS)
    gain = group_interval(ranks[:, 1] - ranks[:, 0], groups, rng)
    passed = gain.low > 0
    change = "improve" if passed else "do not clearly improve"
    before, after = ranks.mean(axis=0).tolist()
    return replace(
        refused,
        passed=passed,
        reason=f"the ranks in held-out files {change}",
        before=before,
        after=after,
        gain=gain,
    )


def _held_out(
    suite: EmbeddedSuite,
    learned: Pairs,
    accepted: Pairs,
    queries: Array,
    seed: int,
    runtime: Runtime,
) -> Array:
    """Return reciprocal ranks without and with the adaptation, shape (queries, 2)."""
    adapted = suite.prepared
    if learned.accepted.any():
        adapter = train(suite.prepared, learned, seed=seed, runtime=runtime)
        adapted = unit_rows(adapter.apply(suite.prepared))
    rows = [
        _reciprocal_ranks(suite, adapted, query, accepted.test[accepted.query == query])
        for query in queries.tolist()
    ]
    return np.array(rows)


def _reciprocal_ranks(
    suite: EmbeddedSuite, adapted: Array, query: int, good: Array
) -> tuple[float, float]:
    """Return the mean reciprocal rank of accepted tests, without and with adaptation.

    Each accepted test is ranked among the tests that were not accepted, as in the filtered setting
    of Bordes et al., "Translating Embeddings for Modeling Multi-relational Data", 2013.
    """
    others = suite.others(query)
    means = []
    for vectors in (suite.prepared, adapted):
        total = fused({**others, "meaning": vectors @ vectors[query]}, query)
        wanted = total[good]
        total[[query, *good]] = -np.inf
        ranks = 1 + np.count_nonzero(total > wanted[:, None], axis=1)
        means.append(float((1 / ranks).mean()))
    return means[0], means[1]


def _agreement(suite: EmbeddedSuite, pairs: Pairs, rng: np.random.Generator) -> Interval:
    """Return the share of comparisons in which an accepted pair ranks above a rejected one.

    Pairs are compared by the percentile of the judged test among all tests, for its query. If there
    are no rejected pairs, the mean percentile is the share of random tests that rank lower.
    """
    percentile = np.zeros(len(pairs))
    for query in np.unique(pairs.query).tolist():
        asked = np.flatnonzero(pairs.query == query)
        meaning = suite.prepared @ suite.prepared[query]
        total = fused({**suite.others(query), "meaning": meaning}, query)
        percentile[asked] = _shares_below(total[pairs.test[asked]], np.delete(total, query))
    _, files = np.unique(suite.groups[pairs.query], return_inverse=True)
    good = pairs.accepted
    if good.all():
        return group_interval(percentile, files, rng)
    high, low = percentile[good][:, None], percentile[~good]
    above = (high > low) + 0.5 * (high == low)
    return pair_interval(above, files[good], files[~good], rng)


def _shares_below(scores: Array, of: Array) -> Array:
    """Return, for each score, the share of the scores ``of`` below it. Equal scores count half."""
    ordered = np.sort(of)
    low, high = (np.searchsorted(ordered, scores, side) for side in ("left", "right"))
    shares: Array = (low + high) / (2 * len(ordered))
    return shares
