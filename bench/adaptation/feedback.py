"""Evaluation of feedback: searches before and after adapting, in files without feedback.

The evaluation assumes that a person would accept two tests as similar if they are in one class.
Feedback comes from seven tenths of the files, drawn with a seed. The searches of the other files
are measured.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from flashwasm.errors import ShapeError
from flashwasm.qe.adaptation.adapter_training import train
from flashwasm.qe.adaptation.cross_validation import EmbeddedSuite, judge
from flashwasm.qe.adaptation.embedding_adaptation import prior
from flashwasm.qe.adaptation.judged_pairs import Pairs
from flashwasm.qe.scoring.embedder import Embedder
from flashwasm.qe.scoring.embedding_whitening import unit_rows
from flashwasm.qe.suites.collection import collect

if TYPE_CHECKING:
    from pathlib import Path

    from flashwasm.runtime.runtime import Runtime

__all__ = ["HEADINGS", "KINDS", "SIZES", "Labelled", "Quality", "labelled", "row", "run_quality"]

Array = npt.NDArray[Any]

SIZES = (200, 1000)
_TRAINING = 0.7
_SHOWN = 10
_MOST_QUERIES = 1500

HEADINGS = (
    "feedback",
    "accepted pairs",
    "activated",
    "no whitening",
    "unadapted",
    "with the gate",
    "mean change",
    "worst",
    "where activated",
    "without a gate",
)


@dataclass(frozen=True)
class Labelled:
    """Embeddings of a suite's tests, with the file and the class of each.

    Attributes
    ----------
    raw, prepared : numpy.ndarray of float32, shape (n, dim)
        Unit vectors from the model, and the same after whitening.
    files, classes : numpy.ndarray of int, shape (n,)
        Numbers of the file and the class of each test. The class is -1 for a test without a class,
        or without another test in it.
    """

    raw: Array
    prepared: Array
    files: Array
    classes: Array


@dataclass(frozen=True)
class Quality:
    """Mean reciprocal ranks over seeds of one kind of feedback.

    Attributes
    ----------
    feedback : str
        Name of the kind, one of `KINDS`.
    pairs : int
        Requested number of accepted pairs.
    raw, before, after : list of float
        Value for each seed on the files that gave no feedback: without whitening, with whitening,
        and with the adapter if the gate let it through.
    ungated : list of float or None
        Value for each seed with the adapter, even if rejected; None if none was trained.
    activated : list of bool
        True for each seed whose adapter the gate let through.
    """

    feedback: str
    pairs: int
    raw: list[float]
    before: list[float]
    after: list[float]
    ungated: list[float | None]
    activated: list[bool]

    def as_dict(self) -> dict[str, Any]:
        """Return the fields by name, for JSON."""
        return asdict(self)


def labelled(path: Path, model: str | None = None) -> Labelled:
    """Collect and embed the tests of a suite. Embeddings are cached.

    Parameters
    ----------
    path : pathlib.Path
        Folder of the tests.
    model : str, optional
        Installed model's name or folder. None means the default model.
    """
    suite = collect(path)
    if not suite.tests:
        raise ShapeError(f"no tests in {path}")
    vectors = Embedder(model).embed([test.source for test in suite.tests])
    return labels(vectors, [test.nodeid for test in suite.tests])


def labels(vectors: Array, nodeids: list[str]) -> Labelled:
    """Return embeddings with the files and classes that their node ids name.

    Parameters
    ----------
    vectors : numpy.ndarray of float32, shape (n, dim)
        Embeddings.
    nodeids : list of str
        Node ids of the tests.
    """
    files = np.unique([name.split("::")[0] for name in nodeids], return_inverse=True)[1]
    scopes = [name.rpartition("::")[0] for name in nodeids]
    _, classes, sizes = np.unique(scopes, return_inverse=True, return_counts=True)
    alone = np.array(["::" not in scope for scope in scopes]) | (sizes[classes] < 2)
    return Labelled(unit_rows(vectors), prior(vectors)[1], files, np.where(alone, -1, classes))


def _related(suite: Labelled, pool: Array, count: int, rng: np.random.Generator) -> Pairs:
    """Accept random pairs of one class, and reject as many random pairs of two classes."""
    query = rng.choice(pool[suite.classes[pool] >= 0], count)
    near = [rng.choice(_partners(suite, pool, a)) for a in query]
    far = rng.choice(pool, count)
    apart = suite.classes[far] != suite.classes[query]
    tests = np.concatenate([near, far[apart]])
    return _pairs(np.concatenate([query, query[apart]]), tests, np.arange(len(tests)) < count)


def _shown(suite: Labelled, pool: Array, count: int, rng: np.random.Generator) -> Pairs:
    """Accept or reject the nearest ten of one test after another, by their class."""
    rows: list[tuple[int, int, bool]] = []
    queries = rng.permutation(pool[suite.classes[pool] >= 0])
    for a in queries.tolist():
        scores = suite.prepared[pool] @ suite.prepared[a]
        order = pool[np.argsort(-scores, kind="stable")]
        ten = order[order != a][:_SHOWN].tolist()
        rows += [(a, b, bool(suite.classes[a] == suite.classes[b])) for b in ten]
        if sum(good for *_, good in rows) >= count:
            break
    return _pairs(*(np.array(column) for column in zip(*rows, strict=True)))


def _any(suite: Labelled, pool: Array, count: int, rng: np.random.Generator) -> Pairs:
    """Accept or reject random pairs by tossing a coin."""
    del suite
    query, test = rng.choice(pool, (2, 2 * count))
    return _pairs(query, test, rng.random(len(query)) < 1 / 2)


Draw = Callable[[Labelled, Array, int, np.random.Generator], Pairs]


def _noise(draw: Draw) -> Draw:
    """Return a kind of feedback with the same pairs, judged by tossing a coin."""

    def tossed(suite: Labelled, pool: Array, count: int, rng: np.random.Generator) -> Pairs:
        pairs = draw(suite, pool, count, rng)
        return _pairs(pairs.query, pairs.test, rng.random(len(pairs)) < 1 / 2)

    return tossed


def _flipped(draw: Draw) -> Draw:
    """Return a kind of feedback with the same pairs and the opposite judgements."""

    def opposite(suite: Labelled, pool: Array, count: int, rng: np.random.Generator) -> Pairs:
        pairs = draw(suite, pool, count, rng)
        return _pairs(pairs.query, pairs.test, ~pairs.accepted)

    return opposite


KINDS: dict[str, Draw] = {
    "random pairs of a class": _related,
    "the nearest ten": _shown,
    "any two tests, judged by a coin": _any,
    "random pairs, judged by a coin": _noise(_related),
    "the nearest ten, judged by a coin": _noise(_shown),
    "random pairs, flipped": _flipped(_related),
    "the nearest ten, flipped": _flipped(_shown),
}


def run_quality(
    suite: Labelled,
    kind: str,
    pairs: int,
    seeds: int,
    *,
    runtime: Runtime,
    advance: Callable[[int], None] = lambda _: None,
) -> Quality:
    """Measure one kind of feedback.

    Parameters
    ----------
    suite : Labelled
        Tests of the suite.
    kind : str
        Name of the kind, one of `KINDS`.
    pairs : int
        Number of accepted pairs.
    seeds : int
        Number of repetitions, each with other files and other feedback.
    runtime : Runtime
        Runtime that trains.
    advance : callable, optional
        Function that is called with 1 after each seed.

    Returns
    -------
    Quality

    Raises
    ------
    ShapeError
        If too few files contain classes, so that no such file can be left without feedback.
    """
    found = Quality(kind, pairs, [], [], [], [], [])
    for seed in range(seeds):
        for name, value in _one(suite, KINDS[kind], pairs, seed, runtime):
            getattr(found, name).append(value)
        advance(1)
    return found


def _one(
    suite: Labelled, draw: Draw, count: int, seed: int, runtime: Runtime
) -> Iterator[tuple[str, Any]]:
    """Yield the names of `Quality`'s fields with the values of a seed."""
    rng = np.random.default_rng(seed)
    files = rng.permutation(suite.files.max() + 1)
    inside = np.isin(suite.files, files[: int(_TRAINING * len(files))])
    rest = np.flatnonzero(~inside & (suite.classes >= 0))
    held_out = rng.permutation(rest)[:_MOST_QUERIES]
    if not len(held_out) or suite.classes[inside].max(initial=-1) < 0:
        raise ShapeError(
            "suite: expected classes of several tests in many files, for feedback from some and "
            "searches in the others; files with classes: "
            f"{len(np.unique(suite.files[suite.classes >= 0]))} of {len(files)}"
        )
    pairs = draw(suite, np.flatnonzero(inside), count, rng)
    verdict = judge(EmbeddedSuite(suite.prepared, suite.files), pairs, seed=seed, runtime=runtime)
    before = _mean_reciprocal_rank(suite, suite.prepared, held_out)
    ungated = None
    if verdict.gain is not None:
        adapted = train(suite.prepared, pairs, seed=seed, runtime=runtime).apply(suite.prepared)
        ungated = _mean_reciprocal_rank(suite, unit_rows(adapted), held_out)
    yield "raw", _mean_reciprocal_rank(suite, suite.raw, held_out)
    yield "before", before
    yield "after", ungated if verdict.passed else before
    yield "ungated", ungated
    yield "activated", verdict.passed


