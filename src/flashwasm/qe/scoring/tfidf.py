"""TF-IDF over characters, identifiers or structure.

Salton & Buckley, "Term-weighting approaches in automatic text retrieval", 1988, with the logarithm
of counts; terms are hashed (Weinberger et al., 2009), so that no vocabulary has to be kept.
"""

from __future__ import annotations

import hashlib
import importlib
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import cached_property
from importlib.util import find_spec
from typing import Any

import numpy as np
import numpy.typing as npt

from flashwasm.errors import CapabilityError
from flashwasm.qe.scoring.matrix_cache import cached_arrays
from flashwasm.qe.scoring.terms import ANALYZERS, hashed

__all__ = ["FEATURES", "TfIdf", "require_sklearn"]

Array = npt.NDArray[Any]
# To be raised when a term or a weight is made in another way: what was cached then is not read.
_VERSION = 3
# Columns that terms are hashed to: a suite's character n-grams are some hundred thousand.
FEATURES = 1 << 21
# A query with more terms or entries than these is scipy's, whose import takes 0.2 s: words have a
# hundred terms in some ten thousand entries, a test of a large suite a million. The bits are equal.
_FEW_TERMS, _FEW_ENTRIES = 1 << 8, 1 << 18


def require_sklearn() -> Any:
    """Import the part of scikit-learn that is used, or say how to get it."""
    return _optional("sklearn.feature_extraction.text")


def _optional(name: str) -> Any:
    try:
        return importlib.import_module(name)
    except ImportError as error:
        raise CapabilityError(
            'scikit-learn is not installed; get it with: pip install "flashwasm[qe]"'
        ) from error


class TfIdf:
    """Weighted terms of texts, and their cosines with another text.

    Parameters
    ----------
    terms : {"characters", "identifiers", "structure"}
        What is counted.
    texts : sequence of str
        The texts, at least one.
    cache : bool, default False
        Whether the matrix is kept in the user's cache folder.
    progress : callable, optional
        Called with how many texts are read and their number.
    known : mapping, optional
        `arrays` of earlier ones by their `key`: of the same texts they are not counted again.

    Attributes
    ----------
    key : str
        A digest of the texts and of how they are counted.
    arrays : mapping of str to numpy.ndarray
        What was counted.

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
            # A text has a term once, so that no place comes twice.
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
        arrays, shape = self.arrays, (len(self._texts), len(self._columns))
        entries = (arrays["data"], arrays["indices"], self._starts)
        return _optional("scipy.sparse").csc_matrix(entries, shape=shape)

    def _fit(self, progress: Callable[[int, int], None] | None) -> dict[str, Array]:
        texts = self._texts

        def counted() -> Iterator[str]:
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
        counts = vectorizer.transform(counted()).tocsc()
        frequency = np.diff(counts.indptr)
        # Only columns that some texts have: the others are most of what terms may be hashed to.
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
        """Return a text's places among the columns and its weights there.

        Without scikit-learn, which takes a second to import.
        """
        terms = Counter(ANALYZERS[self._terms](text))
        asked, own = np.unique(hashed(list(terms)) % FEATURES, return_inverse=True)
        counts = np.bincount(own, weights=list(terms.values()), minlength=len(asked))
        places = np.searchsorted(self._columns, asked)
        known = np.searchsorted(self._columns, asked, side="right") > places
        places, counts = places[known], counts[known].astype(np.float32)
        return places, _weighted(counts, self._idf[places], np.zeros(len(places), np.int32), 1)


def _weighted(counts: Array, idf: Array, owners: Array, texts: int) -> Array:
    """Return (1 + log count) times the inverse document frequency, each text's of length 1."""
    weights = (1 + np.log(counts)) * idf
    lengths = np.sqrt(np.bincount(owners, weights=weights * weights, minlength=texts))
    unit: Array = weights / np.where(lengths == 0, 1, lengths).astype(np.float32)[owners]
    return unit
