"""A map of a suite: a point for each test, and clusters of points with names."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from flashwasm.ops import matmul
from flashwasm.qe.scoring.tfidf_matrix import TfIdfMatrix
from flashwasm.qe.scoring.word_extraction import extract_words

__all__ = ["SuiteMap", "draw_map", "vectors_of_terms"]

Array = npt.NDArray[Any]

# Maximum number of clusters: as many colours as people can distinguish with a legend.
_MOST_CLUSTERS = 12
# Average number of tests in a cluster, unless there would be too many clusters.
_TESTS_IN_A_CLUSTER = 12
# Number of random initialisations of k-means. The best result is used.
_DRAWS = 8
# Number of rounds of k-means, after which clusters hardly change.
_ROUNDS = 25
# Number of words in the name of a cluster.
_WORDS = 3
# Number of columns that terms are hashed to, about the dimension of an embedding.
_HASHED_COLUMNS = 512


class SuiteMap(NamedTuple):
    """The positions of tests on a plane, and their clusters.

    Parameters
    ----------
    points : numpy.ndarray of float32, shape (tests, 2)
        Positions.
    clusters : numpy.ndarray of int64, shape (tests,)
        Number of each test's cluster, the largest cluster first.
    names : list of str
        Name of each cluster: its most frequent words that are rare in other clusters.
    """

    points: Array
    clusters: Array
    names: list[str]


def draw_map(vectors: Array, sources: Sequence[str]) -> SuiteMap:
    """Place tests on a plane so that clusters of similar tests lie apart.

    The clusters are those of k-means (Lloyd, 1982) from centres drawn as by k-means++ with a fixed
    seed. The plane is spanned by the two directions in which their centres differ most.

    Parameters
    ----------
    vectors : numpy.ndarray of float32, shape (tests, dim)
        Unit vectors of the tests.
    sources : sequence of str
        Sources of the tests, for the names.
    """
    if not len(vectors):
        return SuiteMap(np.zeros((0, 2), np.float32), np.zeros(0, np.int64), [])
    count = min(_MOST_CLUSTERS, max(1, len(vectors) // _TESTS_IN_A_CLUSTER))
    centred = vectors - vectors.mean(axis=0)
    clusters, centres = _k_means(centred, count)
    order = np.argsort(-np.bincount(clusters, minlength=count), kind="stable")
    rank = np.empty(count, np.int64)
    rank[order] = np.arange(count)
    clusters, centres = rank[clusters], centres[order]
    sizes = np.bincount(clusters, minlength=count)
    spread = centres * np.sqrt(sizes)[:, None] if count > 2 else centred
    axes = np.linalg.svd(spread, full_matrices=False)[2][:2]
    points = np.zeros((len(vectors), 2), np.float32)
    points[:, : len(axes)] = matmul(centred, np.ascontiguousarray(axes.T))
    return SuiteMap(points, clusters, _names(clusters, sources, count))


def vectors_of_terms(sources: Sequence[str], *, cache: bool = True) -> Array:
    """Return unit vectors of the sources' terms, for a suite without embeddings.

    Parameters
    ----------
    sources : sequence of str
        Sources of the tests, at least one.
    cache : bool, default True
        True to keep the terms in the user's cache folder.
    """
    arrays = TfIdfMatrix("characters", sources, cache=cache).arrays
    columns = np.repeat(arrays["columns"], np.diff(arrays["indptr"]))
    # With random signs, two terms in one column cancel out as often as they add up, so cosines are
    # unbiased (Weinberger et al., 2009).
    signs = np.where(columns // _HASHED_COLUMNS % 2, 1, -1)
    places = arrays["indices"] * np.int64(_HASHED_COLUMNS) + columns % _HASHED_COLUMNS
    sums = np.bincount(places, arrays["data"] * signs, len(sources) * _HASHED_COLUMNS)
    vectors = sums.reshape(len(sources), _HASHED_COLUMNS).astype(np.float32)
    lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
    unit: Array = vectors / np.where(lengths == 0, 1, lengths)
    return unit


def _k_means(points: Array, count: int) -> tuple[Array, Array]:
    """Return the cluster of each point, and the centres ``(count, dim)``."""
    random = np.random.default_rng(0)
    draws = [_one_draw(points, count, random) for _ in range(_DRAWS)]
    _, clusters, centres = min(draws, key=lambda draw: draw[0])
    return clusters, centres


def _one_draw(points: Array, count: int, random: np.random.Generator) -> tuple[float, Array, Array]:
    """Return the sum of the points' squared distances, their clusters, and the centres."""
    centres = points[[random.integers(len(points))]]
    while len(centres) < count:
        far = np.maximum(_distances(points, centres).min(axis=1), 0)
        share = far / far.sum() if far.sum() > 0 else None
        centres = np.concatenate([centres, points[[random.choice(len(points), p=share)]]])
    clusters = np.full(len(points), -1)
    for _ in range(_ROUNDS):
        nearest = _distances(points, centres).argmin(axis=1)
        if np.array_equal(nearest, clusters):
            break
        clusters = nearest
        for cluster in range(count):
            own = points[clusters == cluster]
            if len(own):
                centres[cluster] = own.mean(axis=0)
    total = float(_distances(points, centres).min(axis=1).sum())
    return total, clusters, centres


def _distances(points: Array, centres: Array) -> Array:
    """Return squared distances ``(points, centres)``."""
    products = matmul(points, np.ascontiguousarray(centres.T)).astype(np.float64)
    lengths = (points.astype(np.float64) ** 2).sum(axis=1, keepdims=True)
    distances: Array = lengths - 2 * products + (centres.astype(np.float64) ** 2).sum(axis=1)
    return distances


def _names(clusters: Array, sources: Sequence[str], count: int) -> list[str]:
    """Return for each cluster its characteristic words, the most characteristic first."""
    words = [set(extract_words(source).split()) - {"test"} for source in sources]
    everywhere = Counter(word for own in words for word in own)
    names = []
    for cluster in range(count):
        members = np.flatnonzero(clusters == cluster).tolist()
        inside = Counter(word for i in members for word in words[i])

        def weight(word: str, inside: Counter[str] = inside) -> tuple[float, str]:
            """Return a sort key: minus the number of tests with a word times the share in here."""
            return -inside[word] * inside[word] / everywhere[word], word

        names.append(" ".join(sorted(inside, key=weight)[:_WORDS]) or "no words")
    return names
