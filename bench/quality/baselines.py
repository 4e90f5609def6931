"""The baselines for the workloads: scikit-learn's TF-IDF, and BM25."""

from __future__ import annotations

import importlib
from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from flashwasm.optional_packages import optional_module
from flashwasm.qe.scoring.term_analyzers import identifiers

__all__ = ["BM25", "TFIDF", "Baseline", "Bm25", "CharacterTfIdf", "TokenTfIdf"]

Array = npt.NDArray[Any]
TFIDF = "character TF-IDF"
BM25 = "BM25"
# BM25's constants, as in Robertson and Zaragoza, "The probabilistic relevance framework", 2009.
_K1, _B = 1.5, 0.75


def _vectorizers() -> Any:
    """Return scikit-learn's module of text features, or raise CapabilityError."""
    return optional_module("sklearn.feature_extraction.text", "scikit-learn", extra="bench")


class Baseline:
    """Texts as sparse rows. The score of a text is the product of its row with a query's row.

    Parameters
    ----------
    vectorizer : object
        A vectorizer of scikit-learn.
    texts : sequence of str
        Texts to search.
    """

    def __init__(self, vectorizer: Any, texts: Sequence[str]) -> None:
        self._vectorizer = vectorizer
        self.counts = vectorizer.fit_transform(texts)
        self._rows = self.weighted(self.counts)

    def weighted(self, counts: Any) -> Any:
        """Return the rows by which a query's row is multiplied.

        Parameters
        ----------
        counts : scipy.sparse matrix, shape (texts, terms)
            Rows that the vectorizer made.
        """
        return counts

    def scores(self, query: int | str) -> Array:
        """Return the score of each text with a query.

        Parameters
        ----------
        query : int or str
            Position of a text of the collection, or another text.
        """
        known = isinstance(query, int)
        row = self.counts[query] if known else self._vectorizer.transform([query])
        return np.asarray((self._rows @ row.T).todense()).ravel()


class CharacterTfIdf(Baseline):
    """Cosines of TF-IDF over sequences of three to five characters, with logarithmic counts.

    Sequences that occur in only one text are ignored.
    """

    def __init__(self, texts: Sequence[str]) -> None:
        vectorizer = _vectorizers().TfidfVectorizer(
            analyzer="char_wb", ngram_range=(3, 5), sublinear_tf=True, min_df=2, dtype=np.float32
        )
        super().__init__(vectorizer, texts)


class TokenTfIdf(Baseline):
    """Cosines of TF-IDF over words, with scikit-learn's defaults."""

    def __init__(self, texts: Sequence[str]) -> None:
        super().__init__(_vectorizers().TfidfVectorizer(), texts)


class Bm25(Baseline):
    """BM25 over identifiers and the words in them."""

    def __init__(self, texts: Sequence[str]) -> None:
        super().__init__(_vectorizers().CountVectorizer(analyzer=identifiers), texts)

    def weighted(self, counts: Any) -> Any:
        """Return BM25's weights of the terms of each text."""
        sparse = importlib.import_module("scipy.sparse")
        n = counts.shape[0]
        frequency = np.bincount(counts.indices, minlength=counts.shape[1])
        inverse = np.log(1 + (n - frequency + 0.5) / (frequency + 0.5))
        lengths = np.asarray(counts.sum(axis=1)).ravel()
        norms = _K1 * (1 - _B + _B * lengths / max(lengths.mean(), 1e-12))
        times = counts.data.astype(np.float64)
        rows = np.repeat(np.arange(n), np.diff(counts.indptr))
        data = inverse[counts.indices] * times * (_K1 + 1) / (times + norms[rows])
        return sparse.csr_matrix((data, counts.indices, counts.indptr), shape=counts.shape)
