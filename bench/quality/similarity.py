"""Evaluation of similar tests: the nearest should be of the same class and run the same lines."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from bench.quality.baselines import BM25, TFIDF, Baseline, Bm25, CharacterTfIdf
from bench.quality.measures import (
    Figure,
    average_precision,
    figures,
    ndcg,
    ranked,
    reciprocal_rank,
)
from flashwasm.qe.scoring.score_fusion import fused
from flashwasm.summaries import counted

if TYPE_CHECKING:
    from flashwasm.qe.coverage.coverage_index import CoverageIndex
    from flashwasm.qe.similarity.suite_index import SuiteIndex
    from flashwasm.qe.suites.suite import CollectedTest

__all__ = ["QUERIES", "SuiteQuality", "labelled_queries"]

Array = npt.NDArray[Any]
# The queries are drawn with a seed, so that every run has the same queries.
QUERIES = 1500
_SEED = 0
# Scorers that need no model.
_LEXICAL = ("characters", "structure")
# If at least this share of the tests is in classes, tests of a class belong together. Otherwise
# tests of a file do.
_IN_CLASSES = 0.5


class SuiteQuality:
    """The queries of a suite, and the tests that each should find.

    Parameters
    ----------
    name : str
        Name of the suite in the figures.
    index : SuiteIndex
        The suite with the default scorers of `flashwasm similar`.
    coverage : CoverageIndex, optional
        Lines that the tests run.
    """

    def __init__(self, name: str, index: SuiteIndex, coverage: CoverageIndex | None = None) -> None:
        self._name = name
        self._index = index
        self._labelled, self._codes, self._what = labelled_queries(index.tests)
        self._gains = {} if coverage is None else _gains(index.tests, coverage)
        self._covered = _sample(list(self._gains))
        self._queries = sorted({*self._labelled, *self._covered})

    def measure(self, advance: Callable[[int, int], None]) -> list[Figure]:
        """Measure searches for tests of the same class or file, and for tests of the same lines.

        Parameters
        ----------
        advance : callable
            Function that is called with the number of queries done and their total.
        """
        sources = [test.source for test in self._index.tests]
        baselines: dict[str, Baseline] = {}
        if self._queries:
            baselines = {TFIDF: CharacterTfIdf(sources), BM25: Bm25(sources)}
        found: dict[str, dict[str, dict[int, float]]] = {"MRR": {}, "MAP": {}, "nDCG@10": {}}
        labelled, covered = set(self._labelled), set(self._covered)
        for done, query in enumerate(self._queries, 1):
            for method, scores in self._answers(query, baselines).items():
                order = ranked(scores, query)
                if query in labelled:
                    relevant = self._codes[order] == self._codes[query]
                    found["MRR"].setdefault(method, {})[query] = reciprocal_rank(relevant)
                    found["MAP"].setdefault(method, {})[query] = average_precision(relevant)
                if query in covered:
                    gain = self._gains[query]
                    value = ndcg(gain[order], np.sort(gain)[::-1])
                    found["nDCG@10"].setdefault(method, {})[query] = value
            advance(done, len(self._queries))
        size = counted(len(sources), "tests")
        workloads = {
            "similar tests": (f"{self._name}, same {self._what}, {size}", ("MRR", "MAP")),
            "coverage by text": (
                f"{self._name}, {counted(len(self._gains), 'tests')}",
                ("nDCG@10",),
            ),
        }
        return [
            figure
            for workload, (data, metrics) in workloads.items()
            for figure in figures(workload, data, _arrays(found, metrics), TFIDF)
        ]

    def _answers(self, query: int, baselines: dict[str, Baseline]) -> dict[str, Array]:
        """Return the scores of all tests with a query, by method."""
        components = self._index.components(query)
        lexical = {name: components[name] for name in _LEXICAL}
        found = {}
        if len(components) > len(lexical):
            found["flashwasm"] = fused(components, query)
        found["flashwasm without a model"] = fused(lexical, query)
        for name, baseline in baselines.items():
            found[name] = baseline.scores(query)
        return found


def _arrays(
    found: dict[str, dict[str, dict[int, float]]], metrics: Sequence[str]
) -> dict[str, dict[str, Array]]:
    """Return the values of each metric and method as arrays, without metrics that have none."""
    return {
        metric: {
            method: np.array(list(values.values())) for method, values in found[metric].items()
        }
        for metric in metrics
        if found[metric]
    }


def _gains(tests: Sequence[CollectedTest], coverage: CoverageIndex) -> dict[int, Array]:
    """Return cosines between the covered lines of tests, for tests that share lines with others."""
    likeness = coverage.likeness([(test.nodeid, *test.also) for test in tests])
    gains = {}
    for query in range(len(tests)):
        alike = likeness.scores(query).astype(np.float32)
        alike[query] = 0
        if alike.any():
            gains[query] = alike
    return gains


def _labels(tests: Sequence[CollectedTest]) -> tuple[list[str], str]:
    """Return the class of each test ("" for none), or its file if few tests are in classes."""
    classes = ["::".join(test.nodeid.split("::")[:-1]) for test in tests]
    classes = [name if "::" in name else "" for name in classes]
    if sum(map(bool, classes)) >= _IN_CLASSES * len(tests):
        return classes, "class"
    return [test.nodeid.partition("::")[0] for test in tests], "file"


def labelled_queries(
    tests: Sequence[CollectedTest], most: int = QUERIES
) -> tuple[list[int], Array, str]:
    """Return queries that have other tests to find.

    Parameters
    ----------
    tests : sequence of CollectedTest
        Tests of a suite.
    most : int
        Maximum number of queries.

    Returns
    -------
    (list of int, numpy.ndarray of int, str)
        Positions of the queries, the number of each test's class or file, and the word "class" or
        "file".
    """
    labels, what = _labels(tests)
    sizes = Counter(labels)
    eligible = [i for i, name in enumerate(labels) if name and sizes[name] > 1]
    return _sample(eligible, most), np.unique(np.array(labels), return_inverse=True)[1], what


def _sample(eligible: Sequence[int], most: int = QUERIES) -> list[int]:
    """Return a seeded choice of queries."""
    rng = np.random.default_rng(_SEED)
    chosen = rng.permutation(len(eligible))[:most]
    return [eligible[i] for i in chosen]
