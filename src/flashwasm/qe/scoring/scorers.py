"""Scores of every text of a collection with a query, and their fusion.

Each scorer sees one side of a likeness; their sum of z-scores sees more than the best of them
(Fox & Shaw, "Combination of multiple searches", 1994).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
import numpy.typing as npt

from flashwasm.qe.scoring.whitening import whitened_collection

if TYPE_CHECKING:
    from collections.abc import Callable

    from flashwasm.qe.scoring.postings import Likeness
    from flashwasm.qe.scoring.tfidf import TfIdf

__all__ = ["CoverageScorer", "MeaningScorer", "Scorer", "TermScorer", "fused"]

Array = npt.NDArray[Any]
# What is less than a whole voice in the sum. What a test calls is among its characters as well:
# counted in full, it finds less on suites without classes.
_WEIGHTS = {"structure": 0.5}


class Scorer(Protocol):
    """What can compare a query with every text of a collection."""

    name: str

    def scores(self, query: int | str) -> Array | None:
        """Return a score for each text, higher for what is more alike.

        The query is a text's position, or another text. None says that this scorer has nothing to
        say about such a query.
        """


class TermScorer:
    """Cosine of weighted terms.

    Parameters
    ----------
    name : str
        "characters", "identifiers" or "structure".
    terms : TfIdf
        The texts' terms.
    """

    def __init__(self, name: str, terms: TfIdf) -> None:
        self.name = name
        self._terms = terms

    def scores(self, query: int | str) -> Array | None:
        """Return cosines; words in no program have no structure to compare."""
        if self.name == "structure" and isinstance(query, str):
            return None
        return self._terms.scores(query)


class CoverageScorer:
    """Cosine of the lines that tests run.

    Parameters
    ----------
    likeness : Likeness
        What they ran.
    """

    name = "coverage"

    def __init__(self, likeness: Likeness) -> None:
        self._likeness = likeness

    def scores(self, query: int | str) -> Array | None:
        """Return cosines; words run nothing."""
        return None if isinstance(query, str) else self._likeness.scores(query)


class MeaningScorer:
    """Cosine of whitened sentence embeddings.

    Parameters
    ----------
    vectors : numpy.ndarray of float32, shape (n, dim)
        The texts' embeddings.
    embed : callable
        Embeds another text, as ``(dim,)``.
    query_centre : numpy.ndarray of float32, shape (dim,), optional
        Mean of embeddings of texts like the queries, where those are of another kind than the
        collection: words that describe programs lie apart from programs as a whole.
    transform : callable, optional
        Takes vectors ``(m, dim)``, returns unit vectors; None whitens.
    name : str, default "meaning"
        What was embedded.
    cache : bool, default False
        Whether whitened vectors are kept in the user's cache folder.
    """

    def __init__(
        self,
        vectors: Array,
        embed: Callable[[str], Array],
        query_centre: Array | None = None,
        transform: Callable[[Array], Array] | None = None,
        *,
        name: str = "meaning",
        cache: bool = False,
    ) -> None:
        self.name = name
        self._shift = 0 if query_centre is None else vectors.mean(axis=0) - query_centre
        self._embed = embed
        if transform is None:
            self._transform, self._vectors = whitened_collection(vectors, cache=cache)
        else:
            self._transform, self._vectors = transform, transform(vectors)

    def scores(self, query: int | str) -> Array:
        """Return cosines of the whitened embeddings."""
        if isinstance(query, int):
            row = self._vectors[query]
        else:
            row = self._transform((self._embed(query) + self._shift)[None])[0]
        products: Array = self._vectors @ row
        return products


def fused(components: Mapping[str, Array], left_out: int | None = None) -> Array:
    """Return the mean of the components' z-scores, structure with half a voice.

    Parameters
    ----------
    components : mapping of str to numpy.ndarray, shape (n,)
        Scores by scorer.
    left_out : int, optional
        A position that does not count for mean and deviation: the query's own.
    """
    total = np.zeros(len(next(iter(components.values()))), np.float64)
    others = np.ones(len(total), np.bool_)
    if left_out is not None:
        others[left_out] = False
    for name, scores in components.items():
        if not others.any():
            break
        deviation = scores[others].std(dtype=np.float64)
        if deviation > 0:
            z_scores = (scores - scores[others].mean(dtype=np.float64)) / deviation
            total += _WEIGHTS.get(name, 1.0) * z_scores
    return total / sum(_WEIGHTS.get(name, 1.0) for name in components)
