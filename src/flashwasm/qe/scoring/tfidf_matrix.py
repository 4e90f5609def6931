"""A tf-idf matrix over the characters, identifiers or structure of texts.

Weights are those of Salton & Buckley, "Term-weighting approaches in automatic text retrieval",
1988, with the logarithm of counts. Terms are hashed to columns (Weinberger et al., "Feature hashing
for large scale multitask learning", 2009), so that no vocabulary has to be kept.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import cached_property
from importlib.util import find_spec
from typing import Any

import numpy as np
import numpy.typing as npt

from flashwasm.optional_packages import optional_module
from flashwasm.qe.scoring.array_cache import cached_arrays
from flashwasm.qe.scoring.term_analyzers import ANALYZERS
from flashwasm.qe.scoring.term_hashing import hash_terms

__all__ = ["FEATURES", "TfIdfMatrix", "require_sklearn"]

Array = npt.NDArray[Any]
# Part of the key of the cached arrays. Raise it when terms or weights are computed in another way.
_VERSION = 3
# Number of columns that terms are hashed to. A suite has some hundred thousand different runs of
# characters, so that few of them share a column.
FEATURES = 1 << 21
# Largest numbers of terms, and of the matrix's entries in their columns, for which NumPy scores a
# query. Longer queries are scored by SciPy, whose import takes 0.2 s; the bits are the same. A
# description has a hundred terms with ten thousand entries, a test of a large suite a million
# entries.
_FEW_TERMS, _FEW_ENTRIES = 1 << 8, 1 << 18


def require_sklearn() -> Any:
    """Return scikit-learn's module of text features, or raise CapabilityError."""
    return optional_module("sklearn.feature_extraction.text", "scikit-learn")