def _mean_reciprocal_rank(suite: Labelled, vectors: Array, queries: Array) -> float:
    """Return the mean reciprocal rank of the first test of the query's class, among all tests."""
    rows = np.arange(len(queries))
    scores = vectors[queries] @ vectors.T
    scores[rows, queries] = -np.inf
    related = suite.classes[queries][:, None] == suite.classes
    related[rows, queries] = False
    best = np.where(related, scores, -np.inf).max(axis=1, keepdims=True)
    return float((1 / (1 + np.count_nonzero(scores > best, axis=1))).mean())


def _partners(suite: Labelled, pool: Array, query: int) -> Array:
    """Return the other tests of a test's class."""
    same = pool[suite.classes[pool] == suite.classes[query]]
    others: Array = same[same != query]
    return others


def _pairs(query: Array, test: Array, accepted: Array) -> Pairs:
    """Return the pairs whose two tests differ, all with the same weight."""
    kept = query != test
    return Pairs(query[kept], test[kept], accepted[kept], np.ones(kept.sum()))


def row(found: Quality) -> tuple[str, ...]:
    """Return the cells of a row of the report.

    Parameters
    ----------
    found : Quality
        Values of one kind of feedback.
    """
    change = np.subtract(found.after, found.before)
    on = change[found.activated]
    trained = [x - y for x, y in zip(found.ungated, found.before, strict=True) if x is not None]
    return (
        found.feedback,
        str(found.pairs),
        f"{sum(found.activated)} of {len(found.activated)}",
        *(f"{np.mean(x):.4f}" for x in (found.raw, found.before, found.after)),
        f"{change.mean():+.4f}",
        f"{change.min():+.4f}",
        f"{on.mean():+.4f}" if len(on) else "",
        f"{np.mean(trained):+.4f}" if trained else "",
    )
