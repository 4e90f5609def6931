"""A tf-idf matrix over the characters, identifiers or structure of texts.

Weights are those of Salton & Buckley, "Term-weighting approaches in automatic text retrieval",
1988, with the logarithm of counts. Terms are hashed to columns (Weinberger et al., "Feature hashing
for large scale multitask learning", 2009), so no vocabulary is stored. The scores equal those of
scikit-learn's TfidfVectorizer with ``sublinear_tf=True``.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from flashwasm.qe.scoring.array_cache import cached_arrays
from flashwasm.qe.scoring.term_analyzers import ANALYZERS
from flashwasm.qe.scoring.term_counts import FEATURES, count_terms
from flashwasm.qe.scoring.term_hashing import hash_terms

__all__ = ["TfIdfMatrix"]

Array = npt.NDArray[Any]
# Part of the key of the cached arrays. Increase it if the computation of terms or weights changes.
_VERSION = 4


class TfIdfMatrix:
    """Weighted terms of texts, to compute cosines of the texts with another text.

    Parameters
    ----------
    terms : {"characters", "identifiers", "structure"}
        Kind of terms to count.
    texts : sequence of str
        Texts, at least one.
    cache : bool, default False
        True to keep the matrix in the user's cache folder.
    progress : callable, optional
        Function to call with the number of texts counted so far and the number of texts.
    known : mapping of str to mapping, optional
        `arrays` of earlier matrices by their `key`. They are reused for the same texts.

    Attributes
    ----------
    key : str
        Digest of the texts and of the settings for counting terms.
    arrays : mapping of str to numpy.ndarray
        The matrix in compressed sparse columns. "columns" contains the hashed number of each column
        that is not empty, and "idf" its inverse document frequency. The entries of the i-th of
        these columns are ``indptr[i]`` to ``indptr[i + 1]`` in "indices", which contains the texts,
        and in "data", which contains the weights.
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
        scores = np.zeros(len(self._texts), np.float32)
        owners, data = self.arrays["indices"], self.arrays["data"]
        for start, end, weight in zip(starts.tolist(), ends.tolist(), weights, strict=True):
            if end - start == len(scores):
                # All texts contain the term, so that their order is that of the scores.
                scores += data[start:end] * weight
            else:
                # A text occurs at most once in a column, so this adds to each score once.
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

    def _fit(self, progress: Callable[[int, int], None] | None) -> dict[str, Array]:
        """Compute `arrays` from the texts."""
        texts = self._texts

        def texts_with_progress() -> Iterator[str]:
            for done, text in enumerate(texts):
                yield text
                if progress is not None:
                    progress(done + 1, len(texts))

        found = count_terms(texts_with_progress(), ANALYZERS[self._terms])
        # Most columns that terms may be hashed to are empty, so they are not stored.
        columns, starts = np.unique(found.columns, return_index=True)
        indptr = np.append(starts, len(found.columns)).astype(np.int64)
        frequency = np.diff(indptr)
        idf = (np.log((1 + len(texts)) / (1 + frequency)) + 1).astype(np.float32)
        entry_idf = np.repeat(idf, frequency)
        return {
            "columns": columns,
            "idf": idf,
            "data": _weighted(found.counts, entry_idf, found.owners, len(texts)),
            "indices": found.owners,
            "indptr": indptr,
        }

    def _row(self, text: str) -> tuple[Array, Array]:
        """Return the positions of a text's terms among the stored columns, and their weights.

        Terms that no text of the matrix contains are left out.
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
        Number of occurrences of a term in a text, and the term's inverse document frequency.
    owners : numpy.ndarray of int32, shape (entries,)
        Position of each entry's text.
    texts : int
        Number of texts.
    """
    weights = (1 + np.log(counts)) * idf
    lengths = np.sqrt(np.bincount(owners, weights=weights * weights, minlength=texts))
    unit: Array = weights / np.where(lengths == 0, 1, lengths).astype(np.float32)[owners]
    return unit