class TfIdfMatrix:
    """Weighted terms of texts, and the cosines of the texts with another text.

    Parameters
    ----------
    terms : {"characters", "identifiers", "structure"}
        Kind of terms that are counted.
    texts : sequence of str
        Texts, at least one.
    cache : bool, default False
        True to keep the matrix in the user's cache folder.
    progress : callable, optional
        Function that is called with the number of texts counted so far and the number of texts.
    known : mapping of str to mapping, optional
        `arrays` of earlier matrices by their `key`. The terms of the same texts are then not
        counted again.

    Attributes
    ----------
    key : str
        Digest of the texts and of how their terms are counted.
    arrays : mapping of str to numpy.ndarray
        The matrix, stored by columns. "columns" holds the hashed number of each column that a text
        has, "idf" its inverse document frequency. The entries of the i-th of these columns lie
        from ``indptr[i]`` to ``indptr[i + 1]`` in "indices", their texts, and "data", their
        weights.

    Raises
    ------
    CapabilityError
        If scikit-learn is not installed.
    """

    def __init__(
        self,
        terms: str,
        texts: Sequence[str],
        *,
        cache: bool = False,
        progress: Callable[[int, int], None] | None = None,
        known: Mapping[str, Mapping[str, Array]] | None = None,
    ) -> None:
        if find_spec("sklearn") is None:
            require_sklearn()
        self._terms = terms
        self._texts = list(texts)
        digest = hashlib.sha256(f"{terms} {_VERSION} {FEATURES}".encode())
        for text in texts:
            digest.update(hashlib.sha256(text.encode("utf-8", "surrogatepass")).digest())
        self.key = digest.hexdigest()
        arrays = (known or {}).get(self.key) or cached_arrays(
            "tfidf", self.key, lambda: self._fit(progress), cache=cache
        )
        self.arrays = arrays
        self._columns, self._idf, self._starts = arrays["columns"], arrays["idf"], arrays["indptr"]

    def scores(self, query: int | str) -> Array:
        """Return the cosine of each text with the text at a position, or with another text."""
        columns, weights = self._row(self._texts[query] if isinstance(query, int) else query)
        starts, ends = self._starts[columns], self._starts[columns + 1]
        if len(columns) > _FEW_TERMS or int((ends - starts).sum()) > _FEW_ENTRIES:
            product: Array = self._matrix[:, columns] @ weights
            return product
        scores = np.zeros(len(self._texts), np.float32)
        owners, data = self.arrays["indices"], self.arrays["data"]
        for start, end, weight in zip(starts.tolist(), ends.tolist(), weights, strict=True):
            # A text occurs at most once in a column, so each score is added to once.
            scores[owners[start:end]] += data[start:end] * weight
        return scores

    def between(self, positions: Sequence[int]) -> Array:
        """Return the cosines ``(m, m)`` of the texts at some positions."""
        rows = [self._row(self._texts[i]) for i in positions]
        columns, places = np.unique(np.concatenate([row for row, _ in rows]), return_inverse=True)
        dense = np.zeros((len(rows), len(columns)), np.float32)
        owners = np.repeat(np.arange(len(rows)), [len(row) for row, _ in rows])
        dense[owners, places] = np.concatenate([weights for _, weights in rows])
        cosines: Array = dense @ dense.T
        return cosines

    @cached_property
    def _matrix(self) -> Any:
        """SciPy's sparse matrix ``(texts, columns)`` over the same arrays."""
        arrays, shape = self.arrays, (len(self._texts), len(self._columns))
        entries = (arrays["data"], arrays["indices"], self._starts)
        return optional_module("scipy.sparse", "SciPy").csc_matrix(entries, shape=shape)

    def _fit(self, progress: Callable[[int, int], None] | None) -> dict[str, Array]:
        """Compute `arrays` from the texts."""
        texts = self._texts

        def texts_with_progress() -> Iterator[str]:
            for done, text in enumerate(texts):
                yield text
                if progress is not None:
                    progress(done + 1, len(texts))

        vectorizer = require_sklearn().HashingVectorizer(
            analyzer=ANALYZERS[self._terms],
            n_features=FEATURES,
            norm=None,
            alternate_sign=False,
            dtype=np.float32,
        )
        counts = vectorizer.transform(texts_with_progress()).tocsc()
        frequency = np.diff(counts.indptr)
        # Most of the columns that terms may be hashed to are empty and not kept.
        columns = np.flatnonzero(frequency).astype(np.int32)
        idf = np.log((1 + len(texts)) / (1 + frequency[columns])) + 1
        idf = idf.astype(np.float32)
        owners = counts.indices.astype(np.int32)
        return {
            "columns": columns,
            "idf": idf,
            "data": _weighted(counts.data, np.repeat(idf, frequency[columns]), owners, len(texts)),
            "indices": owners,
            "indptr": np.append(counts.indptr[columns], counts.nnz).astype(np.int64),
        }

    def _row(self, text: str) -> tuple[Array, Array]:
        """Return the places of a text's terms among the kept columns, and the terms' weights.

        This does not use scikit-learn, which takes a second to import. Terms that no text of the
        matrix has are left out.
        """
        terms = Counter(ANALYZERS[self._terms](text))
        asked, own = np.unique(hash_terms(list(terms)) % FEATURES, return_inverse=True)
        counts = np.bincount(own, weights=list(terms.values()), minlength=len(asked))
        places = np.searchsorted(self._columns, asked)
        known = np.searchsorted(self._columns, asked, side="right") > places
        places, counts = places[known], counts[known].astype(np.float32)
        return places, _weighted(counts, self._idf[places], np.zeros(len(places), np.int32), 1)


def _weighted(counts: Array, idf: Array, owners: Array, texts: int) -> Array:
    """Return the tf-idf weights of entries, scaled so that each text has length one.

    Parameters
    ----------
    counts, idf : numpy.ndarray of float32, shape (entries,)
        Number of times that a text has a term, and the term's inverse document frequency.
    owners : numpy.ndarray of int32, shape (entries,)
        Position of each entry's text.
    texts : int
        Number of texts.
    """
    weights = (1 + np.log(counts)) * idf
    lengths = np.sqrt(np.bincount(owners, weights=weights * weights, minlength=texts))
    unit: Array = weights / np.where(lengths == 0, 1, lengths).astype(np.float32)[owners]
    return unit
