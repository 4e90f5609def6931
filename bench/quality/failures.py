"""Evaluation of failures: those of one defect should form a group, and each find the others."""

from __future__ import annotations

import importlib
from collections import Counter
from collections.abc import Callable, Hashable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from bench.quality.baselines import BM25, Bm25, TokenTfIdf
from bench.quality.measures import Figure, figures, ranked, reciprocal_rank
from flashwasm.qe.defects.failure_clusters import cluster_failures
from flashwasm.qe.defects.known_failures import TEXT_END
from flashwasm.qe.defects.tracebacks import Failure, read_failure
from flashwasm.qe.scoring.tfidf_matrix import TfIdfMatrix

if TYPE_CHECKING:
    from bench.quality.labelled_failures import LabelledFailure

__all__ = ["measure_failures"]

Array = npt.NDArray[Any]
_SEED = 0
_RESAMPLES = 200


def measure_failures(
    name: str, labelled: Sequence[LabelledFailure], advance: Callable[[int, int], None]
) -> list[Figure]:
    """Group failures, and search with each failure for the others of its defect.

    Parameters
    ----------
    name : str
        Name of the collection.
    labelled : sequence of LabelledFailure
        Failures with their defects.
    advance : callable
        Function that is called with the number of queries done and their total.
    """
    if not labelled:
        return []
    texts, defects = [one.text for one in labelled], [one.defect for one in labelled]
    failures = [read_failure(text) for text in texts]
    data = f"{name}, {len(set(defects))} defects"
    groups = np.zeros(len(texts), np.int64)
    for number, cluster in enumerate(cluster_failures(failures)):
        groups[cluster.members] = number
    found = _clustering(
        data,
        {
            "flashwasm": groups,
            "type and message": _codes([(f.exception, f.message) for f in failures]),
            "type and all frames": _codes([(f.exception, f.frames) for f in failures]),
            "type": _codes([f.exception for f in failures]),
        },
        _codes(defects),
    )
    sizes = Counter(defects)
    labels = np.array(defects)
    queries = [i for i, defect in enumerate(defects) if sizes[defect] > 1]
    rankers: dict[str, Callable[[int], Array]] = {
        "flashwasm": _matching(failures),
        "TF-IDF": TokenTfIdf(texts).scores,
        BM25: Bm25(texts).scores,
    }
    measured: dict[str, dict[str, Array]] = {"MRR": {}}
    for method, scores in rankers.items():
        ranks: list[float] = []
        for query in queries:
            advance(len(measured["MRR"]) * len(queries) + len(ranks), len(rankers) * len(queries))
            ranks.append(reciprocal_rank(labels[ranked(scores(query), query)] == labels[query]))
        measured["MRR"][method] = np.array(ranks)
    return found + (figures("defect retrieval", data, measured, "TF-IDF") if queries else [])


def _matching(failures: Sequence[Failure]) -> Callable[[int], Array]:
    """Return a ranker like `FailureLibrary.match`: equal signatures first, then similar texts."""
    terms = TfIdfMatrix("characters", [failure.text[-TEXT_END:] for failure in failures])
    signatures = _codes([failure.signature for failure in failures])

    def scores(query: int) -> Array:
        # A cosine is at most 1, so 2 puts equal signatures before all others.
        found: Array = terms.scores(query) + 2 * (signatures == signatures[query])
        return found

    return scores


def _clustering(data: str, methods: dict[str, Array], defects: Array) -> list[Figure]:
    """Compare groups with the defects. Intervals come from resampling the failures in pairs."""
    index = importlib.import_module("sklearn.metrics").adjusted_rand_score
    rng = np.random.default_rng(_SEED)
    n = len(defects)
    samples = [rng.integers(0, n, n) for _ in range(_RESAMPLES)]
    reference = "type and message"
    values = {name: float(index(defects, groups)) for name, groups in methods.items()}
    drawn = {
        name: np.array([index(defects[s], groups[s]) for s in samples])
        for name, groups in methods.items()
    }
    found = []
    for name, value in values.items():
        over, low, high = None, None, None
        if name != reference:
            over = value - values[reference]
            low, high = map(float, np.percentile(drawn[name] - drawn[reference], [2.5, 97.5]))
        found.append(Figure("defect groups", data, n, name, "ARI", value, over, low, high))
    return found


def _codes(keys: Sequence[Hashable]) -> Array:
    """Return a number for each distinct key."""
    numbers: dict[Hashable, int] = {}
    return np.array([numbers.setdefault(key, len(numbers)) for key in keys])
