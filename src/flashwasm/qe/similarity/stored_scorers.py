"""Stored inputs of scorers: embeddings and tf-idf matrices as sections of an index file."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from flashwasm.qe.scoring.term_counts import FEATURES

if TYPE_CHECKING:
    from flashwasm.qe.index_files.stored_index import StoredIndex

__all__ = [
    "StoredEmbeddings",
    "SuiteScorerData",
    "read_embeddings",
    "read_tfidf",
    "tfidf_sections",
]

Array = npt.NDArray[Any]
_ARRAYS = ("data", "idf", "columns", "indices", "indptr")


@dataclass(frozen=True)
class StoredEmbeddings:
    """Embeddings, and the model that computed them.

    Parameters
    ----------
    vectors : numpy.ndarray of float32, shape (n, dim)
        Embeddings.
    model : str
        Folder of the model.
    settings : str
        `Embedder.settings` at the time of computation: a digest of everything they depend on.
    """

    vectors: Array
    model: str
    settings: str


@dataclass
class SuiteScorerData:
    """Stored inputs of a suite's scorers, which are slow to compute.

    Parameters
    ----------
    terms : dict of str to mapping
        Arrays of each `TfIdfMatrix` by its key.
    embeddings : StoredEmbeddings or None
        Embeddings of the tests; None if embeddings are not compared.
    rows : list of numpy.ndarray, or None
        For each test, the columns of the lines that it runs; None if coverage is not compared.
    width : int
        Number of columns.
    """

    terms: dict[str, Mapping[str, Array]] = field(default_factory=dict)
    embeddings: StoredEmbeddings | None = None
    rows: list[Array] | None = None
    width: int = 0


def read_embeddings(file: StoredIndex, count: int) -> StoredEmbeddings | None:
    """Return the embeddings ``(count, dim)`` in a file; None if there are none."""
    if not file.has("embeddings"):
        return None
    vectors = file.floats("embeddings", (count, None))
    return StoredEmbeddings(vectors, file.text("model"), file.text("settings"))


def tfidf_sections(terms: Mapping[str, Mapping[str, Array]]) -> dict[str, Array]:
    """Return the sections for arrays of `TfIdfMatrix`; the keys go to the parameter "terms"."""
    sections: dict[str, Array] = {}
    for i, arrays in enumerate(terms.values()):
        sections |= {f"terms{i}.{name}": arrays[name] for name in _ARRAYS}
    return sections


def read_tfidf(file: StoredIndex, count: int) -> dict[str, Mapping[str, Array]]:
    """Return the arrays of tf-idf matrices of ``count`` texts in a file, by key."""
    keys = file.strings("terms", file.parameters.get("terms"))
    return {key: _matrix_arrays(file, f"terms{i}", count) for i, key in enumerate(keys)}


def _matrix_arrays(file: StoredIndex, name: str, count: int) -> dict[str, Array]:
    """Return the arrays of one matrix, after checks that SciPy does not do."""
    columns = file.section(f"{name}.columns", "<i4", (None,))
    indptr = file.section(f"{name}.indptr", "<i8", (None,))
    if len(indptr) != len(columns) + 1:
        file.refuse(
            f"{name!r} is not stored by columns; if an earlier version wrote it, build it again"
        )
    indices = file.section(f"{name}.indices", "<i4", (None,))
    arrays = {
        "data": file.floats(f"{name}.data", (len(indices),)),
        "idf": file.floats(f"{name}.idf", (len(columns),)),
        "columns": columns,
        "indices": indices,
        "indptr": indptr,
    }
    if len(columns) and (columns.min() < 0 or columns.max() >= FEATURES):
        file.refuse(f"a column of {name!r} is out of range")
    if len(indices) and (indices.min() < 0 or indices.max() >= count):
        file.refuse(f"an index of {name!r} is out of range")
    if indptr[0] != 0 or indptr[-1] != len(indices) or (np.diff(indptr) < 0).any():
        file.refuse(f"the columns of {name!r} do not end where they should")
    return arrays
