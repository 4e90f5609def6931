"""Rows nearest to a vector, with their attention weights."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from flashwasm.errors import DTypeError
from flashwasm.ops import cosine_top_k, softmax
from flashwasm.validation import as_array, shaped

if TYPE_CHECKING:
    from numpy.typing import ArrayLike

    from flashwasm.runtime.runtime import Runtime

__all__ = ["PatternMatch", "VectorMatch", "counts", "library_vectors", "nearest"]

Array = npt.NDArray[Any]
_FLOAT32 = np.dtype(np.float32)


@dataclass(frozen=True)
class VectorMatch:
    """A row of a corpus: its index, its cosine with the query, and its share of attention.

    The share is None where a graph was searched, which does not look at every row.
    """

    index: int
    score: float
    weight: float | None


@dataclass(frozen=True)
class PatternMatch:
    """A named pattern, its cosine with the query, and its share of attention over the library."""

    pattern: str
    score: float
    weight: float | None


def nearest(query: Array, corpus: Array, count: int, rt: Runtime) -> list[VectorMatch]:
    """Return the rows of a corpus with the highest cosines, by descending cosine."""
    if len(corpus) == 0:
        return []
    rows = rt.asarray(corpus, np.float32)
    wanted = min(count, len(corpus))
    scores, indices = cosine_top_k(query[None], rows, wanted, runtime=rt)
    products = rows @ query
    lengths = np.sqrt(np.einsum("ij,ij->i", rows, rows)) * np.linalg.norm(query)
    with np.errstate(divide="ignore", invalid="ignore"):
        cosines = np.where(lengths == 0, 0, products / lengths)
    # A row with NaN ranks last and has no weight.
    logits = np.where(np.isnan(cosines), -np.inf, math.sqrt(len(query)) * cosines)
    weights = softmax(logits.astype(np.float32), runtime=rt)
    best = indices[0].tolist()
    shares = np.nan_to_num(weights[best]).tolist()
    rated = zip(best, scores[0].clip(-1, 1).tolist(), shares, strict=True)
    return [VectorMatch(index, score, weight) for index, score, weight in rated]


def counts(values: ArrayLike, name: str) -> Array:
    """Return counts and booleans as float32; other types are left to the checks."""
    array = as_array(values, name)
    return array.astype(np.float32) if array.dtype.kind in "biu" else array


def library_vectors(
    library: Mapping[str, ArrayLike] | Sequence[tuple[str, ArrayLike]], dim: int
) -> tuple[list[str], Array]:
    """Return names and vectors ``(n, dim)``."""
    pairs = list(library.items()) if isinstance(library, Mapping) else list(library)
    for i, pair in enumerate(pairs):
        if not isinstance(pair, (tuple, list)) or len(pair) != 2:
            raise DTypeError(f"pattern_library[{i}]: expected (name, vector), got {pair!r:.80}")
    rows = [vector for _, vector in pairs]
    if rows and all(_is_row(row, dim) for row in rows):
        # A thousand patterns are the usual case, and checking each takes longer than the search.
        vectors = np.concatenate(rows).reshape(len(rows), dim)
    else:
        vectors = np.zeros((len(pairs), dim), np.float32)
        for i, (name, vector) in enumerate(pairs):
            label = f"pattern_library[{name!r}]"
            vectors[i] = shaped(vector, label, (dim,), "as the defect has")
    return [name for name, _ in pairs], vectors


def _is_row(vector: object, dim: int) -> bool:
    """Whether a vector needs no conversion."""
    return type(vector) is np.ndarray and vector.shape == (dim,) and vector.dtype is _FLOAT32
