"""Cases for the indexes: vectors, queries, and the number of neighbours to find."""

from __future__ import annotations

import ast
import sysconfig
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from flashwasm import validation as arrays
from flashwasm.errors import CapabilityError, CorruptFileError, DTypeError, ShapeError
from flashwasm.storage.npy_file import read_npy

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from numpy.typing import NDArray

    Array = NDArray[Any]

_CLUSTERS, _LATENT = 20, 48
_QUERIES = 1000


@dataclass(frozen=True)
class SearchCase:
    """One index over one set of vectors.

    Attributes
    ----------
    operation : {"FlatIndex", "HNSWIndex"}
        Class of the index.
    data : str
        A few words on the vectors.
    make : callable
        Function of the requested number of vectors. It returns vectors and queries of unit length,
        or None if no model is installed to make them.
    k : int
        Number of nearest vectors to find.
    """

    operation: str
    data: str
    make: Callable[[int], tuple[Array, Array] | None]
    k: int = 10


def unit(x: Array) -> Array:
    """Return the rows of a matrix, scaled to unit length."""
    result: Array = (x / np.linalg.norm(x, axis=1, keepdims=True)).astype(np.float32)
    return result


def clustered(dim: int) -> Callable[[int], tuple[Array, Array]]:
    """Return a function that makes clustered vectors, about as hard to search as embeddings.

    There are 20 clusters in 48 dimensions, which a random matrix maps to ``dim`` dimensions.

    Parameters
    ----------
    dim : int
        Dimension of the vectors.
    """

    def make(count: int) -> tuple[Array, Array]:
        rng = np.random.default_rng(0)
        centres = rng.standard_normal((_CLUSTERS, _LATENT))
        basis = rng.standard_normal((_LATENT, dim))

        def points(n: int) -> Array:
            latent = centres[rng.integers(0, _CLUSTERS, n)] + rng.standard_normal((n, _LATENT))
            return unit(latent @ basis)

        return points(count), points(_QUERIES)

    return make


def _docstrings() -> Iterator[str]:
    """Yield the docstrings of Python's own library."""
    for path in sorted(Path(sysconfig.get_path("stdlib")).glob("*.py")):
        for node in ast.walk(ast.parse(path.read_bytes())):
            if isinstance(node, (ast.FunctionDef, ast.ClassDef)):
                text = ast.get_docstring(node)
                if text:
                    yield text


def embedded(count: int) -> tuple[Array, Array] | None:
    """Return embeddings of docstrings, of which every fifth is a query.

    Parameters
    ----------
    count : int
        Largest number of docstrings.

    Returns
    -------
    (numpy.ndarray, numpy.ndarray) or None
        Vectors and queries; None if no model is installed.
    """
    from flashwasm.encoder import SentenceEncoder  # noqa: PLC0415 - it loads the tokenizer.

    try:
        encoder = SentenceEncoder.load()
    except CapabilityError:
        return None
    texts = list(dict.fromkeys(islice(_docstrings(), min(count, 5000))))
    vectors = unit(encoder.encode(texts, max_length=64))
    is_query = np.arange(len(vectors)) % 5 == 0
    return vectors[~is_query], vectors[is_query]


def stored(path: Path) -> SearchCase:
    """Return a case over the vectors of a .npy file, whose first vectors are the queries.

    Parameters
    ----------
    path : pathlib.Path
        The file.

    Raises
    ------
    DTypeError, ShapeError
        If the file does not contain floats of shape (n, dim), or contains a vector of zeros.
    """
    try:
        array = read_npy(path)
    except CorruptFileError:
        message = f"{path}: expected a .npy file of floats, got something else"
        raise DTypeError(message) from None
    vectors = arrays.vectors(array, str(path), array.shape[-1] if array.ndim else 0, np.inf)
    if not np.linalg.norm(vectors, axis=1).all():
        message = f"{path}: expected vectors to compare by their cosine, got one of zeros"
        raise ShapeError(message)

    def make(count: int) -> tuple[Array, Array]:
        some = unit(vectors[: count + _QUERIES])
        asked = min(_QUERIES, len(some) // 5)
        return some[asked:], some[:asked]

    return SearchCase("HNSWIndex", f"{path.name}, {vectors.shape[1]} dimensions", make)


SEARCH_CASES = (
    SearchCase("FlatIndex", "20 clusters, 384 dimensions", clustered(384)),
    SearchCase("HNSWIndex", "20 clusters, 128 dimensions", clustered(128)),
    SearchCase("HNSWIndex", "MiniLM embeddings of docstrings", embedded),
)
