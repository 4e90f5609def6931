"""Whitening of a suite's sentence embeddings, which needs no labels."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from flashwasm.adapt import Whitening
from flashwasm.errors import ShapeError
from flashwasm.host.modules import module_sha256
from flashwasm.qe.scoring.array_cache import cached_arrays
from flashwasm.runtime.default_runtime import checked_runtime

if TYPE_CHECKING:
    from flashwasm.runtime.runtime import Runtime

__all__ = ["EmbeddingWhitening", "fit_whitening", "unit_rows", "whiten_collection"]

Array = npt.NDArray[Any]
# Exponent of the whitening: with 0.5, each variance becomes its square root. Full whitening, with
# 1.0, would amplify noise.
_POWER = 0.5
# Part of the key of the cached arrays. Increase it if their computation changes.
_VERSION = 2


@dataclass(frozen=True)
class EmbeddingWhitening:
    """Map from embeddings to whitened vectors of length one.

    Parameters
    ----------
    whitening : Whitening
        Whitening of the collection.
    runtime : Runtime, optional
        Runtime that computes the products. None means the default runtime.
    """

    whitening: Whitening
    runtime: Runtime | None = None

    def __call__(self, vectors: Array) -> Array:
        """Return unit vectors ``(m, dim)`` in float32 for embeddings ``(m, dim)``."""
        return unit_rows(self.whitening.apply(vectors, runtime=self.runtime))


def fit_whitening(vectors: Array, runtime: Runtime | None = None) -> Whitening:
    """Return the whitening to apply before embeddings of a suite are compared.

    The sentence embeddings of one program have a few strong directions in common, which separate
    the program from other texts but not one test from another. Partial whitening reduces these
    directions (Su et al., "Whitening sentence representations", 2021). The fewer vectors there are,
    the more the covariance is shrunk towards equal variances.

    Parameters
    ----------
    vectors : numpy.ndarray of float, shape (n, dim)
        Embeddings of the collection, at least one.
    runtime : Runtime, optional
        Runtime that computes the covariance. None means the default runtime.
    """
    n, dim = vectors.shape
    shrinkage = dim / (n + dim)
    try:
        return Whitening.fit(vectors, shrinkage=shrinkage, power=_POWER, runtime=runtime)
    except ShapeError:
        # A single vector, or several equal ones, have no variance, so they are only centred.
        mean = vectors.mean(axis=0, dtype=np.float64).astype(np.float32)
        return Whitening(mean, np.eye(dim, dtype=np.float32), shrinkage, power=0.0)


def whiten_collection(
    vectors: Array, *, cache: bool = False, runtime: Runtime | None = None
) -> tuple[EmbeddingWhitening, Array]:
    """Return the whitening of a collection, and the collection's whitened unit vectors.

    Parameters
    ----------
    vectors : numpy.ndarray of float32, shape (n, dim)
        Embeddings of the collection, at least one.
    cache : bool, default False
        True to keep both in the user's cache folder.
    runtime : Runtime, optional
        Runtime that computes the products. None means the default runtime.
    """

    def make() -> dict[str, Array]:
        fitted = fit_whitening(vectors, runtime)
        unit_vectors = EmbeddingWhitening(fitted, runtime)(vectors)
        return {"mean": fitted.mean, "matrix": fitted.matrix, "vectors": unit_vectors}

    digest = hashlib.sha256()
    if cache:
        # The kernels are part of the key, so that results of a faulty build are not reused.
        kernels = module_sha256(checked_runtime(runtime).variant)
        digest.update(f"{_VERSION} {kernels} {vectors.shape} {vectors.dtype.str} ".encode())
        digest.update(np.ascontiguousarray(vectors).data)
    found = cached_arrays("whitened", digest.hexdigest(), make, cache=cache)
    n, dim = vectors.shape
    whitening = Whitening(found["mean"], found["matrix"], dim / (n + dim), _POWER)
    return EmbeddingWhitening(whitening, runtime), found["vectors"]


def unit_rows(rows: Array) -> Array:
    """Return rows scaled to length one; a row of zeros stays zero."""
    lengths = np.linalg.norm(rows, axis=1, keepdims=True)
    scaled: Array = rows / np.where(lengths == 0, 1, lengths)
    return scaled
