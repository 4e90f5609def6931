"""Scorers, each of which compares a query with every text of a collection."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Protocol

import numpy.typing as npt

from flashwasm.errors import OutOfMemoryError
from flashwasm.ops import matmul
from flashwasm.qe.scoring.embedding_whitening import whiten_collection
from flashwasm.runtime.default_runtime import checked_runtime
from flashwasm.summaries import counted, summary

if TYPE_CHECKING:
    from flashwasm.qe.scoring.inverted_index import RowSimilarity
    from flashwasm.qe.scoring.tfidf_matrix import TfIdfMatrix
    from flashwasm.runtime.runtime import Runtime

__all__ = ["CoverageScorer", "MeaningScorer", "ScoredIndex", "Scorer", "TermScorer"]

Array = npt.NDArray[Any]


class Scorer(Protocol):
    """An object that compares a query with every text of a collection."""

    name: str

    def scores(self, query: int | str) -> Array | None:
        """Return a score for each text, higher for texts that are more similar to the query.

        The query is the position of a text in the collection, or another text. Return None if this
        scorer does not support the query: for example, free text has no coverage.
        """


class ScoredIndex:
    """Base class of indexes whose items are compared with a query by scorers.

    A subclass names the attribute that contains its items, for example ``items="tests"``.

    Raises
    ------
    ShapeError, DTypeError
        By every method, if an argument is out of range or of the wrong type.
    OSError
        By `save`, if the file cannot be written.
    """

    scorers: list[str]
    _items: str

    def __init_subclass__(cls, *, items: str) -> None:
        cls._items = items

    def __repr__(self) -> str:
        held = counted(len(getattr(self, self._items)), self._items)
        return summary(self, held, f"scorers: {', '.join(self.scorers) or 'none'}")


class TermScorer:
    """Cosine of tf-idf weighted terms.

    Parameters
    ----------
    name : str
        Kind of the terms: "characters", "identifiers" or "structure".
    terms : TfIdfMatrix
        Weighted terms of the texts.
    """

    def __init__(self, name: str, terms: TfIdfMatrix) -> None:
        self.name = name
        self._terms = terms

    def scores(self, query: int | str) -> Array | None:
        """Return cosines; None for "structure" if the query is free text."""
        if self.name == "structure" and isinstance(query, str):
            return None
        return self._terms.scores(query)


class CoverageScorer:
    """Cosine of the sets of lines that tests run.

    Parameters
    ----------
    coverage : RowSimilarity
        Lines that each test runs.
    """

    name = "coverage"

    def __init__(self, coverage: RowSimilarity) -> None:
        self._coverage = coverage

    def scores(self, query: int | str) -> Array | None:
        """Return cosines; None if the query is free text, which runs no lines."""
        return None if isinstance(query, str) else self._coverage.scores(query)


class MeaningScorer:
    """Cosine of whitened sentence embeddings.

    The kernels compute the products, so equal vectors give bit-identical scores on every host.

    Parameters
    ----------
    vectors : numpy.ndarray of float32, shape (n, dim)
        Embeddings of the texts.
    embed : callable
        Function that returns the embedding ``(dim,)`` of another text.
    query_centre : numpy.ndarray of float32, shape (dim,), optional
        Mean embedding of texts like the queries, if queries are a different kind of text from the
        collection. Each query is then shifted by the difference of the two means. For example,
        embeddings of English descriptions as a whole lie apart from embeddings of source code.
    transform : callable, optional
        Map from vectors ``(m, dim)`` to unit vectors ``(m, dim)``, applied to the texts and to
        each query. None applies whitening.
    name : str, default "meaning"
        Name of this scorer among the components of a match.
    cache : bool, default False
        True to keep the whitened vectors in the user's cache folder.
    runtime : Runtime, optional
        Runtime that computes the products. None means the default runtime.
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
        runtime: Runtime | None = None,
    ) -> None:
        self.name = name
        self._shift = 0 if query_centre is None else vectors.mean(axis=0) - query_centre
        self._embed = embed
        self._runtime = runtime
        if transform is None:
            transform, unit_vectors = whiten_collection(vectors, cache=cache, runtime=runtime)
        else:
            unit_vectors = transform(vectors)
        self._transform = transform
        try:
            # The array stays in linear memory, so that it is not copied for each query.
            self._vectors = checked_runtime(runtime).asarray(unit_vectors)
        except OutOfMemoryError:
            self._vectors = unit_vectors

    def scores(self, query: int | str) -> Array:
        """Return the cosine of each text with the query.

        All scores are computed, not only the highest, because the fusion with other scorers
        requires their mean and standard deviation.
        """
        if isinstance(query, int):
            row = self._vectors[query]
        else:
            row = self._transform((self._embed(query) + self._shift)[None])[0]
        return matmul(self._vectors, row, runtime=self._runtime)
