"""Scorers: each compares a query with every text of a collection in its own way."""

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
    """Anything that can compare a query with every text of a collection."""

    name: str

    def scores(self, query: int | str) -> Array | None:
        """Return a score for each text, higher for texts that are more similar to the query.

        The query is the position of a text in the collection, or another text. None means that
        this scorer cannot compare such a query: for example, free text has no coverage.
        """


class ScoredIndex:
    """Base of the indexes whose items scorers compare with a query.

    A class states which of its attributes holds the items, as ``items="tests"``.

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
        """Return cosines; None for the structure of a free text, which has none."""
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
        """Return cosines; None for a free text, which runs no lines."""
        return None if isinstance(query, str) else self._coverage.scores(query)


class MeaningScorer:
    """Cosine of whitened sentence embeddings.

    Products are computed by the kernels, so for given vectors the bits of the scores are the same
    on every host.

    Parameters
    ----------
    vectors : numpy.ndarray of float32, shape (n, dim)
        Embeddings of the texts.
    embed : callable
        Function that returns the embedding ``(dim,)`` of another text.
    query_centre : numpy.ndarray of float32, shape (dim,), optional
        Mean embedding of texts like the queries, if queries are another kind of text than the
        collection. A query is then moved by the difference of the two means, because English
        descriptions, for example, lie apart from source code as a whole.
    transform : callable, optional
        Map from vectors ``(m, dim)`` to unit vectors ``(m, dim)``, applied to the texts and to
        each query. None whitens.
    name : str, default "meaning"
        Name of this scorer among the components of a match.
    cache : bool, default False
        True to keep the whitened vectors in the user's cache folder.
    runtime : Runtime, optional
        Sandbox that computes the products; the process-wide one when None.
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
            # A resident array is not copied into linear memory again for each query.
            self._vectors = checked_runtime(runtime).asarray(unit_vectors)
        except OutOfMemoryError:
            self._vectors = unit_vectors

    def scores(self, query: int | str) -> Array:
        """Return the cosine of each text with the query.

        All scores are computed, not only the highest ones as by an index, because the fusion with
        other scorers needs their mean and deviation.
        """
        if isinstance(query, int):
            row = self._vectors[query]
        else:
            row = self._transform((self._embed(query) + self._shift)[None])[0]
        return matmul(self._vectors, row, runtime=self._runtime)
