"""BM25: how well tests fit some terms, of which rare ones count for more.

Robertson & Zaragoza, "The probabilistic relevance framework: BM25 and beyond", 2009.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

__all__ = ["Bm25"]

Array = npt.NDArray[Any]
# Tests are short, so their lengths count for less than those of documents, where 0.75 is usual.
_K1, _B = 1.2, 0.4


class Bm25:
    """The weights of terms in the tests of a suite.

    Parameters
    ----------
    tests : sequence of mapping of str to int
        Number of times that each test has each term that a query may have.
    lengths : sequence of int
        Number of terms of each test, others included.
    """

    def __init__(self, tests: Sequence[Mapping[str, int]], lengths: Sequence[int]) -> None:
        self._count = len(tests)
        self._lengths = np.asarray(lengths, float)
        found: dict[str, list[tuple[int, int]]] = {}
        for row, times in enumerate(tests):
            for term, number in times.items():
                found.setdefault(term, []).append((row, number))
        self._found = {term: np.array(rows).T for term, rows in found.items()}

    def scores(self, query: Mapping[str, float]) -> Array:
        """Return the score of each test for a query.

        Parameters
        ----------
        query : mapping of str to float
            Number of times that the query has each term.
        """
        scores = np.zeros(self._count)
        mean = max(float(self._lengths.mean()), 1.0) if self._count else 1.0
        norms = _K1 * (1 - _B + _B * self._lengths / mean)
        for term, number in query.items():
            if term in self._found:
                rows, times = self._found[term]
                inverse = np.log(1 + (self._count - len(rows) + 0.5) / (len(rows) + 0.5))
                scores[rows] += number * inverse * times * (_K1 + 1) / (times + norms[rows])
        return scores
