"""Whether an adaptation helps on tests that it has not seen, and may be used at all."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from flashwasm.qe.adaptation.adaptation import Pairs, train, unit
from flashwasm.qe.scoring.score_fusion import fused

if TYPE_CHECKING:
    from flashwasm.runtime.runtime import Runtime

__all__ = ["Interval", "Suite", "Verdict", "judge"]

Array = npt.NDArray[Any]
# Takes a test's position, returns the scores of all tests by the other scorers.
Components = Callable[[int], Mapping[str, Array]]

_FOLDS = 5
_RESAMPLES = 10_000
_LEVEL = 0.95


@dataclass(frozen=True)
class Interval:
    """A mean, and the bootstrap's interval of 95 % around it."""

    mean: float
    low: float
    high: float


@dataclass(frozen=True)
class Suite:
    """What a gate needs to know of a suite.

    Parameters
    ----------
    prepared : numpy.ndarray of float32, shape (n, dim)
        Unit vectors without adaptation.
    groups : numpy.ndarray of int, shape (n,)
        The file of each test, as a number.
    others : callable
        Scores beside the embeddings' that results are ranked by; none for the embeddings alone.
    """

    prepared: Array
    groups: Array
    others: Components = lambda _: {}


@dataclass(frozen=True)
class Verdict:
    """What cross-validation found.

    Attributes
    ----------
    passed : bool
        Whether the adaptation may be used.
    reason : str
        Why, in words.
    accepted, rejected : int
        Pairs that were judged so.
    queries, files : int
        Tests with an accepted pair that were held out, and the files that they are in.
    before, after : float or None
        Mean reciprocal rank of the first accepted test, for queries of files that training did not
        see, without and with adaptation; None where it was not measured.
    gain : Interval or None
        Of the difference. What is drawn anew are files, since the tests of one are alike.
    agreement : Interval or None
        How often an accepted test ranks higher for its query than a rejected one for its own,
        without adaptation; than a random one where nothing was rejected.
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
    suite: Suite,
    pairs: Pairs,
    *,
    seed: int = 0,
    runtime: Runtime,
    progress: Callable[[int, int], None] = lambda _done, _total: None,
) -> Verdict:
    """Cross-validate an adaptation on files that it has not seen.

    Two things must hold at 95 %. The tests that were accepted must rank above those that were
    rejected already before any adaptation: feedback of which that is not so is noise, or
    contradicts what is known of the suite. And the mean reciprocal rank must grow.

    Parameters
    ----------
    suite : Suite
        The tests.
    pairs : Pairs
        Feedback.
    seed : int, default 0
        What decides about folds, training and resampling.
    runtime : Runtime
        Where training runs.
    progress : callable, optional
        Called with the number of folds done and their total.

    Returns
    -------
    Verdict
    """
    rng = np.random.default_rng(seed)
    accepted = pairs[pairs.accepted]
    queries = np.unique(accepted.query)
    groups = suite.groups[queries]
    files = len(np.unique(groups))
    counts = (len(accepted), len(pairs) - len(accepted), len(queries), files)
    refused = Verdict(False, "", *counts)  # noqa: FBT003 - the first field.
    if files < _FOLDS:
        reason = f"accepted pairs of at least {_FOLDS} files are needed; there are {files}"
        return replace(refused, reason=reason)
    agreement = _agreement(suite, pairs, rng)
    refused = replace(refused, agreement=agreement)
    if agreement.low <= 1 / 2:
        word = "contradicts" if agreement.high < 1 / 2 else "does not clearly agree with"
        reason = f"the feedback {word} what is known without it: accepted tests rank above others"
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
    gain = _bootstrapped(ranks[:, 1] - ranks[:, 0], groups, rng)
    passed = gain.low > 0
    before, after = ranks.mean(axis=0).tolist()
    return replace(
        refused,
        passed=passed,
        reason="held-out files gain" if passed else "held-out files do not clearly gain",
        before=before,
        after=after,
        gain=gain,
    )


def _held_out(
    suite: Suite, learned: Pairs, accepted: Pairs, queries: Array, seed: int, runtime: Runtime
) -> Array:
    """Return reciprocal ranks without and with what is learned, shape (queries, 2)."""
    adapted = suite.prepared
    if learned.accepted.any():
        adapter = train(suite.prepared, learned, seed=seed, runtime=runtime)
        adapted = unit(adapter.apply(suite.prepared))
    rows = [
        _reciprocal_ranks(suite, adapted, query, accepted.test[accepted.query == query])
        for query in queries.tolist()
    ]
    return np.array(rows)


def _reciprocal_ranks(suite: Suite, adapted: Array, query: int, good: Array) -> tuple[float, float]:
    """Return the mean of one over the ranks of accepted tests, without and with adaptation.

    A test is ranked among those that were not accepted, as Bordes et al. (2013) filter them.
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


def _agreement(suite: Suite, pairs: Pairs, rng: np.random.Generator) -> Interval:
    """Return how often an accepted pair has a higher percentile than a rejected one.

    The percentile is that of the judged test among all, for its query. Where nothing is rejected,
    it is itself how often a random test ranks lower.
    """
    height = np.zeros(len(pairs))
    for query in np.unique(pairs.query).tolist():
        asked = np.flatnonzero(pairs.query == query)
        meaning = suite.prepared @ suite.prepared[query]
        total = fused({**suite.others(query), "meaning": meaning}, query)
        height[asked] = _shares_below(total[pairs.test[asked]], np.delete(total, query))
    _, files = np.unique(suite.groups[pairs.query], return_inverse=True)
    good = pairs.accepted
    if good.all():
        return _bootstrapped(height, files, rng)
    # Comparisons won, and made, by the files of both.
    by_file = np.eye(files.max() + 1)[files]
    above = (height[good][:, None] > height[~good]) + 0.5 * (height[good][:, None] == height[~good])
    won = by_file[good].T @ above @ by_file[~good]
    made = np.outer(by_file[good].sum(axis=0), by_file[~good].sum(axis=0))
    drawn = _redrawn(len(by_file[0]), rng)
    sums = [((drawn @ counts) * drawn).sum(axis=1) for counts in (won, made)]
    return _interval(above.mean(), sums[0][sums[1] > 0] / sums[1][sums[1] > 0])


def _shares_below(scores: Array, of: Array) -> Array:
    """Return the share of scores below each; what is equal counts half."""
    ordered = np.sort(of)
    low, high = (np.searchsorted(ordered, scores, side) for side in ("left", "right"))
    shares: Array = (low + high) / (2 * len(ordered))
    return shares


def _bootstrapped(values: Array, groups: Array, rng: np.random.Generator) -> Interval:
    """Return the mean of values and its interval, drawing whole groups anew."""
    _, member = np.unique(groups, return_inverse=True)
    sums, sizes = np.bincount(member, values), np.bincount(member)
    drawn = _redrawn(len(sizes), rng)
    return _interval(values.mean(), drawn @ sums / (drawn @ sizes))


def _redrawn(count: int, rng: np.random.Generator) -> Array:
    """Return how often each of some groups is drawn, in each resample."""
    return rng.multinomial(count, np.full(count, 1 / count), _RESAMPLES).astype(np.float64)


def _interval(mean: float, resampled: Array) -> Interval:
    low, high = np.quantile(resampled, [(1 - _LEVEL) / 2, (1 + _LEVEL) / 2])
    return Interval(float(mean), float(low), float(high))
