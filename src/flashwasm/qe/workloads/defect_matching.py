"""The workload "defect-matching": find the patterns in a library nearest to a defect."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from flashwasm.errors import DTypeError
from flashwasm.html_tables import html_table
from flashwasm.qe.workloads.similarity import rank_rows
from flashwasm.validation import finite_float, floats, positive_int, shaped

if TYPE_CHECKING:
    from numpy.typing import ArrayLike

    from flashwasm.runtime.runtime import Runtime

__all__ = ["PatternMatch", "rank_patterns"]

Array = npt.NDArray[Any]
_FLOAT32 = np.dtype(np.float32)


@dataclass(frozen=True)
class PatternMatch:
    """A named pattern near a defect.

    Attributes
    ----------
    pattern : str
        Name of the pattern.
    score : float
        Cosine with the defect, from -1 to 1.
    weight : float or None
        The pattern's share of the attention over the whole library.
    """

    pattern: str
    score: float
    weight: float | None

    _repr_html_ = html_table


def rank_patterns(
    defect_embedding: ArrayLike,
    pattern_library: Mapping[str, ArrayLike] | Sequence[tuple[str, ArrayLike]],
    top_k: int | None,
    threshold: float | None,
    runtime: Runtime,
) -> list[PatternMatch]:
    """Check the arguments of `QEFlashAttention.match_defect_pattern` and return its result."""
    defect = floats(defect_embedding, "defect_embedding", ndim=1)
    least = -math.inf if threshold is None else finite_float(threshold, "threshold")
    names, vectors = _library_vectors(pattern_library, len(defect))
    count = len(names) if top_k is None else positive_int(top_k, "top_k")
    return [
        PatternMatch(names[match.index], match.score, match.weight)
        for match in rank_rows(defect, vectors, count, runtime)
        if match.score >= least
    ]


def _library_vectors(
    library: Mapping[str, ArrayLike] | Sequence[tuple[str, ArrayLike]], dim: int
) -> tuple[list[str], Array]:
    """Return the names and the vectors ``(n, dim)`` of a library."""
    if not isinstance(library, Mapping) and not isinstance(library, Sequence):
        raise DTypeError(
            f"pattern_library: expected a mapping or a sequence, got {type(library).__name__}"
        )
    pairs = list(library.items() if isinstance(library, Mapping) else library)
    for i, pair in enumerate(pairs):
        if not isinstance(pair, (tuple, list)) or len(pair) != 2:
            raise DTypeError(f"pattern_library[{i}]: expected (name, vector), got {pair!r:.80}")
        if not isinstance(pair[0], str):
            raise DTypeError(f"pattern_library[{i}]: expected a name, got {pair[0]!r:.80}")
    rows = [vector for _, vector in pairs]
    if rows and all(_is_float32_row(row, dim) for row in rows):
        # This joins all rows in one call. Checking each row, as below, would take longer than the
        # search.
        vectors = np.concatenate(rows).reshape(len(rows), dim)
    else:
        vectors = np.zeros((len(pairs), dim), np.float32)
        for i, (name, vector) in enumerate(pairs):
            label = f"pattern_library[{name!r}]"
            vectors[i] = shaped(vector, label, (dim,), "as the defect has")
    return [name for name, _ in pairs], vectors


def _is_float32_row(vector: object, dim: int) -> bool:
    """Return True if a vector is a float32 array ``(dim,)``, which needs no conversion."""
    return type(vector) is np.ndarray and vector.shape == (dim,) and vector.dtype is _FLOAT32
