"""The workload "test-similarity": find the rows of a corpus nearest to one vector."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from flashwasm.html_tables import html_table
from flashwasm.ops import cosine_top_k, softmax

if TYPE_CHECKING:
    from flashwasm.runtime.runtime import Runtime

__all__ = ["VectorMatch", "rank_rows"]

Array = npt.NDArray[Any]


@dataclass(frozen=True)
class VectorMatch:
    """A row of a corpus near a query.

    Attributes
    ----------
    index : int
        Position of the row in the corpus.
    score : float
        Cosine with the query, from -1 to 1.
    weight : float or None
        The row's share of the attention over the whole corpus. None after a graph search, because
        such a search does not compare every row.
    """

    index: int
    score: float
    weight: float | None

    _repr_html_ = html_table


def rank_rows(query: Array, corpus: Array, count: int, runtime: Runtime) -> list[VectorMatch]:
    """Return the ``count`` rows of a corpus ``(N, D)`` nearest to a query ``(D,)``, nearest first.

    Rows with equal cosines keep the order of the corpus.
    """
    if len(corpus) == 0:
        return []
    # The weights require the cosine of every row. So the rows are passed as queries, and the query
    # as a corpus of one row: then the kernel returns all cosines and computes each of them once.
    cosines = cosine_top_k(corpus, query[None], 1, runtime=runtime)[0][:, 0]
    logits = np.float32(math.sqrt(len(query))) * cosines
    # One NaN would make every weight NaN. So a row with NaN gets no weight and is ranked last.
    weights = softmax(np.where(np.isnan(logits), -np.inf, logits), runtime=runtime)
    best = np.argsort(-cosines, kind="stable")[:count]
    rated = zip(
        best.tolist(), cosines[best].tolist(), np.nan_to_num(weights[best]).tolist(), strict=True
    )
    return [VectorMatch(index, score, weight) for index, score, weight in rated]
