"""TF-IDF over characters, identifiers or structure.

Salton & Buckley, "Term-weighting approaches in automatic text retrieval", 1988, with the logarithm
of counts; terms are hashed (Weinberger et al., 2009), so that no vocabulary has to be kept.
"""

from __future__ import annotations

import hashlib
import importlib
from collections.abc import Callable, Mapping, Sequence
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
_VERSION = 2
# Columns that terms are hashed to: a suite's character n-grams are some hundred thousand.
FEATURES = 1 << 21
# Queries that go through all rows; then the matrix is turned, which takes as long as ten or more of
# these, and each query a fraction of one: docs/decisions/0010.
_BY_ROW = 3


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
        self._asked = 0
        self._sparse = _optional("scipy.sparse")
        digest = hashlib.sha256(f"{terms} {_VERSION} {FEATURES}".encode())
        for text in texts:
            digest.update(hashlib.sha256(text.encode("utf-8", "surrogatepass")).digest())
        self.key = digest.hexdigest()
        arrays = (known or {}).get(self.key) or cached_arrays(
            "tfidf", self.key, lambda: self._fit(texts, progress), cache=cache
        )
        self.arrays = arrays
        self._columns, self._idf = arrays["columns"], arrays["idf"]
        self.matrix = self._sparse.csr_matrix(
            (arrays["data"], arrays["indices"], arrays["indptr"]),
            shape=(len(texts), len(self._columns)),
        )

    def scores(self, query: int | str) -> Array:
        """Return the cosine of each text with the text at a position, or with another text."""
        row = self.matrix[query] if isinstance(query, int) else self._transform(query)
        self._asked += 1
        scores: Array
        if self._asked <= _BY_ROW:
            dense = np.zeros(len(self._columns), np.float32)
            dense[row.indices] = row.data
            scores = self.matrix @ dense
        else:
            scores = self._by_column[:, row.indices] @ row.data
        return scores

    @cached_property
    def _by_column(self) -> Any:
        return self.matrix.tocsc()

    def _fit(
        self, texts: Sequence[str], progress: Callable[[int, int], None] | None
    ) -> dict[str, Array]:
        def counted() -> Any:
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
        self._idf = idf.astype(np.float32)
        matrix = self._weighted(counts[:, columns].tocsr())
        return {
            "columns": columns,
            "idf": self._idf,
            "data": matrix.data,
            "indices": matrix.indices.astype(np.int32),
            "indptr": matrix.indptr,
        }

    def _transform(self, text: str) -> Any:
        """Return a text's row, without scikit-learn, which takes a second to import."""
        columns = [hashed(term) % FEATURES for term in ANALYZERS[self._terms](text)]
        asked, counts = np.unique(np.array(columns, np.int32), return_counts=True)
        places = np.minimum(np.searchsorted(self._columns, asked), len(self._columns) - 1)
        known = self._columns[places] == asked
        row = (counts[known].astype(np.float32), places[known], [0, int(known.sum())])
        return self._weighted(self._sparse.csr_matrix(row, shape=(1, len(self._columns))))

    def _weighted(self, counts: Any) -> Any:
        """Return rows of length 1 of (1 + log count) times the inverse document frequency."""
        counts.data = (1 + np.log(counts.data)) * self._idf[counts.indices]
        lengths = np.sqrt(np.asarray(counts.multiply(counts).sum(axis=1)).ravel())
        counts.data /= np.repeat(np.where(lengths == 0, 1, lengths), np.diff(counts.indptr))
        return counts
